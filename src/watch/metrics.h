/* metrics.h: counters and gauges for Prometheus, over HTTP/1.1 on a loopback address (text format 0.0.4:
 * prometheus.io/docs/instrumenting/exposition_formats).
 *
 * The caller's loop drives the server (sg_metrics_poll), so that whatever is read for a scrape belongs to one
 * thread; no call waits for a client.  It answers GET /metrics and GET /healthz and closes.  A client has
 * `timeout_s` for its request and as long for the answer; when all places are taken, the oldest client goes.
 *
 * Names, labels and their values are fixed when a metric is added: nothing from the wire becomes a label.
 */
#ifndef SG_WATCH_METRICS_H
#define SG_WATCH_METRICS_H

#include "base/status.h"
#include <stdint.h>
#include <stdio.h>

typedef enum { SG_METRIC_COUNTER, SG_METRIC_GAUGE } sg_metric_type;

enum { SG_METRICS_MAX = 2048, SG_METRIC_LABELS = 3, SG_METRIC_VALUE_MAX = 64 };

/* One series.  Texts are copied. */
typedef struct {
    const char *name; /* "sipgpu_messages_total": letters, digits, '_', ':' */
    const char *help; /* the same for all series of a name, as is the type */
    sg_metric_type type;
    struct {
        const char *name;  /* NULL: no more labels */
        const char *value; /* printable ASCII, at most SG_METRIC_VALUE_MAX bytes */
    } label[SG_METRIC_LABELS];

    /* The value: a count that lives as long as the metrics, or a function. */
    const uint64_t *count;
    double (*read)(const void *context);
    const void *context;
} sg_metric;

typedef struct sg_metrics sg_metrics;

/* Listens at `address`: "127.0.0.1:9469", "[::1]:9469", "localhost:9469", "9469"; port 0 takes any.
 * timeout_s 0: 5 seconds.  SG_E_USAGE for an address that is none or not of this machine alone, SG_E_IO if
 * it cannot be had.  `address` NULL: no server, for sg_metrics_write alone. */
sg_status sg_metrics_open(sg_metrics **metrics, const char *address, double timeout_s);
void sg_metrics_close(sg_metrics *metrics); /* NULL is fine */

/* SG_E_INTERNAL for a name, label or value that is not as above, a series twice, another type or help for a
 * known name, or more than SG_METRICS_MAX series. */
sg_status sg_metrics_add(sg_metrics *metrics, const sg_metric *metric);

/* Accepts, reads and answers, as far as that goes without waiting.  To be called several times a second;
 * calls less than 10 ms after the last do nothing, so that it may stand in a busy loop.  NULL is fine. */
void sg_metrics_poll(sg_metrics *metrics);

/* All metrics as /metrics has them. */
void sg_metrics_write(const sg_metrics *metrics, FILE *out);

/* The port that the server is bound to; 0 without a server. */
uint16_t sg_metrics_port(const sg_metrics *metrics);

#endif
