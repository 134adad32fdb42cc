#include "experiment/detection.h"

#include "base/memory.h"
#include "detect/markov.h"
#include "experiment/paper.h"
#include <math.h>
#include <stdlib.h>

static const struct {
    const char *name, *title, *rule;
    double paper_p_d, paper_p_fa;
} detectors[SG_DETECTORS] = {
    [SG_DETECTOR_THRESHOLD_BOTH] = {"threshold_both", "threshold, both below", "mean - variance of train",
                                    SG_PAPER_THRESHOLD_PD, SG_PAPER_THRESHOLD_PFA},
    [SG_DETECTOR_THRESHOLD_EITHER] = {"threshold_either", "threshold, either below",
                                      "mean - variance of train", NAN, NAN},
    [SG_DETECTOR_KMEANS] = {"kmeans", "K-means", "two clusters of test", SG_PAPER_KMEANS_PD,
                            SG_PAPER_KMEANS_PFA},
    [SG_DETECTOR_EXACT_SET] = {"exact_set", "baseline: set of train sequences", "train dialogs", NAN, NAN},
    [SG_DETECTOR_MARKOV_2] = {"markov_2", "baseline: Markov chain, order 2", "leave-one-out", NAN, NAN},
    [SG_DETECTOR_MARKOV_3] = {"markov_3", "baseline: Markov chain, order 3", "leave-one-out", NAN, NAN},
};

static const struct {
    const char *name, *title;
} scores[SG_SCORES] = {
    [SG_SCORE_SKEWNESS] = {"skewness", "skewness"},
    [SG_SCORE_KURTOSIS] = {"kurtosis", "kurtosis"},
    [SG_SCORE_LOWER_MOMENT] = {"lower_moment", "lower of both moments"},
    [SG_SCORE_HIGHER_MOMENT] = {"higher_moment", "higher of both moments"},
    [SG_SCORE_P_MAX] = {"p_max", "largest output"},
    [SG_SCORE_KMEANS] = {"kmeans_distance", "K-means distance"},
    [SG_SCORE_MARKOV_2] = {"markov_2", "Markov chain, order 2"},
    [SG_SCORE_MARKOV_3] = {"markov_3", "Markov chain, order 3"},
};

const char *sg_detector_title(sg_decider detector)
{
    return detectors[detector].title;
}

const char *sg_detector_name(sg_decider detector)
{
    return detectors[detector].name;
}

const char *sg_score_title(sg_score score)
{
    return scores[score].title;
}

const char *sg_score_name(sg_score score)
{
    return scores[score].name;
}

bool sg_detector_paper(sg_decider detector, double *p_d, double *p_fa)
{
    *p_d = detectors[detector].paper_p_d;
    *p_fa = detectors[detector].paper_p_fa;
    return !isnan(*p_d);
}

static sg_status check_input(const sg_corpus *corpus, const sg_class_counts *counts,
                             const sg_outputs *outputs)
{
    if (outputs->count != corpus->classes)
        return sg_fail(SG_E_CONFIG, "outputs for %d sequences, but the corpus has %d classes", outputs->count,
                       corpus->classes);
    if (counts->dialogs[SG_SPLIT_TRAIN] == 0)
        return sg_fail(SG_E_CONFIG, "the corpus has no train dialogs: the thresholds come from them, and "
                                    "'new' means not among them; see `sipgpu corpus split`");
    if (counts->dialogs[SG_SPLIT_TEST] == 0)
        return sg_fail(SG_E_CONFIG, "the corpus has no test dialogs to detect anything in; see `sipgpu "
                                    "corpus split`");
    for (int j = 0; j < outputs->count; j++)
        if (!isfinite(outputs->skewness[j]) || !isfinite(outputs->kurtosis[j]) || isnan(outputs->p_max[j]))
            return sg_fail(SG_E_NUMERIC,
                           "the network's outputs for class %d are not finite: the model is damaged or its "
                           "training diverged",
                           j);
    return SG_OK;
}

static sg_status allocate(sg_detection *d, int classes)
{
    d->classes = classes;
    SG_TRY(sg_alloc(&d->known, classes, "known classes"));
    for (int i = 0; i < SG_DETECTORS; i++) {
        sg_verdicts *row = &d->detector[i];
        *row = (sg_verdicts){.model = "-", .runs = i < SG_NETWORK_DETECTORS, .limit = NAN};
        snprintf(row->detector, sizeof row->detector, "%s", detectors[i].name);
        snprintf(row->rule, sizeof row->rule, "%s", detectors[i].rule);
        SG_TRY(sg_alloc(&row->abnormal, classes, "verdicts"));
    }
    for (int i = 0; i < SG_SCORES; i++)
        SG_TRY(sg_alloc(&d->score[i], classes, "scores"));
    return SG_OK;
}

static void count_known(sg_detection *d, const sg_class_counts *counts)
{
    const int64_t *train = counts->count[SG_SPLIT_TRAIN], *test = counts->count[SG_SPLIT_TEST];
    d->train_dialogs = counts->dialogs[SG_SPLIT_TRAIN];
    d->train_unique = counts->unique[SG_SPLIT_TRAIN];
    d->test_dialogs = counts->dialogs[SG_SPLIT_TEST];
    d->test_unique = counts->unique[SG_SPLIT_TEST];
    for (int j = 0; j < d->classes; j++) {
        d->known[j] = train[j] > 0;
        d->test_known += d->known[j] ? test[j] : 0;
        d->test_unique_new += !d->known[j] && test[j] > 0;
    }
    d->test_new = d->test_dialogs - d->test_known;
}

static sg_status run_moments(sg_detection *d, const sg_class_counts *counts, const sg_outputs *outputs,
                             const sg_detection_options *options)
{
    const double *skewness = outputs->skewness, *kurtosis = outputs->kurtosis;
    const sg_kmeans_options kmeans = {2, options->kmeans_restarts, 300, options->seed};
    SG_TRY(sg_threshold_fit(&d->threshold, skewness, kurtosis, counts->count[SG_SPLIT_TRAIN], d->classes));
    SG_TRY(sg_kmeans_fit(&d->kmeans, skewness, kurtosis, counts->count[SG_SPLIT_TEST], d->classes, &kmeans));
    for (int j = 0; j < d->classes; j++) {
        const double s = skewness[j], k = kurtosis[j];
        d->detector[SG_DETECTOR_THRESHOLD_BOTH].abnormal[j] =
            sg_threshold_is_abnormal(&d->threshold, SG_RULE_BOTH, s, k);
        d->detector[SG_DETECTOR_THRESHOLD_EITHER].abnormal[j] =
            sg_threshold_is_abnormal(&d->threshold, SG_RULE_EITHER, s, k);
        d->detector[SG_DETECTOR_KMEANS].abnormal[j] = sg_kmeans_assign(&d->kmeans, s, k) == 0;
        d->score[SG_SCORE_SKEWNESS][j] = s;
        d->score[SG_SCORE_KURTOSIS][j] = k;
        d->score[SG_SCORE_LOWER_MOMENT][j] = fmin(s, k);
        d->score[SG_SCORE_HIGHER_MOMENT][j] = fmax(s, k);
        d->score[SG_SCORE_P_MAX][j] = outputs->p_max[j];
        d->score[SG_SCORE_KMEANS][j] = sg_kmeans_score(&d->kmeans, s, k);
    }
    return SG_OK;
}

static sg_status run_markov(sg_detection *d, const sg_corpus *corpus, const int64_t *train, int order,
                            double alpha)
{
    const int detector = order == 2 ? SG_DETECTOR_MARKOV_2 : SG_DETECTOR_MARKOV_3;
    const int score = order == 2 ? SG_SCORE_MARKOV_2 : SG_SCORE_MARKOV_3;
    double *limit = &d->markov_limit[order - 2];
    sg_markov chain;
    SG_TRY(sg_markov_fit(&chain, order, alpha, corpus->message_types, corpus->max_length,
                         corpus->class_sequence, corpus->class_length, train, corpus->classes));
    sg_status status =
        sg_markov_limit(&chain, corpus->class_sequence, corpus->class_length, train, corpus->classes, limit);
    for (int j = 0; status == SG_OK && j < corpus->classes; j++) {
        const uint16_t *sequence = corpus->class_sequence + (size_t)j * (size_t)corpus->max_length;
        d->score[score][j] = sg_markov_log_likelihood(&chain, sequence, corpus->class_length[j]);
        d->detector[detector].abnormal[j] = d->score[score][j] < *limit;
    }
    d->detector[detector].limit = *limit;
    sg_markov_free(&chain);
    return status;
}

static sg_status trace_rocs(sg_detection *d, const int64_t *test)
{
    int64_t *fresh = NULL, *known = NULL;
    sg_status status;
    SG_TRY_GOTO(status, done, sg_alloc(&fresh, d->classes, "new dialogs"));
    SG_TRY_GOTO(status, done, sg_alloc(&known, d->classes, "known dialogs"));
    for (int j = 0; j < d->classes; j++)
        *(d->known[j] ? &known[j] : &fresh[j]) = test[j];
    for (int i = 0; i < SG_SCORES; i++)
        SG_TRY_GOTO(status, done, sg_roc_make(&d->roc[i], d->score[i], fresh, known, d->classes));
done:
    free(fresh);
    free(known);
    return status;
}

static sg_status run_all(sg_detection *d, const sg_corpus *corpus, const sg_class_counts *counts,
                         const sg_outputs *outputs, const sg_detection_options *options)
{
    const int64_t *train = counts->count[SG_SPLIT_TRAIN], *test = counts->count[SG_SPLIT_TEST];
    SG_TRY(check_input(corpus, counts, outputs));
    SG_TRY(allocate(d, corpus->classes));
    d->markov_alpha = options->markov_alpha;
    count_known(d, counts);
    SG_TRY(run_moments(d, counts, outputs, options));
    for (int j = 0; j < d->classes; j++)
        d->detector[SG_DETECTOR_EXACT_SET].abnormal[j] = !d->known[j];
    SG_TRY(run_markov(d, corpus, train, 2, options->markov_alpha));
    SG_TRY(run_markov(d, corpus, train, 3, options->markov_alpha));
    for (int i = 0; i < SG_DETECTORS; i++)
        sg_verdicts_count(&d->detector[i], d->detector[i].abnormal, d->known, test, d->classes);
    return trace_rocs(d, test);
}

sg_status sg_detection_run(sg_detection *detection, const sg_corpus *corpus, const sg_outputs *outputs,
                           const sg_detection_options *options)
{
    *detection = (sg_detection){0};
    sg_class_counts counts;
    SG_TRY(sg_class_counts_make(&counts, corpus));
    sg_status status = run_all(detection, corpus, &counts, outputs, options);
    sg_class_counts_free(&counts);
    return status;
}

void sg_detection_free(sg_detection *detection)
{
    free(detection->known);
    for (int i = 0; i < SG_DETECTORS; i++)
        free(detection->detector[i].abnormal);
    for (int i = 0; i < SG_SCORES; i++) {
        free(detection->score[i]);
        sg_roc_free(&detection->roc[i]);
    }
    *detection = (sg_detection){0};
}
