/* wheel.h: a hierarchical timing wheel: setting, moving and expiring a timer takes constant time (Varghese
 * and Lauck, 1987); private to this room. */
#ifndef SG_SIP_WHEEL_H
#define SG_SIP_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum { SG_WHEEL_LEVELS = 4, SG_WHEEL_BITS = 6, SG_WHEEL_SLOTS = 1 << SG_WHEEL_BITS };

/* Embed this in whatever waits.  All zeros: not set. */
typedef struct sg_timer sg_timer;
struct sg_timer {
    sg_timer *next, *previous; /* previous NULL: not set */
    uint64_t due;              /* the tick at which it expires */
    uint64_t filed;            /* the tick under which it is filed, at most `due`: timers that are put off, as
                                  most are, stay where they are until then */
    uint8_t level, slot;
};

typedef struct {
    uint64_t now; /* tick */
    uint64_t occupied[SG_WHEEL_LEVELS];
    sg_timer slots[SG_WHEEL_LEVELS][SG_WHEEL_SLOTS]; /* heads of rings */
} sg_wheel;

void sg_wheel_open(sg_wheel *wheel, uint64_t now);

/* Sets a timer, or sets it anew.  One due at `now` or before expires with the next sg_wheel_expire. */
void sg_wheel_set(sg_wheel *wheel, sg_timer *timer, uint64_t due);
void sg_wheel_unset(sg_wheel *wheel, sg_timer *timer);

/* Goes on to tick `now`, but stops at the next timer that expires on the way, unsets and returns it; NULL
 * when there is none up to `now`. */
sg_timer *sg_wheel_expire(sg_wheel *wheel, uint64_t now);

#endif
