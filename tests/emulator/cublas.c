/* cublas.c: the products of cuBLAS, emulated.  Sums run in the order of the inner index, so a shape's results
 * are the same however the matrices lie. */
#include "emulator.h"

#include <cublas_v2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC = 0xb1a5 };

struct cublasContext {
    int magic, device;
    cudaStream_t stream;
    void *workspace;
    size_t workspace_bytes;
    cublasMath_t math;
    cublasPointerMode_t pointers;
};

static cublasHandle_t handle_of(cublasHandle_t handle, const char *call)
{
    if (!handle || handle->magic != MAGIC)
        emulator_die("%s: %p is not a cuBLAS handle, or one that was destroyed", call, (void *)handle);
    if (handle->device != emulator_device())
        emulator_die("%s: a handle of device %d while device %d is current", call, handle->device,
                     emulator_device());
    return handle;
}

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle)
{
    *handle = NULL;
    if (emulator_ready() != cudaSuccess)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = emulator_new(sizeof(**handle));
    (*handle)->magic = MAGIC;
    (*handle)->device = emulator_device();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle)
{
    if (!handle || handle->magic != MAGIC)
        emulator_die("cublasDestroy(%p): not a handle, or destroyed twice", (void *)handle);
    handle->magic = 0;
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

/* As the real one, this goes back to the library's own workspace. */
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream)
{
    handle_of(handle, "cublasSetStream");
    emulator_stream(stream, "cublasSetStream");
    handle->stream = stream;
    handle->workspace = NULL;
    handle->workspace_bytes = 0;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes)
{
    handle_of(handle, "cublasSetWorkspace");
    if ((uintptr_t)workspace % 256 != 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    emulator_check_device(workspace, bytes, handle->device, "cublasSetWorkspace", "workspace");
    handle->workspace = workspace;
    handle->workspace_bytes = bytes;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode)
{
    handle_of(handle, "cublasSetMathMode")->math = mode;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode)
{
    handle_of(handle, "cublasSetPointerMode")->pointers = mode;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int *version)
{
    (void)handle; /* may be NULL */
    *version = CUBLAS_VERSION;
    return CUBLAS_STATUS_SUCCESS;
}

static const struct {
    cublasStatus_t status;
    const char *name, *text;
} status_names[] = {
    {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS", "success"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED", "the library was not initialized"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE", "an invalid value was provided"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED", "the function failed to launch"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED", "the functionality is not supported"},
};

const char *cublasGetStatusName(cublasStatus_t status)
{
    for (size_t i = 0; i < sizeof(status_names) / sizeof(status_names[0]); ++i)
        if (status_names[i].status == status)
            return status_names[i].name;
    return "unknown";
}

const char *cublasGetStatusString(cublasStatus_t status)
{
    for (size_t i = 0; i < sizeof(status_names) / sizeof(status_names[0]); ++i)
        if (status_names[i].status == status)
            return status_names[i].text;
    return "unknown";
}

/* ---- products ---- */

typedef struct {
    const char *name;
    const void *data;
    cudaDataType type;
    cublasOperation_t operation;
    int64_t rows, columns; /* of op(matrix) */
    int64_t ld;
} emulator_operand;

static size_t size_of(cudaDataType type)
{
    return type == CUDA_R_16BF ? 2 : 4;
}

static int64_t stored_rows(const emulator_operand *operand)
{
    return operand->operation == CUBLAS_OP_N ? operand->rows : operand->columns;
}

static int64_t stored_columns(const emulator_operand *operand)
{
    return operand->operation == CUBLAS_OP_N ? operand->columns : operand->rows;
}

static bool valid(const emulator_operand *operand)
{
    return operand->rows >= 0 && operand->columns >= 0 &&
           operand->ld >= (stored_rows(operand) > 1 ? stored_rows(operand) : 1);
}

static size_t extent(const emulator_operand *operand)
{
    size_t size = size_of(operand->type);
    return emulator_extent((size_t)operand->ld * size, (size_t)stored_rows(operand) * size,
                           (size_t)stored_columns(operand));
}

static void check_operand(cublasHandle_t handle, const emulator_operand *operand, const char *shape)
{
    char what[160];
    snprintf(what, sizeof(what), "%s of %s, ld%c %lld", operand->name, shape, operand->name[0] + 32,
             (long long)operand->ld);
    emulator_check_device(operand->data, extent(operand), handle->device, "cuBLAS product", what);
    if ((uintptr_t)operand->data % size_of(operand->type) != 0)
        emulator_die("cuBLAS product: %s: %p is not aligned to its elements", what, operand->data);
}

/* C may lie between the rows of an operand, but not share a byte with it. */
static void check_apart(const emulator_operand *c, const emulator_operand *other, const char *shape)
{
    if (!emulator_overlap(c->data, extent(c), other->data, extent(other)))
        return;
    size_t pitch = (size_t)c->ld * size_of(c->type);
    size_t c_width = (size_t)stored_rows(c) * size_of(c->type);
    size_t width = (size_t)stored_rows(other) * size_of(other->type);
    uintptr_t shift = ((uintptr_t)other->data - (uintptr_t)c->data) % pitch;
    if ((uintptr_t)other->data < (uintptr_t)c->data)
        shift = (pitch - ((uintptr_t)c->data - (uintptr_t)other->data) % pitch) % pitch;
    if (pitch != (size_t)other->ld * size_of(other->type) || shift < c_width || shift + width > pitch)
        emulator_die("cuBLAS product: C overlaps %s of %s", other->name, shape);
}

static float scalar(cublasHandle_t handle, const void *address, const char *name)
{
    float value;
    if (handle->pointers == CUBLAS_POINTER_MODE_DEVICE)
        emulator_check_device(address, sizeof(float), handle->device, "cuBLAS product", name);
    else
        emulator_check_host(address, sizeof(float), "cuBLAS product", name);
    memcpy(&value, address, sizeof(value));
    return value;
}

static emulator_matrix matrix_of(const emulator_operand *operand)
{
    bool plain = operand->operation == CUBLAS_OP_N;
    return (emulator_matrix){operand->data, operand->type == CUDA_R_16BF ? EMULATOR_BF16 : EMULATOR_FLOAT,
                             plain ? 1 : operand->ld, plain ? operand->ld : 1};
}

static bool supported(cublasHandle_t handle, const emulator_operand *a, const emulator_operand *b,
                      const emulator_operand *c, cublasComputeType_t compute, bool *tf32)
{
    bool bf16 = a->type == CUDA_R_16BF;
    if (a->type != b->type || (!bf16 && a->type != CUDA_R_32F) || c->type != CUDA_R_32F)
        return false;
    if (bf16 && (emulator_sm() < 80 || compute == CUBLAS_COMPUTE_32F_FAST_TF32))
        return false;
    bool by_mode = handle->math == CUBLAS_TF32_TENSOR_OP_MATH && compute == CUBLAS_COMPUTE_32F;
    *tf32 = !bf16 && emulator_sm() >= 80 && (by_mode || compute == CUBLAS_COMPUTE_32F_FAST_TF32);
    return compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC ||
           compute == CUBLAS_COMPUTE_32F_FAST_TF32;
}

/* Callers may leave nothing in the workspace. */
static void use_workspace(cublasHandle_t handle)
{
    if (!handle->workspace_bytes)
        return;
    emulator_check_device(handle->workspace, handle->workspace_bytes, handle->device, "cuBLAS product",
                          "workspace");
    memset(handle->workspace, 0xff, handle->workspace_bytes < 65536 ? handle->workspace_bytes : 65536);
}

static cublasStatus_t multiply(cublasHandle_t handle, const emulator_operand *a, const emulator_operand *b,
                               const emulator_operand *c, const void *alpha, const void *beta,
                               cublasComputeType_t compute)
{
    char shape[96];
    bool tf32;
    snprintf(shape, sizeof(shape), "m %lld, n %lld, k %lld", (long long)c->rows, (long long)c->columns,
             (long long)a->columns);
    handle_of(handle, "cuBLAS product");
    emulator_stream(handle->stream, "cuBLAS product");
    if (!valid(a) || !valid(b) || !valid(c) || !alpha || !beta)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!supported(handle, a, b, c, compute, &tf32))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (emulator_launch() != cudaSuccess)
        return CUBLAS_STATUS_EXECUTION_FAILED;
    if (c->rows == 0 || c->columns == 0)
        return CUBLAS_STATUS_SUCCESS;
    check_operand(handle, a, shape);
    check_operand(handle, b, shape);
    check_operand(handle, c, shape);
    check_apart(c, a, shape);
    check_apart(c, b, shape);
    use_workspace(handle);
    emulator_product product = {c->rows,
                                c->columns,
                                a->columns,
                                matrix_of(a),
                                matrix_of(b),
                                tf32,
                                scalar(handle, alpha, "alpha"),
                                scalar(handle, beta, "beta"),
                                (float *)c->data,
                                c->ld};
    emulator_multiply(&product);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transpose_a,
                            cublasOperation_t transpose_b, int m, int n, int k, const void *alpha,
                            const void *a, cudaDataType a_type, int lda, const void *b, cudaDataType b_type,
                            int ldb, const void *beta, void *c, cudaDataType c_type, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t algorithm)
{
    (void)algorithm; /* a hint that newer devices ignore */
    return multiply(handle, &(emulator_operand){"A", a, a_type, transpose_a, m, k, lda},
                    &(emulator_operand){"B", b, b_type, transpose_b, k, n, ldb},
                    &(emulator_operand){"C", c, c_type, CUBLAS_OP_N, m, n, ldc}, alpha, beta, compute);
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t transpose_a,
                              cublasOperation_t transpose_b, int m, int n, int k, const float *alpha,
                              const float *a, int lda, const float *b, int ldb, const float *beta, float *c,
                              int ldc)
{
    return cublasGemmEx(handle, transpose_a, transpose_b, m, n, k, alpha, a, CUDA_R_32F, lda, b, CUDA_R_32F,
                        ldb, beta, c, CUDA_R_32F, ldc, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}
