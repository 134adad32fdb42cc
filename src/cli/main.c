/* main.c: finds the command, runs it, prints its error, turns it into an exit code. */
#include "base/log.h"
#include "cli/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const sg_command sg_commands[] = {
    {"train", "train a model on a corpus", "", sg_run_train},
    {"eval", "P_D of a model on train, validation and test", "", sg_run_eval},
    {"detect", "flag abnormal dialogs of the test split (Table VI)", "", sg_run_detect},
    {"score", "say what a model makes of dialogs, a line each", "[FILE...]", sg_run_score},
    {"watch", "follow SIP traffic and raise alerts", "[FILTER...]", sg_run_watch},
    {"experiment", "models x seeds, ending in Tables V and VI", "", sg_run_experiment},
    {"export", "a model in the format of other programs", "", sg_run_export},
    {"import", "a model from Keras", "FILE", sg_run_import},
    {"corpus synth", "make a synthetic corpus", "", sg_run_corpus_synth},
    {"corpus import", "make a corpus from captures, CSV or TSV", "FILE...", sg_run_corpus_import},
    {"corpus merge", "several corpora into one", "CORPUS...", sg_run_corpus_merge},
    {"corpus info", "describe a corpus (section IV-A)", "CORPUS", sg_run_corpus_info},
    {"corpus split", "draw train, validation and test anew", "CORPUS", sg_run_corpus_split},
    {"gradients", "loss and gradients of one batch, for other frameworks", "", sg_run_gradients},
    {"bench train", "time training steps", "", sg_run_bench_train},
    {"bench infer", "time inference", "", sg_run_bench_infer},
    {"bench compare", "the same training steps on two engines, side by side", "", sg_run_bench_compare},
    {"bench device", "what a device can do at the most", "", sg_run_bench_device},
    {"devices", "what this machine can compute on", "", sg_run_devices},
    {"version", "versions of the program and its libraries", "", sg_run_version},
    {NULL, NULL, NULL, NULL},
};

static void print_commands(FILE *out)
{
    fputs("usage: sipgpu COMMAND [options]\n\n"
          "Learns SIP dialogs with LSTM networks and flags abnormal ones.\n\ncommands:\n",
          out);
    for (const sg_command *c = sg_commands; c->name; c++)
        fprintf(out, "  %-15s %s\n", c->name, c->summary);
    fputs("\n`sipgpu COMMAND --help` explains one.  Exit codes: 0 done, 1 failed, 2 wrong usage.\n", out);
}

/* The command that argv[1] (and argv[2], for commands with a verb) names; *used is how many words that took.
 */
static const sg_command *find_command(int argc, char **argv, int *used)
{
    for (const sg_command *c = sg_commands; c->name; c++) {
        const char *space = strchr(c->name, ' ');
        size_t first = space ? (size_t)(space - c->name) : strlen(c->name);
        if (strlen(argv[1]) != first || strncmp(argv[1], c->name, first) != 0)
            continue;
        if (space && (argc < 3 || strcmp(argv[2], space + 1) != 0))
            continue;
        *used = space ? 2 : 1;
        return c;
    }
    return NULL;
}

static bool is_family(const char *word)
{
    for (const sg_command *c = sg_commands; c->name; c++) {
        size_t n = strcspn(c->name, " ");
        if (c->name[n] && strlen(word) == n && strncmp(word, c->name, n) == 0)
            return true;
    }
    return false;
}

static void print_family(const char *family, FILE *out)
{
    fprintf(out, "usage: sipgpu %s COMMAND [options]\n\ncommands:\n", family);
    size_t n = strlen(family);
    for (const sg_command *c = sg_commands; c->name; c++)
        if (strncmp(c->name, family, n) == 0 && c->name[n] == ' ')
            fprintf(out, "  %-15s %s\n", c->name, c->summary);
}

static sg_status unknown_command(const char *word)
{
    const char *names[64];
    size_t count = 0;
    for (const sg_command *c = sg_commands; c->name; c++)
        names[count++] = c->name;
    const char *near = sg_nearest_name(word, names, count);
    return near ? sg_fail(SG_E_USAGE, "unknown command '%s'; did you mean '%s'?", word, near)
                : sg_fail(SG_E_USAGE, "unknown command '%s'; `sipgpu help` lists them", word);
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static sg_status run(int argc, char **argv)
{
    if (argc < 2) {
        print_commands(stderr);
        return sg_fail(SG_E_USAGE, "a command is wanted");
    }
    if (asks_for_help(argv[1])) {
        print_commands(stdout);
        return SG_OK;
    }
    if (strcmp(argv[1], "--version") == 0)
        return sg_run_version("version", 0, NULL);
    int used;
    const sg_command *command = find_command(argc, argv, &used);
    if (command)
        return command->run(command->name, argc - 1 - used, argv + 1 + used);
    if (!is_family(argv[1]))
        return unknown_command(argv[1]);
    if (argc > 2 && asks_for_help(argv[2])) {
        print_family(argv[1], stdout);
        return SG_OK;
    }
    print_family(argv[1], stderr);
    if (argc < 3)
        return sg_fail(SG_E_USAGE, "a command is wanted after '%s'", argv[1]);
    char both[128];
    snprintf(both, sizeof both, "%.60s %.60s", argv[1], argv[2]);
    return unknown_command(both);
}

/* What CUDA's libraries read when they are first called, unless the user has said otherwise: a hardware queue
 * for each of many seeds, and a work space with which the products inside cuDNN give the same bits every
 * time. Set before there are threads, which the environment is not safe for. */
static void prepare_cuda(void)
{
    setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:2", 0);
}

int main(int argc, char **argv)
{
    prepare_cuda();
    /* A closed pipe or a full disk is an error of the write that meets it, not the end of the process. */
    signal(SIGPIPE, SIG_IGN);
    sg_status status = run(argc, argv);
    if (status == SG_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = sg_fail(SG_E_IO, "cannot write the results to standard output");
    if (status != SG_OK)
        sg_log_error();
    return sg_exit_code(status);
}
