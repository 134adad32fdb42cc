#include "kernels/kernel_testing.h"

#include <cuda_runtime_api.h>

enum { GUARD = 256, OUTPUTS_MAX = 512, HOST_MAX = 4096, POISON = 0xff };

/* An output's memory: guard, data, guard; the device's and the host's are alike. */
typedef struct {
    output out;
    char *device, *host, *initial, *result;
    size_t bytes;
    bool collected;
} guarded;

static guarded outputs[OUTPUTS_MAX]; /* those from first_output on belong to the next run() */
static int first_output, output_count;
static void *host_memory[HOST_MAX], *device_memory[HOST_MAX];
static int host_count, device_count;
static size_t shift;

static void check(cudaError_t error, const char *what)
{
    if (error != cudaSuccess)
        fail_msg("%s: %s", what, cudaGetErrorString(error));
}

void begin(void)
{
    int devices = 0;
    cudaError_t error = cudaGetDeviceCount(&devices);
    if (error != cudaSuccess || devices == 0) {
        print_message("no CUDA device: %s\n", cudaGetErrorString(error));
        skip();
    }
    shift = 0;
    /* What an earlier call left behind is none of a launch's errors. */
    assert_int_not_equal(cudaSetDevice(devices), cudaSuccess);
}

int end(void **state)
{
    (void)state;
    for (int i = 0; i < host_count; i++)
        free(host_memory[i]);
    for (int i = 0; i < device_count; i++)
        cudaFree(device_memory[i]);
    host_count = device_count = first_output = output_count = 0;
    return 0;
}

void misalign(bool on)
{
    shift = on ? 4 : 0;
}

/* ---- memory ---- */

void *host_new(size_t count, size_t size)
{
    assert_true(host_count < HOST_MAX);
    void *memory = calloc(count * size + 1, 1);
    assert_non_null(memory);
    return host_memory[host_count++] = memory;
}

static char *device_new(size_t bytes)
{
    void *memory;
    assert_true(device_count < HOST_MAX);
    check(cudaMalloc(&memory, bytes + (bytes == 0)), "cudaMalloc");
    return device_memory[device_count++] = memory;
}

void *input(const void *host, size_t bytes)
{
    if (!host)
        return NULL;
    char *device = device_new(shift + bytes) + shift;
    check(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    return device;
}

output *output_new(size_t bytes, const void *initial)
{
    assert_true(output_count < OUTPUTS_MAX);
    guarded *g = &outputs[output_count++];
    g->bytes = bytes + 2 * GUARD + shift;
    g->initial = host_new(g->bytes, 1);
    g->host = host_new(g->bytes, 1);
    g->result = host_new(g->bytes, 1);
    g->device = device_new(g->bytes);
    g->collected = false;
    memset(g->initial, POISON, g->bytes);
    if (initial)
        memcpy(g->initial + GUARD + shift, initial, bytes);
    memcpy(g->host, g->initial, g->bytes);
    g->out.device = g->device + GUARD + shift;
    g->out.host = g->host + GUARD + shift;
    g->out.result = g->result + GUARD + shift;
    g->out.bytes = bytes;
    return &g->out;
}

output *doubles_new(size_t count)
{
    size_t kept = shift;
    shift = 0;
    output *out = output_new(count * sizeof(double), NULL);
    shift = kept;
    return out;
}

void restore_outputs(void)
{
    for (int i = first_output; i < output_count; i++)
        check(cudaMemcpy(outputs[i].device, outputs[i].initial, outputs[i].bytes, cudaMemcpyHostToDevice),
              "cudaMemcpy");
}

static void check_guard(const guarded *g, size_t first, size_t last)
{
    for (size_t i = first; i < last; i++)
        if (g->result[i] != g->initial[i])
            fail_msg("output %d of %zu bytes: written at byte %td", (int)(g - outputs), g->out.bytes,
                     &g->result[i] - (char *)g->out.result);
}

void collect_outputs(void)
{
    check(cudaDeviceSynchronize(), "kernel");
    for (int i = first_output; i < output_count; i++) {
        guarded *g = &outputs[i];
        char *before = g->collected ? malloc(g->bytes) : NULL;
        if (before)
            memcpy(before, g->result, g->bytes);
        check(cudaMemcpy(g->result, g->device, g->bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
        size_t start = (size_t)((char *)g->out.result - g->result);
        check_guard(g, 0, start);
        check_guard(g, start + g->out.bytes, g->bytes);
        bool same = !before || memcmp(before, g->result, g->bytes) == 0;
        free(before);
        if (!same)
            fail_msg("output %d differs from run to run", i);
        g->collected = true;
    }
}

void retire_outputs(void)
{
    first_output = output_count;
}

/* ---- random inputs ---- */

static uint64_t draws;

uint32_t random_below(uint32_t n)
{
    return (uint32_t)(((uint64_t)sg_random_at(1, SG_RANDOM_BENCH, 3, draws++) * n) >> 32);
}

float random_float(float low, float high)
{
    return low + (high - low) * sg_random_unit(sg_random_at(1, SG_RANDOM_BENCH, 3, draws++));
}

size_t operand_size(sg_operand operand)
{
    return operand == SG_OPERAND_BF16 ? 2 : 4;
}

void *random_operand(size_t count, sg_operand operand, float low, float high)
{
    void *data = host_new(count, operand_size(operand));
    for (size_t i = 0; i < count; i++) {
        float x = random_float(low, high);
        if (operand == SG_OPERAND_BF16)
            ((uint16_t *)data)[i] = sg_bf16_from_float(x);
        else
            ((float *)data)[i] = x;
    }
    return data;
}

float *random_floats(size_t count, float low, float high)
{
    return random_operand(count, SG_OPERAND_FLOAT, low, high);
}

void *random_integers(size_t count, sg_operand operand, int size)
{
    void *data = host_new(count, operand_size(operand));
    for (size_t i = 0; i < count; i++) {
        float x = (float)((int)random_below(2 * (uint32_t)size + 1) - size);
        if (operand == SG_OPERAND_BF16)
            ((uint16_t *)data)[i] = sg_bf16_from_float(x);
        else
            ((float *)data)[i] = x;
    }
    return data;
}

/* ---- comparing ---- */

void assert_bits(const output *out)
{
    const unsigned char *a = out->result, *b = out->host;
    for (size_t i = 0; i < out->bytes; i++)
        if (a[i] != b[i])
            fail_msg("output of %zu bytes: byte %zu is %02x and should be %02x", out->bytes, i, a[i], b[i]);
}

static bool poisoned(const void *value, size_t size)
{
    static const unsigned char poison[8] = {POISON, POISON, POISON, POISON, POISON, POISON, POISON, POISON};
    return memcmp(value, poison, size) == 0;
}

static double value_at(const void *data, size_t i, size_t size)
{
    if (size == 8)
        return ((const double *)data)[i];
    return size == 4 ? (double)((const float *)data)[i]
                     : (double)sg_float_from_bf16(((const uint16_t *)data)[i]);
}

static void compare(const output *out, size_t size, double tolerance)
{
    size_t count = out->bytes / size, written = 0;
    double squares = 0;
    for (size_t i = 0; i < count; i++) {
        double x = value_at(out->host, i, size);
        if (isfinite(x)) {
            squares += x * x;
            written++;
        }
    }
    double typical = written ? sqrt(squares / (double)written) : 0;
    for (size_t i = 0; i < count; i++) {
        const char *at = (const char *)out->result + i * size, *twin = (const char *)out->host + i * size;
        double x = value_at(out->result, i, size), y = value_at(out->host, i, size);
        bool same = memcmp(at, twin, size) == 0, close = fabs(x - y) <= tolerance * (fabs(y) + typical);
        if (size == 2)
            close = fabs(x - y) <= 0x1p-7 * fabs(y) + tolerance * typical;
        if (isnan(y) && !poisoned(twin, size))
            close = isnan(x) && !poisoned(at, size);
        if (!same && !close)
            fail_msg("output of %zu elements: %zu is %.9g and should be %.9g", count, i, x, y);
    }
}

void assert_near(const output *out, sg_operand operand, double tolerance)
{
    compare(out, operand_size(operand), tolerance);
}

void assert_near_doubles(const output *out, double tolerance)
{
    compare(out, 8, tolerance);
}
