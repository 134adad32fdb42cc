/* verdict_cache.h: what the model said of sequences of messages, kept for the next time the same one comes.
 *
 * A fixed table of 4-way buckets; in each, the one used longest ago gives way.
 */
#ifndef SG_WATCH_VERDICT_CACHE_H
#define SG_WATCH_VERDICT_CACHE_H

#include "detect/detector.h"

typedef struct sg_verdict_cache sg_verdict_cache;

/* Room for about `entries` verdicts. */
sg_status sg_verdict_cache_open(sg_verdict_cache **cache, int64_t entries);
void sg_verdict_cache_close(sg_verdict_cache *cache); /* NULL is fine */
void sg_verdict_cache_clear(sg_verdict_cache *cache);
bool sg_verdict_cache_find(sg_verdict_cache *cache, const uint16_t *types, int length, sg_verdict *verdict);
void sg_verdict_cache_add(sg_verdict_cache *cache, const uint16_t *types, int length,
                          const sg_verdict *verdict);

#endif
