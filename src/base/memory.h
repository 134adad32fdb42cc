/* memory.h: checked allocation.  Sizes are counts times element sizes, tested for overflow before use. */
#ifndef SG_BASE_MEMORY_H
#define SG_BASE_MEMORY_H

#include "base/status.h"

/* Allocates count * size zeroed bytes, 64-byte aligned, into *out (never NULL on success, also for 0 bytes).
 * Release with free().  SG_E_MEMORY names `what` and the size. */
sg_status sg_alloc_bytes(void **out, size_t count, size_t size, const char *what);

/* Allocates `count` zeroed elements of the type that *out points at. */
#define sg_alloc(out, count, what) sg_alloc_bytes((void **)(out), (size_t)(count), sizeof **(out), (what))

/* Grows *array (element size `size`) so that it holds at least `need` elements; *capacity is kept.  New
 * elements are not set.  The array must come from this function, or be NULL with capacity 0. */
sg_status sg_grow_bytes(void **array, size_t *capacity, size_t need, size_t size, const char *what);

#define sg_grow(array, capacity, need, what) \
    sg_grow_bytes((void **)(array), (capacity), (size_t)(need), sizeof **(array), (what))

#endif
