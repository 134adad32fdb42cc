/* markov.h: the baseline a network has to beat: a Markov chain over message types.
 *
 * Order n, with n start symbols before the first message and an end symbol after the last one.  Additive
 * smoothing: P(x | context) = (count(context, x) + alpha) / (count(context) + alpha (M + 1)) The score of a
 * dialog is its mean log probability per symbol, end included (nats): the total would call every long dialog
 * abnormal.  Low means abnormal.
 *
 * The limit on the score comes from the train split alone, by leave-one-out: each train dialog is scored by
 * the counts of all others.  A dialog whose sequence occurs twice or more is still known to the rest, one
 * that occurs once is new to it; the limit is the one that parts these two best (largest P_D - P_FA, the
 * lowest such limit on ties, halfway between the scores on either side of it).  Without both kinds the limit
 * is the lowest score of a train dialog.
 */
#ifndef SG_DETECT_MARKOV_H
#define SG_DETECT_MARKOV_H

#include "base/status.h"
#include <stdint.h>

enum { SG_MARKOV_ORDER_MAX = 3 }; /* four symbols of 16 bits make a key */

/* Counts of n-grams, sorted by key. */
typedef struct {
    uint64_t key;
    int64_t count;
} sg_gram;

typedef struct {
    int order;         /* n, 1..SG_MARKOV_ORDER_MAX */
    int message_types; /* M */
    double alpha;      /* > 0 */
    int max_length;    /* L, of the sequences below */
    sg_gram *gram;     /* context and next symbol */
    sg_gram *context;  /* context alone */
    int64_t grams, contexts;
} sg_markov;

#define SG_MARKOV_ALPHA 0.01

/* Counts the classes' sequences: row j of sequence[classes, L], of length[j] messages, weight[j] times.
 * SG_E_CONFIG: an order or alpha out of range, no sequence of positive weight. */
sg_status sg_markov_fit(sg_markov *chain, int order, double alpha, int message_types, int max_length,
                        const uint16_t *sequence, const uint16_t *length, const int64_t *weight, int classes);
void sg_markov_free(sg_markov *chain);

/* Natural log of the probability of one dialog, and the same divided by its length + 1. */
typedef struct {
    double total, mean;
} sg_markov_score;

sg_markov_score sg_markov_log_likelihood(const sg_markov *chain, const uint16_t *sequence, int length);

/* The same by the counts without one occurrence of this dialog, which must be among those counted.
 * SG_E_MEMORY. */
sg_status sg_markov_leave_one_out(const sg_markov *chain, const uint16_t *sequence, int length,
                                  sg_markov_score *score);

/* The limit on the mean log probability, from the sequences the chain was fitted to (see above): a dialog
 * with a lower score is flagged. */
sg_status sg_markov_limit(const sg_markov *chain, const uint16_t *sequence, const uint16_t *length,
                          const int64_t *weight, int classes, double *limit);

#endif
