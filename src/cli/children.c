#include "cli/children.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLL_NANOSECONDS 200000000L

sg_status sg_own_program(char path[SG_PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", path, SG_PATH_MAX - 1);
    if (n < 0)
        return sg_fail(SG_E_IO, "cannot find the path of this program: %s", strerror(errno));
    path[n] = '\0';
    return SG_OK;
}

/* Between fork and exec: only calls that are safe there. */
static void become_child(char *const *argv, int log, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it died before prctl took hold */
        _exit(1);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
        dup2(log, STDERR_FILENO) < 0)
        _exit(1);
    execv(argv[0], argv);
    static const char text[] = "sipgpu: this program cannot be started again\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(1);
}

static sg_status start(sg_child *child)
{
    char path[SG_PATH_MAX];
    SG_TRY(sg_path_join(path, child->folder, "log.txt"));
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log < 0)
        return sg_fail(SG_E_IO, "cannot write %s: %s", path, strerror(errno));
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0)
        become_child(child->argv, log, parent);
    const int saved = errno;
    close(log);
    if (pid < 0)
        return sg_fail(SG_E_IO, "cannot start another process: %s", strerror(saved));
    setpgid(pid, pid); /* here too: the child may not have come that far when a signal is passed on */
    child->pid = pid;
    child->state = SG_CHILD_RUNNING;
    return SG_OK;
}

static void pass_on(const sg_child *children, int count, int number)
{
    for (int i = 0; i < count; i++)
        if (children[i].state == SG_CHILD_RUNNING)
            kill(children[i].pid, number);
}

/* Notes the children that have ended; returns how many still run. */
static int collect(sg_child *children, int count, bool *any_ended)
{
    int running = 0;
    for (int i = 0; i < count; i++) {
        sg_child *c = &children[i];
        int how = 0;
        if (c->state != SG_CHILD_RUNNING)
            continue;
        const pid_t ended = waitpid(c->pid, &how, WNOHANG);
        if (ended == 0 || (ended < 0 && errno == EINTR)) {
            running++;
            continue;
        }
        c->state = ended > 0 && WIFEXITED(how) && WEXITSTATUS(how) == 0 ? SG_CHILD_DONE : SG_CHILD_FAILED;
        *any_ended = true;
    }
    return running;
}

static sg_child *next_waiting(sg_child *children, int count)
{
    for (int i = 0; i < count; i++)
        if (children[i].state == SG_CHILD_WAITING)
            return &children[i];
    return NULL;
}

sg_status sg_children_run(sg_child *children, int count, int jobs, const volatile sig_atomic_t *stop,
                          sg_children_progress progress, void *context)
{
    sg_status status = SG_OK;
    bool told = false;
    for (;;) {
        bool any_ended = false;
        int running = collect(children, count, &any_ended);
        if (any_ended)
            progress(children, count, context);
        sg_child *next = NULL;
        while (status == SG_OK && !*stop && running < jobs && (next = next_waiting(children, count))) {
            status = start(next);
            running += status == SG_OK;
        }
        if (running == 0)
            break;
        if ((*stop || status != SG_OK) && !told) {
            pass_on(children, count, *stop ? *stop : SIGTERM);
            told = true;
        }
        nanosleep(&(struct timespec){0, POLL_NANOSECONDS}, NULL);
        progress(children, count, context);
    }
    if (status == SG_OK && *stop)
        status = sg_fail(SG_E_INTERRUPTED, "interrupted");
    return status;
}

void sg_child_last_line(const sg_child *child, char *text, size_t size)
{
    char path[SG_PATH_MAX], tail[4096];
    text[0] = '\0';
    if (sg_path_join(path, child->folder, "log.txt") != SG_OK)
        return;
    FILE *f = fopen(path, "rb");
    if (!f)
        return;
    if (fseek(f, -(long)(sizeof tail - 1), SEEK_END) != 0)
        rewind(f);
    size_t n = fread(tail, 1, sizeof tail - 1, f);
    fclose(f);
    while (n > 0 && (tail[n - 1] == '\n' || tail[n - 1] == ' '))
        n--;
    tail[n] = '\0';
    const char *line = strrchr(tail, '\n');
    snprintf(text, size, "%s", line ? line + 1 : tail);
}
