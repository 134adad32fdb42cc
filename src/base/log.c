#include "base/log.h"

#include "base/status.h"
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#define PLAIN_INTERVAL_S 15.0
#define LONG_AGO         -1e9

static sg_log_level process_level = SG_LOG_NORMAL;

/* What this thread writes to and last wrote there.  Threads without a sink share the terminal; only one of
 * them draws a progress line. */
static _Thread_local struct {
    FILE *sink; /* NULL: standard error */
    sg_log_level sink_level;
    bool line_open;
    double last_plain;
} here = {.last_plain = LONG_AGO};

void sg_log_set_level(sg_log_level level)
{
    *(here.sink ? &here.sink_level : &process_level) = level;
}

sg_log_level sg_log_get_level(void)
{
    return here.sink ? here.sink_level : process_level;
}

void sg_log_set_sink(FILE *sink)
{
    sg_progress_end();
    here.sink = sink;
    here.sink_level = SG_LOG_NORMAL;
    here.last_plain = LONG_AGO;
}

static FILE *stream(void)
{
    return here.sink ? here.sink : stderr;
}

static void clear_line(void)
{
    if (here.line_open)
        fputs("\r\033[K", stderr);
    here.line_open = false;
}

static void print_line(const char *prefix, const char *format, va_list args)
{
    clear_line();
    fputs(prefix, stream());
    vfprintf(stream(), format, args);
    fputc('\n', stream());
    fflush(stream());
}

void sg_note(const char *format, ...)
{
    if (sg_log_get_level() < SG_LOG_NORMAL)
        return;
    va_list args;
    va_start(args, format);
    print_line("", format, args);
    va_end(args);
}

void sg_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_line("warning: ", format, args);
    va_end(args);
}

void sg_detail(const char *format, ...)
{
    if (sg_log_get_level() < SG_LOG_VERBOSE)
        return;
    va_list args;
    va_start(args, format);
    print_line("  ", format, args);
    va_end(args);
}

void sg_log_error(void)
{
    sg_progress_end();
    fprintf(stream(), "sipgpu: %s\n", sg_error_text());
    if (sg_log_get_level() >= SG_LOG_VERBOSE)
        fprintf(stream(), "sipgpu: (from %s)\n", sg_error_origin());
    fflush(stream());
}

void sg_progress(bool milestone, const char *format, ...)
{
    if (sg_log_get_level() < SG_LOG_NORMAL)
        return;
    bool tty = !here.sink && isatty(STDERR_FILENO);
    double now = sg_seconds();
    if (!tty && !milestone && now - here.last_plain < PLAIN_INTERVAL_S)
        return;
    va_list args;
    va_start(args, format);
    if (tty)
        fputs("\r\033[K", stderr);
    vfprintf(stream(), format, args);
    va_end(args);
    if (!tty)
        fputc('\n', stream());
    here.line_open = tty;
    here.last_plain = now;
    fflush(stream());
}

void sg_progress_end(void)
{
    if (here.line_open)
        fputc('\n', stderr);
    here.line_open = false;
}

double sg_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *sg_duration_text(double seconds, char text[32])
{
    long s = seconds < 0 ? 0 : (long)(seconds + 0.5);
    if (s > 359999999)
        s = 359999999;
    if (s < 60)
        snprintf(text, 32, "%ld s", s);
    else if (s < 3600)
        snprintf(text, 32, "%ld min %02ld s", s / 60, s % 60);
    else
        snprintf(text, 32, "%ld h %02ld min", s / 3600, s % 3600 / 60);
    return text;
}
