#include "watch/pending_packets.h"

#include "base/log.h"
#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

struct sg_pending_message {
    struct sg_pending_message *next;
    sg_flow flow;
    uint32_t length;
    char data[];
};

struct sg_pending_packets {
    sg_pcap_out *out;
    int64_t bytes, bytes_max;
    uint64_t lost;
};

sg_status sg_pending_open(sg_pending_packets **kept, sg_pcap_out *out, int64_t bytes_max)
{
    SG_TRY(sg_alloc(kept, 1, "kept messages"));
    **kept = (sg_pending_packets){.out = out, .bytes_max = bytes_max};
    return SG_OK;
}

void sg_pending_close(sg_pending_packets *kept)
{
    free(kept);
}

static int64_t bytes_of(size_t length)
{
    return (int64_t)(sizeof(struct sg_pending_message) + length);
}

sg_status sg_pending_message(sg_pending_packets *kept, sg_pending_dialog *dialog, const sg_capture_item *item)
{
    if (dialog->released) {
        if (sg_pcap_out_write(kept->out, item) != SG_OK)
            sg_warn("%s", sg_error_text());
        return SG_OK;
    }
    int64_t bytes = bytes_of(item->length);
    struct sg_pending_message *m = kept->bytes + bytes <= kept->bytes_max ? malloc((size_t)bytes) : NULL;
    if (!m) {
        kept->lost++;
        return SG_OK;
    }
    *m = (struct sg_pending_message){.flow = item->flow, .length = (uint32_t)item->length};
    memcpy(m->data, item->data, item->length);
    kept->bytes += bytes;
    if (dialog->last)
        dialog->last->next = m;
    else
        dialog->first = m;
    dialog->last = m;
    return SG_OK;
}

void sg_pending_drop(sg_pending_packets *kept, sg_pending_dialog *dialog)
{
    for (const struct sg_pending_message *m = dialog->first; m; m = m->next)
        kept->bytes -= bytes_of(m->length);
    sg_pending_free(dialog);
}

void sg_pending_free(sg_pending_dialog *dialog)
{
    for (struct sg_pending_message *m = dialog->first, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    dialog->first = dialog->last = NULL;
}

void sg_pending_release(sg_pending_packets *kept, sg_pending_dialog *dialog)
{
    if (dialog->released)
        return;
    for (const struct sg_pending_message *m = dialog->first; m; m = m->next)
        if (sg_pcap_out_write_message(kept->out, &m->flow, m->data, m->length) != SG_OK)
            sg_warn("%s", sg_error_text());
    sg_pending_drop(kept, dialog);
    dialog->released = true;
}

uint64_t sg_pending_lost(const sg_pending_packets *kept)
{
    return kept->lost;
}
