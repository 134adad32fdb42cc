/* cli.h: the commands of the sipgpu program.  Each lives in a file of its own, cmd_<name>.c. */
#ifndef SG_CLI_CLI_H
#define SG_CLI_CLI_H

#include "base/options.h"

typedef struct {
    const char *name;    /* "train", or "corpus synth" for a command with a verb */
    const char *summary; /* one line for the list of commands */
    const char *words;   /* the words it takes after its options, "" if none, for the usage line */
    /* Runs the command; argv holds what follows its name. */
    sg_status (*run)(const char *name, int argc, char **argv);
} sg_command;

extern const sg_command sg_commands[]; /* ends with name NULL */

/* Options that mean the same everywhere.  A command's options struct starts with this. */
typedef struct {
    bool help, verbose, quiet;
} sg_common_options;

#define SG_COMMON_OPTIONS(type)                                                                              \
    {NULL, "verbose", SG_OPT_FLAG, offsetof(type, common.verbose), NULL, 0, 0, NULL, NULL, "say more", 'v'}, \
        {NULL, "quiet", SG_OPT_FLAG, offsetof(type, common.quiet),           NULL, 0,                        \
         0,    NULL,    NULL,        "say nothing but warnings and results", 'q'},                           \
        {NULL, "help", SG_OPT_FLAG, offsetof(type, common.help), NULL, 0, 0, NULL, NULL, "show this", 'h'},  \
        SG_OPTIONS_END

/* Sets defaults, reads the command line into `options` (whose first member is sg_common_options) and collects
 * plain words; more than `words_max` of them are SG_E_USAGE.  With --help it prints usage, `about` and the
 * table to standard output and sets *done; otherwise applies --verbose and --quiet. */
sg_status sg_command_parse(const char *name, const sg_option *table, const char *about, void *options,
                           int argc, char **argv, sg_text_list *words, size_t words_max, bool *done);

sg_status sg_run_version(const char *name, int argc, char **argv);
sg_status sg_run_devices(const char *name, int argc, char **argv);
sg_status sg_run_corpus_synth(const char *name, int argc, char **argv);
sg_status sg_run_corpus_import(const char *name, int argc, char **argv);
sg_status sg_run_corpus_merge(const char *name, int argc, char **argv);
sg_status sg_run_corpus_info(const char *name, int argc, char **argv);
sg_status sg_run_corpus_split(const char *name, int argc, char **argv);
sg_status sg_run_train(const char *name, int argc, char **argv);
sg_status sg_run_eval(const char *name, int argc, char **argv);
sg_status sg_run_detect(const char *name, int argc, char **argv);
sg_status sg_run_score(const char *name, int argc, char **argv);
sg_status sg_run_experiment(const char *name, int argc, char **argv);
sg_status sg_run_watch(const char *name, int argc, char **argv);
sg_status sg_run_export(const char *name, int argc, char **argv);
sg_status sg_run_import(const char *name, int argc, char **argv);
sg_status sg_run_gradients(const char *name, int argc, char **argv);
sg_status sg_run_bench_train(const char *name, int argc, char **argv);
sg_status sg_run_bench_infer(const char *name, int argc, char **argv);
sg_status sg_run_bench_compare(const char *name, int argc, char **argv);
sg_status sg_run_bench_device(const char *name, int argc, char **argv);

#endif
