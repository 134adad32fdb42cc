/* pool.h: memory for many small items within a limit of bytes; private to this room.
 *
 * Pages of 64 KiB are given to classes of equal items and are returned with their last item, so a flood of
 * items of one size cannot starve other sizes for good.
 */
#ifndef SG_SIP_POOL_H
#define SG_SIP_POOL_H

#include "base/status.h"
#include <stdint.h>

enum {
    SG_POOL_PAGE = 65536,
    SG_POOL_CLASSES = 12,    /* 0 is for the size given at open; the others are powers of two, nearly */
    SG_POOL_ITEM_MAX = 65472 /* a page less its header */
};

typedef struct sg_pool_page sg_pool_page;

typedef struct {
    size_t bytes, bytes_max; /* of pages in use */
    sg_pool_page *empty;
    sg_pool_page *partial[SG_POOL_CLASSES]; /* pages with room */
    uint32_t item[SG_POOL_CLASSES];         /* bytes of an item */
    void *arenas;                           /* what the pages are cut from */
    char *fresh, *fresh_end;
} sg_pool;

/* `item` is the size of class 0, at most SG_POOL_ITEM_MAX. */
void sg_pool_open(sg_pool *pool, size_t bytes_max, size_t item);
void sg_pool_close(sg_pool *pool);

/* An item of class 0, or of at least `size` bytes (and *room of them), 64-byte aligned, not zeroed.  NULL: no
 * room within the limit, or for more than SG_POOL_ITEM_MAX. */
void *sg_pool_take(sg_pool *pool);
void *sg_pool_take_bytes(sg_pool *pool, size_t size, size_t *room);

/* NULL is fine. */
void sg_pool_give(sg_pool *pool, void *item);

#endif
