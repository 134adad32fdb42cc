#include "capture/secret.h"

#include <sys/random.h>
#include <time.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

void sg_secret_make(sg_secret *secret)
{
    struct timespec now;
    if (getrandom(secret->bytes, sizeof secret->bytes, 0) == (ssize_t)sizeof secret->bytes)
        return;
    /* No random numbers: the time is a poor secret, but better than none.  Tables stay bounded anyway.
     */
    clock_gettime(CLOCK_MONOTONIC, &now);
    XXH3_generateSecret(secret->bytes, sizeof secret->bytes, &now, sizeof now);
}

uint64_t sg_secret_hash(const sg_secret *secret, const void *data, size_t size)
{
    return XXH3_64bits_withSecret(data, size, secret->bytes, sizeof secret->bytes);
}
