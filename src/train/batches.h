/* batches.h: the order in which training sees the dialogs, a pure function of (seed, epoch). */
#ifndef SG_TRAIN_BATCHES_H
#define SG_TRAIN_BATCHES_H

#include "base/status.h"
#include <stdint.h>

/* Puts 0..count-1 into order[], shuffled (Fisher-Yates) with the Philox stream (seed, shuffle, epoch). */
void sg_epoch_order(int64_t count, uint64_t seed, int64_t epoch, int32_t *order);

/* Updates in an epoch: all full batches, and the remainder unless it is dropped. */
int64_t sg_batches_per_epoch(int64_t count, int64_t batch_size, bool keep_last);

#endif
