#include "sip/frame.h"

#include "sip/text.h"

/* Bytes of a token (RFC 3261, 25.1), which is what a method is. */
static const bool token_byte[256] = {
    ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true, ['.'] = true,
    ['!'] = true,         ['%'] = true,         ['*'] = true,         ['_'] = true, ['+'] = true,
    ['`'] = true,         ['\''] = true,        ['~'] = true,
};

static const char version[] = "sip/2.0";
enum { VERSION = sizeof version - 1 };

/* "SIP/2.0 200 OK": the reason may be missing, and so may the space before it. */
static sg_start read_status_line(const char *at, const char *end, sg_start_line *line)
{
    uint64_t ignored;
    while (at < end && sg_is_blank(*at))
        at++;
    const char *after = sg_read_digits(at, end, &ignored);
    line->code = sg_slice(at, after);
    return after > at && (after == end || sg_is_space(*after)) ? SG_START_STATUS : SG_START_NONE;
}

/* "INVITE sip:bob@biloxi.com SIP/2.0": the line ends with the version; the URI is in between.
 */
static sg_start read_request_line(const char *begin, const char *method_end, const char *end,
                                  sg_start_line *line)
{
    end = sg_trim_space(method_end, end);
    if (end - method_end < VERSION + 3 || !sg_same_name(end - VERSION, version, VERSION))
        return SG_START_NONE;
    end -= VERSION;
    if (!sg_is_blank(end[-1]))
        return SG_START_NONE;
    const char *uri = sg_skip_space(method_end, end);
    end = sg_trim_space(uri, end);
    line->method = sg_slice(begin, method_end);
    line->uri = sg_slice(uri, end);
    return uri < end ? SG_START_REQUEST : SG_START_NONE;
}

sg_start sg_read_start_line(const char *data, size_t size, bool whole, sg_start_line *line)
{
    memset(line, 0, sizeof *line);
    if (size == 0)
        return SG_START_NONE;
    const char *end = data + size, *at = data;
    while (at < end && token_byte[(unsigned char)*at])
        at++;
    /* A status line begins with a token as well, "SIP", and goes on with a slash. */
    bool status = at - data == 3 && sg_same_name(data, version, 3);
    if (at == end)
        return whole ? SG_START_NONE : SG_START_PARTIAL;
    if (at == data || (!sg_is_blank(*at) && !(status && *at == '/')))
        return SG_START_NONE;
    const char *feed = memchr(at, '\n', (size_t)(end - at));
    if (!feed && !whole)
        return SG_START_PARTIAL;
    line->size = feed ? (size_t)(feed + 1 - data) : size;
    end = feed ? feed : end;
    if (*at != '/')
        return read_request_line(data, at, end, line);
    if (end - data > VERSION + 1 && sg_same_name(data, version, VERSION) && sg_is_blank(data[VERSION]))
        return read_status_line(data + VERSION + 1, end, line);
    return SG_START_NONE;
}

/* CR, LF and NUL bytes that user agents send to keep a binding or connection alive (RFC 5626, 3.5.1). */
static size_t count_keep_alive(const char *data, size_t size)
{
    size_t n = 0;
    while (n < size && (data[n] == '\r' || data[n] == '\n' || data[n] == '\0'))
        n++;
    return n;
}

sg_frame sg_sip_frame_datagram(const char *data, size_t size, size_t *length)
{
    sg_start_line line;
    if ((*length = count_keep_alive(data, size)) > 0)
        return SG_FRAME_KEEP_ALIVE;
    if (sg_read_start_line(data, size, true, &line) == SG_START_NONE)
        return SG_FRAME_NOT_SIP;
    *length = size;
    return SG_FRAME_COMPLETE;
}

/* The value of a Content-Length line, or false if it is another line or cannot be read. */
static bool read_content_length(const char *at, const char *end, uint64_t *value, bool *found)
{
    const char *colon = memchr(at, ':', (size_t)(end - at));
    if (!colon || !sg_is_content_length(at, (size_t)(sg_trim_space(at, colon) - at)))
        return false;
    *found = true;
    return sg_read_number(colon + 1, end, value);
}

/* Finds the empty line after the headers and the Content-Length on the way.  Returns where the body begins,
 * or NULL if the empty line is not among the bytes. */
static const char *find_body(const char *at, const char *end, uint64_t *content_length)
{
    bool found = false;
    *content_length = 0;
    while (at < end) {
        const char *text_end, *next = sg_header_end(at, end, &text_end);
        uint64_t value;
        if (next[-1] != '\n')
            return NULL;
        if (text_end == at)
            return next;
        char first = *at | 0x20;
        if (!found && (first == 'c' || first == 'l') && read_content_length(at, text_end, &value, &found))
            *content_length = value;
        at = next;
    }
    return NULL;
}

sg_frame sg_sip_frame_stream(const char *data, size_t size, size_t header_max, size_t body_max,
                             size_t *length)
{
    sg_start_line line;
    uint64_t content_length;
    if ((*length = count_keep_alive(data, size)) > 0)
        return SG_FRAME_KEEP_ALIVE;
    size_t look = size < header_max ? size : header_max;
    sg_start start = sg_read_start_line(data, look, false, &line);
    if (start == SG_START_NONE && size > 0)
        return SG_FRAME_NOT_SIP;
    const char *body =
        start > SG_START_PARTIAL ? find_body(data + line.size, data + look, &content_length) : NULL;
    if (!body) {
        *length = size + 1;
        return size >= header_max ? SG_FRAME_NOT_SIP : SG_FRAME_INCOMPLETE;
    }
    size_t header = (size_t)(body - data);
    if (content_length > body_max || content_length > SIZE_MAX - header)
        return SG_FRAME_NOT_SIP;
    *length = header + (size_t)content_length;
    return *length <= size ? SG_FRAME_COMPLETE : SG_FRAME_INCOMPLETE;
}

size_t sg_sip_frame_resync(const char *data, size_t size)
{
    sg_start_line line;
    if (size == 0)
        return 0;
    const char *at = data, *end = data + size;
    while (at < end) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        at = feed ? feed + 1 : end;
        if (at < end && sg_read_start_line(at, (size_t)(end - at), false, &line) != SG_START_NONE)
            break;
    }
    return (size_t)(at - data);
}
