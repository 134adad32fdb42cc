#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PLAIN_INTERVAL_S 15.0

/* The terminal is one per process, and so is what was last drawn on it. */
static struct {
    sg_log_level level;
    bool line_open;
    double last_plain;
} terminal = {SG_LOG_NORMAL, false, -1e9};

void sg_log_set_level(sg_log_level level)
{
    terminal.level = level;
}

sg_log_level sg_log_get_level(void)
{
    return terminal.level;
}

static void clear_line(void)
{
    if (terminal.line_open)
        fputs("\r\033[K", stderr);
    terminal.line_open = false;
}

static void print_line(const char *prefix, const char *format, va_list args)
{
    clear_line();
    fputs(prefix, stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void sg_note(const char *format, ...)
{
    if (terminal.level < SG_LOG_NORMAL)
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
    if (terminal.level < SG_LOG_VERBOSE)
        return;
    va_list args;
    va_start(args, format);
    print_line("  ", format, args);
    va_end(args);
}

void sg_progress(bool milestone, const char *format, ...)
{
    if (terminal.level < SG_LOG_NORMAL)
        return;
    bool tty = isatty(STDERR_FILENO);
    double now = sg_seconds();
    if (!tty && !milestone && now - terminal.last_plain < PLAIN_INTERVAL_S)
        return;
    va_list args;
    va_start(args, format);
    if (tty)
        fputs("\r\033[K", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    if (!tty)
        fputc('\n', stderr);
    terminal.line_open = tty;
    terminal.last_plain = now;
    fflush(stderr);
}

void sg_progress_end(void)
{
    if (terminal.line_open)
        fputc('\n', stderr);
    terminal.line_open = false;
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
