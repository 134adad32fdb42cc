/* frozen.h: an experiment of which the runs and their records are gone.  What its tables need stands in the
 * compressed files that its folder holds in place of moments.csv, history.csv and roc.csv:
 *
 *   DIR/moments.csv.gz   what each run's network says of the classes of the train and test splits
 *   DIR/history.csv.gz   the epochs of each run
 *   DIR/roc.csv.gz       for figures alone
 *   DIR/provenance.json  as it was written, and "settings": {"1.0": the settings of the model's runs, INI
 * text}
 *
 * Outputs of classes that only the validation split has, and the full outputs, are not in them: runs.csv and
 * Tables V and VI can be made again; comparison, runs together and early detection stay as they are.
 */
#ifndef SG_EXPERIMENT_FROZEN_H
#define SG_EXPERIMENT_FROZEN_H

#include "experiment/session.h"

/* What one run says of one class. */
typedef struct {
    char model[16]; /* "1.0" */
    int64_t seed;
    int32_t class, argmax;
    float p_max;
    double skewness, kurtosis;
} sg_frozen_answer;

/* The last epoch of a run. */
typedef struct {
    char model[16];
    int64_t seed, epochs;
} sg_frozen_run;

typedef struct {
    size_t answers, answer_capacity;
    sg_frozen_answer *answer;
    size_t runs, run_capacity;
    sg_frozen_run *run;
    cJSON *provenance; /* of the folder */
} sg_frozen;

/* Reads a folder; one without moments.csv.gz has no runs.  SG_E_FORMAT names file and line.  Release with
 * sg_frozen_free, also after a failure. */
sg_status sg_frozen_read(sg_frozen *frozen, const char *folder);
void sg_frozen_free(sg_frozen *frozen);

bool sg_frozen_has(const sg_frozen *frozen, const char *model, int64_t seed);

/* Whether the runs were trained on this corpus. */
bool sg_frozen_is_of(const sg_frozen *frozen, const sg_corpus *corpus);

/* The settings of a model's runs, an INI text; "" if they are not known. */
const char *sg_frozen_settings(const sg_frozen *frozen, const char *model);

/* A session of a run, as sg_session_open_record: its model has neither weights nor settings; the outputs of
 * classes that neither train nor test has are 0 and name no class. */
sg_status sg_session_open_frozen(sg_session *session, const sg_frozen *frozen, const char *model,
                                 int64_t seed, const char *corpus);

#endif
