/* bench_detectors.c: how long libsipdetect takes to open a model and to follow known dialogs message by
 * message, as one JSON object; for scripts/bench/bench_detectors.py, which compiles it against a build.
 *
 *     bench_detectors MODEL.sipm OPENINGS PUSHES
 *
 * Each push is timed by itself; the clock's own cost is in each figure and told beside them.
 */
#include "sipgpu/sipdetect.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double quantile(double *sorted, size_t count, double q)
{
    return sorted[(size_t)(q * (double)(count - 1) + 0.5)];
}

static void fail(const char *what)
{
    fprintf(stderr, "bench_detectors: %s\n", what);
    exit(1);
}

static void check(sipdetect_status status)
{
    if (status != SIPDETECT_OK)
        fail(sipdetect_error());
}

static void *room(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        fail("out of memory");
    return memory;
}

/* Lets the system forget the pages of a file; without effect where it may not. */
static void forget(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return;
    fdatasync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static void time_openings(const char *path, int openings, int cold, const char *name)
{
    double *ms = room((size_t)openings, sizeof *ms);
    for (int i = 0; i < openings; i++) {
        sipdetect_model *model;
        if (cold)
            forget(path);
        double start = now();
        check(sipdetect_open(&model, path, NULL));
        ms[i] = 1e3 * (now() - start);
        sipdetect_close(model);
    }
    qsort(ms, (size_t)openings, sizeof *ms, compare);
    printf("\"%s\": {\"median\": %.4f, \"max\": %.4f}, ", name, quantile(ms, (size_t)openings, 0.5),
           ms[openings - 1]);
    free(ms);
}

typedef struct {
    uint16_t *types; /* of all train dialogs, each ended by 0 */
    size_t messages;
} dialogs;

static dialogs read_dialogs(const sipdetect_model *model)
{
    const int longest = sipdetect_max_length(model), classes = sipdetect_classes(model);
    dialogs d = {room((size_t)classes * ((size_t)longest + 1) + 1, sizeof *d.types), 0};
    size_t at = 0;
    for (int c = 0; c < classes; c++) {
        if (sipdetect_class_train(model, c) == 0)
            continue;
        int length = sipdetect_class_dialog(model, c, d.types + at, longest);
        d.messages += (size_t)length;
        at += (size_t)length + 1;
    }
    if (d.messages == 0)
        fail("the model knows no dialog");
    return d;
}

/* One pass over the dialogs; `ns` (may be NULL) receives the time of each push. */
static size_t follow(sipdetect_worker *worker, sipdetect_dialog *dialog, const dialogs *d, double *ns,
                     size_t most)
{
    sipdetect_verdict verdict;
    size_t pushes = 0;
    sipdetect_dialog_reset(dialog);
    for (const uint16_t *type = d->types; pushes < d->messages && pushes < most; type++) {
        if (*type == 0) {
            sipdetect_dialog_reset(dialog);
            continue;
        }
        double start = ns ? now() : 0;
        sipdetect_status status = sipdetect_push(worker, dialog, *type, &verdict);
        if (ns)
            ns[pushes] = 1e9 * (now() - start);
        pushes++;
        check(status);
        if (verdict.from_file != 1)
            fail("a beginning of a train dialog was not in the file");
    }
    return pushes;
}

static void time_pushes(const char *path, size_t pushes)
{
    sipdetect_model *model;
    sipdetect_worker *worker;
    sipdetect_dialog *dialog;
    check(sipdetect_open(&model, path, NULL));
    check(sipdetect_worker_open(&worker, model, NULL));
    check(sipdetect_dialog_open(&dialog, model));
    const dialogs d = read_dialogs(model);
    double *ns = room(pushes, sizeof *ns);
    follow(worker, dialog, &d, NULL, pushes); /* warm */
    size_t count = 0;
    while (count < pushes)
        count += follow(worker, dialog, &d, ns + count, pushes - count);
    qsort(ns, count, sizeof *ns, compare);
    double start = now();
    size_t plain = 0;
    while (plain < pushes)
        plain += follow(worker, dialog, &d, NULL, pushes - plain);
    double mean = 1e9 * (now() - start) / (double)plain;
    printf("\"push_ns\": {\"median\": %.1f, \"p99\": %.1f, \"mean_without_clock\": %.1f, \"pushes\": %zu}, ",
           quantile(ns, count, 0.5), quantile(ns, count, 0.99), mean, count);
    free(ns);
    free(d.types);
    sipdetect_dialog_close(dialog);
    sipdetect_worker_close(worker);
    sipdetect_close(model);
}

/* The median over blocks, which leaves out what other processes take. */
static double clock_cost(void)
{
    enum { BLOCKS = 1001, TIMES = 100 };
    double *ns = room(BLOCKS, sizeof *ns);
    for (int b = 0; b < BLOCKS; b++) {
        double start = now();
        for (int i = 0; i < TIMES; i++)
            now();
        ns[b] = 1e9 * (now() - start) / TIMES;
    }
    qsort(ns, BLOCKS, sizeof *ns, compare);
    double median = ns[BLOCKS / 2];
    free(ns);
    return median;
}

int main(int argc, char **argv)
{
    if (argc != 4 || atoi(argv[2]) < 1 || atoi(argv[3]) < 1)
        fail("usage: bench_detectors MODEL.sipm OPENINGS PUSHES");
    printf("{");
    time_openings(argv[1], atoi(argv[2]), 0, "open_ms");
    time_openings(argv[1], atoi(argv[2]), 1, "open_cold_ms");
    time_pushes(argv[1], (size_t)atoi(argv[3]));
    printf("\"clock_ns\": %.1f}\n", clock_cost());
    return 0;
}
