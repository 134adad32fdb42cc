/* Any bytes as a datagram, as a stream and as a message: what is found lies within them, and all readers
 * agree. */
#include "sip/alphabet.h"
#include "sip/frame.h"
#include "sip/retransmission.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void expect(bool what)
{
    if (!what)
        abort();
}

static void check_inside(sg_text text, const char *data, size_t size)
{
    expect(text.length == 0 || (text.data >= data && text.data + text.length <= data + size));
}

static void check_message(const sg_sip_message *m, const char *data, size_t size)
{
    const sg_text texts[] = {m->method_name,
                             m->uri,
                             m->call_id,
                             m->cseq_name,
                             m->branch,
                             m->sent_by,
                             m->from_tag,
                             m->from_user,
                             m->to_tag,
                             m->to_user,
                             m->user_agent,
                             m->event,
                             m->subscription_state,
                             m->body,
                             sg_sip_request_user(m)};
    for (size_t n = 0; n < sizeof texts / sizeof *texts; n++)
        check_inside(texts[n], data, size);
    expect(m->code < 1000 && (unsigned)m->method < SG_METHODS && m->header_size <= size);
    expect(m->content_length >= -1 && m->expires >= -1 && m->faults < 1u << SG_FAULT_BITS);
}

/* Takes all messages out of a stream, as src/capture does. */
static void read_stream(const char *data, size_t size)
{
    while (size > 0) {
        size_t length;
        sg_sip_message message;
        sg_frame frame = sg_sip_frame_stream(data, size, 8192, 65536, &length);
        if (frame == SG_FRAME_INCOMPLETE) {
            expect(length > size);
            return;
        }
        if (frame == SG_FRAME_NOT_SIP)
            length = sg_sip_frame_resync(data, size);
        else if (frame == SG_FRAME_COMPLETE)
            expect(sg_sip_read(&message, data, length));
        expect(length > 0 && length <= size);
        data += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *data = (const char *)bytes;
    char name[SG_TYPE_NAME];
    sg_sip_message message;
    size_t length;
    sg_flow flow = {.time_us = 0};
    bool framed = sg_sip_frame_datagram(data, size, &length) == SG_FRAME_COMPLETE;
    expect(length <= size);
    expect(sg_sip_read(&message, data, size) == framed);
    check_message(&message, data, size);
    if (framed) {
        for (int rule = 0; rule < SG_RULES; rule++)
            expect(sg_type_name(&message, rule, name) == (name[0] != '\0'));
        sg_repeat_key(&message, &flow, 1);
    }
    read_stream(data, size);
    return 0;
}
