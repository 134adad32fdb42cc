/* test_cudart.c: the emulated CUDA runtime. */
#include "dies.h"

#include <cuda_runtime_api.h>

#include "emulator/emulator.h"

#define assert_cuda(call) assert_int_equal((call), cudaSuccess)

static int clear_environment(void **state)
{
    (void)state;
    unsetenv("CUDA_EMULATOR_DEVICES");
    unsetenv("CUDA_EMULATOR_SM");
    unsetenv("CUDA_EMULATOR_MEMORY");
    unsetenv("CUDA_EMULATOR_FAIL_AFTER");
    unsetenv("CUDA_EMULATOR_FAIL_MALLOC_AFTER");
    unsetenv("CUDA_EMULATOR_LATE");
    cudaDeviceReset();
    return 0;
}

static void *device_memory(size_t bytes)
{
    void *memory = NULL;
    assert_cuda(cudaMalloc(&memory, bytes));
    assert_non_null(memory);
    return memory;
}

static void *locked_memory(size_t bytes)
{
    void *memory = NULL;
    assert_cuda(cudaMallocHost(&memory, bytes));
    assert_non_null(memory);
    return memory;
}

static cudaStream_t new_stream(unsigned flags)
{
    cudaStream_t stream = NULL;
    assert_cuda(cudaStreamCreateWithFlags(&stream, flags));
    return stream;
}

/* ---- devices ---- */

static void test_devices(void **state)
{
    (void)state;
    int count, value;
    struct cudaDeviceProp properties;
    assert_cuda(cudaGetDeviceCount(&count));
    assert_int_equal(count, 1);
    setenv("CUDA_EMULATOR_DEVICES", "3", 1);
    setenv("CUDA_EMULATOR_SM", "75", 1);
    setenv("CUDA_EMULATOR_MEMORY", "1000000", 1);
    assert_cuda(cudaGetDeviceCount(&count));
    assert_int_equal(count, 3);
    assert_cuda(cudaGetDeviceProperties(&properties, 2));
    assert_int_equal(properties.major, 7);
    assert_int_equal(properties.minor, 5);
    assert_int_equal(properties.totalGlobalMem, 1000000);
    assert_string_equal(properties.name, "Host emulation (no GPU)");
    assert_cuda(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMinor, 0));
    assert_int_equal(value, 5);
    assert_int_equal(cudaGetDeviceProperties(&properties, 3), cudaErrorInvalidDevice);
    assert_int_equal(cudaSetDevice(3), cudaErrorInvalidDevice);
    assert_int_equal(cudaGetLastError(), cudaErrorInvalidDevice);
    assert_int_equal(cudaGetLastError(), cudaSuccess);
}

static void test_no_device(void **state)
{
    (void)state;
    int count = 7;
    void *memory;
    setenv("CUDA_EMULATOR_DEVICES", "0", 1);
    assert_int_equal(cudaGetDeviceCount(&count), cudaErrorNoDevice);
    assert_int_equal(count, 0);
    assert_int_equal(cudaMalloc(&memory, 1), cudaErrorNoDevice);
    setenv("CUDA_EMULATOR_DEVICES", "driver", 1);
    assert_int_equal(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
    assert_string_equal(cudaGetErrorName(cudaErrorInsufficientDriver), "cudaErrorInsufficientDriver");
}

/* ---- memory ---- */

static void test_memory(void **state)
{
    (void)state;
    size_t available, total;
    void *more;
    setenv("CUDA_EMULATOR_MEMORY", "1000", 1);
    unsigned char bytes[600], *memory = device_memory(600);
    assert_int_equal((uintptr_t)memory % 256, 0);
    assert_cuda(cudaMemcpy(bytes, memory, 600, cudaMemcpyDeviceToHost));
    assert_int_equal(bytes[0], 0xff);
    assert_int_equal(bytes[599], 0xff);
    assert_cuda(cudaMemGetInfo(&available, &total));
    assert_int_equal(available, 400);
    assert_int_equal(total, 1000);
    assert_int_equal(cudaMalloc(&more, 401), cudaErrorMemoryAllocation);
    assert_null(more);
    assert_int_equal(cudaGetLastError(), cudaErrorMemoryAllocation);
    assert_cuda(cudaMalloc(&more, 400));
    assert_cuda(cudaFree(more));
    assert_cuda(cudaFree(memory));
    assert_cuda(cudaFree(NULL));
}

static void test_memory_mistakes(void **state)
{
    (void)state;
    char host[64] = {0}, *a = device_memory(32), *b = device_memory(32), *locked = locked_memory(16);
    assert_dies("1 bytes beyond the end", cudaMemcpy(a + 1, host, 32, cudaMemcpyHostToDevice));
    assert_dies("is not device memory", cudaMemcpy(host, host + 32, 4, cudaMemcpyDeviceToHost));
    assert_dies("used as memory of the host", cudaMemcpy(a, b, 4, cudaMemcpyHostToDevice));
    assert_dies("used as memory of the host", cudaMemcpy(a, b, 4, cudaMemcpyDeviceToHost));
    assert_dies("overlap", cudaMemcpy(a, a + 2, 4, cudaMemcpyDeviceToDevice));
    assert_dies("beyond the end", cudaMemcpy(locked + 8, a, 16, cudaMemcpyDeviceToHost));
    assert_dies("beyond the end", cudaMemset(a, 0, 33));
    assert_dies("beyond the end", cudaMemcpy2D(a, 16, host, 8, 8, 3, cudaMemcpyHostToDevice));
    assert_dies("not an address", cudaFree(host));
    assert_dies("not an address", cudaFree(locked));
    assert_dies("not an address", cudaFreeHost(a));
    assert_dies("freed twice", (cudaFree(a), cudaFree(a)));
#if !defined(__SANITIZE_ADDRESS__)
    assert_dies("byte 3 behind the end", (b[35] = 0, cudaFree(b)));
#endif
    cudaFree(a);
    cudaFree(b);
    cudaFreeHost(locked);
}

static void test_copies(void **state)
{
    (void)state;
    int host[12], back[12] = {0};
    for (int i = 0; i < 12; ++i)
        host[i] = i;
    int *a = device_memory(sizeof(host)), *b = device_memory(sizeof(host));
    assert_cuda(cudaMemcpy(a, host, sizeof(host), cudaMemcpyHostToDevice));
    assert_cuda(cudaMemset(b, 0, sizeof(host)));
    /* the middle two of each four, into threes */
    assert_cuda(cudaMemcpy2D(b, 12, a + 1, 16, 8, 3, cudaMemcpyDeviceToDevice));
    assert_cuda(cudaMemcpy(back, b, sizeof(back), cudaMemcpyDefault));
    const int wanted[12] = {1, 2, 0, 5, 6, 0, 9, 10, 0, 0, 0, 0};
    assert_memory_equal(back, wanted, sizeof(wanted));
    assert_int_equal(cudaMemcpy2D(b, 4, a, 16, 8, 3, cudaMemcpyDeviceToDevice), cudaErrorInvalidPitchValue);
    cudaFree(a);
    cudaFree(b);
}

/* ---- copies that are late ---- */

static void test_late(void **state)
{
    (void)state;
    setenv("CUDA_EMULATOR_LATE", "1", 1);
    cudaStream_t stream = new_stream(cudaStreamNonBlocking), other = new_stream(cudaStreamNonBlocking);
    cudaEvent_t event;
    assert_cuda(cudaEventCreate(&event));
    int *device = device_memory(8), *locked = locked_memory(8), pageable[2];
    const int values[2] = {3, 4};
    assert_cuda(cudaMemcpy(device, values, 8, cudaMemcpyHostToDevice));
    assert_cuda(cudaMemcpyAsync(locked, device, 4, cudaMemcpyDeviceToHost, stream));
    assert_cuda(cudaEventRecord(event, stream));
    assert_cuda(cudaMemcpyAsync(locked + 1, device + 1, 4, cudaMemcpyDeviceToHost, stream));
    assert_int_equal(locked[0], (int)0xa5a5a5a5u);
    assert_cuda(cudaMemcpy(pageable, device, 8, cudaMemcpyDeviceToHost)); /* waits for others only */
    assert_cuda(cudaStreamSynchronize(other));
    assert_int_equal(locked[0], (int)0xa5a5a5a5u);
    assert_int_equal(cudaEventQuery(event), cudaErrorNotReady);
    assert_int_equal(cudaGetLastError(), cudaErrorNotReady);
    assert_cuda(cudaEventQuery(event));
    assert_int_equal(locked[0], 3);
    assert_int_equal(locked[1], (int)0xa5a5a5a5u);
    assert_cuda(cudaStreamSynchronize(stream));
    assert_int_equal(locked[1], 4);
    cudaEventDestroy(event);
    cudaStreamDestroy(stream);
    cudaStreamDestroy(other);
    cudaFree(device);
    cudaFreeHost(locked);
}

static void test_late_order(void **state)
{
    (void)state;
    setenv("CUDA_EMULATOR_LATE", "1", 1);
    cudaStream_t stream = new_stream(cudaStreamNonBlocking), other = new_stream(cudaStreamDefault);
    cudaEvent_t event;
    assert_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    int *device = device_memory(8), *locked = locked_memory(8);
    locked[0] = 5;
    /* to the device and back over the same memory, on one stream */
    assert_cuda(cudaMemcpyAsync(device, locked, 4, cudaMemcpyHostToDevice, stream));
    assert_cuda(cudaMemcpyAsync(locked, device, 4, cudaMemcpyDeviceToHost, stream));
    assert_cuda(cudaEventRecord(event, stream));
    /* a stream that waits for an event waits for what is before it */
    assert_cuda(cudaStreamWaitEvent(other, event, 0));
    assert_int_equal(locked[0], (int)0xa5a5a5a5u);
    assert_cuda(cudaStreamSynchronize(other));
    assert_int_equal(locked[0], 5);
    /* the default stream waits for the other, which is not independent */
    assert_cuda(cudaMemcpyAsync(locked + 1, device, 4, cudaMemcpyDeviceToHost, other));
    assert_int_equal(locked[1], (int)0xa5a5a5a5u);
    assert_cuda(cudaStreamSynchronize(NULL));
    assert_int_equal(locked[1], 5);
    /* freeing waits for everything */
    assert_cuda(cudaMemcpyAsync(locked + 1, device, 4, cudaMemcpyDeviceToHost, stream));
    cudaFree(device);
    assert_int_equal(locked[1], 5);
    cudaEventDestroy(event);
    cudaStreamDestroy(stream);
    cudaStreamDestroy(other);
    cudaFreeHost(locked);
}

static void change_too_early(cudaStream_t stream, int *device, int *locked)
{
    cudaMemcpyAsync(device, locked, 4, cudaMemcpyHostToDevice, stream);
    locked[0] = 6;
    cudaStreamSynchronize(stream);
}

static void test_late_mistake(void **state)
{
    (void)state;
    setenv("CUDA_EMULATOR_LATE", "1", 1);
    cudaStream_t stream = new_stream(cudaStreamNonBlocking);
    int *device = device_memory(4), *locked = locked_memory(4), pageable = 1;
    locked[0] = 5;
    assert_dies("was changed before its copy", change_too_early(stream, device, locked));
    assert_cuda(cudaMemcpyAsync(device, &pageable, 4, cudaMemcpyHostToDevice, stream));
    pageable = 2; /* is fine: pageable memory was copied */
    assert_cuda(cudaStreamSynchronize(stream));
    assert_cuda(cudaMemcpyAsync(&pageable, device, 4, cudaMemcpyDeviceToHost, stream));
    assert_int_equal(pageable, 1);
    cudaStreamDestroy(stream);
    cudaFree(device);
    cudaFreeHost(locked);
}

/* ---- streams and events ---- */

static void test_events(void **state)
{
    (void)state;
    cudaEvent_t begin, end, untimed;
    float milliseconds = -1;
    assert_cuda(cudaEventCreate(&begin));
    assert_cuda(cudaEventCreate(&end));
    assert_cuda(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming));
    assert_int_equal(cudaEventElapsedTime(&milliseconds, begin, end), cudaErrorInvalidResourceHandle);
    assert_cuda(cudaEventRecord(begin, NULL));
    usleep(2000);
    assert_cuda(cudaEventRecord(end, NULL));
    assert_cuda(cudaEventRecord(untimed, NULL));
    assert_cuda(cudaEventElapsedTime(&milliseconds, begin, end));
    assert_true(milliseconds >= 2 && milliseconds < 2000);
    assert_int_equal(cudaEventElapsedTime(&milliseconds, begin, untimed), cudaErrorInvalidResourceHandle);
    setenv("CUDA_EMULATOR_LATE", "1", 1);
    assert_cuda(cudaEventRecord(end, NULL));
    assert_int_equal(cudaEventElapsedTime(&milliseconds, begin, end), cudaErrorNotReady);
    assert_cuda(cudaDeviceSynchronize());
    assert_cuda(cudaEventElapsedTime(&milliseconds, begin, end));
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    cudaEventDestroy(untimed);
}

static void test_other_device(void **state)
{
    (void)state;
    setenv("CUDA_EMULATOR_DEVICES", "2", 1);
    cudaStream_t stream = new_stream(cudaStreamNonBlocking);
    assert_dies("while device 1 is current", (cudaSetDevice(1), cudaStreamSynchronize(stream)));
    assert_dies("not a stream", cudaStreamSynchronize((cudaStream_t)(void *)&(int[8]){0}));
    cudaStreamDestroy(stream);
}

static void test_no_graphs(void **state)
{
    (void)state;
    cudaStream_t stream = new_stream(cudaStreamNonBlocking);
    enum cudaStreamCaptureStatus capturing;
    assert_int_equal(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaErrorNotSupported);
    assert_int_equal(cudaGetLastError(), cudaErrorNotSupported);
    assert_cuda(cudaStreamIsCapturing(stream, &capturing));
    assert_int_equal(capturing, cudaStreamCaptureStatusNone);
    cudaStreamDestroy(stream);
}

/* ---- failures on demand ---- */

static void test_failing_launch(void **state)
{
    (void)state;
    void *memory = device_memory(8), *more;
    setenv("CUDA_EMULATOR_FAIL_AFTER", "3", 1);
    assert_int_equal(cuda_emulator_before_launch(), 0);
    assert_int_equal(cuda_emulator_before_launch(), 0);
    assert_int_equal(cuda_emulator_before_launch(), cudaErrorLaunchFailure);
    assert_int_equal(cuda_emulator_before_launch(), cudaErrorLaunchFailure);
    assert_int_equal(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
    assert_int_equal(cudaMalloc(&more, 8), cudaErrorLaunchFailure);
    assert_int_equal(cudaGetLastError(), cudaErrorLaunchFailure);
    assert_int_equal(cudaGetLastError(), cudaErrorLaunchFailure); /* it stays */
    assert_cuda(cudaFree(memory));
    unsetenv("CUDA_EMULATOR_FAIL_AFTER");
    assert_int_equal(cuda_emulator_before_launch(), 0);
}

static void test_failing_malloc(void **state)
{
    (void)state;
    void *memory, *more;
    setenv("CUDA_EMULATOR_FAIL_MALLOC_AFTER", "2", 1);
    assert_cuda(cudaMalloc(&memory, 8));
    assert_int_equal(cudaMalloc(&more, 8), cudaErrorMemoryAllocation);
    assert_int_equal(cudaMalloc(&more, 8), cudaErrorMemoryAllocation);
    assert_int_equal(cudaGetLastError(), cudaErrorMemoryAllocation);
    assert_int_equal(cudaGetLastError(), cudaSuccess);
    assert_cuda(cudaFree(memory));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_devices, clear_environment),
        cmocka_unit_test_setup(test_no_device, clear_environment),
        cmocka_unit_test_setup(test_memory, clear_environment),
        cmocka_unit_test_setup(test_memory_mistakes, clear_environment),
        cmocka_unit_test_setup(test_copies, clear_environment),
        cmocka_unit_test_setup(test_late, clear_environment),
        cmocka_unit_test_setup(test_late_order, clear_environment),
        cmocka_unit_test_setup(test_late_mistake, clear_environment),
        cmocka_unit_test_setup(test_events, clear_environment),
        cmocka_unit_test_setup(test_other_device, clear_environment),
        cmocka_unit_test_setup(test_no_graphs, clear_environment),
        cmocka_unit_test_setup(test_failing_launch, clear_environment),
        cmocka_unit_test_setup(test_failing_malloc, clear_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
