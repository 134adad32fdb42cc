/* frame.h: where SIP messages begin and end in bytes from the wire (RFC 3261, 7.5 and 18.3). */
#ifndef SG_SIP_FRAME_H
#define SG_SIP_FRAME_H

#include <stddef.h>

typedef enum {
    SG_FRAME_COMPLETE,   /* a whole message: *length bytes from the start */
    SG_FRAME_INCOMPLETE, /* the beginning of one (stream only); *length is the least number of bytes needed:
                            the size of the message once its headers are complete, else size + 1 */
    SG_FRAME_KEEP_ALIVE, /* CR, LF or NUL bytes before a message: *length of them */
    SG_FRAME_NOT_SIP     /* no SIP/2.0 start line here */
} sg_frame;

/* Whether a request line (METHOD SP URI SP SIP/2.0) or a status line (SIP/2.0 SP code) begins here, as far as
 * the bytes reach.  Tolerates the irregularities found in captures (two spaces, LF alone).  A datagram is one
 * message to its end: what follows a body is not another (RFC 4475, 3.1.2.4). */
sg_frame sg_sip_frame_datagram(const char *data, size_t size, size_t *length);

/* The same in a stream: the message ends where Content-Length says (0 if it is missing or unreadable; the
 * first one counts).  A header longer than `header_max` or a Content-Length above `body_max` is
 * SG_FRAME_NOT_SIP.
 */
sg_frame sg_sip_frame_stream(const char *data, size_t size, size_t header_max, size_t body_max,
                             size_t *length);

/* After SG_FRAME_NOT_SIP in a stream: how many bytes (at least 1 if there are any) to discard to reach the
 * next place where a message may begin, which is after a line end; `size` if there is none. */
size_t sg_sip_frame_resync(const char *data, size_t size);

#endif
