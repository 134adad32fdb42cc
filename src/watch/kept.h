/* kept.h: the messages of dialogs that may still raise an alert, for -O: once one does, those kept so far and
 * all that follow are written.  Bounded: what finds no room is counted.
 */
#ifndef SG_WATCH_KEPT_H
#define SG_WATCH_KEPT_H

#include "capture/pcap_out.h"

typedef struct sg_kept sg_kept;

/* Of one dialog; zeroed at first. */
typedef struct {
    struct sg_kept_message *first, *last;
    bool released; /* its messages are written at once */
} sg_kept_dialog;

sg_status sg_kept_open(sg_kept **kept, sg_pcap_out *out, int64_t bytes_max);
void sg_kept_close(sg_kept *kept); /* NULL is fine; dialogs have been dropped before */

/* Takes in a message of a dialog, or writes it if the dialog is released. */
sg_status sg_kept_message(sg_kept *kept, sg_kept_dialog *dialog, const sg_capture_item *item);

/* Writes what is kept; from now on messages are written as they come.  A failure is warned of once. */
void sg_kept_release(sg_kept *kept, sg_kept_dialog *dialog);
void sg_kept_drop(sg_kept *kept, sg_kept_dialog *dialog);

/* Frees what is kept of a dialog where no sg_kept is at hand: at the end, or after a failure. */
void sg_kept_free(sg_kept_dialog *dialog);

uint64_t sg_kept_lost(const sg_kept *kept); /* messages that found no room */

#endif
