#include "train/batches.h"

#include "base/philox.h"

void sg_epoch_order(int64_t count, uint64_t seed, int64_t epoch, int32_t *order)
{
    sg_random random = sg_random_open(seed, SG_RANDOM_SHUFFLE, (uint32_t)epoch);
    for (int64_t i = 0; i < count; i++)
        order[i] = (int32_t)i;
    for (int64_t i = count - 1; i > 0; i--) {
        uint32_t j = sg_random_below(&random, (uint32_t)i + 1);
        int32_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

int64_t sg_batches_per_epoch(int64_t count, int64_t batch_size, bool keep_last)
{
    return count / batch_size + (keep_last && count % batch_size != 0);
}
