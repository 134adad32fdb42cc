/* cudnn_descriptors.c: handles, errors and descriptors of the emulated cuDNN. */
#include "cudnn_emulator.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HANDLE = 0xcd01, TENSOR = 0xcd02, DROPOUT = 0xcd03, RNN = 0xcd04, DATA = 0xcd05 };

/* ---- errors ---- */

static _Thread_local char last_message[256];

cudnnStatus_t emulator_cudnn(cudnnStatus_t status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last_message, sizeof(last_message), format, arguments);
    va_end(arguments);
    return status;
}

void cudnnGetLastErrorString(char *text, size_t size)
{
    if (size > 0)
        snprintf(text, size, "%s", last_message);
    last_message[0] = '\0';
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    switch ((int)status) {
    case CUDNN_STATUS_SUCCESS:
        return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED:
        return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_BAD_PARAM:
        return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_NOT_SUPPORTED:
        return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_EXECUTION_FAILED:
        return "CUDNN_STATUS_EXECUTION_FAILED";
    default:
        return "CUDNN_UNKNOWN_STATUS";
    }
}

static void check_magic(const int *magic, int wanted, const char *name, const char *call)
{
    if (!magic || *magic != wanted)
        emulator_die("%s: %p is not a %s, or one that was destroyed", call, (const void *)magic, name);
}

/* Whether it is set is checked as well: using an empty descriptor is a mistake that cuDNN may not notice. */
static void check_set(bool set, const char *name, const char *call)
{
    if (!set)
        emulator_die("%s: a %s that was never set", call, name);
}

void emulator_cudnn_handle(cudnnHandle_t handle, const char *call)
{
    check_magic(handle ? &handle->magic : NULL, HANDLE, "cuDNN handle", call);
    if (handle->device != emulator_device())
        emulator_die("%s: a handle of device %d while device %d is current", call, handle->device,
                     emulator_device());
    emulator_stream(handle->stream, call);
}

void emulator_cudnn_tensor(const struct cudnnTensorStruct *tensor, const char *call)
{
    check_magic(tensor ? &tensor->magic : NULL, TENSOR, "tensor descriptor", call);
    check_set(tensor->set, "tensor descriptor", call);
}

void emulator_cudnn_rnn(const struct cudnnRNNStruct *rnn, const char *call)
{
    check_magic(rnn ? &rnn->magic : NULL, RNN, "RNN descriptor", call);
    check_set(rnn->set, "RNN descriptor", call);
}

void emulator_cudnn_data(const struct cudnnRNNDataStruct *data, const char *call)
{
    check_magic(data ? &data->magic : NULL, DATA, "RNN data descriptor", call);
    check_set(data->set, "RNN data descriptor", call);
}

cudnnStatus_t emulator_refuses(cudnnRNNBiasMode_t bias, const char *call)
{
    const char *refused = getenv("CUDA_EMULATOR_CUDNN_REFUSES");
    if (!refused || strcmp(refused, call) != 0 || bias == CUDNN_RNN_DOUBLE_BIAS)
        return CUDNN_STATUS_SUCCESS;
    return emulator_cudnn(CUDNN_STATUS_NOT_SUPPORTED, "only CUDNN_RNN_DOUBLE_BIAS is supported");
}

/* ---- handles ---- */

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    *handle = NULL;
    if (emulator_ready() != cudaSuccess)
        return emulator_cudnn(CUDNN_STATUS_NOT_INITIALIZED, "no device can be used");
    *handle = emulator_new(sizeof(**handle));
    (*handle)->magic = HANDLE;
    (*handle)->device = emulator_device();
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    check_magic(handle ? &handle->magic : NULL, HANDLE, "cuDNN handle", "cudnnDestroy");
    handle->magic = 0;
    free(handle);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    emulator_cudnn_handle(handle, "cudnnSetStream");
    emulator_stream(stream, "cudnnSetStream");
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *stream)
{
    emulator_cudnn_handle(handle, "cudnnGetStream");
    *stream = handle->stream;
    return CUDNN_STATUS_SUCCESS;
}

size_t cudnnGetVersion(void)
{
    const char *text = getenv("CUDA_EMULATOR_CUDNN_VERSION");
    return text && *text ? strtoul(text, NULL, 10) : CUDNN_VERSION;
}

size_t cudnnGetCudartVersion(void)
{
    return CUDART_VERSION;
}

/* ---- tensors ---- */

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *tensor)
{
    *tensor = emulator_new(sizeof(**tensor));
    (*tensor)->magic = TENSOR;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor)
{
    if (!tensor)
        return CUDNN_STATUS_SUCCESS;
    check_magic(&tensor->magic, TENSOR, "tensor descriptor", "cudnnDestroyTensorDescriptor");
    tensor->magic = 0;
    free(tensor);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, cudnnDataType_t type, int rank,
                                         const int dims[], const int strides[])
{
    check_magic(tensor ? &tensor->magic : NULL, TENSOR, "tensor descriptor", "cudnnSetTensorNdDescriptor");
    if (rank < 3 || rank > CUDNN_DIM_MAX)
        return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "a tensor of %d dimensions", rank);
    for (int i = 0; i < rank; ++i)
        if (dims[i] <= 0 || strides[i] <= 0)
            return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "dimension %d: %d, stride %d", i, dims[i],
                                  strides[i]);
    tensor->set = true;
    tensor->type = type;
    tensor->rank = rank;
    memcpy(tensor->dims, dims, (size_t)rank * sizeof(int));
    memcpy(tensor->strides, strides, (size_t)rank * sizeof(int));
    return CUDNN_STATUS_SUCCESS;
}

void emulator_tensor_set(cudnnTensorDescriptor_t tensor, cudnnDataType_t type, int rank, const int *dims)
{
    check_magic(tensor ? &tensor->magic : NULL, TENSOR, "tensor descriptor", "cuDNN");
    tensor->set = true;
    tensor->type = type;
    tensor->rank = rank;
    for (int i = rank - 1, stride = 1; i >= 0; stride *= dims[i--]) {
        tensor->dims[i] = dims[i];
        tensor->strides[i] = stride;
    }
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w)
{
    if (format != CUDNN_TENSOR_NCHW)
        return emulator_cudnn(CUDNN_STATUS_NOT_SUPPORTED, "only CUDNN_TENSOR_NCHW is emulated");
    const int dims[4] = {n, c, h, w}, strides[4] = {c * h * w, h * w, w, 1};
    return cudnnSetTensorNdDescriptor(tensor, type, 4, dims, strides);
}

cudnnStatus_t cudnnGetTensorNdDescriptor(const cudnnTensorDescriptor_t tensor, int requested,
                                         cudnnDataType_t *type, int *rank, int dims[], int strides[])
{
    emulator_cudnn_tensor(tensor, "cudnnGetTensorNdDescriptor");
    *type = tensor->type;
    *rank = tensor->rank;
    for (int i = 0; i < requested && i < tensor->rank; ++i) {
        dims[i] = tensor->dims[i];
        strides[i] = tensor->strides[i];
    }
    return CUDNN_STATUS_SUCCESS;
}

/* ---- dropout between layers: none ---- */

cudnnStatus_t cudnnCreateDropoutDescriptor(cudnnDropoutDescriptor_t *dropout)
{
    *dropout = emulator_new(sizeof(**dropout));
    (*dropout)->magic = DROPOUT;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyDropoutDescriptor(cudnnDropoutDescriptor_t dropout)
{
    if (!dropout)
        return CUDNN_STATUS_SUCCESS;
    check_magic(&dropout->magic, DROPOUT, "dropout descriptor", "cudnnDestroyDropoutDescriptor");
    dropout->magic = 0;
    free(dropout);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetDropoutDescriptor(cudnnDropoutDescriptor_t dropout, cudnnHandle_t handle, float rate,
                                        void *states, size_t bytes, unsigned long long seed)
{
    (void)seed;
    check_magic(dropout ? &dropout->magic : NULL, DROPOUT, "dropout descriptor", "cudnnSetDropoutDescriptor");
    emulator_cudnn_handle(handle, "cudnnSetDropoutDescriptor");
    if (rate < 0 || rate > 1)
        return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "a dropout of %g", (double)rate);
    if (rate > 0)
        return emulator_cudnn(CUDNN_STATUS_NOT_SUPPORTED, "dropout between layers is not emulated");
    if (states)
        emulator_check_device(states, bytes, handle->device, "cudnnSetDropoutDescriptor", "states");
    dropout->set = true;
    dropout->rate = rate;
    return CUDNN_STATUS_SUCCESS;
}

/* ---- networks ---- */

cudnnStatus_t cudnnCreateRNNDescriptor(cudnnRNNDescriptor_t *rnn)
{
    *rnn = emulator_new(sizeof(**rnn));
    (*rnn)->magic = RNN;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyRNNDescriptor(cudnnRNNDescriptor_t rnn)
{
    if (!rnn)
        return CUDNN_STATUS_SUCCESS;
    check_magic(&rnn->magic, RNN, "RNN descriptor", "cudnnDestroyRNNDescriptor");
    rnn->magic = 0;
    free(rnn);
    return CUDNN_STATUS_SUCCESS;
}

/* What is emulated of types: float, strict or with the products' operands as tf32, and bf16. */
static cudnnStatus_t check_types(cudnnDataType_t type, cudnnDataType_t precision, cudnnMathType_t math)
{
    bool tensor_cores = math == CUDNN_DEFAULT_MATH || math == CUDNN_TENSOR_OP_MATH;
    if (precision != CUDNN_DATA_FLOAT)
        return emulator_cudnn(CUDNN_STATUS_NOT_SUPPORTED, "math precision %d", (int)precision);
    if (type == CUDNN_DATA_FLOAT && (tensor_cores || math == CUDNN_FMA_MATH))
        return CUDNN_STATUS_SUCCESS;
    if (type == CUDNN_DATA_BFLOAT16 && tensor_cores && emulator_sm() >= 80)
        return CUDNN_STATUS_SUCCESS;
    return emulator_cudnn(CUDNN_STATUS_NOT_SUPPORTED, "data type %d with math type %d on sm_%d", (int)type,
                          (int)math, emulator_sm());
}

cudnnStatus_t cudnnSetRNNDescriptor_v8(cudnnRNNDescriptor_t rnn, cudnnRNNAlgo_t algorithm,
                                       cudnnRNNMode_t mode, cudnnRNNBiasMode_t bias,
                                       cudnnDirectionMode_t direction, cudnnRNNInputMode_t input,
                                       cudnnDataType_t type, cudnnDataType_t precision, cudnnMathType_t math,
                                       int32_t inputs, int32_t units, int32_t projection, int32_t layers,
                                       cudnnDropoutDescriptor_t dropout, uint32_t flags)
{
    check_magic(rnn ? &rnn->magic : NULL, RNN, "RNN descriptor", "cudnnSetRNNDescriptor_v8");
    check_magic(dropout ? &dropout->magic : NULL, DROPOUT, "dropout descriptor", "cudnnSetRNNDescriptor_v8");
    check_set(dropout->set, "dropout descriptor", "cudnnSetRNNDescriptor_v8");
    if (inputs <= 0 || units <= 0 || layers <= 0 || projection <= 0 || projection > units)
        return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "%d inputs, %d units, %d projected, %d layers", inputs,
                              units, projection, layers);
    if (algorithm != CUDNN_RNN_ALGO_STANDARD)
        return emulator_cudnn(CUDNN_STATUS_NOT_SUPPORTED, "algorithm %d does not take this shape",
                              (int)algorithm);
    if (mode != CUDNN_LSTM || direction != CUDNN_UNIDIRECTIONAL || input != CUDNN_LINEAR_INPUT ||
        projection != units || flags != CUDNN_RNN_PADDED_IO_ENABLED)
        return emulator_cudnn(CUDNN_STATUS_NOT_SUPPORTED, "this kind of network is not emulated");
    cudnnStatus_t status = check_types(type, precision, math);
    if (status == CUDNN_STATUS_SUCCESS)
        status = emulator_refuses(bias, "describe");
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    *rnn = (struct cudnnRNNStruct){RNN, true, bias, type, math, inputs, units, layers};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBuildRNNDynamic(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn, int rows)
{
    emulator_cudnn_handle(handle, "cudnnBuildRNNDynamic");
    emulator_cudnn_rnn(rnn, "cudnnBuildRNNDynamic");
    return emulator_cudnn(CUDNN_STATUS_BAD_PARAM,
                          "%d rows: only for the algorithm that is persistent and dynamic", rows);
}

/* ---- sequences ---- */

cudnnStatus_t cudnnCreateRNNDataDescriptor(cudnnRNNDataDescriptor_t *data)
{
    *data = emulator_new(sizeof(**data));
    (*data)->magic = DATA;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyRNNDataDescriptor(cudnnRNNDataDescriptor_t data)
{
    if (!data)
        return CUDNN_STATUS_SUCCESS;
    check_magic(&data->magic, DATA, "RNN data descriptor", "cudnnDestroyRNNDataDescriptor");
    data->magic = 0;
    free(data->length);
    free(data);
    return CUDNN_STATUS_SUCCESS;
}

/* Lengths and fill are copied: the caller's arrays may go. */
cudnnStatus_t cudnnSetRNNDataDescriptor(cudnnRNNDataDescriptor_t data, cudnnDataType_t type,
                                        cudnnRNNDataLayout_t layout, int steps, int rows, int width,
                                        const int length[], void *fill)
{
    const char *call = "cudnnSetRNNDataDescriptor";
    check_magic(data ? &data->magic : NULL, DATA, "RNN data descriptor", call);
    if (steps <= 0 || rows <= 0 || width <= 0)
        return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "%d steps, %d rows, %d columns", steps, rows, width);
    if (layout == CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED ||
        (type != CUDNN_DATA_FLOAT && type != CUDNN_DATA_BFLOAT16))
        return emulator_cudnn(CUDNN_STATUS_NOT_SUPPORTED, "layout %d, type %d", (int)layout, (int)type);
    emulator_check_host(length, (size_t)rows * sizeof(int), call, "lengths");
    for (int b = 0; b < rows; ++b)
        if (length[b] <= 0 || length[b] > steps)
            return emulator_cudnn(CUDNN_STATUS_BAD_PARAM, "length %d of row %d", length[b], b);
    free(data->length);
    *data = (struct cudnnRNNDataStruct){DATA, true, type, layout, steps, rows, width, NULL, fill != NULL, 0};
    data->length = emulator_new((size_t)rows * sizeof(int));
    memcpy(data->length, length, (size_t)rows * sizeof(int));
    if (fill) {
        emulator_check_host(fill, emulator_size(type), call, "padding");
        uint16_t bits = 0;
        memcpy(type == CUDNN_DATA_FLOAT ? (void *)&data->fill : (void *)&bits, fill, emulator_size(type));
        if (type == CUDNN_DATA_BFLOAT16)
            data->fill = emulator_from_bf16(bits);
    }
    return CUDNN_STATUS_SUCCESS;
}
