/* children.h: runs commands, several at once, and sees them through.
 *
 * A child is a process or a thread.  A process is in a group of its own, so that Ctrl-C reaches it once,
 * through this process; it reads nothing, and is told to stop should this process die.  A thread calls a
 * function of this program and looks at this process's own stop flag.  The output of either goes to log.txt
 * in its folder.
 */
#ifndef SG_EXPERIMENT_WORKERS_H
#define SG_EXPERIMENT_WORKERS_H

#include "base/files.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/types.h>

typedef enum { SG_WORKER_WAITING, SG_WORKER_RUNNING, SG_WORKER_DONE, SG_WORKER_FAILED } sg_worker_state;

/* What a thread calls: does what main() does with these words, and returns the exit code.  base/log.h and
 * sg_results() write to the child's log.txt meanwhile; its last error is its own. */
typedef int (*sg_worker_main)(int argc, char **argv);

typedef struct {
    const char *folder; /* exists; holds log.txt, which is appended to */
    char **argv;        /* ends with NULL; argv[0] is the program's path */
    sg_worker_main run; /* NULL: a process that runs argv; else a thread that calls this with argv */
    sg_worker_state state;
    pid_t pid;        /* of a process that runs */
    pthread_t thread; /* of a thread that runs */
    FILE *log;        /* of a thread that runs */
} sg_worker;

/* Called a few times a second while children run, and after each end of one. */
typedef void (*sg_workers_progress)(const sg_worker *children, int count, void *context);

/* Runs those whose state is SG_WORKER_WAITING, in order, at most `jobs` at a time, until all are done or
 * failed. When *stop becomes non-zero, starts no more, passes the signal on to processes (threads see *stop
 * themselves), waits for the rest and returns SG_E_INTERRUPTED.  A child that fails is no error here: its
 * state says so.  SG_E_IO: a child cannot be started; the others are stopped, threads by setting *stop. */
sg_status sg_workers_run(sg_worker *children, int count, int jobs, volatile sig_atomic_t *stop,
                         sg_workers_progress progress, void *context);

/* The last line of the child's log that is not empty, into text; "" if there is none. */
void sg_worker_last_line(const sg_worker *child, char *text, size_t size);

/* Path of the running program, for argv[0]. */
sg_status sg_own_program(char path[SG_PATH_MAX]);

#endif
