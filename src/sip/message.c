#include "sip/scan.h"
#include "sip/text.h"

/* Names are in the order of the enum. */
static const char *const method_names[SG_METHODS] = {
    "",          "OTHER",  "INVITE", "ACK",  "BYE",    "CANCEL",  "REGISTER", "OPTIONS",
    "SUBSCRIBE", "NOTIFY", "REFER",  "INFO", "UPDATE", "MESSAGE", "PUBLISH",  "PRACK",
};

const char *sg_sip_method_name(sg_sip_method method)
{
    return (unsigned)method < SG_METHODS ? method_names[method] : method_names[SG_METHOD_OTHER];
}

sg_sip_method sg_sip_method_of(sg_text name)
{
    sg_sip_method method;
    if (name.length == 0)
        return SG_METHOD_NONE;
    switch (name.data[0]) {
    case 'A':
        method = SG_METHOD_ACK;
        break;
    case 'B':
        method = SG_METHOD_BYE;
        break;
    case 'C':
        method = SG_METHOD_CANCEL;
        break;
    case 'I':
        method = name.length == 4 ? SG_METHOD_INFO : SG_METHOD_INVITE;
        break;
    case 'M':
        method = SG_METHOD_MESSAGE;
        break;
    case 'N':
        method = SG_METHOD_NOTIFY;
        break;
    case 'O':
        method = SG_METHOD_OPTIONS;
        break;
    case 'P':
        method = name.length == 5 ? SG_METHOD_PRACK : SG_METHOD_PUBLISH;
        break;
    case 'R':
        method = name.length == 5 ? SG_METHOD_REFER : SG_METHOD_REGISTER;
        break;
    case 'S':
        method = SG_METHOD_SUBSCRIBE;
        break;
    case 'U':
        method = SG_METHOD_UPDATE;
        break;
    default:
        return SG_METHOD_OTHER;
    }
    const char *known = method_names[method];
    bool same = strlen(known) == name.length && memcmp(known, name.data, name.length) == 0;
    return same ? method : SG_METHOD_OTHER;
}

/* The headers that are read. */
typedef enum {
    HEADER_REST,
    HEADER_CALL_ID, /* from here to CONTENT_LENGTH: those that may appear once; repeats must not differ */
    HEADER_CSEQ,
    HEADER_FROM,
    HEADER_TO,
    HEADER_CONTENT_LENGTH,
    HEADER_VIA,
    HEADER_USER_AGENT,
    HEADER_EVENT,
    HEADER_STATE,
    HEADER_EXPIRES,
    HEADER_CREDENTIALS,
    HEADERS
} header;

static header find_compact(char letter)
{
    switch (letter | 0x20) {
    case 'i':
        return HEADER_CALL_ID;
    case 'f':
        return HEADER_FROM;
    case 't':
        return HEADER_TO;
    case 'l':
        return HEADER_CONTENT_LENGTH;
    case 'v':
        return HEADER_VIA;
    case 'o':
        return HEADER_EVENT;
    default:
        return HEADER_REST;
    }
}

static inline __attribute__((always_inline)) header match(const char *name, const char *wanted, size_t length,
                                                          header found)
{
    return sg_same_name(name, wanted, length) ? found : HEADER_REST;
}

static header find_header(const char *name, size_t length)
{
    switch (length) {
    case 1:
        return find_compact(*name);
    case 2:
        return match(name, "to", 2, HEADER_TO);
    case 3:
        return match(name, "via", 3, HEADER_VIA);
    case 4:
        return (*name | 0x20) == 'f' ? match(name, "from", 4, HEADER_FROM)
                                     : match(name, "cseq", 4, HEADER_CSEQ);
    case 5:
        return match(name, "event", 5, HEADER_EVENT);
    case 7:
        return (*name | 0x20) == 'e' ? match(name, "expires", 7, HEADER_EXPIRES)
                                     : match(name, "call-id", 7, HEADER_CALL_ID);
    case 10:
        return match(name, "user-agent", 10, HEADER_USER_AGENT);
    case 13:
        return match(name, "authorization", 13, HEADER_CREDENTIALS);
    case 14:
        return match(name, "content-length", 14, HEADER_CONTENT_LENGTH);
    case 18:
        return match(name, "subscription-state", 18, HEADER_STATE);
    case 19:
        return match(name, "proxy-authorization", 19, HEADER_CREDENTIALS);
    default:
        return HEADER_REST;
    }
}

/* The message being read. */
typedef struct {
    sg_sip_message *message;
    const char *limit;                       /* its end */
    uint32_t met;                            /* headers seen, as bits */
    sg_text once[HEADER_CONTENT_LENGTH + 1]; /* the values of those that may not differ */
} reader;

static inline void clear_fault(reader *r, uint32_t fault, bool clear)
{
    r->message->faults &= ~(clear ? fault : 0);
}

/* Past the quoted string that begins at `at`; `at` + 1 if it is never closed, so that a stray quote is a byte
 * like others (RFC 4475, 3.1.2.6). */
static const char *skip_quoted(const char *at, const char *end)
{
    for (const char *p = at + 1; p < end; p++)
        if (*p == '\\')
            p++;
        else if (*p == '"')
            return p + 1;
    return at + 1;
}

/* Past the next ';', outside of quoted strings, or `end` if a comma or the end comes first: there the next
 * value of the header begins. */
static const char *skip_to_parameter(const reader *r, const char *at, const char *end, bool *quotes)
{
    while ((at = sg_find_of3(at, end, r->limit, ';', ',', '"')) < end) {
        if (*at != '"')
            return *at == ';' ? at + 1 : end;
        const char *past = *quotes ? skip_quoted(at, end) : at + 1;
        /* If one is unclosed, all following ones are, and searching again would take quadratic time. */
        *quotes = *quotes && past > at + 1;
        at = past;
    }
    return end;
}

/* The end of a parameter's value. */
static const char *find_value_end(const reader *r, const char *at, const char *end, bool quotes)
{
    if (at < end && *at == '"' && quotes)
        return skip_quoted(at, end);
    return sg_find_word_end(at, end, r->limit, ';', ',');
}

/* The value of a parameter, quotes included; `at` is at the ';' before the first or earlier. */
static inline __attribute__((always_inline)) sg_text
find_parameter(const reader *r, const char *at, const char *end, const char *name, size_t length)
{
    bool quotes = true;
    while ((at = skip_to_parameter(r, at, end, &quotes)) < end) {
        const char *start = sg_skip_space(at, end);
        if ((size_t)(end - start) <= length || !sg_same_name(start, name, length))
            continue;
        const char *value = sg_skip_space(start + length, end);
        if (value == end || *value != '=')
            continue;
        value = sg_skip_space(value + 1, end);
        return sg_slice(value, find_value_end(r, value, end, quotes));
    }
    return (sg_text){NULL, 0};
}

/* The top Via: "SIP/2.0/UDP host:port;branch=...", with spaces anywhere between. */
static void read_via(reader *r, const char *at, const char *end)
{
    sg_sip_message *message = r->message;
    const char *slash = sg_find_byte(at, end, r->limit, '/');
    slash = slash < end ? sg_find_byte(slash + 1, end, r->limit, '/') : end;
    at = slash < end ? sg_skip_space(slash + 1, end) : end;
    const char *host = sg_skip_space(sg_find_word_end(at, end, r->limit, ' ', ' '), end);
    at = sg_find_of3(host, end, r->limit, ';', ',', ';');
    message->sent_by = sg_slice(host, sg_trim_space(host, at));
    message->branch = find_parameter(r, at, end, "branch", 6);
    clear_fault(r, SG_FAULT_VIA, message->sent_by.length > 0);
    clear_fault(r, SG_FAULT_BRANCH,
                message->branch.length > 7 && sg_same_name(message->branch.data, "z9hg4bk", 7));
}

/* The user of the URI at..end. */
static sg_text find_user(const char *at, const char *end, const char *limit)
{
    const char *colon = sg_find_byte(at, end, limit, ':');
    if (colon == end)
        return (sg_text){NULL, 0};
    at = sg_skip_space(at, colon);
    bool tel = colon - at == 3 && sg_same_name(at, "tel", 3);
    const char *user = colon + 1, *stop = sg_find_byte(user, end, limit, tel ? ';' : '@');
    if (tel)
        return sg_slice(user, sg_trim_space(user, stop));
    if (stop == end)
        return (sg_text){NULL, 0};
    return sg_slice(user, sg_find_byte(user, stop, limit, ':'));
}

/* From and To: "Bob" <sip:bob@host>;tag=..., or the URI alone, whose parameters are then the header's. */
static void read_party(reader *r, const char *at, const char *end, sg_text *user, sg_text *tag)
{
    const char *uri = at;
    if (at < end && *at == '"')
        at = skip_quoted(at, end);
    at = sg_find_of3(at, end, r->limit, '<', ';', '<');
    if (at < end && *at == '<') {
        uri = at + 1;
        at = sg_find_byte(uri, end, r->limit, '>');
    }
    *user = find_user(uri, at, r->limit);
    *tag = find_parameter(r, at, end, "tag", 3);
}

static bool same_text(sg_text a, sg_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static void read_cseq(reader *r, const char *at, const char *end)
{
    uint64_t number;
    sg_sip_message *message = r->message;
    const char *after = sg_read_digits(at, end, &number);
    const char *name = sg_skip_space(after, end), *name_end = sg_find_word_end(name, end, r->limit, ' ', ' ');
    if (after == at || name == after || name == name_end)
        return;
    message->cseq = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
    message->cseq_name = sg_slice(name, name_end);
    message->cseq_method = same_text(message->cseq_name, message->method_name)
                               ? message->method
                               : sg_sip_method_of(message->cseq_name);
    clear_fault(r, SG_FAULT_CSEQ, number < 1u << 31 && name_end == end);
}

/* -1 if it is not a number. */
static int64_t read_count(const char *at, const char *end)
{
    uint64_t value;
    if (!sg_read_number(at, end, &value))
        return -1;
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

/* A value up to its parameters. */
static sg_text read_word(const reader *r, const char *at, const char *end)
{
    return sg_slice(at, sg_trim_space(at, sg_find_byte(at, end, r->limit, ';')));
}

/* The value of a header met for the first time. */
static void read_header(reader *r, header which, const char *at, const char *end)
{
    sg_sip_message *message = r->message;
    switch (which) {
    case HEADER_CALL_ID:
        message->call_id = sg_slice(at, end);
        message->faults |= sg_find_byte(at, end, r->limit, '\0') < end ? SG_FAULT_NUL : 0;
        clear_fault(r, SG_FAULT_CALL_ID, at < end);
        break;
    case HEADER_CSEQ:
        read_cseq(r, at, end);
        break;
    case HEADER_FROM:
        read_party(r, at, end, &message->from_user, &message->from_tag);
        clear_fault(r, SG_FAULT_FROM, message->from_tag.length > 0);
        break;
    case HEADER_TO:
        read_party(r, at, end, &message->to_user, &message->to_tag);
        clear_fault(r, SG_FAULT_TO, true);
        break;
    case HEADER_CONTENT_LENGTH:
        message->content_length = read_count(at, end);
        message->faults |= message->content_length < 0 ? SG_FAULT_CONTENT_LENGTH : 0;
        break;
    case HEADER_VIA:
        read_via(r, at, end);
        break;
    case HEADER_USER_AGENT:
        message->user_agent = sg_slice(at, end);
        break;
    case HEADER_EVENT:
        message->event = read_word(r, at, end);
        break;
    case HEADER_STATE:
        message->subscription_state = read_word(r, at, end);
        break;
    case HEADER_EXPIRES:
        message->expires = read_count(at, end);
        break;
    default:
        message->credentials = true;
        break;
    }
}

static void read_line(reader *r, const char *at, const char *end)
{
    const char *colon = sg_find_byte(at, end, r->limit, ':');
    const char *name_end = colon < end ? sg_trim_space(at, colon) : at;
    if (name_end == at) {
        r->message->faults |= SG_FAULT_LINE;
        return;
    }
    header which = find_header(at, (size_t)(name_end - at));
    if (which == HEADER_REST)
        return;
    at = sg_skip_space(colon + 1, end);
    end = sg_trim_space(at, end);
    sg_text value = sg_slice(at, end);
    if (!(r->met & 1u << which)) {
        r->met |= 1u << which;
        if (which <= HEADER_CONTENT_LENGTH)
            r->once[which] = value;
        read_header(r, which, at, end);
    } else if (which <= HEADER_CONTENT_LENGTH && !same_text(r->once[which], value)) {
        r->message->faults |= SG_FAULT_REPEATED;
    }
}

/* Headers up to the empty line; returns where the body begins. */
static const char *read_headers(reader *r, const char *at)
{
    sg_feeds feeds = sg_feeds_from(at, r->limit);
    while (at < r->limit) {
        const char *feed = sg_feeds_next(&feeds);
        if (feed && (feed == at || (feed == at + 1 && *at == '\r'))) {
            clear_fault(r, SG_FAULT_UNENDED, true);
            return feed + 1;
        }
        while (feed && feed + 1 < r->limit && sg_is_blank(feed[1]))
            feed = sg_feeds_next(&feeds);
        read_line(r, at, feed ? feed : r->limit);
        at = feed ? feed + 1 : r->limit;
    }
    return r->limit;
}

static void read_start(sg_sip_message *message, sg_start start, const sg_start_line *line)
{
    message->response = start == SG_START_STATUS;
    message->expires = message->content_length = -1;
    message->faults = SG_FAULT_CALL_ID | SG_FAULT_CSEQ | SG_FAULT_VIA | SG_FAULT_BRANCH | SG_FAULT_FROM |
                      SG_FAULT_TO | SG_FAULT_UNENDED;
    if (message->response) {
        const char *digit = line->code.data;
        if (line->code.length == 3)
            message->code = (uint16_t)((digit[0] - '0') * 100 + (digit[1] - '0') * 10 + digit[2] - '0');
        message->faults |= message->code < 100 || message->code > 699 ? SG_FAULT_CODE : 0;
    } else {
        message->method_name = line->method;
        message->method = sg_sip_method_of(line->method);
        message->uri = line->uri;
    }
}

/* Checks that need all headers. */
static void finish(sg_sip_message *message)
{
    if (message->response) {
        message->method = message->cseq_method;
        message->method_name = message->cseq_name;
    } else if (message->cseq_method != SG_METHOD_NONE &&
               !same_text(message->cseq_name, message->method_name)) {
        message->faults |= SG_FAULT_CSEQ_METHOD;
    }
    if (message->content_length > (int64_t)message->body.length)
        message->faults |= SG_FAULT_CONTENT_LENGTH;
    else if (message->content_length >= 0)
        message->body.length = (uint32_t)message->content_length;
}

bool sg_sip_read(sg_sip_message *message, const char *data, size_t size)
{
    sg_start_line line;
    size = size > UINT32_MAX ? UINT32_MAX : size;
    memset(message, 0, sizeof *message);
    sg_start start = data ? sg_read_start_line(data, size, true, &line) : SG_START_NONE;
    if (start == SG_START_NONE)
        return false;
    read_start(message, start, &line);
    reader r = {.message = message, .limit = data + size, .met = 0};
    const char *body = read_headers(&r, data + line.size);
    message->header_size = (uint32_t)(body - data);
    message->body = sg_slice(body, data + size);
    finish(message);
    return true;
}

sg_text sg_sip_uri_user(sg_text uri)
{
    if (uri.length == 0)
        return (sg_text){NULL, 0};
    return find_user(uri.data, uri.data + uri.length, uri.data + uri.length);
}

sg_text sg_sip_request_user(const sg_sip_message *message)
{
    return message->method == SG_METHOD_REGISTER ? message->to_user : sg_sip_uri_user(message->uri);
}

const char *sg_sip_fault_text(int bit)
{
    static const char *const texts[SG_FAULT_BITS] = {
        "status code out of range",
        "missing or empty Call-ID",
        "missing or unreadable CSeq",
        "CSeq of another method",
        "missing or unreadable Via",
        "missing or old-style branch",
        "missing From or From tag",
        "missing To",
        "unreadable or wrong Content-Length",
        "repeated header that differs",
        "line without header name",
        "headers without end",
        "NUL in Call-ID",
    };
    return bit >= 0 && bit < SG_FAULT_BITS ? texts[bit] : "?";
}
