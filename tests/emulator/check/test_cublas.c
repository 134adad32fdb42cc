/* test_cublas.c: the emulated products against naive loops. */
#include "dies.h"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include "emulator/emulator.h"

#define assert_cuda(call) assert_int_equal((call), cudaSuccess)

static cublasHandle_t handle;

static int open_handle(void **state)
{
    (void)state;
    unsetenv("CUDA_EMULATOR_SM");
    unsetenv("CUDA_EMULATOR_FAIL_AFTER");
    cudaDeviceReset();
    return cublasCreate(&handle);
}

static int close_handle(void **state)
{
    (void)state;
    return cublasDestroy(handle);
}

static float random_number(void)
{
    return (float)rand() / (float)RAND_MAX - 0.5f;
}

/* Device memory is memory of the host here, so tests write to it. */
static float *random_matrix(size_t count)
{
    float *matrix = NULL;
    assert_cuda(cudaMalloc((void **)&matrix, count * sizeof(float)));
    for (size_t i = 0; i < count; ++i)
        matrix[i] = random_number();
    return matrix;
}

/* ---- products ---- */

typedef struct {
    int transpose_a, transpose_b, m, n, k, lda, ldb, ldc;
    float alpha, beta;
} shape;

static shape random_shape(void)
{
    shape s = {rand() % 2, rand() % 2, rand() % 150 + 1, rand() % 30 + 1, rand() % 60, 0, 0, 0, 1, 0};
    s.lda = (s.transpose_a ? s.k : s.m) + rand() % 3 + 1;
    s.ldb = (s.transpose_b ? s.n : s.k) + rand() % 3 + 1;
    s.ldc = s.m + rand() % 3;
    if (rand() % 2) {
        s.alpha = 0.5f;
        s.beta = -2;
    }
    return s;
}

static size_t columns(int ld, int count)
{
    return (size_t)ld * (size_t)(count > 0 ? count : 1);
}

static double naive(const shape *s, const float *a, const float *b, int i, int j)
{
    double sum = 0;
    for (int l = 0; l < s->k; ++l)
        sum += (double)(s->transpose_a ? a[l + i * s->lda] : a[i + l * s->lda]) *
               (double)(s->transpose_b ? b[j + l * s->ldb] : b[l + j * s->ldb]);
    return sum;
}

static void check_shape(const shape *s)
{
    size_t a_count = columns(s->lda, s->transpose_a ? s->m : s->k);
    size_t b_count = columns(s->ldb, s->transpose_b ? s->k : s->n), c_count = columns(s->ldc, s->n);
    float *a = random_matrix(a_count), *b = random_matrix(b_count), *c = random_matrix(c_count);
    float *before = malloc(c_count * sizeof(float));
    memcpy(before, c, c_count * sizeof(float));
    if (s->beta == 0) /* must not be read */
        for (int i = 0; i < s->m; ++i)
            c[i] = NAN;
    assert_int_equal(cublasGemmEx(handle, s->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                                  s->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, s->m, s->n, s->k, &s->alpha, a,
                                  CUDA_R_32F, s->lda, b, CUDA_R_32F, s->ldb, &s->beta, c, CUDA_R_32F, s->ldc,
                                  CUBLAS_COMPUTE_32F_PEDANTIC, CUBLAS_GEMM_DEFAULT),
                     CUBLAS_STATUS_SUCCESS);
    for (int j = 0; j < s->n; ++j)
        for (int i = 0; i < s->ldc; ++i) {
            size_t at = (size_t)i + (size_t)j * (size_t)s->ldc;
            double wanted =
                i < s->m ? (double)s->alpha * naive(s, a, b, i, j) + (double)s->beta * (double)before[at]
                         : (double)before[at];
            if (!(fabs((double)c[at] - wanted) < 1e-4))
                fail_msg("m %d n %d k %d: C(%d, %d) is %g, not %g", s->m, s->n, s->k, i, j, (double)c[at],
                         wanted);
        }
    free(before);
    cudaFree(a);
    cudaFree(b);
    cudaFree(c);
}

static void test_products(void **state)
{
    (void)state;
    for (int n = 0; n < 100; ++n) {
        shape s = random_shape();
        check_shape(&s);
    }
}

static cublasStatus_t multiply(const void *a, const void *b, float *c, int n, cudaDataType type,
                               cublasComputeType_t compute)
{
    const float one = 1, zero = 0;
    return cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, a, type, n, b, type, n, &zero, c,
                        CUDA_R_32F, n, compute, CUBLAS_GEMM_DEFAULT);
}

static void test_types(void **state)
{
    (void)state;
    float *a = random_matrix(1), *b = random_matrix(1), *c = random_matrix(1);
    uint16_t *narrow = NULL;
    assert_cuda(cudaMalloc((void **)&narrow, 2));
    a[0] = 1 + 0x1p-10f + 0x1p-11f; /* between two numbers of tf32: to the even one */
    b[0] = 1;
    assert_int_equal(multiply(a, b, c, 1, CUDA_R_32F, CUBLAS_COMPUTE_32F), 0);
    assert_true(c[0] == a[0]);
    assert_int_equal(multiply(a, b, c, 1, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32), 0);
    assert_true(c[0] == 1 + 0x1p-9f);
    cublasSetMathMode(handle, CUBLAS_TF32_TENSOR_OP_MATH);
    assert_int_equal(multiply(a, b, c, 1, CUDA_R_32F, CUBLAS_COMPUTE_32F), 0);
    assert_true(c[0] == 1 + 0x1p-9f);
    cublasSetMathMode(handle, CUBLAS_PEDANTIC_MATH);
    assert_int_equal(multiply(a, b, c, 1, CUDA_R_32F, CUBLAS_COMPUTE_32F), 0);
    assert_true(c[0] == a[0]);
    narrow[0] = 0x3fc0; /* 1.5 */
    assert_int_equal(multiply(narrow, narrow, c, 1, CUDA_R_16BF, CUBLAS_COMPUTE_32F), 0);
    assert_true(c[0] == 2.25f);
    assert_int_equal(multiply(narrow, narrow, c, 1, CUDA_R_16BF, CUBLAS_COMPUTE_32F_FAST_TF32),
                     CUBLAS_STATUS_NOT_SUPPORTED);
    assert_int_equal(multiply(narrow, narrow, c, 1, CUDA_R_16F, CUBLAS_COMPUTE_32F),
                     CUBLAS_STATUS_NOT_SUPPORTED);
    setenv("CUDA_EMULATOR_SM", "75", 1);
    assert_int_equal(multiply(narrow, narrow, c, 1, CUDA_R_16BF, CUBLAS_COMPUTE_32F),
                     CUBLAS_STATUS_NOT_SUPPORTED);
    cudaFree(a);
    cudaFree(b);
    cudaFree(c);
    cudaFree(narrow);
}

static void test_rounding(void **state)
{
    (void)state;
    assert_int_equal(emulator_to_bf16(1 + 0x1p-8f), 0x3f80);            /* half way: to the even one */
    assert_int_equal(emulator_to_bf16(1 + 3 * 0x1p-8f), 0x3f82);        /* likewise */
    assert_int_equal(emulator_to_bf16(1 + 0x1p-8f + 0x1p-20f), 0x3f81); /* just above */
    assert_int_equal(emulator_to_bf16(-INFINITY), 0xff80);
    assert_int_equal(emulator_to_bf16(3.4e38f), 0x7f80);
    assert_true(isnan(emulator_from_bf16(emulator_to_bf16(NAN))));
    assert_true(isnan(emulator_tf32(NAN)));
}

/* A zero times infinity or NaN is NaN: nothing is skipped. */
static void test_not_finite(void **state)
{
    (void)state;
    float *a = random_matrix(1), *b = random_matrix(1), *c = random_matrix(1);
    a[0] = 0;
    b[0] = INFINITY;
    assert_int_equal(multiply(a, b, c, 1, CUDA_R_32F, CUBLAS_COMPUTE_32F), 0);
    assert_true(isnan(c[0]));
    cudaFree(a);
    cudaFree(b);
    cudaFree(c);
}

/* ---- mistakes ---- */

static cublasStatus_t sgemm(int m, int n, int k, const float *a, int lda, const float *b, int ldb, float *c,
                            int ldc)
{
    const float one = 1, zero = 0;
    return cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one, a, lda, b, ldb, &zero, c, ldc);
}

static void test_mistakes(void **state)
{
    (void)state;
    float *a = random_matrix(12), *b = random_matrix(12), *c = random_matrix(12), host[12] = {0};
    assert_int_equal(sgemm(3, 3, 4, a, 2, b, 4, c, 3), CUBLAS_STATUS_INVALID_VALUE);
    assert_int_equal(sgemm(3, 3, 4, a, 3, b, 3, c, 3), CUBLAS_STATUS_INVALID_VALUE);
    assert_int_equal(sgemm(3, 3, 4, a, 3, b, 4, c, 2), CUBLAS_STATUS_INVALID_VALUE);
    assert_int_equal(sgemm(3, -1, 4, a, 3, b, 4, c, 3), CUBLAS_STATUS_INVALID_VALUE);
    assert_int_equal(sgemm(3, 3, 4, a, 3, b, 4, c, 3), CUBLAS_STATUS_SUCCESS);
    assert_dies("A of m 4, n 3, k 4, lda 4", sgemm(4, 3, 4, a, 4, b, 4, c, 4));
    assert_dies("B of m 3, n 3, k 4, ldb 5", sgemm(3, 3, 4, a, 3, b, 5, c, 3));
    assert_dies("C of m 3, n 3, k 4, ldc 5", sgemm(3, 3, 4, a, 3, b, 4, c, 5));
    assert_dies("is not device memory", sgemm(3, 3, 4, host, 3, b, 4, c, 3));
    assert_dies("C overlaps B", sgemm(3, 3, 3, a, 3, b, 3, b, 3));
    assert_dies("C overlaps A", sgemm(2, 2, 2, a, 4, b, 2, a + 1, 4));
    assert_int_equal(sgemm(2, 2, 2, a, 4, b, 2, a + 2, 4), CUBLAS_STATUS_SUCCESS); /* the rows between */
    setenv("CUDA_EMULATOR_FAIL_AFTER", "2", 1);
    assert_int_equal(sgemm(3, 3, 4, a, 3, b, 4, c, 3), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(sgemm(3, 3, 4, a, 3, b, 4, c, 3), CUBLAS_STATUS_EXECUTION_FAILED);
    assert_int_equal(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
    cudaFree(a);
    cudaFree(b);
    cudaFree(c);
}

static void test_workspace(void **state)
{
    (void)state;
    float *a = random_matrix(4), *space = random_matrix(64), *c = random_matrix(4);
    space[0] = 1;
    assert_int_equal(cublasSetWorkspace(handle, space + 1, 64), CUBLAS_STATUS_INVALID_VALUE);
    assert_dies("beyond the end", cublasSetWorkspace(handle, space, 257));
    assert_int_equal(cublasSetWorkspace(handle, space, 256), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(sgemm(2, 2, 2, a, 2, a, 2, c, 2), CUBLAS_STATUS_SUCCESS);
    assert_true(isnan(space[0]));
    cudaFree(space);
    assert_dies("workspace", sgemm(2, 2, 2, a, 2, a, 2, c, 2));
    assert_int_equal(cublasSetStream(handle, NULL), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(sgemm(2, 2, 2, a, 2, a, 2, c, 2), CUBLAS_STATUS_SUCCESS);
    cudaFree(a);
    cudaFree(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_products, open_handle, close_handle),
        cmocka_unit_test_setup_teardown(test_types, open_handle, close_handle),
        cmocka_unit_test_setup_teardown(test_rounding, open_handle, close_handle),
        cmocka_unit_test_setup_teardown(test_not_finite, open_handle, close_handle),
        cmocka_unit_test_setup_teardown(test_mistakes, open_handle, close_handle),
        cmocka_unit_test_setup_teardown(test_workspace, open_handle, close_handle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
