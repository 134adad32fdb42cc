#include "base/files.h"
#include "base/log.h"
#include "cli/cli.h"
#include "corpus/split.h"
#include "corpus/synth.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    sg_common_options common;
    char out[SG_TEXT_MAX], config[SG_TEXT_MAX];
    int preset;
    int64_t seed;
    sg_text_list set;
    bool force, dump_config;
} synth_options;

#define AT(member) SG_KEY(synth_options, member)

static const sg_option table[] = {
    SG_TEXT(AT(out), "FILE", "the corpus to write", .letter = 'o'),
    SG_ENUM(AT(preset), "paper", SG_SYNTH_PRESETS,
            "paper: every published count; small: 1900 dialogs of 150 classes"),
    SG_TEXT(AT(config), "FILE", "read section [synth] over the preset"),
    SG_LIST(AT(set), "synth.KEY=VALUE", "change one key; may be given several times"),
    SG_INT(AT(seed), "1", 0, (double)INT64_MAX,
           "seed of all random numbers; the split's is the first at or after it that fits", .argument = "S"),
    SG_FLAG(AT(force), "overwrite"),
    SG_FLAG(AT(dump_config), "print every key with its value and meaning, and stop"),
    SG_COMMON_OPTIONS(synth_options),
};

static const char about[] =
    "Makes a corpus whose sequences come from a model of SIP user agents (RFC 3261) and whose\n"
    "marginals are given.  Preset paper matches every published count of the data set exactly.";

static sg_status read_config(const synth_options *o, sg_synth_options *config)
{
    SG_TRY(sg_synth_preset_options(config, (sg_synth_preset)o->preset));
    if (o->config[0])
        SG_TRY(sg_options_read_ini(sg_synth_option_table, config, o->config));
    for (size_t i = 0; i < o->set.count; i++)
        SG_TRY(sg_options_assign(sg_synth_option_table, config, o->set.items[i]));
    return SG_OK;
}

/* "synthetic: preset paper, seed 1; changed: synth.dialogs". */
static sg_status describe(const synth_options *o, const sg_synth_options *config, sg_corpus *corpus)
{
    sg_synth_options preset;
    char changed[128];
    SG_TRY(sg_synth_preset_options(&preset, (sg_synth_preset)o->preset));
    size_t n = sg_options_differences(sg_synth_option_table, config, &preset, NULL, changed, sizeof changed);
    snprintf(corpus->source, sizeof corpus->source, "synthetic: preset %s, seed %" PRId64 "%s%s",
             o->preset == SG_SYNTH_PAPER ? "paper" : "small", o->seed, n ? "; changed: " : "", changed);
    return SG_OK;
}

static sg_status report(const sg_corpus *corpus, const sg_synth_report *r, const char *path, double seconds)
{
    int64_t size[SG_SPLITS], unseen[SG_SPLITS];
    SG_TRY(sg_split_count(corpus, size, unseen));
    sg_note("%s: %" PRId64 " dialogs of %d classes, %d message types, longest %d", path, corpus->dialogs,
            corpus->classes, corpus->message_types, corpus->max_length);
    sg_note("split %" PRId64 "/%" PRId64 "/%" PRId64 ", unseen %" PRId64 " and %" PRId64
            ", split seed %" PRIu64 " (%.1f s)",
            size[0], size[1], size[2], unseen[SG_SPLIT_VALIDATION], unseen[SG_SPLIT_TEST], corpus->split_seed,
            seconds);
    sg_detail("%" PRId64 " dialogs drawn, %" PRId64 " split seeds looked at, Zipf exponent %.4f", r->draws,
              r->split_tries, r->zipf_exponent);
    return SG_OK;
}

static sg_status run(const sg_call *call)
{
    const synth_options *o = call->options;
    sg_synth_options config, resolved;
    sg_corpus corpus;
    sg_synth_report r;
    double start = sg_seconds();
    SG_TRY(read_config(o, &config));
    if (o->dump_config) {
        sg_options_write_ini(sg_synth_option_table, &config, stdout, true);
        return SG_OK;
    }
    if (!o->out[0])
        return sg_fail(SG_E_USAGE, "corpus synth needs --out FILE");
    SG_TRY(sg_file_check_writable(o->out, o->force));
    resolved = config;
    SG_TRY(sg_synth_resolve(&resolved, (sg_synth_preset)o->preset));
    SG_TRY(sg_synth_corpus(&corpus, &resolved, (uint64_t)o->seed, &r));
    sg_status status = describe(o, &config, &corpus);
    if (status == SG_OK)
        status = sg_corpus_write(&corpus, o->out, "sipgpu " SG_VERSION);
    if (status == SG_OK)
        status = report(&corpus, &r, o->out, sg_seconds() - start);
    sg_corpus_free(&corpus);
    return status;
}

SG_COMMAND(corpus_synth, "corpus synth", "make a synthetic corpus", about, table, synth_options, run,
           .settings = sg_synth_option_table);
