#include "experiment/report.h"

#include "experiment/paper.h"
#include <math.h>

static const double paper_p_d[SG_SPLITS] = {SG_PAPER_PD_TRAIN, SG_PAPER_PD_VALIDATION, SG_PAPER_PD_TEST};

sg_status sg_report_evaluation(const sg_evaluation evaluation[SG_SPLITS], unsigned splits, FILE *out)
{
    sg_text_table t;
    sg_text_table_open(&t, SG_STYLE_TEXT);
    sg_text_table_heads(&t, "split,paper P_D");
    sg_text_table_head_rate(&t, "P_D");
    sg_text_table_heads(&t, "ceiling,P_D of known,not in train,classes,known classes,P_D of classes");
    for (int s = 0; s < SG_SPLITS; s++) {
        const sg_evaluation *e = &evaluation[s];
        if (!(splits >> s & 1) || e->p_d.total == 0)
            continue;
        sg_text_table_cell(&t, "%s", sg_split_name((sg_split)s));
        sg_text_table_share(&t, paper_p_d[s]);
        sg_text_table_rate(&t, &e->p_d);
        sg_text_table_share(&t, e->ceiling.value);
        sg_text_table_share(&t, e->p_d_known.value);
        sg_text_table_cell(&t, "%lld", (long long)(e->ceiling.total - e->ceiling.hits));
        sg_text_table_cell(&t, "%d", e->unique);
        sg_text_table_cell(&t, "%d", e->unique_known);
        sg_text_table_share(&t, e->p_d_unique.value);
    }
    return sg_text_table_finish(&t, out);
}

sg_status sg_report_detection(const sg_detection *detection, bool unique, FILE *out)
{
    sg_text_table t;
    sg_text_table_open(&t, SG_STYLE_TEXT);
    sg_text_table_heads(&t, unique ? "detector" : "detector,paper P_D,paper P_FA");
    sg_text_table_head_rate(&t, "P_D");
    sg_text_table_head_rate(&t, "P_FA");
    for (int i = 0; i < SG_DETECTORS; i++) {
        const sg_verdicts *r = &detection->detector[i];
        double p_d, p_fa;
        sg_detector_paper((sg_decider)i, &p_d, &p_fa);
        sg_text_table_cell(&t, "%s", sg_detector_title((sg_decider)i));
        if (!unique) {
            sg_text_table_share(&t, p_d);
            sg_text_table_share(&t, p_fa);
        }
        sg_text_table_rate(&t, unique ? &r->p_d_unique : &r->p_d);
        sg_text_table_rate(&t, unique ? &r->p_fa_unique : &r->p_fa);
    }
    return sg_text_table_finish(&t, out);
}

static void limit_row(sg_text_table *t, const char *title, const char *name, double paper, double value)
{
    sg_text_table_cell(t, "%s", t->style == SG_STYLE_CSV ? name : title);
    sg_text_table_value(t, paper, 6);
    sg_text_table_value(t, value, 6);
}

sg_status sg_report_limits(const sg_detection *detection, sg_table_style style, FILE *out)
{
    const sg_threshold *th = &detection->threshold;
    const sg_kmeans *km = &detection->kmeans;
    sg_text_table t;
    sg_text_table_open(&t, style);
    sg_text_table_head(&t, "limit", "limit");
    sg_text_table_head(&t, "paper", "paper");
    sg_text_table_head(&t, "here", "value");
    limit_row(&t, "lambda, skewness (train)", "lambda_skewness", SG_PAPER_LAMBDA_SKEWNESS,
              th->skewness.lambda);
    limit_row(&t, "lambda, kurtosis (train)", "lambda_kurtosis", SG_PAPER_LAMBDA_KURTOSIS,
              th->kurtosis.lambda);
    limit_row(&t, "K-means, low centroid, skewness", "kmeans_low_skewness", NAN, km->centroid[0][0]);
    limit_row(&t, "K-means, low centroid, kurtosis", "kmeans_low_kurtosis", NAN, km->centroid[0][1]);
    limit_row(&t, "K-means, high centroid, skewness", "kmeans_high_skewness", NAN, km->centroid[1][0]);
    limit_row(&t, "K-means, high centroid, kurtosis", "kmeans_high_kurtosis", NAN, km->centroid[1][1]);
    limit_row(&t, "Markov chain, order 2 (nats)", "markov_2", NAN, detection->markov_limit[0]);
    limit_row(&t, "Markov chain, order 3 (nats)", "markov_3", NAN, detection->markov_limit[1]);
    return sg_text_table_finish(&t, out);
}

static double p_d_at(const sg_roc *roc, double p_fa)
{
    double best = NAN;
    for (int i = 0; i < roc->count; i++)
        if (roc->points[i].p_fa <= p_fa)
            best = roc->points[i].p_d;
    return best;
}

sg_status sg_report_auc(const sg_detection *detection, sg_table_style style, FILE *out)
{
    sg_text_table t;
    sg_text_table_open(&t, style);
    sg_text_table_head(&t, "score", "score");
    sg_text_table_head(&t, "AUC", "auc");
    sg_text_table_head(&t, "P_D at P_FA 0", "p_d_at_0");
    sg_text_table_head(&t, "at 1%", "p_d_at_1_percent");
    sg_text_table_head(&t, "at 5%", "p_d_at_5_percent");
    for (int i = 0; i < SG_SCORES; i++) {
        const sg_roc *roc = &detection->roc[i];
        sg_text_table_cell(&t, "%s",
                           style == SG_STYLE_CSV ? sg_score_name((sg_score)i) : sg_score_title((sg_score)i));
        sg_text_table_value(&t, roc->auc, 5);
        sg_text_table_share(&t, p_d_at(roc, 0.0));
        sg_text_table_share(&t, p_d_at(roc, 0.01));
        sg_text_table_share(&t, p_d_at(roc, 0.05));
    }
    return sg_text_table_finish(&t, out);
}

static void put_outputs(FILE *out, const sg_outputs *outputs, int j)
{
    fprintf(out, ",%d,%.9g,%.17g,%.17g", (int)outputs->argmax[j], (double)outputs->p_max[j],
            outputs->skewness[j], outputs->kurtosis[j]);
}

static void put_verdicts(FILE *out, const sg_detection *detection, int j)
{
    for (int i = 0; i < SG_DETECTORS; i++)
        fprintf(out, ",%d", detection->detector[i].abnormal[j]);
}

static void put_verdict_heads(FILE *out)
{
    for (int i = 0; i < SG_DETECTORS; i++)
        fprintf(out, ",%s", sg_detector_name((sg_decider)i));
}

void sg_report_moments_head(FILE *out)
{
    fputs("model,seed,split,class,length,dialogs,known,argmax,p_max,skewness,kurtosis", out);
    put_verdict_heads(out);
    fputc('\n', out);
}

void sg_report_moments(const sg_detection *detection, const sg_corpus *corpus, const sg_class_counts *counts,
                       const sg_outputs *outputs, const char *model, int64_t seed, FILE *out)
{
    static const sg_split splits[] = {SG_SPLIT_TRAIN, SG_SPLIT_TEST};
    for (size_t s = 0; s < sizeof splits / sizeof *splits; s++)
        for (int j = 0; j < detection->classes; j++) {
            const int64_t dialogs = counts->count[splits[s]][j];
            if (dialogs == 0)
                continue;
            fprintf(out, "%s,%lld,%s,%d,%d,%lld,%d", model, (long long)seed, sg_split_name(splits[s]), j,
                    corpus->class_length[j], (long long)dialogs, detection->known[j]);
            put_outputs(out, outputs, j);
            put_verdicts(out, detection, j);
            fputc('\n', out);
        }
}

void sg_report_dialogs(const sg_detection *detection, const sg_corpus *corpus, const sg_outputs *outputs,
                       sg_rule rule, FILE *out)
{
    const bool *abnormal =
        detection->detector[rule == SG_RULE_BOTH ? SG_DETECTOR_THRESHOLD_BOTH : SG_DETECTOR_THRESHOLD_EITHER]
            .abnormal;
    fputs("dialog,call_id,user_agent,start_time,class,length,known,argmax,p_max,skewness,kurtosis,abnormal",
          out);
    put_verdict_heads(out);
    fputc('\n', out);
    for (int64_t d = 0; d < corpus->dialogs; d++) {
        if (corpus->split[d] != SG_SPLIT_TEST)
            continue;
        const int j = corpus->label[d];
        fprintf(out, "%lld,", (long long)d);
        sg_csv_field(out, corpus->call_id && corpus->call_id[d] ? corpus->call_id[d] : "");
        fprintf(out, ",%d,%.6f,%d,%d,%d", (int)corpus->user_agent[d], corpus->start_time[d], j,
                corpus->class_length[j], detection->known[j]);
        put_outputs(out, outputs, j);
        fprintf(out, ",%d", abnormal[j]);
        put_verdicts(out, detection, j);
        fputc('\n', out);
    }
}

/* One quoted field; names may hold any printable character. */
static void put_sequence(FILE *out, const sg_corpus *corpus, int j)
{
    const uint16_t *sequence = corpus->class_sequence + (size_t)j * (size_t)corpus->max_length;
    fputs(",\"", out);
    for (int t = 0; t < corpus->class_length[j]; t++) {
        fputs(t ? " " : "", out);
        for (const char *c = corpus->alphabet[sequence[t] - 1]; *c; c++)
            fputs(*c == '"' ? "\"\"" : (char[]){*c, '\0'}, out);
    }
    fputc('"', out);
}

void sg_report_classes(const sg_corpus *corpus, const sg_class_counts *counts, const sg_outputs *outputs,
                       const int32_t *class_of, const bool *known, FILE *out)
{
    fputs("class,length,train,validation,test,output,known,argmax,p_max,skewness,kurtosis,right,sequence\n",
          out);
    for (int j = 0; j < corpus->classes; j++) {
        fprintf(out, "%d,%d", j, corpus->class_length[j]);
        for (int s = 0; s < SG_SPLITS; s++)
            fprintf(out, ",%lld", (long long)counts->count[s][j]);
        fprintf(out, ",%d,%d", class_of ? (int)class_of[j] : j, known[j]);
        put_outputs(out, outputs, j);
        fprintf(out, ",%d", sg_answer_is_right(outputs->argmax, class_of, j));
        put_sequence(out, corpus, j);
        fputc('\n', out);
    }
}

void sg_report_roc_head(FILE *out)
{
    fputs("model,runs,combined,seed,score_name,score,detections,false_alarms\n", out);
}

void sg_report_roc(const sg_roc *roc, const sg_roc_source *source, FILE *out)
{
    char seed[24] = "";
    if (source->seed >= 0)
        snprintf(seed, sizeof seed, "%lld", (long long)source->seed);
    for (int i = 0; i < roc->count; i++)
        fprintf(out, "%s,%d,%s,%s,%s,%.17g,%lld,%lld\n", source->model, source->runs,
                sg_combined_name(source->combined), seed, source->score, roc->points[i].score,
                (long long)roc->points[i].detections, (long long)roc->points[i].false_alarms);
}
