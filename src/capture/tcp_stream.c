#include "capture/tcp_stream.h"

#include <stdlib.h>
#include <string.h>

static bool reserve(sg_tcp_stream *s, size_t more, sg_tcp_account *account)
{
    if (s->start == s->stop)
        s->start = s->stop = s->fresh = 0;
    if (s->capacity - s->stop >= more)
        return true;
    if (s->start > 0) {
        memmove(s->data, s->data + s->start, s->stop - s->start);
        s->fresh = s->fresh > s->start ? s->fresh - s->start : 0;
        s->stop -= s->start;
        s->start = 0;
    }
    size_t capacity = s->capacity ? s->capacity : SG_TCP_FIRST_CAPACITY;
    while (capacity - s->stop < more)
        capacity *= 2;
    if (capacity == s->capacity)
        return true;
    uint8_t *data = realloc(s->data, capacity);
    if (!data)
        return false;
    account->bytes += capacity - s->capacity;
    s->data = data;
    s->capacity = capacity;
    return true;
}

static bool append(sg_tcp_stream *s, const uint8_t *data, size_t size, sg_tcp_account *account)
{
    if (!reserve(s, size, account))
        return false;
    memcpy(s->data + s->stop, data, size);
    s->stop += size;
    s->next += (uint32_t)size;
    return true;
}

static void free_first_early(sg_tcp_stream *s, sg_tcp_account *account)
{
    sg_tcp_early *first = s->early;
    s->early = first->next;
    s->early_bytes -= first->size;
    s->early_count--;
    account->bytes -= sizeof *first + first->size;
    free(first);
}

/* Appends what has come early and is due now. */
static bool append_due(sg_tcp_stream *s, sg_tcp_account *account)
{
    while (s->early && sg_tcp_distance(s->early->sequence, s->next) <= 0) {
        size_t known = (size_t)sg_tcp_distance(s->next, s->early->sequence);
        if (known < s->early->size && !append(s, s->early->data + known, s->early->size - known, account))
            return false;
        free_first_early(s, account);
    }
    return true;
}

/* Keeps [sequence, sequence + size) before *place, where nothing of it is yet. */
static bool insert_early(sg_tcp_stream *s, sg_tcp_early **place, uint32_t sequence, const uint8_t *data,
                         size_t size, sg_tcp_account *account)
{
    sg_tcp_early *one = malloc(sizeof *one + size);
    if (!one)
        return false;
    *one = (sg_tcp_early){.next = *place, .sequence = sequence, .size = (uint32_t)size};
    memcpy(one->data, data, size);
    *place = one;
    s->early_bytes += size;
    s->early_count++;
    account->bytes += sizeof *one + size;
    return true;
}

/* Keeps of an early segment what no other has brought. */
static bool add_early(sg_tcp_stream *s, uint32_t sequence, const uint8_t *data, size_t size,
                      sg_tcp_account *account)
{
    sg_tcp_early **place = &s->early;
    while (size > 0) {
        sg_tcp_early *other = *place;
        size_t free_bytes = size;
        if (other) {
            int32_t ahead = sg_tcp_distance(other->sequence, sequence);
            int32_t behind = sg_tcp_distance(other->sequence + other->size, sequence);
            if (behind <= 0) {
                place = &other->next;
                continue;
            }
            if (ahead <= 0) { /* it begins within the other: the other was first */
                size_t known = (size_t)behind < size ? (size_t)behind : size;
                sequence += (uint32_t)known, data += known, size -= known;
                place = &other->next;
                continue;
            }
            free_bytes = (size_t)ahead < size ? (size_t)ahead : size;
        }
        if (!insert_early(s, place, sequence, data, free_bytes, account))
            return false;
        place = &(*place)->next;
        sequence += (uint32_t)free_bytes, data += free_bytes, size -= free_bytes;
    }
    return true;
}

bool sg_tcp_stream_add(sg_tcp_stream *s, uint32_t sequence, const uint8_t *data, size_t size,
                       sg_tcp_account *account)
{
    if (s->start == s->stop)
        s->start = s->stop = 0;
    s->fresh = s->stop;
    while (size > 0) {
        int32_t ahead = sg_tcp_distance(sequence, s->next);
        if (ahead > 0)
            return add_early(s, sequence, data, size, account);
        size_t known = (size_t) - (int64_t)ahead;
        if (known >= size)
            return true;
        sequence += (uint32_t)known, data += known, size -= known;
        /* Up to an early segment only: that one was captured before. */
        size_t due = size;
        if (s->early && (size_t)sg_tcp_distance(s->early->sequence, s->next) < due)
            due = (size_t)sg_tcp_distance(s->early->sequence, s->next);
        if (!append(s, data, due, account) || !append_due(s, account))
            return false;
    }
    return true;
}

void sg_tcp_stream_give_up(sg_tcp_stream *s, sg_tcp_account *account)
{
    if (!s->early)
        return;
    if (s->start < s->stop && s->state == SG_TCP_FRAMED)
        SG_COUNT(account->counts, TCP_INCOMPLETE);
    SG_COUNT(account->counts, TCP_GAPS);
    SG_COUNT_ADD(account->counts, TCP_LOST_BYTES, (uint32_t)sg_tcp_distance(s->early->sequence, s->next));
    SG_COUNT_ADD(account->counts, TCP_SKIPPED_BYTES, s->stop - s->start);
    s->start = s->stop = s->fresh = s->need = 0;
    s->state = SG_TCP_SEARCHING;
    s->next = s->early->sequence;
    append_due(s, account);
}

void sg_tcp_stream_restart(sg_tcp_stream *s, uint32_t next, sg_tcp_account *account)
{
    while (s->early)
        free_first_early(s, account);
    free(s->data);
    account->bytes -= s->capacity;
    s->data = NULL;
    s->capacity = s->start = s->stop = s->need = s->fresh = s->skipped = 0;
    s->has_end = s->ended = false;
    s->state = SG_TCP_FRAMED;
    s->next = next;
}
