/* main.c: finds the command, runs it, prints its error, turns it into an exit code. */
#include "base/log.h"
#include "cli/help.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static sg_status run(int argc, char **argv)
{
    int used;
    if (argc < 2) {
        sg_help_commands(NULL, stderr);
        return sg_fail(SG_E_USAGE, "expected a command");
    }
    if (strcmp(argv[1], "--version") == 0)
        return sg_command_run(&sg_command_version, 0, NULL);
    if (asks_for_help(argv[1]))
        return sg_command_run(&sg_command_help, argc - 2, argv + 2);
    const sg_command *command = sg_command_find(argc - 1, (const char *const *)argv + 1, &used);
    if (command)
        return sg_command_run(command, argc - 1 - used, argv + 1 + used);
    if (!sg_command_is_family(argv[1]))
        return sg_command_unknown(argv[1]);
    if (argc > 2 && (asks_for_help(argv[2]) || strcmp(argv[2], "help") == 0)) {
        sg_help_commands(argv[1], stdout);
        return SG_OK;
    }
    sg_help_commands(argv[1], stderr);
    if (argc < 3)
        return sg_fail(SG_E_USAGE, "expected a command after '%s'", argv[1]);
    char both[128];
    snprintf(both, sizeof both, "%.60s %.60s", argv[1], argv[2]);
    return sg_command_unknown(both);
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
