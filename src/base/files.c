#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

sg_status sg_path_join(char *out, const char *folder, const char *name)
{
    const char *slash = folder[0] && folder[strlen(folder) - 1] != '/' ? "/" : "";
    int n = snprintf(out, SG_PATH_MAX, "%s%s%s", folder, slash, name);
    if (n < 0 || n >= SG_PATH_MAX)
        return sg_fail(SG_E_CONFIG, "the path %.40s.../%.40s is too long", folder, name);
    return SG_OK;
}

bool sg_path_exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0;
}

sg_status sg_file_check_readable(const char *path)
{
    struct stat s;
    if (stat(path, &s) != 0)
        return sg_fail(SG_E_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(s.st_mode))
        return sg_fail(SG_E_IO, "%s is a folder, not a file", path);
    if (access(path, R_OK) != 0)
        return sg_fail(SG_E_IO, "%s: %s", path, strerror(errno));
    return SG_OK;
}

sg_status sg_file_check_writable(const char *path, bool force)
{
    struct stat s;
    if (stat(path, &s) != 0)
        return SG_OK;
    if (S_ISDIR(s.st_mode))
        return sg_fail(SG_E_CONFIG, "%s is a folder, not a file", path);
    if (!force)
        return sg_fail(SG_E_CONFIG, "%s exists; --force overwrites it", path);
    return SG_OK;
}

sg_status sg_folder_make(const char *path)
{
    char part[SG_PATH_MAX];
    SG_TRY(sg_path_join(part, path, ""));
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return sg_fail(SG_E_IO, "cannot make the folder %s: %s", part, strerror(errno));
        *p = '/';
    }
    struct stat s;
    if (stat(path, &s) != 0)
        return sg_fail(SG_E_IO, "cannot make the folder %s: %s", path, strerror(errno));
    if (!S_ISDIR(s.st_mode))
        return sg_fail(SG_E_IO, "%s is a file, not a folder", path);
    if (access(path, W_OK | X_OK) != 0)
        return sg_fail(SG_E_IO, "cannot write into the folder %s: %s", path, strerror(errno));
    return SG_OK;
}

/* The process that wrote a temporary file, from its name "....tmp<pid>"; 0 for other names. */
static long temporary_owner(const char *name)
{
    const char *mark = strrchr(name, '.');
    if (!mark || strncmp(mark, ".tmp", 4) != 0)
        return 0;
    char *end;
    long pid = strtol(mark + 4, &end, 10);
    return *end == '\0' && end > mark + 4 && pid > 0 ? pid : 0;
}

void sg_folder_remove_temporaries(const char *path)
{
    char name[SG_PATH_MAX];
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        long pid = temporary_owner(entry->d_name);
        bool dead = pid > 0 && pid <= INT32_MAX && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
        if (dead && sg_path_join(name, path, entry->d_name) == SG_OK)
            unlink(name);
    }
    if (folder)
        closedir(folder);
}

sg_status sg_file_read(const char *path, size_t limit, char **text, size_t *length)
{
    *text = NULL;
    SG_TRY(sg_file_check_readable(path));
    FILE *f = fopen(path, "rb");
    if (!f)
        return sg_fail(SG_E_IO, "%s: %s", path, strerror(errno));
    size_t capacity = 4096, n = 0;
    char *buffer = malloc(capacity);
    while (buffer) {
        n += fread(buffer + n, 1, capacity - 1 - n, f);
        if (n < capacity - 1 || n > limit)
            break;
        capacity *= 2;
        char *larger = realloc(buffer, capacity);
        if (!larger)
            free(buffer);
        buffer = larger;
    }
    bool failed = ferror(f);
    fclose(f);
    if (!buffer)
        return sg_fail(SG_E_MEMORY, "%s: out of memory", path);
    if (failed || n > limit) {
        free(buffer);
        return failed ? sg_fail(SG_E_IO, "%s: cannot be read", path)
                      : sg_fail(SG_E_FORMAT, "%s: larger than %zu bytes", path, limit);
    }
    buffer[n] = '\0';
    *text = buffer;
    *length = n;
    return SG_OK;
}

sg_status sg_atomic_open(sg_atomic_file *file, const char *path)
{
    if (strlen(path) >= SG_PATH_MAX)
        return sg_fail(SG_E_CONFIG, "the path %.80s... is too long", path);
    strcpy(file->path, path);
    snprintf(file->temporary, sizeof file->temporary, "%s.tmp%ld", path, (long)getpid());
    int fd = open(file->temporary, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0)
        return sg_fail(SG_E_IO, "cannot write %s: %s", path, strerror(errno));
    close(fd);
    return SG_OK;
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = fsync(fd);
    int saved = errno;
    close(fd);
    errno = saved;
    return result;
}

sg_status sg_atomic_commit(sg_atomic_file *file)
{
    if (sync_path(file->temporary, O_RDWR) != 0 || rename(file->temporary, file->path) != 0) {
        int saved = errno;
        unlink(file->temporary);
        return sg_fail(SG_E_IO, "cannot write %s: %s", file->path, strerror(saved));
    }
    char folder[SG_PATH_MAX];
    memcpy(folder, file->path, sizeof folder);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    /* Some file systems cannot fsync a folder; the rename is then as durable as they make it. */
    (void)sync_path(slash ? folder : ".", O_RDONLY | O_DIRECTORY);
    return SG_OK;
}

void sg_atomic_abort(sg_atomic_file *file)
{
    unlink(file->temporary);
}

sg_status sg_text_open(sg_atomic_file *file, FILE **stream, const char *path)
{
    SG_TRY(sg_atomic_open(file, path));
    *stream = fopen(file->temporary, "w");
    if (!*stream) {
        int saved = errno;
        sg_atomic_abort(file);
        return sg_fail(SG_E_IO, "cannot write %s: %s", path, strerror(saved));
    }
    return SG_OK;
}

sg_status sg_text_finish(sg_atomic_file *file, FILE *stream, sg_status status)
{
    errno = 0;
    bool failed = fflush(stream) != 0 || ferror(stream);
    int saved = errno;
    if (fclose(stream) != 0 && !failed) {
        failed = true;
        saved = errno;
    }
    if (status == SG_OK && failed)
        status =
            sg_fail(SG_E_IO, "cannot write %s: %s", file->path, saved ? strerror(saved) : "write failed");
    if (status != SG_OK) {
        sg_atomic_abort(file);
        return status;
    }
    return sg_atomic_commit(file);
}
