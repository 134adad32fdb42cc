#include "watch/score.h"

#include "base/memory.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- the cache ---- */

enum { WAYS = 4 };

typedef struct {
    XXH128_hash_t key; /* of the sequence; 0, 0: empty */
    sg_score score;
    uint32_t used; /* by the cache's clock */
} entry;

struct sg_score_cache {
    entry *entries; /* [buckets][WAYS] */
    uint64_t mask;  /* buckets - 1 */
    uint64_t seed;  /* random: who sends messages must not choose buckets */
    uint32_t clock; /* of uses */
};

sg_status sg_score_cache_open(sg_score_cache **out, int64_t entries)
{
    sg_score_cache *cache;
    uint64_t buckets = 1;
    while ((int64_t)(buckets * WAYS) < entries)
        buckets *= 2;
    *out = NULL;
    SG_TRY(sg_alloc(&cache, 1, "cache of scores"));
    sg_status status = sg_alloc(&cache->entries, buckets * WAYS, "cache of scores");
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

void sg_score_cache_close(sg_score_cache *cache)
{
    if (!cache)
        return;
    free(cache->entries);
    free(cache);
}

void sg_score_cache_clear(sg_score_cache *cache)
{
    memset(cache->entries, 0, (cache->mask + 1) * WAYS * sizeof *cache->entries);
}

static entry *bucket_of(const sg_score_cache *cache, const uint16_t *types, int length, XXH128_hash_t *key)
{
    *key = XXH3_128bits_withSeed(types, (size_t)length * sizeof *types, cache->seed);
    if (!key->low64 && !key->high64)
        key->low64 = 1;
    return cache->entries + (key->low64 & cache->mask) * WAYS;
}

bool sg_score_cache_find(sg_score_cache *cache, const uint16_t *types, int length, sg_score *score)
{
    XXH128_hash_t key;
    entry *bucket = bucket_of(cache, types, length, &key);
    cache->clock++;
    for (int i = 0; i < WAYS; i++) {
        if (!XXH128_isEqual(bucket[i].key, key))
            continue;
        bucket[i].used = cache->clock;
        *score = bucket[i].score;
        return true;
    }
    return false;
}

void sg_score_cache_add(sg_score_cache *cache, const uint16_t *types, int length, sg_score score)
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
    *oldest = (entry){key, score, ++cache->clock};
}

/* ---- scoring ---- */

typedef struct {
    const uint16_t *types;
    int length, index;
} item;

static int compare_items(const void *x, const void *y)
{
    const item *a = x, *b = y;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return memcmp(a->types, b->types, (size_t)a->length * sizeof *a->types);
}

/* Collects the unique sequences; place[i] is where sequence i went. */
static sg_status collect_unique(const uint16_t *sequence, const uint16_t *length, int count, int steps,
                                uint16_t *unique, uint16_t *unique_length, int32_t *place, int *unique_count)
{
    item *items;
    SG_TRY(sg_alloc(&items, count, "sequences to score"));
    for (int i = 0; i < count; i++)
        items[i] = (item){sequence + (size_t)i * (size_t)steps, length[i], i};
    qsort(items, (size_t)count, sizeof *items, compare_items);
    *unique_count = 0;
    for (int i = 0; i < count; i++) {
        if (i == 0 || compare_items(&items[i - 1], &items[i]) != 0) {
            memcpy(unique + (size_t)*unique_count * (size_t)steps, items[i].types,
                   (size_t)items[i].length * sizeof *unique);
            unique_length[(*unique_count)++] = (uint16_t)items[i].length;
        }
        place[items[i].index] = *unique_count - 1;
    }
    free(items);
    return SG_OK;
}

sg_status sg_score_run(sg_engine *engine, const sg_spec *spec, const uint16_t *sequence,
                       const uint16_t *length, int count, sg_score *scores)
{
    uint16_t *unique = NULL, *unique_length = NULL;
    int32_t *place = NULL;
    int uniques = 0;
    sg_sequences set = {0};
    sg_outputs outputs = {0};
    sg_status status;
    SG_TRY_GOTO(status, done, sg_alloc(&unique, (int64_t)count * spec->max_length, "sequences to score"));
    SG_TRY_GOTO(status, done, sg_alloc(&unique_length, count, "sequences to score"));
    SG_TRY_GOTO(status, done, sg_alloc(&place, count, "sequences to score"));
    SG_TRY_GOTO(
        status, done,
        collect_unique(sequence, length, count, spec->max_length, unique, unique_length, place, &uniques));
    SG_TRY_GOTO(status, done, sg_sequences_make(&set, spec, unique, unique_length, uniques));
    SG_TRY_GOTO(status, done, sg_outputs_alloc(&outputs, uniques, spec->classes, false));
    SG_TRY_GOTO(status, done, sg_engine_infer_all(engine, &set, &outputs));
    for (int i = 0; i < count; i++)
        scores[i] = (sg_score){outputs.skewness[place[i]], outputs.kurtosis[place[i]]};
done:
    sg_outputs_free(&outputs);
    sg_sequences_free(&set);
    free(place);
    free(unique_length);
    free(unique);
    return status;
}
