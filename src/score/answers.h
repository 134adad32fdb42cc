/* answers.h: what `score` keeps of answers, and how it writes them. */
#ifndef SG_SCORE_ANSWERS_H
#define SG_SCORE_ANSWERS_H

#include "corpus/sequence_set.h"
#include "detect/threshold.h"
#include "score/scorer.h"
#include "sip/line.h"

/* ---- answers by sequence: equal dialogs are scored once ---- */

typedef struct {
    sg_sequence_set set;
    sg_answer *answers; /* [set.count], the first `filled` of them are there */
    size_t answers_capacity;
    int32_t filled;
    int steps, batch;
    uint16_t *types, *lengths; /* [batch, steps], [batch]: what is run at once */
} sg_answer_cache;

/* For sequences of at most `steps` types, scored `batch` at a time. */
sg_status sg_answer_cache_open(sg_answer_cache *kept, int steps, int batch);
void sg_answer_cache_close(sg_answer_cache *kept); /* a zeroed one is fine */

/* Forgets all. */
sg_status sg_answer_cache_clear(sg_answer_cache *kept);

/* The number of a sequence; its answer is there after the next fill. */
sg_status sg_answer_cache_find(sg_answer_cache *kept, const uint16_t *types, int length, int32_t *number);
sg_status sg_answer_cache_fill(sg_answer_cache *kept, sg_scorer *scorer);

/* Message types of all sequences kept. */
uint64_t sg_answer_cache_tokens(const sg_answer_cache *kept);

/* ---- lines of output ---- */

typedef struct {
    const char *file;
    char *id;
    int length;
    int32_t number; /* in the kept answers, -1: not scored */
    char note[96];  /* why not; printable ASCII */
} sg_dialog_answer;

typedef struct {
    const sg_scorer *scorer;
    sg_rule rule;
    bool names, json;
    uint16_t *types; /* [L] */
    sg_line *line;
} sg_answer_writer;

sg_status sg_answer_writer_open(sg_answer_writer *writer, const sg_scorer *scorer, sg_rule rule, bool names,
                                bool json);
void sg_answer_writer_close(sg_answer_writer *writer); /* a zeroed one is fine */

/* The head of a CSV to standard output; one line for a dialog, `answer` NULL if it was not scored. */
void sg_answer_write_header(sg_answer_writer *writer);
sg_status sg_answer_write(sg_answer_writer *writer, const sg_dialog_answer *dialog, const sg_answer *answer);

#endif
