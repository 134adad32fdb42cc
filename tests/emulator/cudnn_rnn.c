/* cudnn_rnn.c: the calls of the emulated cuDNN that run a network, and what they check.
 *
 * The reserve space begins with an account of the run: what the three calls of a step were given must be what
 * the ones before were given.  The work space is overwritten by each call.
 */
#include "cudnn_emulator.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD_BYTES = 256, MAGIC = 0x1e5e47e, POISON = 0xff };

typedef enum { AFTER_FORWARD = 1, AFTER_BACKWARD_DATA } emulator_stage;

/* The beginning of the reserve space. */
typedef struct {
    uint64_t magic;
    emulator_stage stage;
    int steps, rows, inputs, units, layers;
    uint64_t lengths, x, y, weights, hx, cx; /* hashes; 0 for NULL */
} emulator_head;

_Static_assert(sizeof(emulator_head) <= HEAD_BYTES, "the account fits");

/* What the calls have in common. */
typedef struct {
    const char *call, *refusal;
    cudnnHandle_t handle;
    cudnnRNNDescriptor_t rnn;
    cudnnRNNDataDescriptor_t x, y;
    const int32_t *lengths; /* on the device, or NULL */
    size_t weight_bytes, work_bytes, reserve_bytes;
    void *work, *reserve;
    bool training;
} emulator_run;

/* Memory that a call reads or writes. */
typedef struct {
    const char *name;
    const void *data;
    size_t bytes;
    bool written, optional;
} emulator_range;

static size_t cells_of(const struct cudnnRNNDataStruct *data)
{
    return (size_t)data->steps * (size_t)data->rows;
}

static size_t data_bytes(const struct cudnnRNNDataStruct *data)
{
    return cells_of(data) * (size_t)data->width * emulator_size(data->type);
}

static size_t state_count(const emulator_run *run)
{
    return (size_t)run->x->rows * (size_t)run->rnn->units;
}

static size_t state_bytes(const emulator_run *run) /* of h or c of all layers */
{
    return state_count(run) * (size_t)run->rnn->layers * emulator_size(run->rnn->type);
}

/* ---- sizes ---- */

static size_t work_size(const struct cudnnRNNStruct *rnn, const struct cudnnRNNDataStruct *x)
{
    return cells_of(x) * (size_t)rnn->units * sizeof(float) + 1000;
}

/* Floats of one layer: gates, c and h of every cell. */
static size_t reserve_layer(const struct cudnnRNNStruct *rnn, const struct cudnnRNNDataStruct *x)
{
    return cells_of(x) * 6 * (size_t)rnn->units;
}

static size_t reserve_size(const struct cudnnRNNStruct *rnn, const struct cudnnRNNDataStruct *x)
{
    return HEAD_BYTES + (size_t)rnn->layers * reserve_layer(rnn, x) * sizeof(float);
}

cudnnStatus_t cudnnGetRNNTempSpaceSizes(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn,
                                        cudnnForwardMode_t mode, cudnnRNNDataDescriptor_t x,
                                        size_t *work_bytes, size_t *reserve_bytes)
{
    const char *call = "cudnnGetRNNTempSpaceSizes";
    emulator_cudnn_handle(handle, call);
    emulator_cudnn_rnn(rnn, call);
    emulator_cudnn_data(x, call);
    if (x->width != rnn->inputs || x->type != rnn->type)
        return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "inputs of %d columns for a network of %d", x->width,
                              rnn->inputs);
    cudnnStatus_t status = emulator_refuses(rnn->bias, "space");
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    if (work_bytes)
        *work_bytes = work_size(rnn, x);
    if (reserve_bytes)
        *reserve_bytes = mode == CUDNN_FWD_MODE_TRAINING ? reserve_size(rnn, x) : 0;
    return CUDNN_STATUS_SUCCESS;
}

/* ---- checks of what a call is given ---- */

static cudnnStatus_t check_data(const emulator_run *run)
{
    const struct cudnnRNNStruct *rnn = run->rnn;
    const struct cudnnRNNDataStruct *x = run->x, *y = run->y;
    if (x->type != rnn->type || y->type != rnn->type || x->layout != y->layout)
        return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "x, y and the network differ in type or layout");
    if (x->width != rnn->inputs || y->width != rnn->units)
        return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "x has %d columns of %d, y %d of %d", x->width,
                              rnn->inputs, y->width, rnn->units);
    if (x->steps != y->steps || x->rows != y->rows ||
        memcmp(x->length, y->length, (size_t)x->rows * sizeof(int)) != 0)
        return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "x and y differ in steps, rows or lengths");
    return CUDNN_STATUS_SUCCESS;
}

/* States are [layers, rows, H] without gaps. */
static cudnnStatus_t check_state(const emulator_run *run, const struct cudnnTensorStruct *state)
{
    emulator_cudnn_tensor(state, run->call);
    const int dims[3] = {run->rnn->layers, run->x->rows, run->rnn->units};
    const int strides[3] = {dims[1] * dims[2], dims[2], 1};
    if (state->rank != 3 || state->type != run->rnn->type || memcmp(state->dims, dims, sizeof(dims)) != 0 ||
        memcmp(state->strides, strides, sizeof(strides)) != 0)
        return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "states are not described as [%d, %d, %d] without gaps",
                              dims[0], dims[1], dims[2]);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_run(const emulator_run *run, const struct cudnnTensorStruct *h,
                               const struct cudnnTensorStruct *c)
{
    emulator_cudnn_handle(run->handle, run->call);
    emulator_cudnn_rnn(run->rnn, run->call);
    emulator_cudnn_data(run->x, run->call);
    emulator_cudnn_data(run->y, run->call);
    cudnnStatus_t status = check_data(run);
    if (status == CUDNN_STATUS_SUCCESS)
        status = check_state(run, h);
    if (status == CUDNN_STATUS_SUCCESS)
        status = check_state(run, c);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    size_t weights = emulator_weight_count(run->rnn) * emulator_size(run->rnn->type);
    size_t work = work_size(run->rnn, run->x), reserve = run->training ? reserve_size(run->rnn, run->x) : 0;
    if (run->weight_bytes < weights || run->work_bytes < work || run->reserve_bytes < reserve)
        return emulator_cudnn(
            CUDNN_STATUS_BAD_PARAM,
            "weight, work and reserve space have %zu, %zu, %zu bytes and need %zu, %zu, %zu",
            run->weight_bytes, run->work_bytes, run->reserve_bytes, weights, work, reserve);
    return emulator_refuses(run->rnn->bias, run->refusal);
}

/* Every range is device memory in full, and what is written overlaps nothing else. */
static cudnnStatus_t check_ranges(const emulator_run *run, const emulator_range *ranges, int count)
{
    for (int i = 0; i < count; ++i) {
        if (!ranges[i].data && !ranges[i].optional && ranges[i].bytes > 0)
            return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "%s is NULL", ranges[i].name);
        if (!ranges[i].data)
            continue;
        emulator_check_device(ranges[i].data, ranges[i].bytes, run->handle->device, run->call,
                              ranges[i].name);
        for (int j = 0; j < i; ++j)
            if (ranges[j].data && (ranges[i].written || ranges[j].written) &&
                emulator_overlap(ranges[i].data, ranges[i].bytes, ranges[j].data, ranges[j].bytes))
                emulator_die("%s: %s and %s overlap", run->call, ranges[i].name, ranges[j].name);
    }
    if ((uintptr_t)run->reserve % 16 != 0)
        emulator_die("%s: the reserve space %p is not aligned to 16 bytes", run->call, run->reserve);
    return CUDNN_STATUS_SUCCESS;
}

/* Lengths on the device may be left out; if they are there, they are those of the descriptors. */
static void check_lengths(const emulator_run *run)
{
    size_t bytes = (size_t)run->x->rows * sizeof(int32_t);
    if (!run->lengths)
        return;
    emulator_check_device(run->lengths, bytes, run->handle->device, run->call, "lengths");
    if (memcmp(run->lengths, run->x->length, bytes) != 0)
        emulator_die("%s: lengths on the device differ from those of the descriptors", run->call);
}

static cudnnStatus_t start(const emulator_run *run, const emulator_range *ranges, int count)
{
    cudnnStatus_t status = check_ranges(run, ranges, count);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    check_lengths(run);
    if (emulator_launch() != cudaSuccess)
        return emulator_cudnn(CUDNN_STATUS_EXECUTION_FAILED, "the device failed");
    return CUDNN_STATUS_SUCCESS;
}

/* ---- the account of the run ---- */

static uint64_t hash(uint64_t value, const void *data, size_t bytes)
{
    const unsigned char *byte = data;
    for (size_t i = 0; i < bytes; ++i)
        value = (value ^ byte[i]) * 1099511628211u;
    return value | 1;
}

static uint64_t hash_or_null(const void *data, size_t bytes)
{
    return data ? hash(1469598103934665603u, data, bytes) : 0;
}

/* Of what is not padding. */
static uint64_t hash_data(const struct cudnnRNNDataStruct *data, const void *from)
{
    uint64_t value = 1469598103934665603u;
    size_t size = emulator_size(data->type);
    for (int b = 0; b < data->rows; ++b)
        for (int t = 0; t < data->length[b]; ++t)
            value = hash(value, (const char *)from + emulator_place(data, t, b) * size,
                         (size_t)data->width * size);
    return value;
}

static void same(const emulator_run *run, uint64_t before, uint64_t now, const char *what)
{
    if (before != now)
        emulator_die("%s: %s differ from what the call before was given", run->call, what);
}

static emulator_head *check_head(const emulator_run *run, emulator_stage stage, const char *before)
{
    emulator_head *head = run->reserve;
    if (head->magic != MAGIC)
        emulator_die("%s: no cudnnRNNForward in training mode has written this reserve space", run->call);
    if (head->stage != stage)
        emulator_die("%s: is not called right after %s with the same reserve space", run->call, before);
    if (head->steps != run->x->steps || head->rows != run->x->rows || head->inputs != run->rnn->inputs ||
        head->units != run->rnn->units || head->layers != run->rnn->layers)
        emulator_die("%s: the reserve space is of a run of another shape", run->call);
    same(run, head->lengths, hash_or_null(run->x->length, (size_t)run->x->rows * sizeof(int)), "lengths");
    return head;
}

/* ---- the runs ---- */

/* States of one layer, zero for NULL. */
static float *load_state(const emulator_run *run, const void *states, int layer)
{
    float *to = emulator_new(state_count(run) * sizeof(float));
    if (states)
        emulator_load(run->rnn->type, states, (size_t)layer * state_count(run), state_count(run), to);
    return to;
}

static void store_state(const emulator_run *run, const float *from, void *states, int layer)
{
    if (states)
        emulator_store(run->rnn->type, from, state_count(run), states, (size_t)layer * state_count(run));
}

/* Layer `layer`'s part of `arrays`, which are laid out as in the reserve space. */
static emulator_states states_of(const emulator_run *run, float *arrays, int layer)
{
    size_t cells = cells_of(run->x), units = (size_t)run->rnn->units;
    float *at = arrays + (size_t)layer * reserve_layer(run->rnn, run->x);
    bool tensor_cores = run->rnn->math != CUDNN_FMA_MATH && run->rnn->type == CUDNN_DATA_FLOAT;
    return (emulator_states){.steps = run->x->steps,
                             .rows = run->x->rows,
                             .length = run->x->length,
                             .bf16 = run->rnn->type == CUDNN_DATA_BFLOAT16,
                             .tf32 = tensor_cores && emulator_sm() >= 80,
                             .gates = at,
                             .c = at + cells * 4 * units,
                             .h = at + cells * 5 * units};
}

static float *arrays_of(const emulator_run *run)
{
    return (float *)(void *)((char *)run->reserve + HEAD_BYTES);
}

static void forward(const emulator_run *run, float *arrays, const void *x, void *y, const void *hx, void *hy,
                    const void *cx, void *cy, const void *weights)
{
    float *input = emulator_load_data(run->x, x);
    float *last_h = emulator_new(state_count(run) * sizeof(float));
    float *last_c = emulator_new(state_count(run) * sizeof(float));
    const float *below = input;
    for (int layer = 0; layer < run->rnn->layers; ++layer) {
        emulator_states states = states_of(run, arrays, layer);
        emulator_layer loaded = emulator_load_layer(run->rnn, weights, layer);
        float *h = load_state(run, hx, layer), *c = load_state(run, cx, layer);
        states.x = below;
        states.hx = h;
        states.cx = c;
        emulator_lstm_forward(&loaded, &states, last_h, last_c);
        store_state(run, last_h, hy, layer);
        store_state(run, last_c, cy, layer);
        below = states.h;
        free(h);
        free(c);
        emulator_free_layer(&loaded);
    }
    emulator_store_data(run->y, below, y, run->y->fills);
    free(input);
    free(last_h);
    free(last_c);
}

cudnnStatus_t cudnnRNNForward(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn, cudnnForwardMode_t mode,
                              const int32_t lengths[], cudnnRNNDataDescriptor_t x_data, const void *x,
                              cudnnRNNDataDescriptor_t y_data, void *y, cudnnTensorDescriptor_t h_tensor,
                              const void *hx, void *hy, cudnnTensorDescriptor_t c_tensor, const void *cx,
                              void *cy, size_t weight_bytes, const void *weights, size_t work_bytes,
                              void *work, size_t reserve_bytes, void *reserve)
{
    bool training = mode == CUDNN_FWD_MODE_TRAINING;
    emulator_run run = {"cudnnRNNForward", "forward",  handle,        rnn,  x_data,  y_data,  lengths,
                        weight_bytes,      work_bytes, reserve_bytes, work, reserve, training};
    cudnnStatus_t status = check_run(&run, h_tensor, c_tensor);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    size_t state = state_bytes(&run);
    const emulator_range ranges[] = {
        {"x", x, data_bytes(x_data), false, false},
        {"y", y, data_bytes(y_data), true, false},
        {"hx", hx, state, false, true},
        {"hy", hy, state, true, true},
        {"cx", cx, state, false, true},
        {"cy", cy, state, true, true},
        {"weight space", weights, weight_bytes, false, false},
        {"work space", work, work_bytes, true, false},
        {"reserve space", reserve, training ? reserve_bytes : 0, true, !training}};
    status = start(&run, ranges, 9);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    size_t size = reserve_layer(rnn, x_data) * (size_t)rnn->layers * sizeof(float);
    float *arrays = training ? arrays_of(&run) : emulator_new(size);
    forward(&run, arrays, x, y, hx, hy, cx, cy, weights);
    if (training)
        *(emulator_head *)reserve =
            (emulator_head){MAGIC,
                            AFTER_FORWARD,
                            x_data->steps,
                            x_data->rows,
                            rnn->inputs,
                            rnn->units,
                            rnn->layers,
                            hash_or_null(x_data->length, (size_t)x_data->rows * sizeof(int)),
                            hash_data(x_data, x),
                            hash_data(y_data, y),
                            hash_or_null(weights, weight_bytes),
                            hash_or_null(hx, state),
                            hash_or_null(cx, state)};
    else
        free(arrays);
    memset(work, POISON, work_bytes);
    return CUDNN_STATUS_SUCCESS;
}

static void backward(const emulator_run *run, const void *dy, void *dx, const void *cx, const void *dhy,
                     void *dhx, const void *dcy, void *dcx, const void *weights)
{
    float *above = emulator_load_data(run->y, dy);
    for (int layer = run->rnn->layers - 1; layer >= 0; --layer) {
        emulator_states states = states_of(run, arrays_of(run), layer);
        emulator_layer loaded = emulator_load_layer(run->rnn, weights, layer);
        float *c = load_state(run, cx, layer);
        float *dh_state = load_state(run, dhy, layer), *dc_state = load_state(run, dcy, layer);
        float *below = emulator_new(cells_of(run->x) * (size_t)loaded.inputs * sizeof(float));
        states.cx = c;
        emulator_lstm_backward(&loaded, &states, above, dh_state, dc_state, below);
        store_state(run, dh_state, dhx, layer);
        store_state(run, dc_state, dcx, layer);
        free(above);
        above = below;
        free(c);
        free(dh_state);
        free(dc_state);
        emulator_free_layer(&loaded);
    }
    emulator_store_data(run->x, above, dx, false);
    free(above);
}

cudnnStatus_t cudnnRNNBackwardData_v8(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn, const int32_t lengths[],
                                      cudnnRNNDataDescriptor_t y_data, const void *y, const void *dy,
                                      cudnnRNNDataDescriptor_t x_data, void *dx,
                                      cudnnTensorDescriptor_t h_tensor, const void *hx, const void *dhy,
                                      void *dhx, cudnnTensorDescriptor_t c_tensor, const void *cx,
                                      const void *dcy, void *dcx, size_t weight_bytes, const void *weights,
                                      size_t work_bytes, void *work, size_t reserve_bytes, void *reserve)
{
    emulator_run run = {"cudnnRNNBackwardData_v8",
                        "data",
                        handle,
                        rnn,
                        x_data,
                        y_data,
                        lengths,
                        weight_bytes,
                        work_bytes,
                        reserve_bytes,
                        work,
                        reserve,
                        true};
    cudnnStatus_t status = check_run(&run, h_tensor, c_tensor);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    size_t state = state_bytes(&run);
    const emulator_range ranges[] = {{"y", y, data_bytes(y_data), false, false},
                                     {"dy", dy, data_bytes(y_data), false, false},
                                     {"dx", dx, data_bytes(x_data), true, false},
                                     {"hx", hx, state, false, true},
                                     {"dhy", dhy, state, false, true},
                                     {"dhx", dhx, state, true, true},
                                     {"cx", cx, state, false, true},
                                     {"dcy", dcy, state, false, true},
                                     {"dcx", dcx, state, true, true},
                                     {"weight space", weights, weight_bytes, false, false},
                                     {"work space", work, work_bytes, true, false},
                                     {"reserve space", reserve, reserve_bytes, true, false}};
    status = start(&run, ranges, 12);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    emulator_head *head = check_head(&run, AFTER_FORWARD, "cudnnRNNForward");
    same(&run, head->y, hash_data(y_data, y), "outputs");
    same(&run, head->weights, hash_or_null(weights, weight_bytes), "weights");
    same(&run, head->hx, hash_or_null(hx, state), "first states h");
    same(&run, head->cx, hash_or_null(cx, state), "first states c");
    backward(&run, dy, dx, cx, dhy, dhx, dcy, dcx, weights);
    head->stage = AFTER_BACKWARD_DATA;
    memset(work, POISON, work_bytes);
    return CUDNN_STATUS_SUCCESS;
}

static void weights_of(const emulator_run *run, const void *x, const void *hx, void *gradients)
{
    float *input = emulator_load_data(run->x, x);
    const float *below = input;
    for (int layer = 0; layer < run->rnn->layers; ++layer) {
        emulator_states states = states_of(run, arrays_of(run), layer);
        emulator_layer gradient = emulator_new_layer(run->rnn, layer);
        float *h = load_state(run, hx, layer);
        states.x = below;
        states.hx = h;
        emulator_lstm_weights(&gradient, &states);
        emulator_add_layer(run->rnn, &gradient, layer, gradients);
        below = states.h;
        free(h);
        emulator_free_layer(&gradient);
    }
    free(input);
}

cudnnStatus_t cudnnRNNBackwardWeights_v8(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn,
                                         cudnnWgradMode_t mode, const int32_t lengths[],
                                         cudnnRNNDataDescriptor_t x_data, const void *x,
                                         cudnnTensorDescriptor_t h_tensor, const void *hx,
                                         cudnnRNNDataDescriptor_t y_data, const void *y, size_t weight_bytes,
                                         void *gradients, size_t work_bytes, void *work, size_t reserve_bytes,
                                         void *reserve)
{
    emulator_run run = {"cudnnRNNBackwardWeights_v8",
                        "weights",
                        handle,
                        rnn,
                        x_data,
                        y_data,
                        lengths,
                        weight_bytes,
                        work_bytes,
                        reserve_bytes,
                        work,
                        reserve,
                        true};
    if (mode != CUDNN_WGRAD_MODE_ADD)
        return emulator_cudnn(CUDNN_STATUS_NOT_SUPPORTED, "only CUDNN_WGRAD_MODE_ADD is supported");
    cudnnStatus_t status = check_run(&run, h_tensor, h_tensor);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    const emulator_range ranges[] = {{"x", x, data_bytes(x_data), false, false},
                                     {"hx", hx, state_bytes(&run), false, true},
                                     {"y", y, data_bytes(y_data), false, false},
                                     {"gradients", gradients, weight_bytes, true, false},
                                     {"work space", work, work_bytes, true, false},
                                     {"reserve space", reserve, reserve_bytes, true, false}};
    status = start(&run, ranges, 6);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    emulator_head *head = check_head(&run, AFTER_BACKWARD_DATA, "cudnnRNNBackwardData_v8");
    same(&run, head->x, hash_data(x_data, x), "inputs");
    same(&run, head->y, hash_data(y_data, y), "outputs");
    same(&run, head->hx, hash_or_null(hx, state_bytes(&run)), "first states h");
    weights_of(&run, x, hx, gradients);
    memset(work, POISON, work_bytes);
    return CUDNN_STATUS_SUCCESS;
}
