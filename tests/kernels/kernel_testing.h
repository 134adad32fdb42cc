/* kernel_testing.h: memory for tests that compare kernels with their twins.
 *
 * A test fills host arrays, makes two argument structs, one with host pointers for the twin and one with
 * device pointers for the kernel, and says run(): the kernel runs twice, both times from the same state of
 * its outputs, and must give the same bits.  Outputs start as poison (bytes 0xff, a NaN of every type) with
 * guard zones on both sides, on the device and on the host.  Everything is freed by end().
 */
#ifndef KERNEL_TESTING_H
#define KERNEL_TESTING_H

#include "unit/testing.h"

#include "engine/cell.h"
#include "kernels/kernels.h"
#include "kernels/twin.h"

/* An output, or what is both input and output. */
typedef struct {
    void *device, *host; /* for the kernel, for the twin */
    void *result;        /* what the kernel left, on the host */
    size_t bytes;
} output;

/* Starts a test; skips it, with the reason, where there is no device. */
void begin(void);
/* cmocka's teardown: frees what the test made. */
int end(void **state);

/* From here on device addresses are 4 bytes beyond an aligned one: single values can be moved, packs cannot.
 */
void misalign(bool on);

/* Host memory that end() frees. */
void *host_new(size_t count, size_t size);
/* A device copy of `bytes` bytes, not one more; NULL stays NULL. */
void *input(const void *host, size_t bytes);
/* Poisoned, or with what `initial` holds. */
output *output_new(size_t bytes, const void *initial);
output *doubles_new(size_t count); /* poisoned, and always aligned */

/* ---- random inputs, the same in every run ---- */

uint32_t random_below(uint32_t n);
float random_float(float low, float high);
/* Uniform floats or bf16 numbers in [low, high). */
void *random_operand(size_t count, sg_operand operand, float low, float high);
float *random_floats(size_t count, float low, float high);
/* Whole numbers in [-size, size]: sums of a few are exact in any order. */
void *random_integers(size_t count, sg_operand operand, int size);

size_t operand_size(sg_operand operand);

/* ---- running and comparing ---- */

void restore_outputs(void);
void collect_outputs(void);
void retire_outputs(void);

/* Runs the kernel twice, then the twin once; for the outputs made since the last run. */
#define run(kernel_call, twin_call)             \
    do {                                        \
        for (int run_ = 0; run_ < 2; run_++) {  \
            restore_outputs();                  \
            assert_int_equal((kernel_call), 0); \
            collect_outputs();                  \
        }                                       \
        retire_outputs();                       \
        twin_call;                              \
    } while (0)

/* The kernel left the twin's bits. */
void assert_bits(const output *out);
/* To `tolerance` of the value plus that of the root mean square; bf16 to one unit of its last place.  What
 * the twin left poisoned must be so bit for bit. */
void assert_near(const output *out, sg_operand operand, double tolerance);
void assert_near_doubles(const output *out, double tolerance);

#define kernel_test(f) cmocka_unit_test_teardown(f, end)

#endif
