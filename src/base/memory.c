#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64u

sg_status sg_alloc_bytes(void **out, size_t count, size_t size, const char *what)
{
    size_t bytes;
    *out = NULL;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > (size_t)1 << 46)
        return sg_fail(SG_E_MEMORY, "%s: %zu elements of %zu bytes are too many", what, count, size);
    size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded == 0)
        rounded = ALIGNMENT;
    void *p = aligned_alloc(ALIGNMENT, rounded);
    if (!p)
        return sg_fail(SG_E_MEMORY, "%s: out of memory (%.1f MiB requested)", what,
                       (double)bytes / (1 << 20));
    memset(p, 0, rounded);
    *out = p;
    return SG_OK;
}

sg_status sg_grow_bytes(void **array, size_t *capacity, size_t need, size_t size, const char *what)
{
    if (need <= *capacity && *array)
        return SG_OK;
    size_t wanted = *capacity < 16 ? 16 : *capacity;
    while (wanted < need)
        if (__builtin_mul_overflow(wanted, (size_t)2, &wanted))
            return sg_fail(SG_E_MEMORY, "%s: %zu elements are too many", what, need);
    size_t bytes;
    void *p = __builtin_mul_overflow(wanted, size, &bytes) ? NULL : realloc(*array, bytes);
    if (!p)
        return sg_fail(SG_E_MEMORY, "%s: out of memory (%zu elements of %zu bytes)", what, wanted, size);
    *array = p;
    *capacity = wanted;
    return SG_OK;
}
