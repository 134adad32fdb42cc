#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX 1024

static _Thread_local char message[MESSAGE_MAX];
static _Thread_local char origin[128];

/* Messages quote names from files and the command line: keep them to one printable line. */
static void make_printable(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

sg_status sg_fail_at(const char *file, int line, sg_status status, const char *format, ...)
{
    char text[MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    make_printable(text);
    memcpy(message, text, sizeof message);
    const char *base = strstr(file, "src/");
    snprintf(origin, sizeof origin, "%s:%d", base ? base : file, line);
    return status;
}

sg_status sg_fail_prefix(sg_status status, const char *format, ...)
{
    char prefix[MESSAGE_MAX], text[2 * MESSAGE_MAX + 2];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    make_printable(prefix);
    snprintf(text, sizeof text, "%s: %s", prefix, message);
    text[MESSAGE_MAX - 1] = '\0';
    memcpy(message, text, MESSAGE_MAX);
    return status;
}

const char *sg_error_text(void)
{
    return message;
}

const char *sg_error_origin(void)
{
    return origin;
}

int sg_exit_code(sg_status status)
{
    return status == SG_OK ? 0 : status == SG_E_USAGE ? 2 : 1;
}
