/* fault.c: preloaded into the program under test; lets writing a file of a run go wrong at a chosen moment.
 *
 * FAULT = "CALL:COUNT:EFFECT": at call number COUNT (0: at every call) of CALL (write, fsync or rename) on
 * FAULT_FILE (checkpoint.h5 if that is not set), either "kill" the process (for write: after half of the
 * bytes), fail with "full" (ENOSPC), or "wait" until the file FAULT_UNTIL is there.  "history:COUNT:stop":
 * the process stops (SIGSTOP) before it appends line COUNT to history.csv, and goes on with SIGCONT.
 * FAULT_HISTORY_UNTIL: from the second line on, history.csv is not appended to before this file is there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *file_name(void)
{
    const char *name = getenv("FAULT_FILE");
    return name ? name : "checkpoint.h5";
}

/* Files are written under their name with an ending. */
static int is_meant(int fd)
{
    char link[64], path[4096], name[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    snprintf(name, sizeof name, "/%s.", file_name());
    return strstr(path, name) != NULL;
}

/* 'k', 'f', 'w' or 0 for this call. */
static int effect_of(const char *call)
{
    static int calls;
    const char *plan = getenv("FAULT");
    size_t n = strlen(call);
    if (!plan || strncmp(plan, call, n) != 0 || plan[n] != ':')
        return 0;
    char *end;
    long count = strtol(plan + n + 1, &end, 10);
    return ++calls == count || count == 0 ? end[1] : 0;
}

static void wait_for_file(const char *path)
{
    while (access(path, F_OK) != 0)
        usleep(1000);
}

static void die(void)
{
    raise(SIGKILL);
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    ssize_t (*real)(int, const void *, size_t) =
        (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    switch (is_meant(fd) ? effect_of("write") : 0) {
    case 'k':
        if (real(fd, data, bytes / 2) >= 0)
            fsync(fd);
        die();
        break;
    case 'f':
        errno = ENOSPC;
        return -1;
    case 'w':
        wait_for_file(getenv("FAULT_UNTIL"));
        break;
    }
    return real(fd, data, bytes);
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    switch (is_meant(fd) ? effect_of("fsync") : 0) {
    case 'k':
        die();
        break;
    case 'f':
        errno = ENOSPC;
        return -1;
    case 'w':
        wait_for_file(getenv("FAULT_UNTIL"));
        break;
    }
    return real(fd);
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    switch (strstr(to, file_name()) ? effect_of("rename") : 0) {
    case 'k':
        die();
        break;
    case 'f':
        errno = ENOSPC;
        return -1;
    case 'w':
        wait_for_file(getenv("FAULT_UNTIL"));
        break;
    }
    return real(from, to);
}

FILE *fopen(const char *path, const char *mode)
{
    FILE *(*real)(const char *, const char *) =
        (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
    static int lines;
    if (mode[0] != 'a' || !strstr(path, "history.csv"))
        return real(path, mode);
    if (effect_of("history") == 's')
        raise(SIGSTOP);
    const char *until = getenv("FAULT_HISTORY_UNTIL");
    if (until && ++lines > 1)
        wait_for_file(until);
    return real(path, mode);
}
