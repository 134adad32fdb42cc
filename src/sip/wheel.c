#include "sip/wheel.h"

#include <stddef.h>
#include <string.h>

enum { SLOT_MASK = SG_WHEEL_SLOTS - 1 };

static uint64_t span(int level)
{
    return (uint64_t)1 << (level * SG_WHEEL_BITS);
}

void sg_wheel_open(sg_wheel *wheel, uint64_t now)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->now = now;
    for (int level = 0; level < SG_WHEEL_LEVELS; level++)
        for (int slot = 0; slot < SG_WHEEL_SLOTS; slot++) {
            sg_timer *head = &wheel->slots[level][slot];
            head->next = head->previous = head;
        }
}

/* Files a timer at the lowest level that reaches its time, or as far ahead as the highest does. */
static void file(sg_wheel *wheel, sg_timer *timer)
{
    uint64_t reach = span(SG_WHEEL_LEVELS) - 1;
    uint64_t ahead = timer->due > wheel->now ? timer->due - wheel->now : 0;
    int level = 0;
    ahead = ahead < reach ? ahead : reach;
    while (ahead >= span(level + 1))
        level++;
    timer->filed = wheel->now + ahead;
    timer->level = (uint8_t)level;
    timer->slot = timer->filed >> (level * SG_WHEEL_BITS) & SLOT_MASK;
    sg_timer *head = &wheel->slots[level][timer->slot];
    timer->next = head;
    timer->previous = head->previous;
    head->previous->next = timer;
    head->previous = timer;
    wheel->occupied[level] |= (uint64_t)1 << timer->slot;
}

void sg_wheel_unset(sg_wheel *wheel, sg_timer *timer)
{
    if (!timer->previous)
        return;
    timer->previous->next = timer->next;
    timer->next->previous = timer->previous;
    if (timer->next == timer->previous) /* only the head is left */
        wheel->occupied[timer->level] &= ~((uint64_t)1 << timer->slot);
    timer->next = timer->previous = NULL;
}

void sg_wheel_set(sg_wheel *wheel, sg_timer *timer, uint64_t due)
{
    timer->due = due;
    if (timer->previous && timer->filed <= due)
        return;
    sg_wheel_unset(wheel, timer);
    file(wheel, timer);
}

/* Files anew what is in the slots of higher levels that begin at this tick. */
static void cascade(sg_wheel *wheel)
{
    for (int level = 1; level < SG_WHEEL_LEVELS && !(wheel->now & (span(level) - 1)); level++) {
        sg_timer *head = &wheel->slots[level][wheel->now >> (level * SG_WHEEL_BITS) & SLOT_MASK];
        while (head->next != head) {
            sg_timer *timer = head->next;
            sg_wheel_unset(wheel, timer);
            file(wheel, timer);
        }
    }
}

/* The next tick at which there is something to do, which is at most `until`. */
static uint64_t next_stop(const sg_wheel *wheel, uint64_t until)
{
    int level = 0;
    while (level < SG_WHEEL_LEVELS && !wheel->occupied[level])
        level++;
    if (level == SG_WHEEL_LEVELS)
        return until;
    unsigned slot = wheel->now & SLOT_MASK;
    uint64_t later = slot < SLOT_MASK ? wheel->occupied[0] >> (slot + 1) : 0;
    uint64_t stop = level == 0 && later ? wheel->now + 1 + (unsigned)__builtin_ctzll(later)
                                        : (wheel->now | (span(level ? level : 1) - 1)) + 1;
    return stop < until ? stop : until;
}

sg_timer *sg_wheel_expire(sg_wheel *wheel, uint64_t now)
{
    for (;;) {
        sg_timer *head = &wheel->slots[0][wheel->now & SLOT_MASK];
        while (head->next != head) {
            sg_timer *timer = head->next;
            sg_wheel_unset(wheel, timer);
            if (timer->due <= wheel->now)
                return timer;
            file(wheel, timer);
        }
        if (wheel->now >= now)
            return NULL;
        wheel->now = next_stop(wheel, now);
        if (!(wheel->now & SLOT_MASK))
            cascade(wheel);
    }
}
