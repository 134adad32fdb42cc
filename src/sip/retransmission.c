#include "sip/retransmission.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { WINDOW_MS = 32000 };

static uint64_t hash_text(sg_text text, uint64_t seed)
{
    return text.length ? XXH3_64bits_withSeed(text.data, text.length, seed) : 0;
}

uint64_t sg_repeat_key(const sg_sip_message *message, const sg_flow *flow, uint64_t seed)
{
    /* Filled by hand, so that no padding is hashed.  Known methods are told apart by number; the names of
     * others count themselves. */
    struct {
        uint8_t addresses[32];
        uint16_t ports[2];
        uint16_t code;
        uint8_t families[2], methods[2];
        uint8_t zero[2];
        uint32_t cseq;
        uint64_t branch, sent_by, to_tag, names;
    } identity = {
        .ports = {flow->source.port, flow->destination.port},
        .code = message->response ? message->code : UINT16_MAX,
        .families = {flow->source.family, flow->destination.family},
        .methods = {(uint8_t)message->method, (uint8_t)message->cseq_method},
        .cseq = message->cseq,
        .branch = hash_text(message->branch, seed),
        .sent_by = hash_text(message->sent_by, seed),
        .to_tag = hash_text(message->to_tag, seed),
    };
    _Static_assert(sizeof identity == 80, "no padding");
    memcpy(identity.addresses, flow->source.address, 16);
    memcpy(identity.addresses + 16, flow->destination.address, 16);
    if (message->method == SG_METHOD_OTHER || message->cseq_method == SG_METHOD_OTHER)
        identity.names = hash_text(message->method_name, seed) ^ hash_text(message->cseq_name, seed + 1);
    return XXH3_64bits_withSeed(&identity, sizeof identity, seed);
}

bool sg_repeat_seen(sg_repeat_ring *ring, uint64_t key, int64_t time_us)
{
    uint32_t now = (uint32_t)(time_us / 1000);
    for (unsigned n = 0; n < ring->count; n++)
        if (ring->key[n] == key && now - ring->time_ms[n] + WINDOW_MS <= 2 * WINDOW_MS)
            return true;
    ring->key[ring->next] = key;
    ring->time_ms[ring->next] = now;
    ring->next = (uint8_t)(ring->next + 1 < SG_REPEAT_RING ? ring->next + 1 : 0);
    ring->count = (uint8_t)(ring->count + (ring->count < SG_REPEAT_RING));
    return false;
}
