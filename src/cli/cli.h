/* cli.h: the commands of the sipgpu program.  Each lives in a file of its own, cmd_<name>.c. */
#ifndef SG_CLI_CLI_H
#define SG_CLI_CLI_H

#include "base/options.h"

/* A command line that has been read. */
typedef struct {
    const char *name;          /* of the command */
    void *options;             /* the struct that its table describes */
    const sg_text_list *words; /* besides options, as many as the command takes */
    int argc;                  /* all that followed the name, */
    char **argv;               /* for provenance.json */
} sg_call;

typedef struct {
    const char *name;            /* "train", or "corpus synth" for a command with a verb */
    const char *summary;         /* one line for the list of commands */
    const char *about;           /* some lines for --help */
    const char *words;           /* what it takes besides options, for the usage line; NULL if nothing */
    size_t words_min, words_max; /* how many of them */
    const sg_option *table;      /* ends with SG_COMMON_OPTIONS */
    size_t size;                 /* of the options struct, whose first member is sg_common_options */
    const sg_option *settings;   /* what its --set changes, or NULL */
    sg_status (*run)(const sg_call *call);
} sg_command;

/* Defines sg_command_<id>, whose options are a `type`; further members follow as designated initialisers. */
#define SG_COMMAND(id, name_, summary_, about_, table_, type, run_, ...) \
    const sg_command sg_command_##id = {.name = name_,                   \
                                        .summary = summary_,             \
                                        .about = about_,                 \
                                        .table = table_,                 \
                                        .size = sizeof(type),            \
                                        .run = run_,                     \
                                        __VA_ARGS__}

/* Options that mean the same everywhere.  A command's options struct starts with this. */
typedef struct {
    bool help, verbose, quiet;
} sg_common_options;

#define SG_COMMON_OPTIONS(type)                                                                        \
    SG_FLAG(SG_AT("verbose", type, common.verbose), "say more", .letter = 'v'),                        \
        SG_FLAG(SG_AT("quiet", type, common.quiet), "print warnings and results only", .letter = 'q'), \
        SG_FLAG(SG_AT("help", type, common.help), "show this help", .letter = 'h'), SG_OPTIONS_END

extern const sg_command sg_command_train, sg_command_eval, sg_command_detect, sg_command_score,
    sg_command_watch, sg_command_experiment, sg_command_export, sg_command_import, sg_command_corpus_synth,
    sg_command_corpus_import, sg_command_corpus_merge, sg_command_corpus_info, sg_command_corpus_split,
    sg_command_gradients, sg_command_bench_train, sg_command_bench_infer, sg_command_bench_compare,
    sg_command_bench_device, sg_command_devices, sg_command_version, sg_command_help;

extern const sg_command *const sg_commands[]; /* ends with NULL */

/* Reads the command line, checks required options and the number of words, applies --verbose and --quiet, and
 * runs the command; with --help, prints its help instead. */
sg_status sg_command_run(const sg_command *command, int argc, char **argv);

/* The command that the words name ("train", "corpus", "info"), and in *used how many of them that took; NULL
 * if none does. */
const sg_command *sg_command_find(int count, const char *const *words, int *used);

/* SG_E_USAGE, naming the nearest command. */
sg_status sg_command_unknown(const char *name);

/* Whether there are commands with this first word and a verb, such as "corpus". */
bool sg_command_is_family(const char *word);

#endif
