/* answers.h: what `score` keeps of answers, and how it writes them. */
#ifndef SG_SCORE_ANSWERS_H
#define SG_SCORE_ANSWERS_H

#include "corpus/sequence_set.h"
#include "detect/detector.h"
#include "sip/line.h"

/* ---- answers by sequence: equal dialogs are scored once ---- */

typedef struct {
    sg_sequence_set set;
    sg_verdict *verdicts; /* [set.count], the first `filled` of them are there */
    size_t verdicts_capacity;
    int32_t filled;
    int batch;
    sg_dialog_types *dialogs; /* [batch] what is judged at once */
} sg_answer_cache;

/* For dialogs that are judged `batch` at a time. */
sg_status sg_answer_cache_open(sg_answer_cache *kept, int batch);
void sg_answer_cache_close(sg_answer_cache *kept); /* a zeroed one is fine */

/* Forgets all. */
sg_status sg_answer_cache_clear(sg_answer_cache *kept);

/* The number of a sequence; its verdict is there after the next fill. */
sg_status sg_answer_cache_find(sg_answer_cache *kept, const uint16_t *types, int length, int32_t *number);
sg_status sg_answer_cache_fill(sg_answer_cache *kept, sg_detector *detector);

/* Message types of all sequences kept. */
uint64_t sg_answer_cache_tokens(const sg_answer_cache *kept);

/* ---- lines of output ---- */

typedef struct {
    const char *file;
    char *id;
    int length;
    int32_t number; /* in the kept verdicts, -1: not scored */
    char note[96];  /* why not; printable ASCII */
} sg_dialog_answer;

typedef struct {
    const sg_detector *detector;
    sg_rule rule;
    bool partial; /* dialogs go on: verdicts by the limits for beginnings */
    bool names, json;
    sg_line *line;
} sg_answer_writer;

/* The rest of *writer is set. */
sg_status sg_answer_writer_open(sg_answer_writer *writer);
void sg_answer_writer_close(sg_answer_writer *writer); /* a zeroed one is fine */

/* The head of a CSV to standard output; one line for a dialog, `verdict` NULL if it was not scored. */
void sg_answer_write_header(sg_answer_writer *writer);
sg_status sg_answer_write(sg_answer_writer *writer, const sg_dialog_answer *dialog,
                          const sg_verdict *verdict);

#endif
