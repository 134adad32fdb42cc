#include "detect/threshold.h"

static int64_t weight_of(const int64_t *weight, int i)
{
    return weight ? weight[i] : 1;
}

/* Two passes: the moments of a trained network differ in their last digits only. */
static sg_moment_limit fit_limit(const double *value, const int64_t *weight, int count, double total)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < count; i++)
        if (weight_of(weight, i))
            sum += (double)weight_of(weight, i) * value[i];
    const double mean = sum / total;
    for (int i = 0; i < count; i++)
        if (weight_of(weight, i))
            squares += (double)weight_of(weight, i) * (value[i] - mean) * (value[i] - mean);
    const double variance = squares / total;
    return (sg_moment_limit){mean, variance, mean - variance};
}

sg_status sg_threshold_fit(sg_threshold *threshold, const double *skewness, const double *kurtosis,
                           const int64_t *weight, int count)
{
    double total = 0;
    for (int i = 0; i < count; i++)
        total += (double)weight_of(weight, i);
    if (!(total > 0))
        return sg_fail(SG_E_CONFIG, "no train dialogs to compute the thresholds from");
    threshold->skewness = fit_limit(skewness, weight, count, total);
    threshold->kurtosis = fit_limit(kurtosis, weight, count, total);
    return SG_OK;
}

bool sg_threshold_is_abnormal(const sg_threshold *threshold, sg_rule rule, double skewness, double kurtosis)
{
    const bool low_skewness = skewness < threshold->skewness.lambda;
    const bool low_kurtosis = kurtosis < threshold->kurtosis.lambda;
    return rule == SG_RULE_BOTH ? low_skewness && low_kurtosis : low_skewness || low_kurtosis;
}

const char *sg_rule_name(sg_rule rule)
{
    return rule == SG_RULE_BOTH ? "both" : "either";
}
