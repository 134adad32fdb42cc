/* corpus.h: a set of SIP dialogs in memory, and its HDF5 file.
 *
 * A dialog is a sequence of message types.  Type ids are 1..M; 0 is padding and follows the last message
 * (Definition 4 of the paper).  A class is a unique sequence of the whole corpus (Definition 7).
 *
 * File layout (HDF5, readable by any HDF5 tool).  Root attributes: format "sipgpu-corpus", version 1,
 * max_length, num_classes, source, tool; optional: type_rule (what makes a message type, sip/alphabet.h;
 * "paper/1" if it is missing), retransmissions ("keep" or "collapse": copies are left out).  Datasets:
 *
 *   /alphabet             [M] strings: the name of type id i+1
 *   /dialogs/sequence     [D, L] u8 (u16 when M > 255), zero padded
 *   /dialogs/length       [D] u16
 *   /dialogs/label        [D] i32, the class
 *   /dialogs/user_agent   [D] i32
 *   /dialogs/start_time   [D] f64, seconds since 1970-01-01 UTC
 *   /dialogs/call_id      [D] strings, optional
 *   /classes/sequence     [N, L], /classes/length [N] u16, /classes/count [N] i64
 *   /split                [D] u8: 0 train, 1 validation, 2 test; attribute seed
 *
 * Chunked, shuffle + deflate + fletcher32.
 */
#ifndef SG_CORPUS_CORPUS_H
#define SG_CORPUS_CORPUS_H

#include "base/status.h"
#include <stdint.h>

enum { SG_MESSAGE_TYPES_MAX = 65535, SG_LENGTH_MAX = 65535, SG_CLASSES_MAX = 1 << 26 };

typedef enum { SG_SPLIT_TRAIN, SG_SPLIT_VALIDATION, SG_SPLIT_TEST, SG_SPLITS } sg_split;

typedef struct {
    int message_types;  /* M */
    int max_length;     /* L */
    int classes;        /* N */
    int64_t dialogs;    /* D */
    char **alphabet;    /* [M] */
    char source[256];   /* how it was made */
    char type_rule[16]; /* what makes a type: "paper/1" or "cseq/1"; "" means paper/1 */
    bool collapsed;     /* retransmissions are left out */

    int32_t *label; /* [D], 0..N-1; the sequence of dialog d is that of class label[d] */
    int32_t *user_agent;
    double *start_time;
    char **call_id; /* [D], or NULL */

    uint16_t *class_sequence; /* [N, L], zero padded */
    uint16_t *class_length;   /* [N], 1..L */
    int64_t *class_count;     /* [N], dialogs of the whole corpus */

    uint8_t *split; /* [D], sg_split */
    uint64_t split_seed;
    char digest[33]; /* XXH3-128 over alphabet, sequences, labels and split */
} sg_corpus;

/* Reads and checks a whole file: format, version, rank, size, type, range, padding against length, label
 * against class sequence, links and external storage refused.  Errors say what is wrong and where. */
sg_status sg_corpus_read(sg_corpus *corpus, const char *path);

/* Writes through a temporary name.  `tool` goes into the root attribute (program and version). */
sg_status sg_corpus_write(const sg_corpus *corpus, const char *path, const char *tool);

void sg_corpus_free(sg_corpus *corpus);

/* Indices of the dialogs of one split in rising order; release *rows with free(). */
sg_status sg_corpus_rows(const sg_corpus *corpus, sg_split split, int64_t **rows, int64_t *count);

/* Recomputes corpus->digest. */
void sg_corpus_digest(sg_corpus *corpus);

/* "train", "validation", "test". */
const char *sg_split_name(sg_split split);

#endif
