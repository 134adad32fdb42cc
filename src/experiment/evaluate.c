#include "experiment/evaluate.h"

static sg_evaluation evaluate_split(const sg_class_counts *counts, int split, const int32_t *argmax,
                                    const int32_t *class_of, const bool *known)
{
    sg_evaluation e = {0};
    int64_t right = 0, right_known = 0, dialogs_known = 0, unique_right = 0;
    for (int j = 0; j < counts->classes; j++) {
        const int64_t dialogs = counts->count[split][j];
        if (dialogs == 0)
            continue;
        const bool is_right = sg_answer_is_right(argmax, class_of, j);
        e.unique++;
        right += is_right ? dialogs : 0;
        unique_right += is_right;
        if (known[j]) {
            e.unique_known++;
            dialogs_known += dialogs;
            right_known += is_right ? dialogs : 0;
        }
        if (class_of && class_of[j] < 0)
            e.no_output += dialogs;
    }
    e.p_d = sg_rate_make(right, counts->dialogs[split]);
    e.p_d_known = sg_rate_make(right_known, dialogs_known);
    e.ceiling = sg_rate_make(dialogs_known, counts->dialogs[split]);
    e.p_d_unique = sg_rate_make(unique_right, e.unique);
    return e;
}

void sg_evaluate(const sg_class_counts *counts, const int32_t *argmax, const int32_t *class_of,
                 const bool *known, sg_evaluation evaluation[SG_SPLITS])
{
    for (int s = 0; s < SG_SPLITS; s++)
        evaluation[s] = evaluate_split(counts, s, argmax, class_of, known);
}
