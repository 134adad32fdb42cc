/* philox.h: Philox4x32-10, the counter-based random generator of Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3" (SC 2011).  Host and device share this header.
 *
 * A number is a pure function of (seed, purpose, step, index), so initial weights, shuffles and dropout masks
 * are the same on every engine, at every thread count, and after a resume.
 */
#ifndef SG_BASE_PHILOX_H
#define SG_BASE_PHILOX_H

#include <stdint.h>

#ifdef __CUDACC__
#define SG_HD static __host__ __device__ __forceinline__
#else
#define SG_HD static inline __attribute__((always_inline, unused))
#endif

/* What a stream of numbers is for.  Values are part of the file formats: append only. */
typedef enum {
    SG_RANDOM_INIT = 1,    /* initial weights; step = tensor number */
    SG_RANDOM_SHUFFLE = 2, /* order of the train rows; step = epoch */
    SG_RANDOM_DROPOUT = 3, /* dropout masks; step = update number */
    SG_RANDOM_SPLIT = 4,   /* train/validation/test */
    SG_RANDOM_SYNTH = 5,   /* synthetic corpora */
    SG_RANDOM_KMEANS = 6,  /* k-means++ seeding; step = restart */
    SG_RANDOM_BENCH = 7    /* benchmark inputs */
} sg_random_purpose;

typedef struct {
    uint32_t v[4];
} sg_random4;

/* Ten rounds over counter c with key (k0, k1). */
SG_HD sg_random4 sg_philox(sg_random4 c, uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c.v[0];
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c.v[2];
        sg_random4 n;
        n.v[0] = (uint32_t)(p1 >> 32) ^ c.v[1] ^ k0;
        n.v[1] = (uint32_t)p1;
        n.v[2] = (uint32_t)(p0 >> 32) ^ c.v[3] ^ k1;
        n.v[3] = (uint32_t)p0;
        c = n;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

/* Four 32-bit numbers, number 4*block .. 4*block+3 of the stream (seed, purpose, step). */
SG_HD sg_random4 sg_random_block(uint64_t seed, uint32_t purpose, uint32_t step, uint64_t block)
{
    sg_random4 c = {{(uint32_t)block, (uint32_t)(block >> 32), step, purpose}};
    return sg_philox(c, (uint32_t)seed, (uint32_t)(seed >> 32));
}

/* Number `index` of the stream (seed, purpose, step). */
SG_HD uint32_t sg_random_at(uint64_t seed, uint32_t purpose, uint32_t step, uint64_t index)
{
    return sg_random_block(seed, purpose, step, index >> 2).v[index & 3];
}

/* 24 random bits as a float in [0, 1). */
SG_HD float sg_random_unit(uint32_t bits)
{
    return (float)(bits >> 8) * 0x1p-24f;
}

/* A sequential reader of one stream, for host code that draws an unknown count. */
typedef struct {
    uint64_t seed, next;
    uint32_t purpose, step;
    sg_random4 block;
} sg_random;

SG_HD sg_random sg_random_open(uint64_t seed, uint32_t purpose, uint32_t step)
{
    sg_random r = {seed, 0, purpose, step, {{0, 0, 0, 0}}};
    return r;
}

SG_HD uint32_t sg_random_next(sg_random *r)
{
    if ((r->next & 3) == 0)
        r->block = sg_random_block(r->seed, r->purpose, r->step, r->next >> 2);
    return r->block.v[r->next++ & 3];
}

/* Uniform on [0, 1) with 53 bits. */
SG_HD double sg_random_double(sg_random *r)
{
    uint64_t hi = sg_random_next(r) >> 5, lo = sg_random_next(r) >> 6;
    return (double)(hi * 67108864u + lo) * 0x1p-53;
}

/* Uniform on {0, ..., n-1}, n >= 1, without modulo bias (Lemire's multiply-and-reject). */
SG_HD uint32_t sg_random_below(sg_random *r, uint32_t n)
{
    uint64_t m = (uint64_t)sg_random_next(r) * n;
    if ((uint32_t)m < n) {
        uint32_t floor = (uint32_t)(-n) % n;
        while ((uint32_t)m < floor)
            m = (uint64_t)sg_random_next(r) * n;
    }
    return (uint32_t)(m >> 32);
}

#endif
