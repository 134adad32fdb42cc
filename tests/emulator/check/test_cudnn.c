/* test_cudnn.c: the emulated LSTM against another implementation and its finite differences. */
#include "dies.h"
#include "lstm_reference.h"

#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "emulator/emulator.h"

#define assert_cuda(call)  assert_int_equal((call), cudaSuccess)
#define assert_cudnn(call) assert_int_equal((call), CUDNN_STATUS_SUCCESS)

/* ---- the case ---- */

/* A network, a batch, and all that the calls want.  Device memory is memory of the host here. */
typedef struct {
    reference_weights w;
    reference_inputs in;
    reference_outputs factor; /* gradients of outputs */
    cudnnDataType_t type;
    size_t size;
    cudnnRNNDataLayout_t layout;
    cudnnRNNBiasMode_t bias;
    cudnnHandle_t handle;
    cudnnDropoutDescriptor_t dropout;
    cudnnRNNDescriptor_t rnn;
    cudnnRNNDataDescriptor_t xd, yd;
    cudnnTensorDescriptor_t state;
    size_t weight_bytes, work_bytes, reserve_bytes;
    void *weights, *gradients, *work, *reserve;
    void *x, *dx, *y, *dy, *hx, *cx, *hy, *cy, *dhx, *dcx, *dhy, *dcy;
} lstm;

static double random_number(void)
{
    return (double)rand() / (double)RAND_MAX - 0.5;
}

static void *device_memory(size_t bytes)
{
    void *memory = NULL;
    assert_cuda(cudaMalloc(&memory, bytes));
    return memory;
}

static double get(const lstm *c, const void *from, size_t i)
{
    return c->type == CUDNN_DATA_FLOAT ? (double)((const float *)from)[i]
                                       : (double)emulator_from_bf16(((const uint16_t *)from)[i]);
}

static void put(const lstm *c, void *to, size_t i, double value)
{
    if (c->type == CUDNN_DATA_FLOAT)
        ((float *)to)[i] = (float)value;
    else
        ((uint16_t *)to)[i] = emulator_to_bf16((float)value);
}

/* Element u of row b of step t of a sequence of vectors. */
static size_t element(const lstm *c, int t, int b, int width, int u)
{
    bool by_step = c->layout == CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED;
    return (size_t)((by_step ? t * ROWS + b : b * STEPS + t) * width + u);
}

static void randomize(lstm *c)
{
    double *values[5] = {(double *)&c->w, (double *)&c->factor, (double *)c->in.x, (double *)c->in.hx,
                         (double *)c->in.cx};
    size_t bytes[5] = {sizeof(c->w), sizeof(c->factor), sizeof(c->in.x), sizeof(c->in.hx), sizeof(c->in.cx)};
    srand(1);
    for (int k = 0; k < 5; ++k)
        for (size_t i = 0; i < bytes[k] / sizeof(double); ++i)
            values[k][i] = (double)emulator_from_bf16(emulator_to_bf16((float)random_number()));
    const int length[ROWS] = {2, STEPS, 1};
    memcpy(c->in.length, length, sizeof(length));
    for (int t = 0; t < STEPS; ++t)
        for (int b = 0; b < ROWS; ++b)
            for (int u = 0; u < UNITS && t >= length[b]; ++u)
                c->factor.y[t][b][u] = 0;
}

static void describe(lstm *c, cudnnMathType_t math)
{
    int dims[3] = {LAYERS, ROWS, UNITS}, strides[3] = {ROWS * UNITS, UNITS, 1};
    float minus_one = -1;
    assert_cudnn(cudnnCreate(&c->handle));
    assert_cudnn(cudnnCreateDropoutDescriptor(&c->dropout));
    assert_cudnn(cudnnSetDropoutDescriptor(c->dropout, c->handle, 0, NULL, 0, 0));
    assert_cudnn(cudnnCreateRNNDescriptor(&c->rnn));
    assert_cudnn(cudnnSetRNNDescriptor_v8(c->rnn, CUDNN_RNN_ALGO_STANDARD, CUDNN_LSTM, c->bias,
                                          CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, c->type, CUDNN_DATA_FLOAT,
                                          math, INPUTS, UNITS, UNITS, LAYERS, c->dropout,
                                          CUDNN_RNN_PADDED_IO_ENABLED));
    assert_cudnn(cudnnCreateRNNDataDescriptor(&c->xd));
    assert_cudnn(cudnnCreateRNNDataDescriptor(&c->yd));
    assert_cudnn(cudnnCreateTensorDescriptor(&c->state));
    assert_cudnn(
        cudnnSetRNNDataDescriptor(c->xd, c->type, c->layout, STEPS, ROWS, INPUTS, c->in.length, NULL));
    assert_cudnn(cudnnSetRNNDataDescriptor(c->yd, c->type, c->layout, STEPS, ROWS, UNITS, c->in.length,
                                           c->type == CUDNN_DATA_FLOAT ? &minus_one : NULL));
    assert_cudnn(cudnnSetTensorNdDescriptor(c->state, c->type, 3, dims, strides));
    assert_cudnn(cudnnGetRNNWeightSpaceSize(c->handle, c->rnn, &c->weight_bytes));
    assert_cudnn(cudnnGetRNNTempSpaceSizes(c->handle, c->rnn, CUDNN_FWD_MODE_TRAINING, c->xd, &c->work_bytes,
                                           &c->reserve_bytes));
}

static void allocate(lstm *c)
{
    void **states[8] = {&c->hx, &c->cx, &c->hy, &c->cy, &c->dhx, &c->dcx, &c->dhy, &c->dcy};
    c->weights = device_memory(c->weight_bytes);
    c->gradients = device_memory(c->weight_bytes);
    c->work = device_memory(c->work_bytes);
    c->reserve = device_memory(c->reserve_bytes);
    c->x = device_memory(STEPS * ROWS * INPUTS * c->size);
    c->dx = device_memory(STEPS * ROWS * INPUTS * c->size);
    c->y = device_memory(STEPS * ROWS * UNITS * c->size);
    c->dy = device_memory(STEPS * ROWS * UNITS * c->size);
    for (int i = 0; i < 8; ++i)
        *states[i] = device_memory(LAYERS * ROWS * UNITS * c->size);
}

/* Address of matrix or bias `id` of a layer in a space; checks its shape. */
static void *piece(const lstm *c, void *space, int layer, int id, bool bias)
{
    cudnnTensorDescriptor_t shape[2];
    cudnnDataType_t type;
    int rank, dims[3] = {0}, strides[3];
    void *at[2];
    assert_cudnn(cudnnCreateTensorDescriptor(&shape[0]));
    assert_cudnn(cudnnCreateTensorDescriptor(&shape[1]));
    assert_cudnn(cudnnGetRNNWeightParams(c->handle, c->rnn, layer, c->weight_bytes, space, id, shape[0],
                                         &at[0], shape[1], &at[1]));
    assert_cudnn(cudnnGetTensorNdDescriptor(shape[bias], 3, &type, &rank, dims, strides));
    assert_int_equal(type, c->type);
    assert_int_equal(rank, at[bias] ? 3 : 0);
    if (at[bias]) {
        assert_int_equal(dims[1], UNITS);
        assert_int_equal(dims[2], bias ? 1 : id < 4 && layer == 0 ? INPUTS : UNITS);
    }
    cudnnDestroyTensorDescriptor(shape[0]);
    cudnnDestroyTensorDescriptor(shape[1]);
    return at[bias];
}

/* The reference's row u of matrix `id`. */
static double *row_of(reference_weights *w, int layer, int id, int u)
{
    return id < 4 ? w->input[layer][id][u] : w->recurrent[layer][id - 4][u];
}

/* Padding of x and dy stays poison. */
static void fill(lstm *c)
{
    for (int l = 0; l < LAYERS; ++l)
        for (int id = 0; id < 8; ++id) {
            int columns = id < 4 && l == 0 ? INPUTS : UNITS;
            void *matrix = piece(c, c->weights, l, id, false), *bias = piece(c, c->weights, l, id, true);
            for (int u = 0; u < UNITS; ++u) {
                for (int j = 0; j < columns; ++j)
                    put(c, matrix, (size_t)(u * columns + j), row_of(&c->w, l, id, u)[j]);
                if (bias)
                    put(c, bias, (size_t)u, c->w.bias[l][id / 4][id % 4][u]);
                else
                    c->w.bias[l][id / 4][id % 4][u] = 0;
            }
        }
    for (int b = 0; b < ROWS; ++b)
        for (int t = 0; t < c->in.length[b]; ++t) {
            for (int j = 0; j < INPUTS; ++j)
                put(c, c->x, element(c, t, b, INPUTS, j), c->in.x[t][b][j]);
            for (int u = 0; u < UNITS; ++u)
                put(c, c->dy, element(c, t, b, UNITS, u), c->factor.y[t][b][u]);
        }
    const double *states[4] = {(double *)c->in.hx, (double *)c->in.cx, (double *)c->factor.hy,
                               (double *)c->factor.cy};
    void *to[4] = {c->hx, c->cx, c->dhy, c->dcy};
    for (int k = 0; k < 4; ++k)
        for (size_t i = 0; i < LAYERS * ROWS * UNITS; ++i)
            put(c, to[k], i, states[k][i]);
    assert_cuda(cudaMemset(c->gradients, 0, c->weight_bytes));
}

static lstm *new_case(cudnnDataType_t type, cudnnMathType_t math, cudnnRNNDataLayout_t layout,
                      cudnnRNNBiasMode_t bias)
{
    lstm *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->type = type;
    c->size = type == CUDNN_DATA_FLOAT ? 4 : 2;
    c->layout = layout;
    c->bias = bias;
    randomize(c);
    describe(c, math);
    allocate(c);
    fill(c);
    return c;
}

static lstm *plain_case(void)
{
    return new_case(CUDNN_DATA_FLOAT, CUDNN_FMA_MATH, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED,
                    CUDNN_RNN_DOUBLE_BIAS);
}

static void free_case(lstm *c)
{
    void *memory[] = {c->weights, c->gradients, c->work, c->reserve, c->x,   c->dx,  c->y,   c->dy,
                      c->hx,      c->cx,        c->hy,   c->cy,      c->dhx, c->dcx, c->dhy, c->dcy};
    for (size_t i = 0; i < sizeof(memory) / sizeof(memory[0]); ++i)
        cudaFree(memory[i]);
    cudnnDestroyTensorDescriptor(c->state);
    cudnnDestroyRNNDataDescriptor(c->xd);
    cudnnDestroyRNNDataDescriptor(c->yd);
    cudnnDestroyRNNDescriptor(c->rnn);
    cudnnDestroyDropoutDescriptor(c->dropout);
    cudnnDestroy(c->handle);
    free(c);
}

/* ---- the calls ---- */

static cudnnStatus_t forward(lstm *c)
{
    return cudnnRNNForward(c->handle, c->rnn, CUDNN_FWD_MODE_TRAINING, NULL, c->xd, c->x, c->yd, c->y,
                           c->state, c->hx, c->hy, c->state, c->cx, c->cy, c->weight_bytes, c->weights,
                           c->work_bytes, c->work, c->reserve_bytes, c->reserve);
}

static cudnnStatus_t backward_data(lstm *c)
{
    return cudnnRNNBackwardData_v8(c->handle, c->rnn, NULL, c->yd, c->y, c->dy, c->xd, c->dx, c->state, c->hx,
                                   c->dhy, c->dhx, c->state, c->cx, c->dcy, c->dcx, c->weight_bytes,
                                   c->weights, c->work_bytes, c->work, c->reserve_bytes, c->reserve);
}

static cudnnStatus_t backward_weights(lstm *c)
{
    return cudnnRNNBackwardWeights_v8(c->handle, c->rnn, CUDNN_WGRAD_MODE_ADD, NULL, c->xd, c->x, c->state,
                                      c->hx, c->yd, c->y, c->weight_bytes, c->gradients, c->work_bytes,
                                      c->work, c->reserve_bytes, c->reserve);
}

/* ---- against the reference ---- */

static void assert_near(double value, double wanted, double tolerance, const char *what, int i)
{
    if (!(fabs(value - wanted) <= tolerance))
        fail_msg("%s %d is %.8g, not %.8g", what, i, value, wanted);
}

static void check_outputs(lstm *c, double tolerance)
{
    reference_outputs out;
    const double *hy = (const double *)out.hy, *cy = (const double *)out.cy;
    reference_run(&c->w, &c->in, &out);
    for (int t = 0; t < STEPS; ++t)
        for (int b = 0; b < ROWS; ++b)
            for (int u = 0; u < UNITS; ++u) {
                double y = get(c, c->y, element(c, t, b, UNITS, u));
                if (t < c->in.length[b])
                    assert_near(y, out.y[t][b][u], tolerance, "y of step", t);
                else /* filled, or undefined */
                    assert_true(c->type == CUDNN_DATA_FLOAT ? y == -1 : isnan(y));
            }
    for (int i = 0; i < LAYERS * ROWS * UNITS; ++i) {
        assert_near(get(c, c->hy, (size_t)i), hy[i], tolerance, "hy", i);
        assert_near(get(c, c->cy, (size_t)i), cy[i], tolerance, "cy", i);
    }
}

/* d loss / d *value by differences; `value` is part of the case. */
static double difference(lstm *c, double *value)
{
    double step = 1e-4, before = *value;
    *value = before + step;
    double more = reference_loss(&c->w, &c->in, &c->factor);
    *value = before - step;
    double less = reference_loss(&c->w, &c->in, &c->factor);
    *value = before;
    return (more - less) / (2 * step);
}

static void check_weight_gradients(lstm *c, double times, double tolerance)
{
    for (int l = 0; l < LAYERS; ++l)
        for (int id = 0; id < 8; ++id) {
            int columns = id < 4 && l == 0 ? INPUTS : UNITS;
            void *matrix = piece(c, c->gradients, l, id, false), *bias = piece(c, c->gradients, l, id, true);
            for (int u = 0; u < UNITS; ++u) {
                for (int j = 0; j < columns; ++j)
                    assert_near(get(c, matrix, (size_t)(u * columns + j)),
                                times * difference(c, &row_of(&c->w, l, id, u)[j]), tolerance,
                                "gradient of matrix", id);
                if (bias)
                    assert_near(get(c, bias, (size_t)u),
                                times * difference(c, &c->w.bias[l][id / 4][id % 4][u]), tolerance,
                                "gradient of bias", id);
            }
        }
}

static void check_data_gradients(lstm *c, double tolerance)
{
    double *hx = (double *)c->in.hx, *cx = (double *)c->in.cx;
    for (int b = 0; b < ROWS; ++b)
        for (int t = 0; t < c->in.length[b]; ++t)
            for (int j = 0; j < INPUTS; ++j)
                assert_near(get(c, c->dx, element(c, t, b, INPUTS, j)), difference(c, &c->in.x[t][b][j]),
                            tolerance, "dx", j);
    for (int i = 0; i < LAYERS * ROWS * UNITS; ++i) {
        assert_near(get(c, c->dhx, (size_t)i), difference(c, &hx[i]), tolerance, "dhx", i);
        assert_near(get(c, c->dcx, (size_t)i), difference(c, &cx[i]), tolerance, "dcx", i);
    }
}

static void check_step(lstm *c, double tolerance)
{
    assert_cudnn(forward(c));
    check_outputs(c, tolerance);
    assert_cudnn(backward_data(c));
    check_data_gradients(c, 4 * tolerance);
    assert_cudnn(backward_weights(c));
    check_weight_gradients(c, 1, 4 * tolerance);
    free_case(c);
}

static int clear_environment(void **state)
{
    (void)state;
    unsetenv("CUDA_EMULATOR_SM");
    unsetenv("CUDA_EMULATOR_FAIL_AFTER");
    unsetenv("CUDA_EMULATOR_CUDNN_LAYOUT");
    unsetenv("CUDA_EMULATOR_CUDNN_REFUSES");
    cudaDeviceReset();
    return 0;
}

static void test_float(void **state)
{
    (void)state;
    check_step(plain_case(), 1e-6);
}

static void test_batch_major(void **state)
{
    (void)state;
    check_step(new_case(CUDNN_DATA_FLOAT, CUDNN_FMA_MATH, CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED,
                        CUDNN_RNN_DOUBLE_BIAS),
               1e-6);
}

static void test_biases(void **state)
{
    (void)state;
    const cudnnRNNBiasMode_t bias[3] = {CUDNN_RNN_NO_BIAS, CUDNN_RNN_SINGLE_INP_BIAS,
                                        CUDNN_RNN_SINGLE_REC_BIAS};
    for (int i = 0; i < 3; ++i) {
        lstm *c =
            new_case(CUDNN_DATA_FLOAT, CUDNN_FMA_MATH, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED, bias[i]);
        assert_int_equal(piece(c, c->weights, 1, 3, true) != NULL, i == 1);
        assert_int_equal(piece(c, c->weights, 1, 4, true) != NULL, i == 2);
        check_step(c, 1e-6);
    }
}

static void test_joined(void **state)
{
    (void)state;
    setenv("CUDA_EMULATOR_CUDNN_LAYOUT", "joined", 1);
    lstm *c = plain_case();
    char *first = piece(c, c->weights, 1, 0, false), *second = piece(c, c->weights, 1, 1, false);
    assert_int_equal(second - first, UNITS * UNITS * 4);
    check_step(c, 1e-6);
}

/* The operands are rounded: close, but not as close as strict floats. */
static void test_tf32(void **state)
{
    (void)state;
    lstm *c = new_case(CUDNN_DATA_FLOAT, CUDNN_DEFAULT_MATH, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED,
                       CUDNN_RNN_DOUBLE_BIAS);
    reference_outputs out;
    assert_cudnn(forward(c));
    reference_run(&c->w, &c->in, &out);
    double rounded = get(c, c->y, element(c, 3, 1, UNITS, 0));
    assert_true(fabs(rounded - out.y[3][1][0]) > 1e-7);
    setenv("CUDA_EMULATOR_SM", "75", 1); /* has no tf32 */
    assert_cudnn(forward(c));
    assert_near(get(c, c->y, element(c, 3, 1, UNITS, 0)), out.y[3][1][0], 1e-7, "y", 0);
    unsetenv("CUDA_EMULATOR_SM");
    check_step(c, 2e-3);
}

static void test_bf16(void **state)
{
    (void)state;
    check_step(new_case(CUDNN_DATA_BFLOAT16, CUDNN_TENSOR_OP_MATH, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED,
                        CUDNN_RNN_SINGLE_INP_BIAS),
               1e-2);
}

static void test_null_states(void **state)
{
    (void)state;
    lstm *c = plain_case();
    memset(c->in.hx, 0, sizeof(c->in.hx));
    memset(c->in.cx, 0, sizeof(c->in.cx));
    memset(c->factor.hy, 0, sizeof(c->factor.hy));
    memset(c->factor.cy, 0, sizeof(c->factor.cy));
    assert_cudnn(cudnnRNNForward(c->handle, c->rnn, CUDNN_FWD_MODE_TRAINING, NULL, c->xd, c->x, c->yd, c->y,
                                 c->state, NULL, NULL, c->state, NULL, NULL, c->weight_bytes, c->weights,
                                 c->work_bytes, c->work, c->reserve_bytes, c->reserve));
    assert_cudnn(cudnnRNNBackwardData_v8(c->handle, c->rnn, NULL, c->yd, c->y, c->dy, c->xd, c->dx, c->state,
                                         NULL, NULL, NULL, c->state, NULL, NULL, NULL, c->weight_bytes,
                                         c->weights, c->work_bytes, c->work, c->reserve_bytes, c->reserve));
    assert_cudnn(cudnnRNNBackwardWeights_v8(c->handle, c->rnn, CUDNN_WGRAD_MODE_ADD, NULL, c->xd, c->x,
                                            c->state, NULL, c->yd, c->y, c->weight_bytes, c->gradients,
                                            c->work_bytes, c->work, c->reserve_bytes, c->reserve));
    check_weight_gradients(c, 1, 4e-6);
    free_case(c);
}

/* Gradients are added to what is there; inference gives the same outputs. */
static void test_adds(void **state)
{
    (void)state;
    lstm *c = plain_case();
    for (int i = 0; i < 2; ++i) {
        assert_cudnn(forward(c));
        assert_cudnn(backward_data(c));
        assert_cudnn(backward_weights(c));
    }
    check_weight_gradients(c, 2, 1e-5);
    assert_cudnn(cudnnRNNForward(c->handle, c->rnn, CUDNN_FWD_MODE_INFERENCE, NULL, c->xd, c->x, c->yd, c->y,
                                 c->state, c->hx, c->hy, c->state, c->cx, c->cy, c->weight_bytes, c->weights,
                                 c->work_bytes, c->work, 0, NULL));
    check_outputs(c, 1e-6);
    free_case(c);
}

/* ---- mistakes ---- */

static void test_order(void **state)
{
    (void)state;
    lstm *c = plain_case();
    assert_dies("no cudnnRNNForward", backward_data(c));
    assert_cudnn(forward(c));
    assert_dies("right after cudnnRNNBackwardData_v8", backward_weights(c));
    assert_dies("outputs differ", (put(c, c->y, 0, 9), backward_data(c)));
    assert_dies("weights differ", (put(c, piece(c, c->weights, 0, 5, false), 0, 9), backward_data(c)));
    assert_dies("states c differ", (put(c, c->cx, 0, 9), backward_data(c)));
    assert_cudnn(backward_data(c));
    assert_dies("right after cudnnRNNForward", backward_data(c));
    assert_dies("inputs differ", (put(c, c->x, 0, 9), backward_weights(c)));
    put(c, c->x, element(c, 3, 0, INPUTS, 0), 9); /* is padding */
    assert_cudnn(backward_weights(c));
    free_case(c);
}

static void make_smaller(void **memory, size_t bytes)
{
    cudaFree(*memory);
    *memory = device_memory(bytes - 1);
}

static void test_extents(void **state)
{
    (void)state;
    lstm *c = plain_case();
    assert_dies("cudnnRNNForward: x:", (make_smaller(&c->x, STEPS * ROWS * INPUTS * 4), forward(c)));
    assert_dies("cudnnRNNForward: y:", (make_smaller(&c->y, STEPS * ROWS * UNITS * 4), forward(c)));
    assert_dies("cudnnRNNForward: hx:", (make_smaller(&c->hx, LAYERS * ROWS * UNITS * 4), forward(c)));
    assert_dies("weight space", (make_smaller(&c->weights, c->weight_bytes), forward(c)));
    assert_dies("work space", (make_smaller(&c->work, c->work_bytes), forward(c)));
    assert_dies("reserve space", (make_smaller(&c->reserve, c->reserve_bytes), forward(c)));
    assert_dies("y and x overlap", (c->y = c->weights, c->x = c->weights, forward(c)));
    assert_dies("dx and y overlap", (c->dx = c->y, backward_data(c)));
    free_case(c);
}

static void test_parameters(void **state)
{
    (void)state;
    lstm *c = plain_case();
    char text[256];
    void *dx = c->dx;
    c->work_bytes--;
    assert_int_equal(forward(c), CUDNN_STATUS_BAD_PARAM);
    cudnnGetLastErrorString(text, sizeof(text));
    assert_non_null(strstr(text, "work"));
    c->work_bytes++;
    assert_cudnn(forward(c));
    c->dx = NULL;
    assert_int_equal(backward_data(c), CUDNN_STATUS_BAD_PARAM);
    c->dx = dx;
    int length[ROWS] = {1, 1, 0}, other[ROWS] = {1, 1, 1};
    assert_int_equal(cudnnSetRNNDataDescriptor(c->xd, c->type, c->layout, STEPS, ROWS, INPUTS, length, NULL),
                     CUDNN_STATUS_BAD_PARAM);
    assert_cudnn(cudnnSetRNNDataDescriptor(c->xd, c->type, c->layout, STEPS, ROWS, INPUTS, other, NULL));
    assert_int_equal(forward(c), CUDNN_STATUS_BAD_PARAM);
    free_case(c);
}

static void test_not_supported(void **state)
{
    (void)state;
    lstm *c = new_case(CUDNN_DATA_FLOAT, CUDNN_FMA_MATH, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED,
                       CUDNN_RNN_SINGLE_INP_BIAS);
    size_t bytes;
    assert_int_equal(cudnnSetRNNDescriptor_v8(c->rnn, CUDNN_RNN_ALGO_PERSIST_STATIC, CUDNN_LSTM, c->bias,
                                              CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, c->type,
                                              CUDNN_DATA_FLOAT, CUDNN_FMA_MATH, INPUTS, UNITS, UNITS, LAYERS,
                                              c->dropout, CUDNN_RNN_PADDED_IO_ENABLED),
                     CUDNN_STATUS_NOT_SUPPORTED);
    setenv("CUDA_EMULATOR_CUDNN_REFUSES", "space", 1);
    assert_int_equal(
        cudnnGetRNNTempSpaceSizes(c->handle, c->rnn, CUDNN_FWD_MODE_TRAINING, c->xd, &bytes, &bytes),
        CUDNN_STATUS_NOT_SUPPORTED);
    setenv("CUDA_EMULATOR_CUDNN_REFUSES", "forward", 1);
    assert_int_equal(forward(c), CUDNN_STATUS_NOT_SUPPORTED);
    setenv("CUDA_EMULATOR_CUDNN_REFUSES", "weights", 1);
    assert_cudnn(forward(c));
    assert_cudnn(backward_data(c));
    assert_int_equal(backward_weights(c), CUDNN_STATUS_NOT_SUPPORTED);
    free_case(c);
}

static void test_failure(void **state)
{
    (void)state;
    lstm *c = plain_case();
    setenv("CUDA_EMULATOR_FAIL_AFTER", "2", 1);
    assert_cudnn(forward(c));
    assert_int_equal(backward_data(c), CUDNN_STATUS_EXECUTION_FAILED);
    assert_int_equal(backward_weights(c), CUDNN_STATUS_EXECUTION_FAILED);
    assert_int_equal(cudaGetLastError(), cudaErrorLaunchFailure);
    free_case(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_float, clear_environment),
        cmocka_unit_test_setup(test_batch_major, clear_environment),
        cmocka_unit_test_setup(test_biases, clear_environment),
        cmocka_unit_test_setup(test_joined, clear_environment),
        cmocka_unit_test_setup(test_tf32, clear_environment),
        cmocka_unit_test_setup(test_bf16, clear_environment),
        cmocka_unit_test_setup(test_null_states, clear_environment),
        cmocka_unit_test_setup(test_adds, clear_environment),
        cmocka_unit_test_setup(test_order, clear_environment),
        cmocka_unit_test_setup(test_extents, clear_environment),
        cmocka_unit_test_setup(test_parameters, clear_environment),
        cmocka_unit_test_setup(test_not_supported, clear_environment),
        cmocka_unit_test_setup(test_failure, clear_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
