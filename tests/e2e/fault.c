/* fault.c: preloaded into the program under test; lets writing a checkpoint go wrong at a chosen moment.
 *
 * FAULT = "CALL:COUNT:EFFECT": at call number COUNT of CALL (write, fsync or rename) on a checkpoint, either
 * "kill" the process (for write: after half of the bytes) or fail with "full" (ENOSPC). "history:COUNT:stop":
 * the process stops (SIGSTOP) before it appends line COUNT to history.csv, and goes on with SIGCONT.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_checkpoint(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return strstr(path, "checkpoint.h5.") != NULL;
}

/* 'k', 'f' or 0 for this call. */
static int effect_of(const char *call)
{
    static int calls;
    const char *plan = getenv("FAULT");
    size_t n = strlen(call);
    if (!plan || strncmp(plan, call, n) != 0 || plan[n] != ':')
        return 0;
    char *end;
    long count = strtol(plan + n + 1, &end, 10);
    return ++calls == count ? end[1] : 0;
}

static void die(void)
{
    raise(SIGKILL);
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    ssize_t (*real)(int, const void *, size_t) =
        (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    switch (is_checkpoint(fd) ? effect_of("write") : 0) {
    case 'k':
        if (real(fd, data, bytes / 2) >= 0)
            fsync(fd);
        die();
        break;
    case 'f':
        errno = ENOSPC;
        return -1;
    }
    return real(fd, data, bytes);
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    switch (is_checkpoint(fd) ? effect_of("fsync") : 0) {
    case 'k':
        die();
        break;
    case 'f':
        errno = ENOSPC;
        return -1;
    }
    return real(fd);
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    switch (strstr(to, "checkpoint.h5") ? effect_of("rename") : 0) {
    case 'k':
        die();
        break;
    case 'f':
        errno = ENOSPC;
        return -1;
    }
    return real(from, to);
}

FILE *fopen(const char *path, const char *mode)
{
    FILE *(*real)(const char *, const char *) =
        (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
    if (mode[0] == 'a' && strstr(path, "history.csv") && effect_of("history") == 's')
        raise(SIGSTOP);
    return real(path, mode);
}
