/* cudnn_probe: which algorithms, types and biases of cuDNN's LSTM take a shape, and how fast each is.
 *
 *   cudnn_probe [--units H] [--rows B] [--steps T] [--inputs M] [--repeats R] [--device N]
 *
 * Prints JSON, an object a line: what it runs on, then each way, with the milliseconds of forward, backward
 * to data and backward to weights (medians), or with the call that refused it and cuDNN's reason.  Exit
 * status 0: every way was tried; 1: there is no device, or one that failed; 2: wrong usage.
 */
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REPEATS = 100, PARTS = 3, PIECE = 4 << 20 };

typedef struct {
    int units, rows, steps, inputs, repeats, device;
} options;

typedef struct {
    const char *name;
    cudnnDataType_t data;
    cudnnMathType_t math;
    size_t size;
    uint32_t exponent; /* bits of 2^-5 */
    int mantissa;      /* bits */
} type;

static const type types[] = {
    {"fp32", CUDNN_DATA_FLOAT, CUDNN_FMA_MATH, 4, 122u << 23, 23},
    {"tf32", CUDNN_DATA_FLOAT, CUDNN_DEFAULT_MATH, 4, 122u << 23, 23},
    {"fp32 converted", CUDNN_DATA_FLOAT, CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION, 4, 122u << 23, 23},
    {"bf16", CUDNN_DATA_BFLOAT16, CUDNN_TENSOR_OP_MATH, 2, 122u << 7, 7},
    {"fp16", CUDNN_DATA_HALF, CUDNN_TENSOR_OP_MATH, 2, 10u << 10, 10},
};

static const struct {
    const char *name;
    cudnnRNNAlgo_t algorithm;
} algorithms[] = {
    {"standard", CUDNN_RNN_ALGO_STANDARD},
    {"persist static", CUDNN_RNN_ALGO_PERSIST_STATIC},
    {"persist dynamic", CUDNN_RNN_ALGO_PERSIST_DYNAMIC},
    {"persist static small", CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H},
};

static const struct {
    const char *name;
    cudnnRNNBiasMode_t mode;
} biases[] = {{"single", CUDNN_RNN_SINGLE_INP_BIAS}, {"double", CUDNN_RNN_DOUBLE_BIAS}};

enum { X, DX, Y, DY, WEIGHTS, GRADIENT, WORK, RESERVE, BUFFERS };

/* One way at a time. */
typedef struct {
    const options *o;
    const type *type;
    cudnnHandle_t handle;
    cudnnRNNDescriptor_t rnn;
    cudnnDropoutDescriptor_t dropout;
    cudnnRNNDataDescriptor_t x, y;
    cudnnTensorDescriptor_t h;
    void *buffer[BUFFERS];
    size_t bytes[BUFFERS];
    cudaEvent_t event[PARTS + 1];
    float ms[PARTS][MAX_REPEATS];
    const char *where; /* the call that failed */
    char reason[512];
} probe;

/* ---- failures ---- */

static bool cuda_ok(probe *p, cudaError_t error, const char *where)
{
    if (error == cudaSuccess)
        return true;
    p->where = where;
    snprintf(p->reason, sizeof p->reason, "%s", cudaGetErrorString(error));
    return false;
}

static bool cudnn_ok(probe *p, cudnnStatus_t status, const char *where)
{
    if (status == CUDNN_STATUS_SUCCESS)
        return true;
    char more[400] = "";
    cudnnGetLastErrorString(more, sizeof more);
    p->where = where;
    snprintf(p->reason, sizeof p->reason, "%s%s%.400s", cudnnGetErrorString(status), more[0] ? ": " : "",
             more);
    return false;
}

#define CUDA(call, name)               \
    do {                               \
        if (!cuda_ok(p, (call), name)) \
            return false;              \
    } while (0)
#define CUDNN(call, name)               \
    do {                                \
        if (!cudnn_ok(p, (call), name)) \
            return false;               \
    } while (0)

/* ---- one way ---- */

static bool describe(probe *p, cudnnRNNAlgo_t algorithm, cudnnRNNBiasMode_t bias, const int *length)
{
    const options *o = p->o;
    const int dims[3] = {1, o->rows, o->units}, strides[3] = {o->rows * o->units, o->units, 1};
    const cudnnRNNDataLayout_t layout = CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED;
    CUDNN(cudnnCreateRNNDescriptor(&p->rnn), "cudnnCreateRNNDescriptor");
    CUDNN(cudnnCreateDropoutDescriptor(&p->dropout), "cudnnCreateDropoutDescriptor");
    CUDNN(cudnnCreateRNNDataDescriptor(&p->x), "cudnnCreateRNNDataDescriptor");
    CUDNN(cudnnCreateRNNDataDescriptor(&p->y), "cudnnCreateRNNDataDescriptor");
    CUDNN(cudnnCreateTensorDescriptor(&p->h), "cudnnCreateTensorDescriptor");
    CUDNN(cudnnSetDropoutDescriptor(p->dropout, p->handle, 0, NULL, 0, 0), "cudnnSetDropoutDescriptor");
    CUDNN(cudnnSetRNNDescriptor_v8(p->rnn, algorithm, CUDNN_LSTM, bias, CUDNN_UNIDIRECTIONAL,
                                   CUDNN_LINEAR_INPUT, p->type->data, CUDNN_DATA_FLOAT, p->type->math,
                                   o->inputs, o->units, o->units, 1, p->dropout, CUDNN_RNN_PADDED_IO_ENABLED),
          "cudnnSetRNNDescriptor_v8");
    CUDNN(cudnnSetRNNDataDescriptor(p->x, p->type->data, layout, o->steps, o->rows, o->inputs, length, NULL),
          "cudnnSetRNNDataDescriptor");
    CUDNN(cudnnSetRNNDataDescriptor(p->y, p->type->data, layout, o->steps, o->rows, o->units, length, NULL),
          "cudnnSetRNNDataDescriptor");
    CUDNN(cudnnSetTensorNdDescriptor(p->h, p->type->data, 3, dims, strides), "cudnnSetTensorNdDescriptor");
    if (algorithm == CUDNN_RNN_ALGO_PERSIST_DYNAMIC)
        CUDNN(cudnnBuildRNNDynamic(p->handle, p->rnn, o->rows), "cudnnBuildRNNDynamic");
    return true;
}

/* Random numbers of 2^-5 to 2^-4, either sign: what is all zero needs less power, and runs faster. */
static void make_piece(const type *t, void *piece)
{
    uint32_t state = 1;
    for (size_t i = 0; i < PIECE / t->size; i++) {
        state = state * 1664525u + 1013904223u;
        uint32_t sign = (state >> 31) << (t->size * 8 - 1);
        uint32_t bits = sign | t->exponent | ((state >> 4) & ((1u << t->mantissa) - 1));
        if (t->size == 4)
            ((uint32_t *)piece)[i] = bits;
        else
            ((uint16_t *)piece)[i] = (uint16_t)bits;
    }
}

static bool fill(probe *p, const void *piece, int which)
{
    for (size_t at = 0; at < p->bytes[which]; at += PIECE) {
        size_t bytes = p->bytes[which] - at < PIECE ? p->bytes[which] - at : PIECE;
        CUDA(cudaMemcpy((char *)p->buffer[which] + at, piece, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    }
    return true;
}

static bool fill_all(probe *p)
{
    void *piece = malloc(PIECE);
    if (!piece)
        return cuda_ok(p, cudaErrorMemoryAllocation, "malloc");
    make_piece(p->type, piece);
    bool done = fill(p, piece, X) && fill(p, piece, DY) && fill(p, piece, WEIGHTS);
    free(piece);
    return done;
}

static bool allocate(probe *p)
{
    const options *o = p->o;
    size_t cells = (size_t)o->rows * (size_t)o->steps * p->type->size;
    CUDNN(cudnnGetRNNWeightSpaceSize(p->handle, p->rnn, &p->bytes[WEIGHTS]), "cudnnGetRNNWeightSpaceSize");
    CUDNN(cudnnGetRNNTempSpaceSizes(p->handle, p->rnn, CUDNN_FWD_MODE_TRAINING, p->x, &p->bytes[WORK],
                                    &p->bytes[RESERVE]),
          "cudnnGetRNNTempSpaceSizes");
    p->bytes[GRADIENT] = p->bytes[WEIGHTS];
    p->bytes[X] = p->bytes[DX] = cells * (size_t)o->inputs;
    p->bytes[Y] = p->bytes[DY] = cells * (size_t)o->units;
    for (int b = 0; b < BUFFERS; b++) {
        CUDA(cudaMalloc(&p->buffer[b], p->bytes[b] ? p->bytes[b] : 1), "cudaMalloc");
        CUDA(cudaMemset(p->buffer[b], 0, p->bytes[b] ? p->bytes[b] : 1), "cudaMemset");
    }
    for (int i = 0; i <= PARTS; i++)
        CUDA(cudaEventCreate(&p->event[i]), "cudaEventCreate");
    return fill_all(p);
}

static bool run_once(probe *p)
{
    void *const *b = p->buffer;
    const size_t *n = p->bytes;
    CUDA(cudaEventRecord(p->event[0], NULL), "cudaEventRecord");
    CUDNN(cudnnRNNForward(p->handle, p->rnn, CUDNN_FWD_MODE_TRAINING, NULL, p->x, b[X], p->y, b[Y], p->h,
                          NULL, NULL, p->h, NULL, NULL, n[WEIGHTS], b[WEIGHTS], n[WORK], b[WORK], n[RESERVE],
                          b[RESERVE]),
          "cudnnRNNForward");
    CUDA(cudaEventRecord(p->event[1], NULL), "cudaEventRecord");
    CUDNN(cudnnRNNBackwardData_v8(p->handle, p->rnn, NULL, p->y, b[Y], b[DY], p->x, b[DX], p->h, NULL, NULL,
                                  NULL, p->h, NULL, NULL, NULL, n[WEIGHTS], b[WEIGHTS], n[WORK], b[WORK],
                                  n[RESERVE], b[RESERVE]),
          "cudnnRNNBackwardData_v8");
    CUDA(cudaEventRecord(p->event[2], NULL), "cudaEventRecord");
    CUDNN(cudnnRNNBackwardWeights_v8(p->handle, p->rnn, CUDNN_WGRAD_MODE_ADD, NULL, p->x, b[X], p->h, NULL,
                                     p->y, b[Y], n[WEIGHTS], b[GRADIENT], n[WORK], b[WORK], n[RESERVE],
                                     b[RESERVE]),
          "cudnnRNNBackwardWeights_v8");
    CUDA(cudaEventRecord(p->event[3], NULL), "cudaEventRecord");
    CUDA(cudaEventSynchronize(p->event[3]), "cudaEventSynchronize");
    return true;
}

/* The first run warms up. */
static bool measure(probe *p)
{
    for (int r = -1; r < p->o->repeats; r++) {
        if (!run_once(p))
            return false;
        for (int i = 0; i < PARTS && r >= 0; i++)
            CUDA(cudaEventElapsedTime(&p->ms[i][r], p->event[i], p->event[i + 1]), "cudaEventElapsedTime");
    }
    return true;
}

static void release(probe *p)
{
    for (int b = 0; b < BUFFERS; b++)
        if (p->buffer[b])
            (void)cudaFree(p->buffer[b]);
    for (int i = 0; i <= PARTS; i++)
        if (p->event[i])
            (void)cudaEventDestroy(p->event[i]);
    if (p->rnn)
        cudnnDestroyRNNDescriptor(p->rnn);
    if (p->dropout)
        cudnnDestroyDropoutDescriptor(p->dropout);
    if (p->x)
        cudnnDestroyRNNDataDescriptor(p->x);
    if (p->y)
        cudnnDestroyRNNDataDescriptor(p->y);
    if (p->h)
        cudnnDestroyTensorDescriptor(p->h);
}

/* ---- output ---- */

static int compare_floats(const void *x, const void *y)
{
    float a = *(const float *)x, b = *(const float *)y;
    return (a > b) - (a < b);
}

static double median(float *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare_floats);
    return (double)values[count / 2];
}

static void print_text(const char *key, const char *text)
{
    printf(", \"%s\": \"", key);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else
            putchar((unsigned char)*text < ' ' ? ' ' : *text);
    putchar('"');
}

static void print_result(probe *p, bool accepted)
{
    static const char *const names[PARTS] = {"forward_ms", "data_ms", "weights_ms"};
    printf(", \"accepted\": %s", accepted ? "true" : "false");
    for (int i = 0; i < PARTS && accepted; i++)
        printf(", \"%s\": %.4f", names[i], median(p->ms[i], p->o->repeats));
    if (accepted)
        printf(", \"weights_mib\": %.1f, \"work_mib\": %.1f, \"reserve_mib\": %.1f",
               (double)p->bytes[WEIGHTS] / 0x1p20, (double)p->bytes[WORK] / 0x1p20,
               (double)p->bytes[RESERVE] / 0x1p20);
    if (!accepted) {
        print_text("where", p->where);
        print_text("reason", p->reason);
    }
    printf("}\n");
    fflush(stdout);
}

/* ---- all ways ---- */

/* False if the device itself has failed: then nothing else runs on it. */
static bool try_way(const options *o, cudnnHandle_t handle, const type *t, size_t algorithm, size_t bias,
                    const int *length)
{
    probe p = {.o = o, .type = t, .handle = handle};
    bool accepted = describe(&p, algorithms[algorithm].algorithm, biases[bias].mode, length) &&
                    allocate(&p) && measure(&p);
    printf("{\"algorithm\": \"%s\", \"type\": \"%s\", \"bias\": \"%s\"", algorithms[algorithm].name, t->name,
           biases[bias].name);
    print_result(&p, accepted);
    release(&p);
    (void)cudaGetLastError();
    cudaError_t error = cudaDeviceSynchronize();
    if (error != cudaSuccess)
        fprintf(stderr, "cudnn_probe: the device failed: %s\n", cudaGetErrorString(error));
    return error == cudaSuccess;
}

static bool try_all(const options *o, cudnnHandle_t handle)
{
    int *length = malloc((size_t)o->rows * sizeof *length);
    bool alive = length != NULL;
    for (int i = 0; i < o->rows && length; i++)
        length[i] = o->steps;
    for (size_t a = 0; a < sizeof algorithms / sizeof *algorithms; a++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            for (size_t b = 0; b < sizeof biases / sizeof *biases && alive; b++)
                alive = try_way(o, handle, &types[t], a, b, length);
    free(length);
    return alive;
}

static bool parse(int argc, char **argv, options *o)
{
    const struct {
        const char *name;
        int *value, least, most;
    } known[] = {{"--units", &o->units, 1, 1 << 16},         {"--rows", &o->rows, 1, 1 << 16},
                 {"--steps", &o->steps, 1, 1 << 14},         {"--inputs", &o->inputs, 1, 1 << 14},
                 {"--repeats", &o->repeats, 1, MAX_REPEATS}, {"--device", &o->device, 0, 1023}};
    const int count = sizeof known / sizeof *known;
    for (int i = 1; i < argc; i += 2) {
        int k = 0;
        while (k < count && strcmp(argv[i], known[k].name) != 0)
            k++;
        char *end = NULL;
        long value = k < count && i + 1 < argc ? strtol(argv[i + 1], &end, 10) : 0;
        if (!end || end == argv[i + 1] || *end || value < known[k].least || value > known[k].most) {
            fprintf(stderr,
                    "cudnn_probe: %s: expected --units H, --rows B, --steps T, --inputs M, --repeats R "
                    "or --device N\n",
                    argv[i]);
            return false;
        }
        *known[k].value = (int)value;
    }
    return true;
}

int main(int argc, char **argv)
{
    options o = {.units = 1492, .rows = 933, .steps = 56, .inputs = 18, .repeats = 5};
    struct cudaDeviceProp properties;
    cudnnHandle_t handle;
    if (!parse(argc, argv, &o))
        return 2;
    cudaError_t error = cudaSetDevice(o.device);
    if (error == cudaSuccess)
        error = cudaGetDeviceProperties(&properties, o.device);
    if (error != cudaSuccess || cudnnCreate(&handle) != CUDNN_STATUS_SUCCESS) {
        fprintf(stderr, "cudnn_probe: device %d cannot be used: %s\n", o.device,
                error != cudaSuccess ? cudaGetErrorString(error) : "cuDNN does not open");
        return 1;
    }
    size_t version = cudnnGetVersion();
    printf("{\"cudnn\": \"%zu.%zu.%zu\", \"sm\": %d", version / 10000, version / 100 % 100, version % 100,
           10 * properties.major + properties.minor);
    print_text("device", properties.name);
    printf(", \"units\": %d, \"rows\": %d, \"steps\": %d, \"inputs\": %d, \"repeats\": %d}\n", o.units,
           o.rows, o.steps, o.inputs, o.repeats);
    fflush(stdout);
    bool alive = try_all(&o, handle);
    if (alive)
        cudnnDestroy(handle);
    return alive && fflush(stdout) == 0 ? 0 : 1;
}
