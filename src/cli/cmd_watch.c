/* cmd_watch.c: `sipgpu watch`: follows SIP dialogs in captures, on an interface or from HEP, and raises
 * alerts. */
#include "base/files.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/signals.h"
#include "capture/capture.h"
#include "cli/cli.h"
#include "watch/privileges.h"
#include "watch/report.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAIT_MS = 200, POLL_EVERY = 256 /* messages */ };

typedef struct {
    sg_common_options common;
    char model[SG_TEXT_MAX], interface[SG_TEXT_MAX], dev[SG_TEXT_MAX], bpf[SG_TEXT_MAX], hep_key[SG_TEXT_MAX];
    sg_text_list read, input, hep, hep_allow, trust;
    char detectors[SG_TEXT_MAX], eve[SG_TEXT_MAX], fail2ban[SG_TEXT_MAX], out[SG_TEXT_MAX];
    char metrics[SG_TEXT_MAX], labels[SG_TEXT_MAX], user[SG_TEXT_MAX], device[SG_TEXT_MAX];
    int rule, precision;
    int64_t threads, limit, batch, queue, quiet_s, duplicates_ms;
    int64_t flood, scan, enumeration, guessing, half_open;
    bool syslog, live, json, force, no_promiscuous;
} watch_options;

#define AT(member) SG_KEY(watch_options, member)

static const sg_option table[] = {
    SG_TEXT(AT(model), "MODEL", "model file that `train` wrote", .letter = 'm', .required = true),
    SG_LIST(AT(read), "FILE",
            "capture to read (pcap, pcapng, gzipped, HEP in them; - for standard input); several times",
            .letter = 'r'),
    SG_LIST(AT(input), "FILE", "the same", .letter = 'I'),
    SG_TEXT(AT(interface), "DEV", "interface to listen on; any for all", .letter = 'i'),
    SG_TEXT(AT(dev), "DEV", "the same", .letter = 'd'),
    SG_TEXT(AT(bpf), "FILTER", "capture filter; words after the options are one, too"),
    SG_LIST(AT(hep), "udp:[ADDR:]PORT", "listen for HEP v1, v2, v3 (udp: or tcp:); several times",
            .letter = 'L'),
    SG_LIST(AT(hep_allow), "ADDR[/BITS]", "senders of HEP that are listened to; all if left out"),
    SG_TEXT(AT(hep_key), "KEY", "authentication key that HEP v3 must bear"),
    SG_FLAG(AT(no_promiscuous), "do not put the interface into promiscuous mode", .letter = 'p'),
    SG_INT(AT(duplicates_ms), "0", 0, 10000,
           "leave out identical datagrams within so many milliseconds (span ports)"),
    SG_TEXT(AT(detectors), "LIST",
            "what raises alerts: network, prefixes (the trie of known beginnings), protocol, sources",
            .fallback = "network,protocol,sources"),
    SG_ENUM(AT(rule), "both", SG_RULE_CHOICES, "which moments must lie below their limit"),
    SG_TEXT(AT(eve), "FILE", "alerts as JSON lines: a file, - for standard output, unix:PATH for a socket"),
    SG_FLAG(AT(syslog), "alerts to syslog"),
    SG_TEXT(AT(fail2ban), "FILE", "one fixed line an alert, for fail2ban"),
    SG_FLAG(AT(live), "a table of dialogs and alerts on the terminal"),
    SG_TEXT(AT(out), "FILE", "write the dialogs with alerts to a pcap", .letter = 'O'),
    SG_FLAG(AT(force), "overwrite that"),
    SG_TEXT(AT(metrics), "ADDR:PORT", "counters for Prometheus, on a loopback address"),
    SG_TEXT(AT(labels), "FILE", "compare with the truth: CSV with call_id and label (with -r only)"),
    SG_TEXT(AT(user), "USER", "become this user once everything is open"),
    SG_INT(AT(limit), "20000", 1, 1 << 26, "dialogs followed at a time; the idle oldest goes", .letter = 'l'),
    SG_INT(AT(batch), "64", 1, 4096, "beginnings of dialogs scored at once"),
    SG_INT(AT(queue), "4096", 1, 1 << 20, "beginnings that may wait; the oldest is shed"),
    SG_INT(AT(quiet_s), "32", 0, 86400, "seconds at the start in which strays are ignored"),
    SG_INT(AT(flood), "30", 0, 1000000, "requests of one source in 2 s that are a flood; 0: never"),
    SG_INT(AT(scan), "30", 0, 1000000, "Call-IDs of one source in a minute that are a scan; 0: never"),
    SG_INT(AT(enumeration), "10", 0, 1000000,
           "users asked for in a minute that are an enumeration; 0: never"),
    SG_INT(AT(guessing), "12", 0, 1000000, "refused requests in a minute that are guessing; 0: never"),
    SG_LIST(AT(trust), "ADDR[/BITS]", "addresses whose own requests are not counted: proxies, registrars"),
    SG_INT(AT(half_open), "20", 0, 1000000, "INVITEs without ACK in a minute; 0: never"),
    SG_TEXT(AT(device), "DEVICE", "what scores: auto, cpu, cuda[:N] or cudnn[:N]", .fallback = "cpu"),
    SG_ENUM(AT(precision), "auto", SG_PRECISION_CHOICES, "what products are computed in"),
    SG_INT(AT(threads), "1", 1, 1024, "threads that score"),
    SG_FLAG(AT(json), "the summary as one JSON object"),
    SG_COMMON_OPTIONS(watch_options),
};

static const char about[] =
    "Follows SIP dialogs by Call-ID and raises an alert where one is unlike what the model was trained\n"
    "on, breaks the protocol, or where a source floods, scans, enumerates or guesses.  Reads captures,\n"
    "an interface or HEP (as kamailio's siptrace or Asterisk's res_hep send it).  SIGHUP loads the\n"
    "model again and reopens files, SIGTERM and Ctrl-C finish what is begun.";

static volatile sig_atomic_t reload_requested;

static void on_hangup(int number)
{
    (void)number;
    reload_requested = 1;
}

/* ---- options ---- */

static sg_status parse_detectors(const char *list, unsigned *detectors)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {{"network", SG_WATCH_NETWORK},
                 {"prefixes", SG_WATCH_PREFIXES},
                 {"protocol", SG_WATCH_PROTOCOL},
                 {"sources", SG_WATCH_SOURCES}};
    char copy[SG_TEXT_MAX];
    *detectors = 0;
    snprintf(copy, sizeof copy, "%s", list);
    for (char *save = NULL, *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i].name, word) != 0)
            i++;
        if (i == sizeof known / sizeof *known)
            return sg_fail(SG_E_USAGE,
                           "--detectors: unknown '%s'; network, prefixes, protocol, sources are known", word);
        *detectors |= known[i].bit;
    }
    return *detectors ? SG_OK : sg_fail(SG_E_USAGE, "--detectors is empty");
}

static sg_status join_filter(const watch_options *o, const sg_text_list *words, char filter[SG_TEXT_MAX])
{
    size_t at = (size_t)snprintf(filter, SG_TEXT_MAX, "%s", o->bpf);
    if (words->count && at)
        return sg_fail(SG_E_USAGE, "the filter is given twice: by --bpf and by '%s'", words->items[0]);
    for (size_t i = 0; i < words->count; i++) {
        int n = snprintf(filter + at, SG_TEXT_MAX - at, "%s%s", i ? " " : "", words->items[i]);
        at += (size_t)n;
        if (at >= SG_TEXT_MAX)
            return sg_fail(SG_E_USAGE, "the filter is too long");
    }
    return SG_OK;
}

static sg_status check_options(watch_options *o)
{
    for (size_t i = 0; i < o->input.count; i++)
        SG_TRY(sg_text_list_add(&o->read, o->input.items[i]));
    if (o->dev[0] && o->interface[0])
        return sg_fail(SG_E_USAGE, "one interface at a time: -i %s, -d %s", o->interface, o->dev);
    if (o->dev[0])
        strcpy(o->interface, o->dev);
    bool live = o->interface[0] || o->hep.count;
    if (!live && !o->read.count)
        return sg_fail(SG_E_USAGE, "watch needs a source: -r FILE, -i DEV or -L udp:ADDR:PORT");
    if (live && o->labels[0])
        return sg_fail(SG_E_USAGE, "--labels is for captures that are read (-r)");
    return SG_OK;
}

/* ---- opening ---- */

typedef struct {
    const watch_options *options;
    sg_capture *capture;
    sg_follow *follow;
    sg_alerts *alerts;
    sg_pcap_out *out;
    sg_metrics *metrics;
    sg_labels *labels;
    sg_network *trusted;
    sg_watch_snapshot snapshot;
    bool live;
    double start;
} watch;

static sg_status open_capture(const watch_options *o, const char *filter, watch *w)
{
    sg_capture_options c;
    sg_capture_defaults(&c);
    c.files = o->read.items;
    c.file_count = o->read.count;
    c.interface = o->interface[0] ? o->interface : NULL;
    c.filter = filter[0] ? filter : NULL;
    c.promiscuous = !o->no_promiscuous;
    c.hep_listen = o->hep.items;
    c.hep_count = o->hep.count;
    c.hep_allow = o->hep_allow.items;
    c.hep_allow_count = o->hep_allow.count;
    c.hep_key = o->hep_key[0] ? o->hep_key : NULL;
    c.duplicate_window_us = 1000 * o->duplicates_ms;
    return sg_capture_open(&w->capture, &c);
}

static sg_status open_alerts(const watch_options *o, watch *w)
{
    bool to_stdout = !o->eve[0] && !o->fail2ban[0] && !o->syslog && !o->live && !o->json && !o->labels[0];
    const sg_alert_options a = {.eve = to_stdout ? "-" : o->eve,
                                .syslog = o->syslog,
                                .fail2ban = o->fail2ban,
                                .live = o->live,
                                .model = o->model,
                                .patient = !w->live};
    SG_TRY(sg_alerts_open(&w->alerts, &a));
    return o->out[0] ? sg_pcap_out_open(&w->out, o->out, o->force) : SG_OK;
}

static void on_ended(void *context, const sg_followed *f)
{
    watch *w = context;
    if (w->labels)
        sg_labels_dialog(w->labels, f->call_id, &f->source, f->start_us, f->last_us);
}

static sg_status on_alert(void *context, const sg_alert *alert)
{
    watch *w = context;
    return w->labels ? sg_labels_alert(w->labels, alert) : SG_OK;
}

/* A model that takes the place of one in use: what cannot be checked for damage is refused. */
static sg_status read_next_model(const char *path, sg_model *model)
{
    bool digest;
    SG_TRY(sg_model_read_digest(model, path, &digest));
    if (digest)
        return SG_OK;
    sg_model_free(model);
    return sg_fail(SG_E_FORMAT,
                   "it has no digest to check it by; start watch anew to use it, or train or import it "
                   "again");
}

/* Reads the model, the first one or the next, and opens its engine. */
static sg_status open_detector(const watch_options *o, bool next, sg_detector **detector)
{
    sg_detector_options d = {.engine = {.precision = (sg_precision)o->precision, .threads = (int)o->threads}};
    sg_model model;
    SG_TRY(sg_device_parse(o->device, &d.engine.device, &d.engine.device_index));
    SG_TRY(next ? read_next_model(o->model, &model) : sg_model_read(&model, NULL, o->model));
    sg_status status = sg_detector_open_model(detector, &model, &d);
    return status == SG_OK || next ? status : sg_fail_prefix(status, "%s", o->model);
}

static sg_status read_trusted(const watch_options *o, watch *w)
{
    SG_TRY(sg_alloc(&w->trusted, o->trust.count, "--trust"));
    for (size_t i = 0; i < o->trust.count; i++) {
        sg_status status = sg_network_read(&w->trusted[i], o->trust.items[i]);
        if (status != SG_OK)
            return sg_fail_prefix(status, "--trust");
    }
    return SG_OK;
}

static sg_status open_follow(const watch_options *o, watch *w)
{
    sg_follow_options f;
    sg_detector *detector;
    sg_follow_defaults(&f);
    SG_TRY(parse_detectors(o->detectors, &f.detectors));
    f.rule = (sg_rule)o->rule;
    f.tracker.dialogs_max = o->limit;
    f.sources.flood_requests = o->flood;
    f.sources.scan_call_ids = o->scan;
    f.sources.enumerated_users = o->enumeration;
    f.sources.failures = o->guessing;
    f.sources.half_open = o->half_open;
    f.trusted = w->trusted;
    f.trusted_count = o->trust.count;
    f.quiet_us = 1000000 * o->quiet_s;
    f.batch = (int)o->batch;
    f.queue = (int)o->queue;
    f.live = w->live;
    f.alerts = w->alerts;
    f.out = w->out;
    f.ended = on_ended;
    f.alerted = on_alert;
    f.context = w;
    SG_TRY(open_detector(o, false, &detector));
    sg_status status = sg_follow_open(&w->follow, detector, &f);
    return status == SG_OK ? SG_OK : sg_fail_prefix(status, "%s", o->model);
}

/* Devices and files first, then privileges go, then threads start. */
static sg_status open_watch(const watch_options *o, const char *filter, watch *w)
{
    *w = (watch){.options = o, .live = o->interface[0] || o->hep.count, .start = sg_seconds()};
    SG_TRY(read_trusted(o, w));
    SG_TRY(open_capture(o, filter, w));
    SG_TRY(open_alerts(o, w));
    if (o->labels[0])
        SG_TRY(sg_labels_open(&w->labels, o->labels));
    if (o->metrics[0]) {
        SG_TRY(sg_metrics_open(&w->metrics, o->metrics, 0));
        SG_TRY(sg_watch_register(w->metrics, &w->snapshot));
    }
    if (w->live || o->user[0])
        SG_TRY(sg_privileges_drop(o->user));
    return open_follow(o, w);
}

static sg_status close_watch(watch *w, sg_status status)
{
    sg_follow_close(w->follow);
    sg_alerts_close(w->alerts);
    sg_metrics_close(w->metrics);
    sg_labels_close(w->labels);
    sg_capture_close(w->capture);
    free(w->trusted);
    sg_status closed = w->out ? sg_pcap_out_close(w->out) : SG_OK;
    return status == SG_OK ? closed : status;
}

/* ---- running ---- */

static int64_t wall_clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void take_snapshot(watch *w)
{
    if (w->alerts)
        sg_alerts_counts(w->alerts, NULL, &w->snapshot.alerts_lost);
    sg_follow_counts_now(w->follow, &w->snapshot.follow);
    sg_capture_counts(w->capture, &w->snapshot.capture);
}

/* SIGHUP: the model again, and files under their names.  A model that cannot be used leaves the old one. */
static void reload(watch *w)
{
    sg_detector *detector;
    reload_requested = 0;
    sg_alerts_reopen(w->alerts);
    sg_status status = open_detector(w->options, true, &detector);
    if (status == SG_OK)
        status = sg_follow_reload(w->follow, detector);
    if (status == SG_OK)
        sg_note("%s loaded again", w->options->model);
    else
        sg_warn("%s was not loaded again: %s", w->options->model, sg_error_text());
}

/* Draws the table if it is due, and sends what waits. */
static void tick_alerts(watch *w)
{
    sg_view view;
    bool due = sg_alerts_view_due(w->alerts);
    if (due) {
        sg_capture_counts(w->capture, &w->snapshot.capture);
        sg_follow_view(w->follow, &view);
        view.dropped = w->snapshot.capture.count[SG_COUNT_KERNEL_DROPS];
    }
    sg_alerts_tick(w->alerts, due ? &view : NULL);
}

/* What is done besides messages. */
static sg_status tend(watch *w, bool idle)
{
    if (reload_requested)
        reload(w);
    if (w->live)
        SG_TRY(sg_follow_poll(w->follow, idle ? wall_clock_us() : 0));
    if (w->metrics) {
        take_snapshot(w);
        sg_metrics_poll(w->metrics);
    }
    tick_alerts(w);
    return SG_OK;
}

/* A source that broke is closed; the others go on, and the run counts as failed in the end. */
static sg_status next_message(watch *w, sg_capture_event *event, sg_capture_item *item, sg_status *broken)
{
    sg_status status = sg_capture_next(w->capture, WAIT_MS, event, item);
    if (status != SG_E_FORMAT && status != SG_E_IO)
        return status;
    if (*broken == SG_OK)
        *broken = status;
    sg_warn("%s", sg_error_text());
    *event = SG_CAPTURE_TIME_OUT;
    return SG_OK;
}

static sg_status run_loop(watch *w, const volatile sig_atomic_t *stop)
{
    sg_capture_event event = SG_CAPTURE_TIME_OUT;
    sg_capture_item item;
    sg_status broken = SG_OK;
    uint64_t messages = 0;
    while (!*stop && event != SG_CAPTURE_END) {
        SG_TRY(next_message(w, &event, &item, &broken));
        if (event == SG_CAPTURE_MESSAGE)
            SG_TRY(sg_follow_message(w->follow, &item));
        if (event == SG_CAPTURE_TIME_OUT || ++messages % POLL_EVERY == 0)
            SG_TRY(tend(w, event == SG_CAPTURE_TIME_OUT));
    }
    SG_TRY(sg_follow_flush(w->follow));
    return broken == SG_OK ? SG_OK : sg_fail(broken, "a source broke; see the warning above");
}

static sg_status report(watch *w, bool json)
{
    take_snapshot(w);
    sg_alerts_close(w->alerts); /* before the summary: it may hold the terminal */
    w->alerts = NULL;
    if (w->labels)
        SG_TRY(sg_labels_check(w->labels));
    const sg_watch_summary summary = {.model = w->options->model,
                                      .engine = sg_follow_engine(w->follow),
                                      .seconds = sg_seconds() - w->start,
                                      .snapshot = &w->snapshot,
                                      .labels = w->labels};
    return json ? sg_watch_report_json(&summary, stdout) : sg_watch_report_text(&summary, stderr);
}

static sg_status run(const sg_call *call)
{
    watch_options *o = call->options;
    char filter[SG_TEXT_MAX];
    watch w;
    SG_TRY(check_options(o));
    SG_TRY(join_filter(o, call->words, filter));
    sg_status status = open_watch(o, filter, &w);
    if (status == SG_OK) {
        struct sigaction hangup = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};
        sigemptyset(&hangup.sa_mask);
        sigaction(SIGHUP, &hangup, NULL);
        const volatile sig_atomic_t *stop = sg_signals_install();
        status = run_loop(&w, stop);
        char text[512];
        snprintf(text, sizeof text, "%s", status == SG_OK ? "" : sg_error_text());
        sg_status told = report(&w, o->json);
        /* What went wrong first is what is said. */
        status = status == SG_OK ? told : sg_fail(status, "%s", text);
    }
    return close_watch(&w, status);
}

SG_COMMAND(watch, "watch", "follow SIP traffic and raise alerts", about, table, watch_options, run,
           .words = "[FILTER...]", .words_max = SG_TEXT_LIST_MAX);
