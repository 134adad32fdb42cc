#include "watch/verdict_cache.h"

#include "base/memory.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { WAYS = 4 };

typedef struct {
    XXH128_hash_t key; /* of the sequence; 0, 0: empty */
    sg_verdict verdict;
    uint32_t used; /* by the cache's clock */
} entry;

struct sg_verdict_cache {
    entry *entries; /* [buckets][WAYS] */
    uint64_t mask;  /* buckets - 1 */
    uint64_t seed;  /* random: who sends messages must not choose buckets */
    uint32_t clock; /* of uses */
};

sg_status sg_verdict_cache_open(sg_verdict_cache **out, int64_t entries)
{
    sg_verdict_cache *cache;
    uint64_t buckets = 1;
    while ((int64_t)(buckets * WAYS) < entries)
        buckets *= 2;
    *out = NULL;
    SG_TRY(sg_alloc(&cache, 1, "cache of verdicts"));
    sg_status status = sg_alloc(&cache->entries, buckets * WAYS, "cache of verdicts");
    if (status != SG_OK) {
        free(cache);
        return status;
    }
    cache->mask = buckets - 1;
    if (getrandom(&cache->seed, sizeof cache->seed, 0) != (ssize_t)sizeof cache->seed)
        cache->seed = (uint64_t)(uintptr_t)cache;
    *out = cache;
    return SG_OK;
}

void sg_verdict_cache_close(sg_verdict_cache *cache)
{
    if (!cache)
        return;
    free(cache->entries);
    free(cache);
}

void sg_verdict_cache_clear(sg_verdict_cache *cache)
{
    memset(cache->entries, 0, (cache->mask + 1) * WAYS * sizeof *cache->entries);
}

static entry *bucket_of(const sg_verdict_cache *cache, const uint16_t *types, int length, XXH128_hash_t *key)
{
    *key = XXH3_128bits_withSeed(types, (size_t)length * sizeof *types, cache->seed);
    if (!key->low64 && !key->high64)
        key->low64 = 1;
    return cache->entries + (key->low64 & cache->mask) * WAYS;
}

bool sg_verdict_cache_find(sg_verdict_cache *cache, const uint16_t *types, int length, sg_verdict *verdict)
{
    XXH128_hash_t key;
    entry *bucket = bucket_of(cache, types, length, &key);
    cache->clock++;
    for (int i = 0; i < WAYS; i++) {
        if (!XXH128_isEqual(bucket[i].key, key))
            continue;
        bucket[i].used = cache->clock;
        *verdict = bucket[i].verdict;
        return true;
    }
    return false;
}

void sg_verdict_cache_add(sg_verdict_cache *cache, const uint16_t *types, int length,
                          const sg_verdict *verdict)
{
    XXH128_hash_t key;
    entry *bucket = bucket_of(cache, types, length, &key), *oldest = bucket;
    for (int i = 0; i < WAYS; i++) {
        if (XXH128_isEqual(bucket[i].key, key)) {
            oldest = &bucket[i];
            break;
        }
        if (cache->clock - bucket[i].used > cache->clock - oldest->used)
            oldest = &bucket[i];
    }
    *oldest = (entry){key, *verdict, ++cache->clock};
}
