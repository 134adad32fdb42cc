#include "score/answers.h"

#include "base/memory.h"
#include "base/text_table.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers by sequence ---- */

sg_status sg_answer_cache_open(sg_answer_cache *kept, int batch)
{
    *kept = (sg_answer_cache){.batch = batch};
    SG_TRY(sg_alloc(&kept->dialogs, batch, "dialogs"));
    return sg_sequence_set_open(&kept->set);
}

void sg_answer_cache_close(sg_answer_cache *kept)
{
    sg_sequence_set_free(&kept->set);
    free(kept->verdicts);
    free(kept->dialogs);
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
    return sg_grow(&kept->verdicts, &kept->verdicts_capacity, kept->set.count, "verdicts");
}

uint64_t sg_answer_cache_tokens(const sg_answer_cache *kept)
{
    return kept->set.start[kept->set.count];
}

sg_status sg_answer_cache_fill(sg_answer_cache *kept, sg_detector *detector)
{
    while (kept->filled < kept->set.count) {
        const int32_t first = kept->filled, left = kept->set.count - first;
        const int count = left < kept->batch ? left : kept->batch;
        for (int i = 0; i < count; i++)
            kept->dialogs[i] = (sg_dialog_types){sg_sequence_set_tokens(&kept->set, first + i),
                                                 sg_sequence_set_length(&kept->set, first + i)};
        SG_TRY(sg_detector_judge(detector, kept->dialogs, count, kept->verdicts + first));
        kept->filled += count;
    }
    return SG_OK;
}

/* ---- lines of output ---- */

sg_status sg_answer_writer_open(sg_answer_writer *writer)
{
    return sg_alloc(&writer->line, 1, "a line");
}

void sg_answer_writer_close(sg_answer_writer *writer)
{
    free(writer->line);
    *writer = (sg_answer_writer){0};
}

static const char *name_of(const sg_answer_writer *w, uint16_t type)
{
    return sg_alphabet_name(sg_detector_alphabet(w->detector), type);
}

static int abnormal(const sg_answer_writer *w, const sg_verdict *v)
{
    return sg_verdict_abnormal(v, !w->partial, w->rule);
}

/* Centroids are of whole dialogs. */
static int low_cluster(const sg_answer_writer *w, const sg_verdict *v)
{
    return w->partial ? -1 : v->low_cluster;
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
    const sg_dialog_types dialog = sg_detector_class(w->detector, number);
    fputs(",\"", stdout);
    for (int t = 0; t < dialog.length; t++) {
        fputs(t ? " " : "", stdout);
        for (const char *c = name_of(w, dialog.types[t]); *c; c++)
            fputs(*c == '"' ? "\"\"" : (char[]){*c, '\0'}, stdout);
    }
    putchar('"');
}

static void write_csv(const sg_answer_writer *w, const sg_dialog_answer *d, const sg_verdict *v)
{
    sg_csv_field(stdout, d->file);
    putchar(',');
    sg_csv_field(stdout, d->id);
    printf(",%d", d->length);
    if (v) {
        printf(",%d", (int)v->best_class);
        if (w->names)
            put_class_csv(w, v->best_class);
        printf(",%.9g,%.17g,%.17g,%d,%d", (double)v->probability, v->skewness, v->kurtosis, v->known,
               v->known_prefix);
        put_verdict_csv(abnormal(w, v));
        put_verdict_csv(low_cluster(w, v));
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
    const sg_dialog_types dialog = sg_detector_class(w->detector, number);
    fputs(",\"class_dialog\":[", stdout);
    for (int t = 0; t < dialog.length; t++) {
        fputs(t ? "," : "", stdout);
        put_text_json(w, name_of(w, dialog.types[t]));
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

static void write_json(const sg_answer_writer *w, const sg_dialog_answer *d, const sg_verdict *v)
{
    fputs("{\"file\":", stdout);
    put_text_json(w, d->file);
    fputs(",\"id\":", stdout);
    put_text_json(w, d->id);
    printf(",\"length\":%d", d->length);
    if (v) {
        printf(",\"class\":%d", (int)v->best_class);
        if (w->names)
            put_class_json(w, v->best_class);
        put_number_json("probability", v->probability, 9);
        put_number_json("skewness", v->skewness, 17);
        put_number_json("kurtosis", v->kurtosis, 17);
        put_verdict_json("known", v->known);
        put_verdict_json("known_prefix", v->known_prefix);
        put_verdict_json("abnormal", abnormal(w, v));
        put_verdict_json("low_cluster", low_cluster(w, v));
    } else {
        fputs(",\"note\":", stdout);
        put_text_json(w, d->note);
    }
    fputs("}\n", stdout);
}

sg_status sg_answer_write(sg_answer_writer *writer, const sg_dialog_answer *dialog, const sg_verdict *verdict)
{
    (writer->json ? write_json : write_csv)(writer, dialog, verdict);
    return ferror(stdout) ? sg_fail(SG_E_IO, "cannot write the results to standard output") : SG_OK;
}
