#include "experiment/workers.h"

#include "base/log.h"
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

/* ---- processes ---- */

/* Between fork and exec: only calls that are safe there.  A signal passed on by now must end the child, not
 * be taken by the handler that it has from this process; `mask` lets it through. */
static void become_child(char *const *argv, int log, pid_t parent, const sigset_t *mask)
{
    setpgid(0, 0);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
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

static sg_status start_process(sg_worker *child, const char *log_path)
{
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log < 0)
        return sg_fail(SG_E_IO, "cannot write %s: %s", log_path, strerror(errno));
    sigset_t held, before;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &held, &before);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0)
        become_child(child->argv, log, parent, &before);
    const int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(log);
    if (pid < 0)
        return sg_fail(SG_E_IO, "cannot start another process: %s", strerror(saved));
    setpgid(pid, pid); /* here too: the child may not have come that far when a signal is passed on */
    child->pid = pid;
    return SG_OK;
}

static bool process_has_ended(const sg_worker *child, bool *success)
{
    int how = 0;
    const pid_t ended = waitpid(child->pid, &how, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR))
        return false;
    *success = ended > 0 && WIFEXITED(how) && WEXITSTATUS(how) == 0;
    return true;
}

/* ---- threads ---- */

/* Returns the child if it succeeded. */
static void *thread_main(void *argument)
{
    sg_worker *child = argument;
    int words = 0;
    while (child->argv[words])
        words++;
    sg_log_set_sink(child->log);
    const bool success = child->run(words, child->argv) == 0;
    sg_log_set_sink(NULL);
    return success ? child : NULL;
}

static sg_status start_thread(sg_worker *child, const char *log_path)
{
    child->log = fopen(log_path, "ae");
    if (!child->log)
        return sg_fail(SG_E_IO, "cannot write %s: %s", log_path, strerror(errno));
    const int error = pthread_create(&child->thread, NULL, thread_main, child);
    if (error == 0)
        return SG_OK;
    fclose(child->log);
    return sg_fail(SG_E_IO, "cannot start another thread: %s", strerror(error));
}

static bool thread_has_ended(sg_worker *child, bool *success)
{
    void *result = NULL;
    if (pthread_tryjoin_np(child->thread, &result) == EBUSY)
        return false;
    const bool written = !ferror(child->log);
    *success = fclose(child->log) == 0 && written && result;
    return true;
}

/* ---- either ---- */

static sg_status start(sg_worker *child)
{
    char path[SG_PATH_MAX];
    SG_TRY(sg_path_join(path, child->folder, "log.txt"));
    SG_TRY(child->run ? start_thread(child, path) : start_process(child, path));
    child->state = SG_WORKER_RUNNING;
    return SG_OK;
}

/* Asks the running children to stop, with the signal that came or SIGTERM. */
static void stop_all(const sg_worker *children, int count, volatile sig_atomic_t *stop)
{
    const int number = *stop ? *stop : SIGTERM;
    for (int i = 0; i < count; i++) {
        if (children[i].state != SG_WORKER_RUNNING)
            continue;
        if (children[i].run)
            *stop = number;
        else
            kill(children[i].pid, number);
    }
}

/* Notes the children that have ended; returns how many still run. */
static int collect(sg_worker *children, int count, bool *any_ended)
{
    int running = 0;
    for (int i = 0; i < count; i++) {
        sg_worker *c = &children[i];
        bool success = false;
        if (c->state != SG_WORKER_RUNNING)
            continue;
        if (!(c->run ? thread_has_ended(c, &success) : process_has_ended(c, &success))) {
            running++;
            continue;
        }
        c->state = success ? SG_WORKER_DONE : SG_WORKER_FAILED;
        *any_ended = true;
    }
    return running;
}

static sg_worker *next_waiting(sg_worker *children, int count)
{
    for (int i = 0; i < count; i++)
        if (children[i].state == SG_WORKER_WAITING)
            return &children[i];
    return NULL;
}

sg_status sg_workers_run(sg_worker *children, int count, int jobs, volatile sig_atomic_t *stop,
                         sg_workers_progress progress, void *context)
{
    sg_status status = SG_OK;
    bool told = false;
    for (;;) {
        bool any_ended = false;
        int running = collect(children, count, &any_ended);
        if (any_ended)
            progress(children, count, context);
        sg_worker *next = NULL;
        while (status == SG_OK && !*stop && running < jobs && (next = next_waiting(children, count))) {
            status = start(next);
            running += status == SG_OK;
        }
        if (running == 0)
            break;
        if ((*stop || status != SG_OK) && !told) {
            stop_all(children, count, stop);
            told = true;
        }
        nanosleep(&(struct timespec){0, POLL_NANOSECONDS}, NULL);
        progress(children, count, context);
    }
    if (status == SG_OK && *stop)
        status = sg_fail(SG_E_INTERRUPTED, "interrupted");
    return status;
}

void sg_worker_last_line(const sg_worker *child, char *text, size_t size)
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
