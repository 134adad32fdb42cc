/* keyed_hash.h: keyed hashes of data from the network, so that a sender cannot aim at one slot of a table;
 * private to this room. */
#ifndef SG_SIP_KEYED_HASH_H
#define SG_SIP_KEYED_HASH_H

#include "base/status.h"
#include "sip/endpoint.h"
#include "sip/message.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

typedef struct {
    unsigned char secret[XXH_SECRET_DEFAULT_SIZE];
    uint64_t seed; /* of the same; for hashes of single texts */
} sg_hash_key;

/* From the system's random numbers, or from `seed` alone if `any`. */
sg_status sg_hash_key_make(sg_hash_key *key, bool any, uint64_t seed);

static inline XXH128_hash_t sg_hash_whole(const sg_hash_key *key, sg_text text)
{
    return XXH3_128bits_withSecret(text.data, text.length, key->secret, sizeof key->secret);
}

/* 0 for an empty text, and for no other. */
static inline uint64_t sg_hash_text(const sg_hash_key *key, sg_text text)
{
    return text.length ? XXH3_64bits_withSecret(text.data, text.length, key->secret, sizeof key->secret) | 1
                       : 0;
}

/* An address without its port; never 0. */
static inline uint64_t sg_hash_address(const sg_hash_key *key, const sg_endpoint *endpoint)
{
    unsigned char bytes[17];
    memcpy(bytes, endpoint->address, 16);
    bytes[16] = endpoint->family;
    return XXH3_64bits_withSecret(bytes, sizeof bytes, key->secret, sizeof key->secret) | 1;
}

#endif
