/* text.h: helpers for reading SIP text, shared by frame.c and message.c; private to this room. */
#ifndef SG_SIP_TEXT_H
#define SG_SIP_TEXT_H

#include "sip/message.h"

#include <string.h>

static inline bool sg_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Blanks and the line ends of folded headers. */
static inline bool sg_is_space(char c)
{
    const uint64_t spaces = 1ull << ' ' | 1ull << '\t' | 1ull << '\r' | 1ull << '\n';
    return (unsigned char)c <= ' ' && spaces >> c & 1;
}

static inline sg_text sg_slice(const char *begin, const char *end)
{
    return (sg_text){begin, (uint32_t)(end - begin)};
}

static inline const char *sg_skip_space(const char *at, const char *end)
{
    while (at < end && sg_is_space(*at))
        at++;
    return at;
}

static inline const char *sg_trim_space(const char *begin, const char *end)
{
    while (end > begin && sg_is_space(end[-1]))
        end--;
    return end;
}

/* Whether 8, 4 or 1 bytes at `text` are those at `lower`, in any case of its letters: in ASCII small letters
 * have bit 6, which capitals share and digits and the signs of names lack, and bit 5 besides. */
static inline bool sg_same_8(const char *text, const char *lower)
{
    uint64_t t, l;
    memcpy(&t, text, sizeof t);
    memcpy(&l, lower, sizeof l);
    return (t | (l & 0x4040404040404040u) >> 1) == l;
}

static inline bool sg_same_4(const char *text, const char *lower)
{
    uint32_t t, l;
    memcpy(&t, text, sizeof t);
    memcpy(&l, lower, sizeof l);
    return (t | (l & 0x40404040u) >> 1) == l;
}

static inline bool sg_same_1(const char *text, const char *lower)
{
    return (*text | (*lower & 0x40) >> 1) == *lower;
}

/* Whether `length` bytes at `text` are `lower`, a constant of small letters, digits and signs, in any case.
 */
static inline __attribute__((always_inline)) bool sg_same_name(const char *text, const char *lower,
                                                               size_t length)
{
    size_t n = 0;
    for (; n + 8 <= length; n += 8)
        if (!sg_same_8(text + n, lower + n))
            return false;
    if (length >= 8)
        return length == n || sg_same_8(text + length - 8, lower + length - 8);
    if (length >= 4)
        return sg_same_4(text, lower) && sg_same_4(text + length - 4, lower + length - 4);
    for (; n < length; n++)
        if (!sg_same_1(text + n, lower + n))
            return false;
    return true;
}

/* Reads digits; the value saturates at UINT64_MAX.  Returns where they end, `at` if there are none. */
static inline const char *sg_read_digits(const char *at, const char *end, uint64_t *value)
{
    uint64_t sum = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        unsigned digit = (unsigned)(*at - '0');
        sum = sum > (UINT64_MAX - digit) / 10 ? UINT64_MAX : sum * 10 + digit;
    }
    *value = sum;
    return at;
}

/* A header value that is a number and nothing else. */
static inline bool sg_read_number(const char *begin, const char *end, uint64_t *value)
{
    begin = sg_skip_space(begin, end);
    end = sg_trim_space(begin, end);
    return begin < end && sg_read_digits(begin, end, value) == end;
}

typedef enum {
    SG_START_NONE,    /* nothing of SIP/2.0 begins here */
    SG_START_PARTIAL, /* a start line may begin here; its end has not arrived */
    SG_START_REQUEST,
    SG_START_STATUS
} sg_start;

typedef struct {
    sg_text method, uri; /* of a request */
    sg_text code;        /* of a status line: the digits */
    size_t size;         /* with the line end */
} sg_start_line;

/* Reads the start line at `data`.  In a datagram (`whole`), the line may end with the data. */
sg_start sg_read_start_line(const char *data, size_t size, bool whole, sg_start_line *line);

/* Where the header line that begins at `at` < `end` ends: past its LF, with the lines folded onto it; `end`
 * if no LF comes.  *text_end is the end of what it says; that is `at` for the empty line, onto which nothing
 * folds. */
static inline const char *sg_header_end(const char *at, const char *end, const char **text_end)
{
    for (const char *from = at;;) {
        const char *feed = memchr(from, '\n', (size_t)(end - from));
        if (!feed)
            return *text_end = end;
        *text_end = feed > at && feed[-1] == '\r' ? feed - 1 : feed;
        if (*text_end == at || feed + 1 == end || !sg_is_blank(feed[1]))
            return feed + 1;
        from = feed + 1;
    }
}

/* Whether the name of `length` bytes is that of the Content-Length header. */
static inline bool sg_is_content_length(const char *name, size_t length)
{
    return (length == 1 && (*name | 0x20) == 'l') ||
           (length == 14 && sg_same_name(name, "content-length", 14));
}

#endif
