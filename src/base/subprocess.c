#include "base/subprocess.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_MAX = 1024 };

/* In the child: the error text goes through the pipe, the status is the exit code. */
static _Noreturn void run_copy(sg_subprocess_work work, void *context, int out)
{
    const struct rlimit none = {0, 0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &none);
    sg_status status = work(context);
    if (status == SG_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = sg_fail(SG_E_IO, "cannot write the results to standard output");
    if (status != SG_OK) {
        const char *text = sg_error_text();
        const size_t length = strlen(text);
        if (write(out, text, length) != (ssize_t)length)
            status = SG_E_INTERNAL;
    }
    fflush(stderr);
    _exit((int)status);
}

/* Reads until the pipe closes, which is when the child ends. */
static void read_text(int in, char text[TEXT_MAX])
{
    size_t length = 0;
    ssize_t n;
    while (length < TEXT_MAX - 1 &&
           ((n = read(in, text + length, TEXT_MAX - 1 - length)) > 0 || (n < 0 && errno == EINTR)))
        length += n > 0 ? (size_t)n : 0;
    text[length] = '\0';
}

sg_status sg_subprocess_run(sg_subprocess_work work, void *context, const char *crashed)
{
    int ends[2], outcome = 0;
    char text[TEXT_MAX];
    fflush(stdout);
    fflush(stderr);
    if (pipe(ends) != 0)
        return sg_fail(SG_E_IO, "cannot open a pipe: %s", strerror(errno));
    const pid_t pid = fork();
    if (pid < 0) {
        const int saved = errno;
        close(ends[0]);
        close(ends[1]);
        return sg_fail(SG_E_IO, "cannot start a process: %s", strerror(saved));
    }
    if (pid == 0) {
        close(ends[0]);
        run_copy(work, context, ends[1]);
    }
    close(ends[1]);
    read_text(ends[0], text);
    close(ends[0]);
    while (waitpid(pid, &outcome, 0) < 0 && errno == EINTR)
        ;
    const sg_status status = (sg_status)WEXITSTATUS(outcome);
    /* A failure without a message is not one of ours: a sanitizer ended the child. */
    if (!WIFEXITED(outcome) || (status != SG_OK && !text[0]))
        return sg_fail(SG_E_FORMAT, "%s", crashed);
    return status == SG_OK ? SG_OK : sg_fail(status, "%s", text);
}
