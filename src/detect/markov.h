/* markov.h: the baseline a network has to beat: a Markov chain over message types.
 *
 * Order n, with n start symbols before the first message and an end symbol after the last one, and additive
 * smoothing:
 *
 *   P(x | context) = (count(context, x) + alpha) / (count(context) + alpha (M + 1))
 *
 * The score of a dialog is the log of its probability, end included (nats); low means abnormal.  It is not
 * divided by the length: the question is whether this very sequence has been seen, and of two sequences of
 * equally common steps the longer is the less likely to have been.  (Leave-one-out on the train split says
 * the same: area under the curve 0.98 against 0.88 for the mean per symbol.)
 *
 * The limit on the score comes from the train split alone, by leave-one-out: each train dialog is scored by
 * the counts of all others.  A dialog whose sequence occurs twice or more is still known to the rest, one
 * that occurs once is new to it; the limit is the one that separates these two best (largest P_D - P_FA, the
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

/* Counts the classes' sequences: row j of sequence[classes, L], of length[j] messages, weight[j] times.
 * SG_E_CONFIG: an order or alpha out of range, no sequence of positive weight. */
sg_status sg_markov_fit(sg_markov *chain, int order, double alpha, int message_types, int max_length,
                        const uint16_t *sequence, const uint16_t *length, const int64_t *weight, int classes);
void sg_markov_free(sg_markov *chain);

/* Natural log of the probability of one dialog. */
double sg_markov_log_likelihood(const sg_markov *chain, const uint16_t *sequence, int length);

/* The same of each beginning: beginning[k - 1] is the log of the probability that a dialog goes like its
 * first k messages, k = 1..length, whatever comes then. */
void sg_markov_beginnings(const sg_markov *chain, const uint16_t *sequence, int length, double *beginning);

/* The set of n-grams behind the chain (n = order + 1, with markers of the start and the end): the number,
 * from 1, of the first message that completes an n-gram which none of the counted sequences has; length + 1
 * if only the end does; 0 if all are there. */
int sg_markov_first_unseen(const sg_markov *chain, const uint16_t *sequence, int length);

/* The same by the counts without one occurrence of this dialog, which must be among those counted.
 * SG_E_MEMORY. */
sg_status sg_markov_leave_one_out(const sg_markov *chain, const uint16_t *sequence, int length,
                                  double *score);

/* The limit on the log probability, from the sequences the chain was fitted to (see above): a dialog
 * with a lower score is flagged. */
sg_status sg_markov_limit(const sg_markov *chain, const uint16_t *sequence, const uint16_t *length,
                          const int64_t *weight, int classes, double *limit);

#endif
