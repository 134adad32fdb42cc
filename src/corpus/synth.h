/* synth.h: synthetic corpora with given marginals.
 *
 * The data set of the paper is not public.  What it publishes (section IV-A and B) is matched exactly: the
 * numbers of dialogs, user agents, unique dialogs, of those that occur once, of message types, the longest
 * dialog, the sizes of the splits, and how many dialogs of validation and test have a class that is not in
 * train.  Sequences come from the user-agent model of sip_model.h.  The same options and seed give the same
 * corpus.
 */
#ifndef SG_CORPUS_SYNTH_H
#define SG_CORPUS_SYNTH_H

#include "base/options.h"
#include "corpus/corpus.h"
#include "corpus/sip_model.h"

typedef enum { SG_SYNTH_PAPER, SG_SYNTH_SMALL } sg_synth_preset;
#define SG_SYNTH_PRESETS "paper|small"

/* Section [synth] of a configuration.  -1 means "derive it"; see sg_synth_resolve. */
typedef struct {
    int64_t dialogs, user_agents, unique, once, message_types, max_length;
    double zipf_exponent, zipf_shift;
    int64_t train, validation, test;
    double train_share, validation_share, test_share;
    bool search;
    int64_t unseen_validation, unseen_test, split_tries;
    double user_agent_exponent, start_time, arrivals_per_hour, daily_swing;
    bool call_id;
    sg_sip_rates sip;
} sg_synth_options;

extern const sg_option sg_synth_option_table[];

/* The options of a preset, as a start for --config and --set. */
sg_status sg_synth_preset_options(sg_synth_options *options, sg_synth_preset preset);

/* Fills in what is -1 and checks what can be checked before sequences are drawn.  `once`: the paper's share
 * of `unique`.  Sizes of the splits: those of the preset as long as dialogs, unique and once are its own,
 * else by the shares.  Unseen dialogs: those of the preset under the same condition, else not looked for. */
sg_status sg_synth_resolve(sg_synth_options *options, sg_synth_preset preset);

typedef struct {
    int64_t draws;        /* dialogs drawn from the model to find the unique ones */
    int64_t split_tries;  /* split seeds tried; 0 without targets for unseen dialogs */
    double zipf_exponent; /* as used */
} sg_synth_report;

/* Makes a corpus from resolved options.  SG_E_CONFIG if the options cannot be met; the message says which.
 */
sg_status sg_synth_corpus(sg_corpus *corpus, const sg_synth_options *options, uint64_t seed,
                          sg_synth_report *report);

/* ---- parts, for tests and for synth.c ---- */

/* Multiplicities of `repeated` classes that sum to `dialogs`, each at least 2, falling by the Zipf-Mandelbrot
 * law (rank + shift)^-exponent. dialogs >= 2 * repeated. */
void sg_zipf_counts(int64_t *count, int64_t repeated, int64_t dialogs, double exponent, double shift);

#endif
