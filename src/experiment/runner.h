/* runner.h: trains the runs of an experiment, several at once, each in its own thread with its own engine.
 * The output of a run goes to log.txt in its folder; its progress and errors stay in memory.
 */
#ifndef SG_EXPERIMENT_RUNNER_H
#define SG_EXPERIMENT_RUNNER_H

#include "experiment/experiment.h"
#include <signal.h>

typedef struct {
    const sg_corpus *corpus;
    int argc; /* the words after `experiment`, for the provenance.json of each run */
    char **argv;
    volatile sig_atomic_t *stop; /* non-zero: each run saves a checkpoint, and no more are started */
} sg_runner_options;

/* Writes the settings of each model, or only of those that have complete runs. */
sg_status sg_experiment_write_settings(const sg_experiment *experiment, bool all);

/* Trains the runs that are not complete, config->jobs at a time, with the cores divided among them unless
 * config->threads says otherwise; an interrupted run continues from its checkpoint.  A run gives the same
 * bits however many run beside it.  If a run fails while others can go on, that is a warning, and the run is
 * left incomplete. SG_E_INTERRUPTED: *stop.  SG_E_CONFIG: all failed; the message gives the first reason.
 * SG_E_IO: a thread cannot be started or a log cannot be written; the others were stopped, by setting
 * *stop. */
sg_status sg_experiment_train(sg_experiment *experiment, const sg_runner_options *options);

#endif
