#include "train/history.h"

#include "base/files.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char HEADER[] =
    "epoch,update,loss,running_pd,train_pd,validation_pd,test_pd,learning_rate,gradient_norm,"
    "seconds\n";
enum { HISTORY_BYTES_MAX = 1 << 28 };

sg_status sg_history_create(const char *path)
{
    sg_atomic_file file;
    FILE *stream;
    SG_TRY(sg_text_open(&file, &stream, path));
    fputs(HEADER, stream);
    return sg_text_finish(&file, stream, SG_OK);
}

/* Length of the part of `text` to keep. */
static size_t length_up_to(const char *text, int64_t epoch, double *seconds)
{
    const char *line = text + strlen(HEADER);
    *seconds = 0;
    for (const char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        if (strtoll(line, NULL, 10) > epoch)
            break;
        const char *comma = memrchr(line, ',', (size_t)(end - line));
        *seconds = comma ? strtod(comma + 1, NULL) : 0;
    }
    return (size_t)(line - text);
}

sg_status sg_history_rewind(const char *path, int64_t epoch, double *seconds)
{
    char *text;
    size_t length;
    *seconds = 0;
    if (!sg_path_exists(path))
        return sg_history_create(path);
    SG_TRY(sg_file_read(path, HISTORY_BYTES_MAX, &text, &length));
    if (strncmp(text, HEADER, strlen(HEADER)) != 0) {
        free(text);
        return sg_fail(SG_E_FORMAT, "%s: not a history of this program (its first line is another)", path);
    }
    sg_atomic_file file;
    FILE *stream;
    sg_status status = sg_text_open(&file, &stream, path);
    if (status == SG_OK) {
        fwrite(text, 1, length_up_to(text, epoch, seconds), stream);
        status = sg_text_finish(&file, stream, SG_OK);
    }
    free(text);
    return status;
}

static void print_share(FILE *stream, double share)
{
    if (isfinite(share))
        fprintf(stream, "%.8f", share);
    fputc(',', stream);
}

static void print_line(FILE *stream, const sg_history_line *line)
{
    fprintf(stream, "%lld,%lld,%.9g,%.8f,", (long long)line->epoch, (long long)line->update, line->loss,
            line->running_pd);
    for (int s = 0; s < SG_SPLITS; s++)
        print_share(stream, line->evaluated ? line->pd[s] : NAN);
    fprintf(stream, "%.9g,%.9g,%.3f\n", line->learning_rate, line->gradient_norm, line->seconds);
}

sg_status sg_history_append(const char *path, const sg_history_line *line)
{
    FILE *stream = fopen(path, "a");
    if (!stream)
        return sg_fail(SG_E_IO, "cannot write %s: %s", path, strerror(errno));
    struct stat before;
    bool sized = fstat(fileno(stream), &before) == 0;
    print_line(stream, line);
    errno = 0;
    bool failed = fflush(stream) != 0 || ferror(stream);
    int saved = errno;
    failed = fclose(stream) != 0 || failed;
    if (!failed)
        return SG_OK;
    saved = saved ? saved : errno;
    if (sized && truncate(path, before.st_size) != 0)
        return sg_fail(SG_E_IO, "cannot write %s: %s, and part of a line is left", path, strerror(saved));
    return sg_fail(SG_E_IO, "cannot write %s: %s", path, strerror(saved));
}
