#include "base/log.h"
#include "cli/cli.h"

#include <string.h>

static void print_usage(const char *name, const sg_option *table, const char *about)
{
    const char *words = "";
    for (const sg_command *c = sg_commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            words = c->words;
    printf("usage: sipgpu %s [options]%s%s\n\n%s\n\noptions:\n", name, words[0] ? " " : "", words, about);
    sg_options_help(table, stdout);
}

sg_status sg_command_parse(const char *name, const sg_option *table, const char *about, void *options,
                           int argc, char **argv, sg_text_list *words, size_t words_max, bool *done)
{
    sg_common_options *common = options;
    *done = false;
    SG_TRY(sg_options_defaults(table, options));
    SG_TRY(sg_options_command_line(table, options, argc, argv, words));
    if (common->help) {
        print_usage(name, table, about);
        *done = true;
        return SG_OK;
    }
    if (common->quiet || common->verbose)
        sg_log_set_level(common->verbose ? SG_LOG_VERBOSE : SG_LOG_QUIET);
    if (words->count > words_max)
        return sg_fail(SG_E_USAGE, "%s: unexpected word '%s'", name, words->items[words_max]);
    return SG_OK;
}
