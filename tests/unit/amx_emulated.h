/* amx_emulated.h: the tile instructions that kernels_amx.c and tiles.c use, after Intel's Architecture
 * Instruction Set Extensions Programming Reference, chapter on AMX; for processors without them.
 */
#ifndef AMX_EMULATED_H
#define AMX_EMULATED_H

#include "engine/cell.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int rows, bytes;
    uint8_t data[16][64];
} emulated_tile;

static _Thread_local emulated_tile emulated_tiles[8];

/* A processor would fault. */
static inline void demand(bool holds)
{
    if (!holds)
        abort();
}

/* Palette 1: bytes of a row at 16, rows at 48. */
static inline void _tile_loadconfig(const void *memory)
{
    const uint8_t *m = memory;
    demand(m[0] == 1 && m[1] == 0);
    for (int i = 2; i < 16; i++)
        demand(m[i] == 0);
    memset(emulated_tiles, 0, sizeof emulated_tiles);
    for (int t = 0; t < 8; t++) {
        emulated_tile *tile = &emulated_tiles[t];
        tile->bytes = m[16 + 2 * t] | m[17 + 2 * t] << 8;
        tile->rows = m[48 + t];
        demand(tile->rows >= 1 && tile->rows <= 16 && tile->bytes >= 4 && tile->bytes <= 64);
    }
}

static inline void _tile_release(void)
{
    memset(emulated_tiles, 0, sizeof emulated_tiles);
}

static inline void _tile_zero(int t)
{
    memset(emulated_tiles[t].data, 0, sizeof emulated_tiles[t].data);
}

static inline void _tile_loadd(int t, const void *base, size_t stride)
{
    _tile_zero(t);
    for (int r = 0; r < emulated_tiles[t].rows; r++)
        memcpy(emulated_tiles[t].data[r], (const char *)base + (size_t)r * stride,
               (size_t)emulated_tiles[t].bytes);
}

static inline void _tile_stored(int t, void *base, size_t stride)
{
    for (int r = 0; r < emulated_tiles[t].rows; r++)
        memcpy((char *)base + (size_t)r * stride, emulated_tiles[t].data[r], (size_t)emulated_tiles[t].bytes);
}

static inline void emulated_check(const emulated_tile *c, const emulated_tile *a, const emulated_tile *b)
{
    demand(c->rows == a->rows && c->bytes == b->bytes && a->bytes == 4 * b->rows);
}

/* c += a b: bytes of a unsigned, of b signed; word (k, n) of b holds rows 4k..4k+3 of column n. */
static inline void _tile_dpbusd(int to, int left, int right)
{
    emulated_tile *c = &emulated_tiles[to];
    const emulated_tile *a = &emulated_tiles[left], *b = &emulated_tiles[right];
    emulated_check(c, a, b);
    for (int m = 0; m < c->rows; m++)
        for (int n = 0; n < c->bytes / 4; n++) {
            int32_t sum;
            memcpy(&sum, &c->data[m][4 * n], 4);
            for (int k = 0; k < a->bytes; k++)
                sum += a->data[m][k] * (int8_t)b->data[k / 4][4 * n + k % 4];
            memcpy(&c->data[m][4 * n], &sum, 4);
        }
}

/* The same for pairs of bf16; odd and even places are summed apart. */
static inline void _tile_dpbf16ps(int to, int left, int right)
{
    emulated_tile *c = &emulated_tiles[to];
    const emulated_tile *a = &emulated_tiles[left], *b = &emulated_tiles[right];
    emulated_check(c, a, b);
    for (int m = 0; m < c->rows; m++)
        for (int n = 0; n < c->bytes / 4; n++) {
            float sum, part[2] = {0, 0};
            memcpy(&sum, &c->data[m][4 * n], 4);
            for (int k = 0; k < a->bytes / 2; k++) {
                uint16_t x, y;
                memcpy(&x, &a->data[m][2 * k], 2);
                memcpy(&y, &b->data[k / 2][4 * n + 2 * (k % 2)], 2);
                part[k % 2] += sg_float_from_bf16(x) * sg_float_from_bf16(y);
            }
            sum += part[0] + part[1];
            memcpy(&c->data[m][4 * n], &sum, 4);
        }
}

#endif
