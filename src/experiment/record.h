/* record.h: what is kept of a run instead of its weights: the network's answer for every class of its corpus,
 * and how it was trained.  Enough for every table of the run, in at most 150 kB at the paper's size.
 *
 * HDF5, root attributes format "sipgpu-record", version 1, and everything in a model file (model.h) except
 * /params; /answers/{argmax i32, p_max f32, skewness f64, kurtosis f64} [N]; optionally
 * /beginnings/{skewness, kurtosis} f64, of every beginning of the test split's dialogs (detect/outputs.h);
 * /history: the lines of history.csv; attributes of /training: origin, the JSON of sg_run_origin, and
 * inference, the engine that gave the answers.
 *
 * Older records, 1.4 to 2 MB, also have /answers/{first i64 [N+1], class i32, probability f32}: of class j
 * the outputs first[j] .. first[j+1]-1, those of at least SG_RECORD_LEAST.  With them several runs can be
 * pooled by mean or envelope without their models.
 */
#ifndef SG_EXPERIMENT_RECORD_H
#define SG_EXPERIMENT_RECORD_H

#include "engine/engine.h"
#include "model/model.h"

/* Smaller outputs are not kept.  They change the mean of several runs by less than this. */
#define SG_RECORD_LEAST 1e-7f

typedef struct {
    sg_model model;        /* without weights */
    sg_outputs outputs;    /* of the classes */
    sg_outputs beginnings; /* moments alone are kept; count 0: none */
    char *history, *origin;
    char inference[256];
} sg_record;

/* Sets outputs below SG_RECORD_LEAST to 0, so that they give the same results as a record. */
void sg_record_trim(sg_outputs *outputs, int classes);

/* Writes a record, without the probabilities; the model's configuration is written without the path of its
 * corpus. */
sg_status sg_record_write(const sg_record *record, const char *path);

/* Reads and checks a whole file.  Release with sg_record_free, also after a failure. */
sg_status sg_record_read(sg_record *record, const char *path);
void sg_record_free(sg_record *record);

#endif
