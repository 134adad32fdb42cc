#include "base/log.h"
#include "base/memory.h"
#include "cli/help.h"

#include <stdlib.h>
#include <string.h>

const sg_command *const sg_commands[] = {
    &sg_command_train,         &sg_command_eval,
    &sg_command_detect,        &sg_command_score,
    &sg_command_watch,         &sg_command_experiment,
    &sg_command_export,        &sg_command_import,
    &sg_command_corpus_synth,  &sg_command_corpus_import,
    &sg_command_corpus_merge,  &sg_command_corpus_info,
    &sg_command_corpus_split,  &sg_command_gradients,
    &sg_command_bench_train,   &sg_command_bench_infer,
    &sg_command_bench_compare, &sg_command_bench_device,
    &sg_command_devices,       &sg_command_version,
    &sg_command_help,          NULL,
};

const sg_command *sg_command_find(int count, const char *const *words, int *used)
{
    char name[64];
    for (*used = 2; *used > 0; --*used) {
        if (*used > count)
            continue;
        snprintf(name, sizeof name, *used == 2 ? "%s %s" : "%s%s", words[0], *used == 2 ? words[1] : "");
        for (const sg_command *const *c = sg_commands; *c; c++)
            if (strcmp((*c)->name, name) == 0)
                return *c;
    }
    return NULL;
}

bool sg_command_is_family(const char *word)
{
    const size_t n = strlen(word);
    for (const sg_command *const *c = sg_commands; *c; c++)
        if (strncmp((*c)->name, word, n) == 0 && (*c)->name[n] == ' ')
            return true;
    return false;
}

sg_status sg_command_unknown(const char *name)
{
    const char *names[64];
    size_t count = 0;
    for (const sg_command *const *c = sg_commands; *c; c++)
        names[count++] = (*c)->name;
    const char *near = sg_nearest_name(name, names, count);
    return near ? sg_fail(SG_E_USAGE, "unknown command '%s'; did you mean '%s'?", name, near)
                : sg_fail(SG_E_USAGE, "unknown command '%s'; `sipgpu help` lists them", name);
}

static sg_status run(const sg_command *c, const sg_call *call)
{
    const sg_common_options *common = call->options;
    if (common->help) {
        sg_help_command(c, stdout);
        return SG_OK;
    }
    if (common->quiet || common->verbose)
        sg_log_set_level(common->verbose ? SG_LOG_VERBOSE : SG_LOG_QUIET);
    if (call->words->count > c->words_max)
        return sg_fail(SG_E_USAGE, "%s: unexpected word '%s'", c->name, call->words->items[c->words_max]);
    if (call->words->count < c->words_min)
        return sg_fail(SG_E_USAGE, "%s needs %s", c->name, c->words);
    SG_TRY(sg_options_require(c->table, call->options, c->name));
    return c->run(call);
}

sg_status sg_command_run(const sg_command *command, int argc, char **argv)
{
    sg_text_list words = {0};
    char *options;
    SG_TRY(sg_alloc(&options, command->size, "options"));
    sg_status status = sg_options_defaults(command->table, options);
    if (status == SG_OK)
        status = sg_options_command_line(command->table, command->settings, options, argc, argv, &words);
    if (status == SG_OK)
        status = run(command, &(sg_call){command->name, options, &words, argc, argv});
    sg_options_free(command->table, options);
    free(words.items);
    free(options);
    return status;
}
