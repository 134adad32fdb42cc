/* line.h: one line of output; bytes from the network are always escaped.  For alert*.c.
 *
 * JSON (RFC 8259): valid UTF-8 is kept, but control characters (C0, DEL, C1) and those that reorder, hide or
 * break text (U+200B-200F, U+2028-202E, U+2060-2069, U+FEFF, U+FFF9-FFFB) are written as \uXXXX; a byte that
 * is not UTF-8 is written as \u00XX.  Plain text: printable ASCII is kept; blanks, quotes, backslashes and
 * all other bytes are written as \xXX, so that text from a message cannot look like part of another line.
 */
#ifndef SG_SIP_LINE_H
#define SG_SIP_LINE_H

#include "sip/endpoint.h"
#include "sip/message.h"

/* Holds the longest alert with every byte escaped. */
enum { SG_LINE_MAX = 96 * 1024 };

typedef struct {
    size_t length;
    bool overflow; /* something did not fit: the line must not be written */
    char data[SG_LINE_MAX];
} sg_line;

void sg_line_clear(sg_line *line);

/* Appends a text of this program unescaped. */
void sg_line_put(sg_line *line, const char *text);
void sg_line_print(sg_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* At most `cap` bytes of a text, escaped; false if it was cut (never inside a UTF-8 character). */
bool sg_line_json(sg_line *line, sg_text text, uint32_t cap); /* with quotes */
bool sg_line_plain(sg_line *line, sg_text text, uint32_t cap);

/* "2026-01-02T03:04:05.123456+0000": UTC, the form that Suricata prints.  Times outside of the years 1970 to
 * 9999 become the nearest within. */
void sg_line_time(sg_line *line, int64_t time_us);

/* "192.0.2.1", "2001:db8::1"; "?" for an unknown family.  With port: "192.0.2.1:5060", "[2001:db8::1]:5060".
 */
void sg_line_address(sg_line *line, const sg_endpoint *endpoint);
void sg_line_endpoint(sg_line *line, const sg_endpoint *endpoint);

sg_text sg_text_of(const char *text); /* NULL is the empty text */

#endif
