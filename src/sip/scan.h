/* scan.h: finding bytes in SIP text, 16 at a time where the processor can; for message.c.
 *
 * glibc's memchr is as fast on long texts, but header lines and their parts are short, and calling it for
 * each costs more than the search.
 */
#ifndef SG_SIP_SCAN_H
#define SG_SIP_SCAN_H

#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The first of three bytes (which may be alike) in at..end, or `end`.  Up to 15 bytes beyond `end` may be
 * looked at, but none at `limit` >= end or beyond. */
static inline const char *sg_find_of3(const char *at, const char *end, const char *limit, char a, char b,
                                      char c)
{
#ifdef __SSE2__
    const __m128i va = _mm_set1_epi8(a), vb = _mm_set1_epi8(b), vc = _mm_set1_epi8(c);
    for (; at < end && limit - at >= 16; at += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i hits = _mm_or_si128(_mm_cmpeq_epi8(text, va), _mm_cmpeq_epi8(text, vb));
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(hits, _mm_cmpeq_epi8(text, vc)));
        if (mask) {
            const char *hit = at + __builtin_ctz(mask);
            return hit < end ? hit : end;
        }
    }
#else
    (void)limit;
#endif
    while (at < end && *at != a && *at != b && *at != c)
        at++;
    return at < end ? at : end;
}

static inline const char *sg_find_byte(const char *at, const char *end, const char *limit, char wanted)
{
    return sg_find_of3(at, end, limit, wanted, wanted, wanted);
}

/* The first byte in at..end that is `a`, `b`, a space or a control byte, or `end`; with the same limit. */
static inline const char *sg_find_word_end(const char *at, const char *end, const char *limit, char a, char b)
{
#ifdef __SSE2__
    const __m128i va = _mm_set1_epi8(a), vb = _mm_set1_epi8(b), space = _mm_set1_epi8(' ');
    for (; at < end && limit - at >= 16; at += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i hits = _mm_or_si128(_mm_cmpeq_epi8(text, va), _mm_cmpeq_epi8(text, vb));
        hits = _mm_or_si128(hits, _mm_cmpeq_epi8(_mm_min_epu8(text, space), text));
        unsigned mask = (unsigned)_mm_movemask_epi8(hits);
        if (mask) {
            const char *hit = at + __builtin_ctz(mask);
            return hit < end ? hit : end;
        }
    }
#else
    (void)limit;
#endif
    while (at < end && *at != a && *at != b && (unsigned char)*at > ' ')
        at++;
    return at < end ? at : end;
}

/* Line feeds from a place on, one after the other. */
typedef struct {
    const char *block, *end;
    uint64_t feeds; /* of the 64 bytes at block, those not yet told */
} sg_feeds;

static inline uint64_t sg_feeds_in(const char *at, const char *end)
{
    uint64_t mask = 0;
    size_t n = 0, size = end - at < 64 ? (size_t)(end - at) : 64;
#ifdef __SSE2__
    const __m128i feed = _mm_set1_epi8('\n');
    for (; n + 16 <= size; n += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)(const void *)(at + n));
        mask |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(text, feed)) << n;
    }
#endif
    for (; n < size; n++)
        mask |= (uint64_t)(at[n] == '\n') << n;
    return mask;
}

static inline sg_feeds sg_feeds_from(const char *at, const char *end)
{
    return (sg_feeds){at, end, sg_feeds_in(at, end)};
}

/* The next line feed, or NULL. */
static inline const char *sg_feeds_next(sg_feeds *feeds)
{
    while (!feeds->feeds) {
        if (feeds->end - feeds->block <= 64)
            return NULL;
        feeds->block += 64;
        feeds->feeds = sg_feeds_in(feeds->block, feeds->end);
    }
    const char *feed = feeds->block + __builtin_ctzll(feeds->feeds);
    feeds->feeds &= feeds->feeds - 1;
    return feed;
}

#endif
