/* score.h: what the network says of sequences of messages, kept for the next time the same one comes. */
#ifndef SG_WATCH_SCORE_H
#define SG_WATCH_SCORE_H

#include "engine/engine.h"
#include "model/model.h"

typedef struct {
    double skewness, kurtosis;
} sg_score;

/* A cache of scores by sequence: a fixed table of 4-way buckets; in each, the one used longest ago gives way.
 */
typedef struct sg_score_cache sg_score_cache;

/* Room for about `entries` scores. */
sg_status sg_score_cache_open(sg_score_cache **cache, int64_t entries);
void sg_score_cache_close(sg_score_cache *cache);
void sg_score_cache_clear(sg_score_cache *cache);
bool sg_score_cache_find(sg_score_cache *cache, const uint16_t *types, int length, sg_score *score);
void sg_score_cache_add(sg_score_cache *cache, const uint16_t *types, int length, sg_score score);

/* Scores `count` sequences [count, L] of `length` messages each, padded as the model is, in one batch; equal
 * ones are run once.  The engine holds the model's weights. */
sg_status sg_score_run(sg_engine *engine, const sg_spec *spec, const uint16_t *sequence,
                       const uint16_t *length, int count, sg_score *scores);

#endif
