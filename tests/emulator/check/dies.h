/* dies.h: for tests of what the emulator aborts at. */
#ifndef EMULATOR_DIES_H
#define EMULATOR_DIES_H

#include "testing.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* All that the child prints, and how it ended. */
static inline void collect_child(pid_t child, int from, char *text, size_t size, int *status)
{
    size_t length = 0;
    for (ssize_t got = 1; got > 0 && length<size - 1; length += got> 0 ? (size_t)got : 0)
        got = read(from, text + length, size - 1 - length);
    text[length] = '\0';
    close(from);
    assert_int_equal(waitpid(child, status, 0), child);
}

/* In a child process, the statement aborts and prints `part`. */
#define assert_dies(part, statement)                                                              \
    do {                                                                                          \
        int dies_pipe_[2], dies_status_;                                                          \
        char dies_text_[1024];                                                                    \
        assert_int_equal(pipe(dies_pipe_), 0);                                                    \
        pid_t dies_child_ = fork();                                                               \
        if (dies_child_ == 0) {                                                                   \
            dup2(dies_pipe_[1], 2);                                                               \
            signal(SIGABRT, SIG_DFL);                                                             \
            statement;                                                                            \
            _exit(0);                                                                             \
        }                                                                                         \
        close(dies_pipe_[1]);                                                                     \
        collect_child(dies_child_, dies_pipe_[0], dies_text_, sizeof(dies_text_), &dies_status_); \
        if (!WIFSIGNALED(dies_status_) || WTERMSIG(dies_status_) != SIGABRT)                      \
            fail_msg("%s: does not abort, prints '%s'", #statement, dies_text_);                  \
        if (!strstr(dies_text_, (part)))                                                          \
            fail_msg("%s: prints '%s', not '%s'", #statement, dies_text_, (part));                \
    } while (0)

#endif
