/* screen.h: the latest alerts and dialogs as a table on a terminal; for alert_outlets.c.
 *
 * Drawn on the alternate screen, at most 4 times a second, never waiting for the terminal; bytes from the
 * wire appear as printable ASCII only.
 */
#ifndef SG_WATCH_SCREEN_H
#define SG_WATCH_SCREEN_H

#include "watch/alert.h"

/* What the table on the terminal shows beside the alerts. */
typedef struct {
    sg_text call_id;
    sg_endpoint source, destination;
    const char *state;   /* "established", ... */
    const char *verdict; /* "known", "in progress", "abnormal" */
    sg_text last;        /* method or code of the last message */
    uint32_t messages;
} sg_view_dialog;

typedef struct {
    int64_t time_us;              /* of the last message */
    uint64_t messages, dialogs;   /* read so far; followed now */
    uint64_t dropped;             /* by kernel and device */
    const sg_view_dialog *dialog; /* the latest ones, latest first */
    int dialog_count;             /* SG_VIEW_DIALOGS are enough for any terminal */
} sg_view;

enum { SG_VIEW_DIALOGS = 64 };

typedef struct sg_screen sg_screen;

/* `fd` is the terminal's; it stays open. */
sg_status sg_screen_open(sg_screen **screen, int fd);

void sg_screen_add(sg_screen *screen, const sg_alert *alert);

bool sg_screen_is_due(const sg_screen *screen);

/* `view` may be NULL: then the numbers and dialogs of the last one stand. */
void sg_screen_draw(sg_screen *screen, const sg_view *view, uint64_t lost);

/* Gives the terminal back as it was.  NULL is fine. */
void sg_screen_close(sg_screen *screen);

#endif
