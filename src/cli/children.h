/* children.h: starts programs, several at once, and sees them through.
 *
 * Each child runs in a process group of its own, so that Ctrl-C reaches it once, through this process; it
 * reads nothing, and its output goes to log.txt in its folder.  Should this process die, the children are
 * told to stop.
 */
#ifndef SG_CLI_CHILDREN_H
#define SG_CLI_CHILDREN_H

#include "base/files.h"
#include <signal.h>
#include <sys/types.h>

typedef enum { SG_CHILD_WAITING, SG_CHILD_RUNNING, SG_CHILD_DONE, SG_CHILD_FAILED } sg_child_state;

typedef struct {
    const char *folder; /* exists; holds log.txt, which is appended to */
    char *const *argv;  /* ends with NULL; argv[0] is the program's path */
    sg_child_state state;
    pid_t pid;
} sg_child;

/* Called a few times a second while children run, and after each end of one. */
typedef void (*sg_children_progress)(const sg_child *children, int count, void *context);

/* Runs those whose state is SG_CHILD_WAITING, in order, at most `jobs` at a time, until all are done or
 * failed. When *stop becomes non-zero, starts no more, passes the signal on, waits for the rest and returns
 * SG_E_INTERRUPTED. A child that fails is no error here: its state says so.  SG_E_IO: a child cannot be
 * started; the others are stopped. */
sg_status sg_children_run(sg_child *children, int count, int jobs, const volatile sig_atomic_t *stop,
                          sg_children_progress progress, void *context);

/* The last line of the child's log that is not empty, into text; "" if there is none. */
void sg_child_last_line(const sg_child *child, char *text, size_t size);

/* Path of the running program, for argv[0]. */
sg_status sg_own_program(char path[SG_PATH_MAX]);

#endif
