#include "sip/keyed_hash.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

sg_status sg_hash_key_make(sg_hash_key *key, bool any, uint64_t seed)
{
    memset(key, 0, sizeof *key);
    if (any) {
        XXH3_generateSecret_fromSeed(key->secret, seed);
        key->seed = seed;
        return SG_OK;
    }
    /* Up to 256 bytes are never split, but a signal can interrupt the call before the system's random pool is
     * ready. */
    ssize_t got;
    do
        got = getrandom(key, sizeof *key, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof *key)
        return sg_fail(SG_E_IO, "cannot get random numbers for a hash key: %s", strerror(errno));
    return SG_OK;
}
