/* emulator.h: what the parts of the host implementation of CUDA, cuBLAS and cuDNN share.  See README.md. */
#ifndef EMULATOR_H
#define EMULATOR_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- a caller's mistake that hardware would not report, or not there: prints it and aborts ---- */

_Noreturn void emulator_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Memory of the emulator itself, never NULL. */
void *emulator_new(size_t bytes);

/* ---- the device (cudart_device.c) ---- */

enum { EMULATOR_DEVICES_MAX = 16 };

int emulator_sm(void);        /* 90 for compute capability 9.0 */
size_t emulator_memory(void); /* bytes of each device */
int emulator_device(void);    /* current in this thread */

/* Sets this thread's last error, and returns it. */
cudaError_t emulator_error(cudaError_t error);

/* Why no call can succeed: no device, no driver, or one that has failed before; else cudaSuccess. */
cudaError_t emulator_ready(void);

#define EMULATOR_READY()                                \
    do {                                                \
        cudaError_t emulator_ready_ = emulator_ready(); \
        if (emulator_ready_ != cudaSuccess)             \
            return emulator_ready_;                     \
    } while (0)

/* Before every kernel and every product or recurrent network: counts it; an error if it is the one to fail.
 */
cudaError_t emulator_launch(void);
int cuda_emulator_before_launch(void);

/* Whether this cudaMalloc is one that shall fail. */
bool emulator_malloc_fails(void);

/* ---- memory (cudart_memory.c) ---- */

/* Dies unless `bytes` bytes from `from` are inside one live block of the device `device` (-1: any). */
void emulator_check_device(const void *from, size_t bytes, int device, const char *call, const char *what);
/* Dies if any of the bytes are device memory, or reach beyond the end of page-locked memory. */
void emulator_check_host(const void *from, size_t bytes, const char *call, const char *what);
bool emulator_on_device(const void *address);
bool emulator_page_locked(const void *address);
bool emulator_overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* ---- streams, and what is delivered late (cudart_stream.c, cudart_late.c) ---- */

enum { EMULATOR_STREAMS_MAX = 1024 };

/* A rectangle of bytes to be copied. */
typedef struct {
    char *to;
    const char *from;
    size_t to_pitch, from_pitch, width, height;
} emulator_copy;

void emulator_copy_now(const emulator_copy *copy);
size_t emulator_extent(size_t pitch, size_t width, size_t height);

/* Number of a live stream; 0 is the default one.  Dies if it is not one. */
int emulator_stream(cudaStream_t stream, const char *call);
bool emulator_stream_blocks(int number); /* whether it waits for the default stream, and that for it */

/* CUDA_EMULATOR_LATE: copies from and to page-locked memory. */
bool emulator_late(void);
uint64_t emulator_late_now(void); /* a point in the order of everything enqueued */
void emulator_late_to_host(int stream, const emulator_copy *copy);
void emulator_late_from_host(int stream, const emulator_copy *copy);
void emulator_late_after(int stream, int other, uint64_t point); /* `stream` waits for `other` */
void emulator_settle(int stream, uint64_t until);
void emulator_settle_all(void);
bool emulator_settled(int stream, uint64_t until);

/* ---- products (product.c) ---- */

typedef enum { EMULATOR_FLOAT, EMULATOR_BF16 } emulator_type;

/* Element (i, j) is data[i * row + j * column]. */
typedef struct {
    const void *data;
    emulator_type type;
    int64_t row, column;
} emulator_matrix;

/* C(i, j) = alpha * sum A(i, l) B(l, j) + beta * C(i, j) with C(i, j) = c[i + j * ldc]; summed in the order
 * of l.  tf32: operands are rounded to 10 bits of mantissa.  C is not read if beta is 0. */
typedef struct {
    int64_t m, n, k;
    emulator_matrix a, b;
    bool tf32;
    float alpha, beta;
    float *c;
    int64_t ldc;
} emulator_product;

void emulator_multiply(const emulator_product *product);

float emulator_tf32(float x);
float emulator_from_bf16(uint16_t x);
uint16_t emulator_to_bf16(float x);

#endif
