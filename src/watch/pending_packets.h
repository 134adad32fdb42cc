/* pending_packets.h: the messages of dialogs that may still raise an alert, for -O. Once a dialog does, its
 * messages so far and all later ones are written.  Memory is bounded: messages without room are counted.
 */
#ifndef SG_WATCH_PENDING_PACKETS_H
#define SG_WATCH_PENDING_PACKETS_H

#include "capture/pcap_out.h"

typedef struct sg_pending_packets sg_pending_packets;

/* Of one dialog; zeroed at first. */
typedef struct {
    struct sg_pending_message *first, *last;
    bool released; /* its messages are written at once */
} sg_pending_dialog;

sg_status sg_pending_open(sg_pending_packets **kept, sg_pcap_out *out, int64_t bytes_max);
void sg_pending_close(sg_pending_packets *kept); /* NULL is fine; dialogs have been dropped before */

/* Keeps a message of a dialog, or writes it if the dialog is released. */
sg_status sg_pending_message(sg_pending_packets *kept, sg_pending_dialog *dialog,
                             const sg_capture_item *item);

/* Writes what is kept; from now on messages are written as they come.  A failure is warned of once. */
void sg_pending_release(sg_pending_packets *kept, sg_pending_dialog *dialog);
void sg_pending_drop(sg_pending_packets *kept, sg_pending_dialog *dialog);

/* Frees what is kept of a dialog where no sg_pending_packets is at hand: at the end, or after a failure. */
void sg_pending_free(sg_pending_dialog *dialog);

uint64_t sg_pending_lost(const sg_pending_packets *kept); /* messages that found no room */

#endif
