/* evaluate.h: P_D of Table V (the share of dialogs whose largest output is their class), and its ceiling. */
#ifndef SG_EXPERIMENT_EVALUATE_H
#define SG_EXPERIMENT_EVALUATE_H

#include "base/rates.h"
#include "corpus/class_counts.h"

/* One split.  A dialog whose class the train set lacks cannot be recognised, so P_D is bounded by the share
 * of dialogs whose class occurs there: the ceiling (92.80% and 93.54% in Table V). */
typedef struct {
    sg_rate p_d;              /* right dialogs / dialogs */
    sg_rate p_d_known;        /* the same among dialogs whose class was trained on */
    sg_rate ceiling;          /* dialogs whose class was trained on / dialogs */
    int64_t no_output;        /* dialogs whose class is none of the network's outputs: always wrong */
    int unique, unique_known; /* classes of the split; those trained on */
    sg_rate p_d_unique;       /* P_D with each class counted once */
} sg_evaluation;

/* Evaluates all splits.  argmax[N] is the network's answer for each class of the corpus, class_of[N] the
 * output of the class or -1 (NULL: the class itself), known[N] whether the network was trained on it. */
void sg_evaluate(const sg_class_counts *counts, const int32_t *argmax, const int32_t *class_of,
                 const bool *known, sg_evaluation evaluation[SG_SPLITS]);

/* Whether the answer for class j is right. */
static inline bool sg_answer_is_right(const int32_t *argmax, const int32_t *class_of, int j)
{
    return class_of ? class_of[j] >= 0 && argmax[j] == class_of[j] : argmax[j] == j;
}

#endif
