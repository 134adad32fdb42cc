/* message.h: the fields of a SIP message that matter, read in place (RFC 3261, 7 and 25; RFC 6665, 8.2).
 *
 * Every text is a slice of the caller's buffer and is valid as long as the buffer is.  The reader allocates
 * nothing, takes time linear in the size of the message, never reads past its end, and accepts whatever
 * arrives: compact names, folded lines, LF alone, spaces before the colon, bytes of any value.  `faults`
 * lists what is wrong; only text without a SIP/2.0 start line is not a message.
 */
#ifndef SG_SIP_MESSAGE_H
#define SG_SIP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of any value, not ended by NUL.  {NULL, 0}: the message has none. */
typedef struct {
    const char *data;
    uint32_t length;
} sg_text;

/* Methods are case-sensitive (RFC 3261, 7.1): "invite" is SG_METHOD_OTHER. */
typedef enum {
    SG_METHOD_NONE,  /* a response without a readable CSeq */
    SG_METHOD_OTHER, /* a name of its own, in method_name */
    SG_METHOD_INVITE,
    SG_METHOD_ACK,
    SG_METHOD_BYE,
    SG_METHOD_CANCEL,
    SG_METHOD_REGISTER,
    SG_METHOD_OPTIONS,
    SG_METHOD_SUBSCRIBE,
    SG_METHOD_NOTIFY,
    SG_METHOD_REFER,
    SG_METHOD_INFO,
    SG_METHOD_UPDATE,
    SG_METHOD_MESSAGE,
    SG_METHOD_PUBLISH,
    SG_METHOD_PRACK,
    SG_METHODS
} sg_sip_method;

/* Faults of a message, as bits. */
enum {
    SG_FAULT_CODE = 1 << 0,           /* the status code is not three digits of 100..699 */
    SG_FAULT_CALL_ID = 1 << 1,        /* no Call-ID, or an empty one */
    SG_FAULT_CSEQ = 1 << 2,           /* no CSeq, or no number below 2^31 and method in it (8.1.1.5) */
    SG_FAULT_CSEQ_METHOD = 1 << 3,    /* the CSeq names another method than the request line */
    SG_FAULT_VIA = 1 << 4,            /* no Via, or no sent-by in the first */
    SG_FAULT_BRANCH = 1 << 5,         /* no branch, or one without z9hG4bK (8.1.1.7) */
    SG_FAULT_FROM = 1 << 6,           /* no From, or no tag in it (8.1.1.3) */
    SG_FAULT_TO = 1 << 7,             /* no To */
    SG_FAULT_CONTENT_LENGTH = 1 << 8, /* not a number, or more than there is */
    SG_FAULT_REPEATED = 1 << 9,       /* a header allowed once appears again and differs; the first counts */
    SG_FAULT_LINE = 1 << 10,          /* a header line without a colon or without a name */
    SG_FAULT_UNENDED = 1 << 11,       /* no empty line after the headers: cut, or never ended */
    SG_FAULT_NUL = 1 << 12            /* a NUL byte in the Call-ID */
};
enum { SG_FAULT_BITS = 13 };

typedef struct {
    bool response;
    uint16_t code;             /* of a response, 0..999; 0 as well where it is not three digits */
    sg_sip_method method;      /* of a request, by its line; of a response, by its CSeq */
    sg_text method_name;       /* the same as text */
    sg_text uri;               /* of a request */
    sg_text call_id;           /* trimmed; may hold any byte */
    uint32_t cseq;             /* UINT32_MAX where the number is beyond it; 0 where there is none */
    sg_sip_method cseq_method; /* SG_METHOD_NONE without a readable CSeq */
    sg_text cseq_name;
    sg_text branch, sent_by; /* of the first Via; sent_by with its port, if any */
    sg_text from_tag, from_user;
    sg_text to_tag, to_user;
    sg_text user_agent;
    sg_text event;              /* Event (o), without parameters */
    sg_text subscription_state; /* "active", "terminated", ...; without parameters */
    int64_t expires;            /* seconds; -1: missing or unreadable */
    int64_t content_length;     /* -1: missing or unreadable */
    bool credentials;           /* has Authorization or Proxy-Authorization */
    uint32_t header_size;       /* bytes from the start line to the empty line, both included */
    sg_text body;               /* as far as the buffer and Content-Length go */
    uint32_t faults;
} sg_sip_message;

/* Reads the message that begins at `data` (as sg_sip_frame_datagram and _stream find it; at most 2^32-1 bytes
 * are read).  False, with *message zeroed, if there is no SIP/2.0 start line. */
bool sg_sip_read(sg_sip_message *message, const char *data, size_t size);

/* "INVITE", ...; "" for SG_METHOD_NONE, "OTHER" for SG_METHOD_OTHER and beyond. */
const char *sg_sip_method_name(sg_sip_method method);

/* The method of that name; SG_METHOD_OTHER if it is unknown, SG_METHOD_NONE for an empty text. */
sg_sip_method sg_sip_method_of(sg_text name);

/* The user of a SIP, SIPS or tel URI, without password: "alice" of "sip:alice:secret@host"; {NULL, 0} if
 * none. */
sg_text sg_sip_uri_user(sg_text uri);

/* Whom a request is about: the To user of a REGISTER, the user of the request URI of others. */
sg_text sg_sip_request_user(const sg_sip_message *message);

/* "missing or empty Call-ID", ...; bit 0..SG_FAULT_BITS-1. */
const char *sg_sip_fault_text(int bit);

#endif
