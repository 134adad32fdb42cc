#include "detect/detector_internal.h"

#include "base/files.h"
#include "base/h5_digest.h"
#include "base/memory.h"
#include "corpus/sequence_set.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sg_detector {
    sg_detector_parts parts;
    sg_alphabet *alphabet;
    sg_prefixes *known; /* beginnings */
};

/* ---- opening ---- */

sg_status sg_detector_is_exported(const char *path, bool *exported)
{
    const size_t n = strlen(path);
    char start[SG_H5_START] = {0};
    SG_TRY(sg_file_check_readable(path));
    FILE *in = fopen(path, "rb");
    size_t got = in ? fread(start, 1, sizeof start, in) : 0;
    if (in)
        fclose(in);
    bool is_hdf5 = got == sizeof start && sg_h5_is_start(start);
    bool named = n > 5 && strcmp(path + n - 5, ".sipm") == 0;
    *exported = !is_hdf5 && (named || memcmp(start, "\x89SIPM", 5) == 0);
    return SG_OK;
}

/* What does not depend on the kind. */
static sg_status open_parts(sg_detector *d)
{
    const sg_detector_parts *p = &d->parts;
    sg_type_rule rule;
    if (!sg_type_rule_parse(p->type_rule, &rule))
        return sg_fail(SG_E_CONFIG, "the model's type_rule is '%s': expected paper/1 or cseq/1",
                       p->type_rule);
    SG_TRY(sg_alphabet_open(&d->alphabet, rule, p->alphabet, p->message_types));
    return sg_prefixes_open(&d->known, p->class_sequence, p->class_length, p->class_train, p->classes,
                            p->max_length);
}

/* A kind's open has done its work, or failed with `status`. */
static sg_status finish_open(sg_detector **out, sg_detector *d, sg_status status)
{
    if (status == SG_OK)
        status = open_parts(d);
    if (status != SG_OK)
        sg_detector_close(d);
    else
        *out = d;
    return status;
}

sg_status sg_detector_open_model(sg_detector **detector, sg_model *model, const sg_detector_options *options)
{
    sg_detector *d;
    *detector = NULL;
    sg_status status = sg_alloc(&d, 1, "detector");
    if (status != SG_OK) {
        sg_model_free(model);
        return status;
    }
    return finish_open(detector, d, sg_detector_open_network(&d->parts, model, options));
}

sg_status sg_detector_open(sg_detector **detector, const char *path, const sg_detector_options *options)
{
    sg_detector *d;
    sg_model model;
    bool exported;
    *detector = NULL;
    SG_TRY(sg_detector_is_exported(path, &exported));
    if (!exported) {
        SG_TRY(sg_model_read(&model, NULL, path));
        return sg_detector_open_model(detector, &model, options);
    }
    SG_TRY(sg_alloc(&d, 1, "detector"));
    return finish_open(detector, d, sg_detector_open_exported(&d->parts, path, options));
}

void sg_detector_close(sg_detector *d)
{
    if (!d)
        return;
    sg_prefixes_close(d->known);
    sg_alphabet_close(d->alphabet);
    if (d->parts.self)
        d->parts.kind->close(d->parts.self);
    free(d);
}

/* ---- what the model is ---- */

int sg_detector_max_length(const sg_detector *d)
{
    return d->parts.max_length;
}

const sg_alphabet *sg_detector_alphabet(const sg_detector *d)
{
    return d->alphabet;
}

const char *sg_detector_description(const sg_detector *d)
{
    return d->parts.kind->description(d->parts.self);
}

bool sg_detector_collapsed(const sg_detector *d)
{
    return d->parts.collapsed;
}

bool sg_detector_same_types(const sg_detector *a, const sg_detector *b)
{
    const sg_detector_parts *p = &a->parts, *q = &b->parts;
    if (p->message_types != q->message_types || strcmp(p->type_rule, q->type_rule) != 0 ||
        p->collapsed != q->collapsed)
        return false;
    for (int m = 0; m < p->message_types; m++)
        if (strcmp(p->alphabet[m], q->alphabet[m]) != 0)
            return false;
    return true;
}

sg_dialog_types sg_detector_class(const sg_detector *d, int32_t number)
{
    const sg_detector_parts *p = &d->parts;
    return (sg_dialog_types){p->class_sequence + (size_t)number * (size_t)p->max_length,
                             p->class_length[number]};
}

bool sg_detector_limits(const sg_detector *d, int length, bool over, sg_prefix_limit *limits)
{
    return d->parts.kind->limits(d->parts.self, length, over || length >= d->parts.max_length, limits);
}

const sg_model *sg_detector_model(const sg_detector *d)
{
    return d->parts.model;
}

sg_engine *sg_detector_engine(sg_detector *d)
{
    return d->parts.engine;
}

/* ---- verdicts ---- */

/* Of the way from a limit down to the moments of equal outputs, 0. */
static double depth(double value, double limit)
{
    double share = limit > 0 ? (limit - value) / limit : 0;
    return fmin(fmax(share, 0), 1);
}

double sg_verdict_depth(const sg_verdict *verdict, const sg_prefix_limit *limits)
{
    return fmax(depth(verdict->skewness, limits->skewness), depth(verdict->kurtosis, limits->kurtosis));
}

/* What the trie says: that a dialog begins like a train dialog settles that it is not abnormal. */
static bool settle(const sg_detector *d, int32_t node, sg_verdict *verdict)
{
    *verdict = (sg_verdict){.known = sg_prefixes_ending(d->known, node) > 0,
                            .known_prefix = node > 0,
                            .best_class = -1,
                            .probability = NAN,
                            .skewness = NAN,
                            .kurtosis = NAN,
                            .low_cluster = -1};
    return node > 0;
}

bool sg_detector_push(const sg_detector *d, sg_standing *dialog, uint16_t type, sg_verdict *verdict)
{
    dialog->node = type ? sg_prefixes_next(d->known, dialog->node, type) : -1;
    return settle(d, dialog->node, verdict);
}

bool sg_detector_end(const sg_detector *d, const sg_standing *dialog, sg_verdict *verdict)
{
    return settle(d, dialog->node, verdict);
}

sg_standing sg_detector_find(const sg_detector *d, const sg_dialog_types *dialog)
{
    return (sg_standing){sg_prefixes_find(d->known, dialog->types, dialog->length)};
}

/* The dialogs without copies, and which of them each is. */
static sg_status collect_unique(const sg_dialog_types *dialogs, int count, sg_sequence_set *set,
                                sg_dialog_types *unique, int32_t *number)
{
    SG_TRY(sg_sequence_set_open(set));
    for (int i = 0; i < count; i++) {
        SG_TRY(sg_sequence_set_add(set, dialogs[i].types, dialogs[i].length, &number[i]));
        unique[number[i]] = dialogs[i];
    }
    return SG_OK;
}

sg_status sg_detector_judge(sg_detector *d, const sg_dialog_types *dialogs, int count, sg_verdict *verdicts)
{
    sg_dialog_types *unique = NULL;
    int32_t *number = NULL;
    sg_verdict *answers = NULL;
    sg_sequence_set set = {0};
    sg_status status;
    if (count == 0)
        return SG_OK;
    SG_TRY_GOTO(status, done, sg_alloc(&unique, count, "sequences to score"));
    SG_TRY_GOTO(status, done, sg_alloc(&number, count, "sequences to score"));
    SG_TRY_GOTO(status, done, sg_alloc(&answers, count, "sequences to score"));
    SG_TRY_GOTO(status, done, collect_unique(dialogs, count, &set, unique, number));
    SG_TRY_GOTO(status, done, d->parts.kind->judge(d->parts.self, unique, set.count, answers));
    for (int i = 0; i < count; i++) {
        const int32_t node = sg_prefixes_find(d->known, dialogs[i].types, dialogs[i].length);
        verdicts[i] = answers[number[i]];
        verdicts[i].known_prefix = node > 0;
        verdicts[i].known = sg_prefixes_ending(d->known, node) > 0;
    }
done:
    sg_sequence_set_free(&set);
    free(answers);
    free(number);
    free(unique);
    return status;
}
