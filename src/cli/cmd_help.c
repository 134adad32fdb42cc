/* cmd_help.c: `sipgpu help`: the commands, or one of them; the manual page and completion scripts. */
#include "cli/help.h"

typedef struct {
    sg_common_options common;
    bool man;
    int completion; /* sg_shell */
} help_options;

#define AT(member) SG_KEY(help_options, member)

static const sg_option table[] = {
    SG_FLAG(AT(man), "print the manual page sipgpu.1"),
    SG_ENUM(AT(completion), "none", SG_SHELL_CHOICES,
            "print a script that completes command lines in this shell"),
    SG_COMMON_OPTIONS(help_options),
};

static sg_status explain(const char *const *words, int count)
{
    char name[128];
    int used;
    const sg_command *command = sg_command_find(count, words, &used);
    if (command && used == count) {
        sg_help_command(command, stdout);
        return SG_OK;
    }
    if (count == 1 && sg_command_is_family(words[0])) {
        sg_help_commands(words[0], stdout);
        return SG_OK;
    }
    snprintf(name, sizeof name, count == 2 ? "%.60s %.60s" : "%.60s%.60s", words[0],
             count == 2 ? words[1] : "");
    return sg_command_unknown(name);
}

static sg_status run(const sg_call *call)
{
    const help_options *o = call->options;
    if (!o->man && !o->completion && call->words->count)
        return explain(call->words->items, (int)call->words->count);
    if (o->man)
        sg_help_manual(stdout);
    else if (o->completion)
        sg_help_completion((sg_shell)o->completion, stdout);
    else
        sg_help_commands(NULL, stdout);
    return SG_OK;
}

SG_COMMAND(help, "help", "this list, or what a command does",
           "Lists the commands, or explains one, as COMMAND --help does.", table, help_options, run,
           .words = "[COMMAND]", .words_max = 2);
