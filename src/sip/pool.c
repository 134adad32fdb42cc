#include "sip/pool.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 64, ARENA_PAGES = 64 };

struct sg_pool_page {
    sg_pool_page *next, *previous; /* among the empty or the partial ones of its class */
    void *free;                    /* items given back, linked through their first bytes */
    uint32_t cut;                  /* bytes of the page that are items already */
    uint32_t used;                 /* items */
    int class;
};
_Static_assert(sizeof(sg_pool_page) <= HEADER, "the header holds it");

void sg_pool_open(sg_pool *pool, size_t bytes_max, size_t item)
{
    memset(pool, 0, sizeof *pool);
    pool->bytes_max = bytes_max;
    pool->item[0] = (uint32_t)((item + 63) / 64 * 64);
    for (int class = 1; class < SG_POOL_CLASSES; class ++)
        pool->item[class] = 64u << (class - 1);
    /* The last two would not fit beside the header. */
    pool->item[SG_POOL_CLASSES - 2] = SG_POOL_ITEM_MAX / 2 / 64 * 64;
    pool->item[SG_POOL_CLASSES - 1] = SG_POOL_ITEM_MAX;
}

void sg_pool_close(sg_pool *pool)
{
    while (pool->arenas) {
        void *arena = pool->arenas;
        memcpy(&pool->arenas, arena, sizeof pool->arenas);
        free(arena);
    }
}

static void link_page(sg_pool_page **list, sg_pool_page *page)
{
    page->previous = NULL;
    page->next = *list;
    if (*list)
        (*list)->previous = page;
    *list = page;
}

static void unlink_page(sg_pool_page **list, sg_pool_page *page)
{
    if (page->next)
        page->next->previous = page->previous;
    *(page->previous ? &page->previous->next : list) = page->next;
}

/* Another page from the system's memory, which is taken in large pieces: the first page of each is kept for
 * the link to the next.  Untouched pages cost nothing. */
static sg_pool_page *cut_page(sg_pool *pool)
{
    if (pool->fresh == pool->fresh_end) {
        char *arena = aligned_alloc(SG_POOL_PAGE, (size_t)SG_POOL_PAGE * ARENA_PAGES);
        if (!arena)
            return NULL;
        memcpy(arena, &pool->arenas, sizeof pool->arenas);
        pool->arenas = arena;
        pool->fresh = arena + SG_POOL_PAGE;
        pool->fresh_end = arena + (size_t)SG_POOL_PAGE * ARENA_PAGES;
    }
    sg_pool_page *page = (sg_pool_page *)(void *)pool->fresh;
    pool->fresh += SG_POOL_PAGE;
    return page;
}

/* A page with room for an item of the class, or NULL. */
static sg_pool_page *find_page(sg_pool *pool, int class)
{
    sg_pool_page *page = pool->partial[class];
    if (page)
        return page;
    if (pool->bytes + SG_POOL_PAGE > pool->bytes_max)
        return NULL;
    page = pool->empty;
    if (page)
        unlink_page(&pool->empty, page);
    else if (!(page = cut_page(pool)))
        return NULL;
    memset(page, 0, sizeof *page);
    page->cut = HEADER;
    page->class = class;
    pool->bytes += SG_POOL_PAGE;
    link_page(&pool->partial[class], page);
    return page;
}

static void *take(sg_pool *pool, int class)
{
    uint32_t size = pool->item[class];
    sg_pool_page *page = find_page(pool, class);
    if (!page)
        return NULL;
    void *item = page->free;
    if (item) {
        memcpy(&page->free, item, sizeof page->free);
    } else {
        item = (char *)page + page->cut;
        page->cut += size;
    }
    page->used++;
    if (!page->free && page->cut + size > SG_POOL_PAGE)
        unlink_page(&pool->partial[class], page);
    return item;
}

void *sg_pool_take(sg_pool *pool)
{
    return take(pool, 0);
}

void *sg_pool_take_bytes(sg_pool *pool, size_t size, size_t *room)
{
    for (int class = 1; class < SG_POOL_CLASSES; class ++)
        if (size <= pool->item[class]) {
            *room = pool->item[class];
            return take(pool, class);
        }
    return NULL;
}

void sg_pool_give(sg_pool *pool, void *item)
{
    if (!item)
        return;
    sg_pool_page *page = (sg_pool_page *)(void *)((char *)item - (uintptr_t)item % SG_POOL_PAGE);
    sg_pool_page **partial = &pool->partial[page->class];
    bool full = !page->free && page->cut + pool->item[page->class] > SG_POOL_PAGE;
    memcpy(item, &page->free, sizeof page->free);
    page->free = item;
    page->used--;
    if (full)
        link_page(partial, page);
    if (page->used == 0) {
        unlink_page(partial, page);
        link_page(&pool->empty, page);
        pool->bytes -= SG_POOL_PAGE;
    }
}
