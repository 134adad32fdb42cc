/* screen.h: the latest alerts and dialogs as a table on a terminal; for alert.c.
 *
 * Drawn on the alternate screen, at most 4 times a second, never waiting for the terminal; bytes from the
 * wire appear as printable ASCII only.
 */
#ifndef SG_WATCH_SCREEN_H
#define SG_WATCH_SCREEN_H

#include "watch/alert.h"

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
