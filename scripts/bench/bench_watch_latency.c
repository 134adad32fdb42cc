/* bench_watch_latency.c: how long one SIP message takes from the capture file to the end of its handling, as
 * one JSON object; for scripts/bench/bench_watch, which compiles it against the rooms of a build.
 *
 *     bench_watch_latency MODEL CAPTURE
 *
 * Each message is timed by itself, with what the packets before it cost that held none.  The clock's own cost
 * is in each figure and told beside them.
 */
#include "base/files.h"
#include "base/memory.h"
#include "capture/capture.h"
#include "watch/follow.h"

#include <stdlib.h>
#include <time.h>

enum { BINS = 1 << 20, STEP_NS = 10 }; /* beyond 10 ms a time counts as that */

typedef struct {
    uint32_t bin[BINS];
    uint64_t count;
    double sum_ns;
} histogram;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void add(histogram *h, int64_t ns)
{
    int64_t bin = ns / STEP_NS;
    h->bin[bin < 0 ? 0 : bin < BINS ? bin : BINS - 1]++;
    h->count++;
    h->sum_ns += (double)ns;
}

static double quantile_us(const histogram *h, double q)
{
    uint64_t wanted = (uint64_t)(q * (double)h->count), sum = 0;
    for (int i = 0; i < BINS; i++)
        if ((sum += h->bin[i]) > wanted)
            return 1e-3 * STEP_NS * (i + 1);
    return 1e-3 * STEP_NS * BINS;
}

static double clock_cost_ns(void)
{
    enum { TIMES = 100000 };
    int64_t start = now_ns();
    for (int i = 0; i < TIMES; i++)
        now_ns();
    return (double)(now_ns() - start) / TIMES;
}

static sg_status open_both(const char *model_path, const char *path, sg_capture **capture, sg_follow **follow)
{
    sg_capture_options c;
    sg_follow_options f;
    sg_detector *detector;
    const sg_detector_options d = {.engine = {.threads = 1}};
    sg_capture_defaults(&c);
    c.files = &path;
    c.file_count = 1;
    sg_follow_defaults(&f);
    SG_TRY(sg_detector_open(&detector, model_path, &d));
    SG_TRY(sg_follow_open(follow, detector, &f));
    return sg_capture_open(capture, &c);
}

static sg_status time_messages(sg_capture *capture, sg_follow *follow, histogram *h)
{
    sg_capture_event event;
    sg_capture_item item;
    for (;;) {
        int64_t start = now_ns();
        SG_TRY(sg_capture_next(capture, -1, &event, &item));
        if (event == SG_CAPTURE_END)
            return SG_OK;
        SG_TRY(sg_follow_message(follow, &item));
        add(h, now_ns() - start);
    }
}

static sg_status run(const char *model, const char *path)
{
    histogram *h;
    sg_capture *capture = NULL;
    sg_follow *follow = NULL;
    sg_follow_counts counts = {0};
    SG_TRY(sg_alloc(&h, 1, "times"));
    sg_status status = open_both(model, path, &capture, &follow);
    if (status == SG_OK)
        status = time_messages(capture, follow, h);
    if (status == SG_OK)
        status = sg_follow_flush(follow);
    if (status == SG_OK) {
        sg_follow_counts_now(follow, &counts);
        printf("{\"messages\": %llu, \"prefix_hits\": %llu, \"scored\": %llu, \"clock_ns\": %.1f, "
               "\"mean_us\": %.4f, \"p50_us\": %.3f, \"p90_us\": %.3f, \"p99_us\": %.3f, "
               "\"p999_us\": %.3f, \"p9999_us\": %.3f}\n",
               (unsigned long long)counts.messages, (unsigned long long)counts.prefix_hits,
               (unsigned long long)counts.scored, clock_cost_ns(), 1e-3 * h->sum_ns / (double)h->count,
               quantile_us(h, 0.5), quantile_us(h, 0.9), quantile_us(h, 0.99), quantile_us(h, 0.999),
               quantile_us(h, 0.9999));
    }
    sg_follow_close(follow);
    sg_capture_close(capture);
    free(h);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: bench_watch_latency MODEL CAPTURE\n");
        return 2;
    }
    sg_status status = run(argv[1], argv[2]);
    if (status != SG_OK)
        fprintf(stderr, "bench_watch_latency: %s\n", sg_error_text());
    return sg_exit_code(status);
}
