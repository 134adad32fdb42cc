#include "sip/line.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LAST_SECOND INT64_C(253402300799) /* 9999-12-31T23:59:59 */

void sg_line_clear(sg_line *line)
{
    line->length = 0;
    line->overflow = false;
}

static void put_bytes(sg_line *line, const char *data, size_t length)
{
    if (length > sizeof line->data - line->length) {
        line->overflow = true;
        return;
    }
    memcpy(line->data + line->length, data, length);
    line->length += length;
}

void sg_line_put(sg_line *line, const char *text)
{
    put_bytes(line, text, strlen(text));
}

void sg_line_print(sg_line *line, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof text)
        line->overflow = true;
    else
        put_bytes(line, text, (size_t)length);
}

sg_text sg_text_of(const char *text)
{
    return (sg_text){text, text ? (uint32_t)strlen(text) : 0};
}

/* The length of the UTF-8 character at `at` (Unicode, table 3-7) and its code point; 0 if there is none. */
static uint32_t read_utf8(const unsigned char *at, uint32_t size, uint32_t *code)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t length = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (length == 0 || length > size || at[0] > 0xf4)
        return 0;
    *code = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    for (uint32_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (at[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code < least[length] || surrogate || *code > 0x10ffff ? 0 : length;
}

/* Characters that are always escaped because they control, reorder, hide or break text. */
static bool is_treacherous(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200b && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x2069) || code == 0xfeff ||
           (code >= 0xfff9 && code <= 0xfffb);
}

bool sg_line_json(sg_line *line, sg_text text, uint32_t cap)
{
    const unsigned char *data = (const unsigned char *)text.data;
    uint32_t at = 0, length;
    sg_line_put(line, "\"");
    for (; at < text.length; at += length) {
        uint32_t code = data[at];
        length = read_utf8(data + at, text.length - at, &code);
        bool valid = length > 0;
        length = valid ? length : 1;
        if (at + length > cap)
            break;
        if (!valid || is_treacherous(code))
            sg_line_print(line, "\\u%04x", valid ? code : data[at]);
        else if (code == '"' || code == '\\')
            sg_line_print(line, "\\%c", (int)code);
        else
            put_bytes(line, text.data + at, length);
    }
    sg_line_put(line, "\"");
    return at == text.length;
}

bool sg_line_plain(sg_line *line, sg_text text, uint32_t cap)
{
    uint32_t length = text.length < cap ? text.length : cap;
    for (uint32_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c > ' ' && c < 0x7f && c != '"' && c != '\\')
            put_bytes(line, text.data + i, 1);
        else
            sg_line_print(line, "\\x%02x", c);
    }
    return length == text.length;
}

void sg_line_time(sg_line *line, int64_t time_us)
{
    int64_t seconds = time_us < 0 ? 0 : time_us / 1000000, micro = time_us < 0 ? 0 : time_us % 1000000;
    if (seconds > LAST_SECOND)
        seconds = LAST_SECOND, micro = 999999;
    time_t t = (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    sg_line_print(line, "%04d-%02d-%02dT%02d:%02d:%02d.%06d+0000", tm.tm_year + 1900, tm.tm_mon + 1,
                  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)micro);
}

void sg_line_address(sg_line *line, const sg_endpoint *endpoint)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (endpoint->family == 4)
        inet_ntop(AF_INET, endpoint->address, text, sizeof text);
    else if (endpoint->family == 6)
        inet_ntop(AF_INET6, endpoint->address, text, sizeof text);
    sg_line_put(line, text);
}

void sg_line_endpoint(sg_line *line, const sg_endpoint *endpoint)
{
    sg_line_put(line, endpoint->family == 6 ? "[" : "");
    sg_line_address(line, endpoint);
    sg_line_print(line, endpoint->family == 6 ? "]:%u" : ":%u", endpoint->port);
}
