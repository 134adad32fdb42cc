/* run.h: the folder of a run and the record of how it came about.
 *
 *   config.ini       what was asked for
 *   history.csv      one line an epoch
 *   checkpoint.h5    to go on from, also after Ctrl-C; of a complete run only with train.checkpoint_every
 *   best.h5          with keep_best: the weights of the best evaluation so far
 *   provenance.json  commit, command, device, versions, seconds
 *   model.h5         the trained model; written last, so its presence means the run is complete
 */
#ifndef SG_TRAIN_RUN_H
#define SG_TRAIN_RUN_H

#include "base/files.h"

typedef struct {
    char folder[SG_PATH_MAX], config[SG_PATH_MAX], history[SG_PATH_MAX], checkpoint[SG_PATH_MAX],
        best[SG_PATH_MAX], provenance[SG_PATH_MAX], model[SG_PATH_MAX];
} sg_run_paths;

sg_status sg_run_paths_make(sg_run_paths *paths, const char *folder);

/* Whether a run in this folder has finished. */
bool sg_run_is_complete(const char *folder);

/* What the provenance.json of a run says of how it was trained: a JSON object of tool, commit, date,
 * processor, engine and seconds, as far as they are there; no paths.  Release with free(). */
sg_status sg_run_origin(const char *folder, char **json);

/* A run whose results went into what is recorded, and its origin. */
typedef struct {
    char name[64], *origin;
} sg_provenance_run;

typedef struct {
    const char *command; /* "train", "experiment", ... */
    int argc;            /* the words after it */
    char **argv;
    const char *engine; /* sg_engine_description */
    const char *corpus, *corpus_digest;
    double seconds;
    const sg_provenance_run *runs; /* [run_count] or NULL */
    int run_count;
} sg_provenance;

/* Writes provenance as JSON: tool, commit, command, date, host processor, engine, library versions, corpus,
 * seconds; and of each run its name and origin: runs may be older than the command that evaluates them, and
 * of another machine. */
sg_status sg_provenance_write(const sg_provenance *provenance, const char *path);

/* "sipgpu 0.1.0 (commit)", for the tool attribute of files. */
const char *sg_tool_name(void);

#endif
