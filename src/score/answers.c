#include "score/answers.h"

#include "base/memory.h"
#include "base/text_table.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers by sequence ---- */

sg_status sg_answer_cache_open(sg_answer_cache *kept, int steps, int batch)
{
    *kept = (sg_answer_cache){.steps = steps, .batch = batch};
    SG_TRY(sg_alloc(&kept->types, (int64_t)steps * batch, "dialogs"));
    SG_TRY(sg_alloc(&kept->lengths, batch, "dialogs"));
    return sg_sequence_set_open(&kept->set);
}

void sg_answer_cache_close(sg_answer_cache *kept)
{
    sg_sequence_set_free(&kept->set);
    free(kept->answers);
    free(kept->types);
    free(kept->lengths);
    *kept = (sg_answer_cache){0};
}

sg_status sg_answer_cache_clear(sg_answer_cache *kept)
{
    sg_sequence_set_free(&kept->set);
    kept->filled = 0;
    return sg_sequence_set_open(&kept->set);
}

sg_status sg_answer_cache_find(sg_answer_cache *kept, const uint16_t *types, int length, int32_t *number)
{
    SG_TRY(sg_sequence_set_add(&kept->set, types, length, number));
    return sg_grow(&kept->answers, &kept->answers_capacity, kept->set.count, "answers");
}

uint64_t sg_answer_cache_tokens(const sg_answer_cache *kept)
{
    return kept->set.start[kept->set.count];
}

sg_status sg_answer_cache_fill(sg_answer_cache *kept, sg_scorer *scorer)
{
    while (kept->filled < kept->set.count) {
        const int32_t first = kept->filled, left = kept->set.count - first;
        const int count = left < kept->batch ? left : kept->batch;
        const size_t steps = (size_t)kept->steps;
        memset(kept->types, 0, (size_t)count * steps * sizeof *kept->types);
        for (int i = 0; i < count; i++) {
            const int length = sg_sequence_set_length(&kept->set, first + i);
            memcpy(kept->types + (size_t)i * steps, sg_sequence_set_tokens(&kept->set, first + i),
                   (size_t)length * sizeof *kept->types);
            kept->lengths[i] = (uint16_t)length;
        }
        SG_TRY(sg_scorer_run(scorer, kept->types, kept->lengths, count, kept->answers + first));
        kept->filled += count;
    }
    return SG_OK;
}

/* ---- lines of output ---- */

sg_status sg_answer_writer_open(sg_answer_writer *writer, const sg_scorer *scorer, sg_rule rule, bool names,
                                bool json)
{
    *writer = (sg_answer_writer){.scorer = scorer, .rule = rule, .names = names, .json = json};
    SG_TRY(sg_alloc(&writer->types, sg_scorer_max_length(scorer), "a dialog"));
    return sg_alloc(&writer->line, 1, "a line");
}

void sg_answer_writer_close(sg_answer_writer *writer)
{
    free(writer->types);
    free(writer->line);
    *writer = (sg_answer_writer){0};
}

void sg_answer_write_header(sg_answer_writer *writer)
{
    if (!writer->json)
        printf("file,id,length,class,%sprobability,skewness,kurtosis,known,known_prefix,abnormal,low_cluster,"
               "note\n",
               writer->names ? "class_dialog," : "");
}

static void put_verdict_csv(int verdict)
{
    fputs(verdict < 0 ? "," : verdict ? ",1" : ",0", stdout);
}

static void put_class_csv(const sg_answer_writer *w, int32_t number)
{
    const int length = sg_scorer_class_dialog(w->scorer, number, w->types);
    fputs(",\"", stdout);
    for (int t = 0; t < length; t++) {
        fputs(t ? " " : "", stdout);
        for (const char *c = sg_scorer_type_name(w->scorer, w->types[t]); *c; c++)
            fputs(*c == '"' ? "\"\"" : (char[]){*c, '\0'}, stdout);
    }
    putchar('"');
}

static void write_csv(const sg_answer_writer *w, const sg_dialog_answer *d, const sg_answer *a)
{
    sg_csv_field(stdout, d->file);
    putchar(',');
    sg_csv_field(stdout, d->id);
    printf(",%d", d->length);
    if (a) {
        printf(",%d", (int)a->best_class);
        if (w->names)
            put_class_csv(w, a->best_class);
        printf(",%.9g,%.17g,%.17g,%d,%d", (double)a->probability, a->skewness, a->kurtosis, a->known,
               a->known_prefix);
        put_verdict_csv(a->abnormal[w->rule]);
        put_verdict_csv(a->low_cluster);
    } else {
        fputs(w->names ? ",,,,,,,,," : ",,,,,,,,", stdout);
    }
    putchar(',');
    sg_csv_field(stdout, d->note);
    putchar('\n');
}

static void put_text_json(const sg_answer_writer *w, const char *text)
{
    sg_line_clear(w->line);
    sg_line_json(w->line, sg_text_of(text), SG_LINE_MAX / 8);
    fwrite(w->line->data, 1, w->line->length, stdout);
}

static void put_class_json(const sg_answer_writer *w, int32_t number)
{
    const int length = sg_scorer_class_dialog(w->scorer, number, w->types);
    fputs(",\"class_dialog\":[", stdout);
    for (int t = 0; t < length; t++) {
        fputs(t ? "," : "", stdout);
        put_text_json(w, sg_scorer_type_name(w->scorer, w->types[t]));
    }
    putchar(']');
}

/* A moment is not finite where the network has fewer outputs than the moments need. */
static void put_number_json(const char *name, double value, int digits)
{
    if (isfinite(value))
        printf(",\"%s\":%.*g", name, digits, value);
    else
        printf(",\"%s\":null", name);
}

static void put_verdict_json(const char *name, int verdict)
{
    printf(",\"%s\":%s", name, verdict < 0 ? "null" : verdict ? "true" : "false");
}

static void write_json(const sg_answer_writer *w, const sg_dialog_answer *d, const sg_answer *a)
{
    fputs("{\"file\":", stdout);
    put_text_json(w, d->file);
    fputs(",\"id\":", stdout);
    put_text_json(w, d->id);
    printf(",\"length\":%d", d->length);
    if (a) {
        printf(",\"class\":%d", (int)a->best_class);
        if (w->names)
            put_class_json(w, a->best_class);
        put_number_json("probability", a->probability, 9);
        put_number_json("skewness", a->skewness, 17);
        put_number_json("kurtosis", a->kurtosis, 17);
        put_verdict_json("known", a->known);
        put_verdict_json("known_prefix", a->known_prefix);
        put_verdict_json("abnormal", a->abnormal[w->rule]);
        put_verdict_json("low_cluster", a->low_cluster);
    } else {
        fputs(",\"note\":", stdout);
        put_text_json(w, d->note);
    }
    fputs("}\n", stdout);
}

sg_status sg_answer_write(sg_answer_writer *writer, const sg_dialog_answer *dialog, const sg_answer *answer)
{
    (writer->json ? write_json : write_csv)(writer, dialog, answer);
    return ferror(stdout) ? sg_fail(SG_E_IO, "cannot write the results to standard output") : SG_OK;
}
