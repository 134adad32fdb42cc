/* cudart_device.c: devices and errors of the emulated CUDA runtime, and errors on demand. */
#include "emulator.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local int current_device;
static _Thread_local cudaError_t last_error;

/* Counts towards CUDA_EMULATOR_FAIL_AFTER or CUDA_EMULATOR_FAIL_MALLOC_AFTER; starts anew when the value
 * changes. */
typedef struct {
    const char *name;
    char value[32];
    long long count;
} emulator_trap;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static emulator_trap launch_trap = {"CUDA_EMULATOR_FAIL_AFTER", "", 0};
static emulator_trap malloc_trap = {"CUDA_EMULATOR_FAIL_MALLOC_AFTER", "", 0};
static bool dead[EMULATOR_DEVICES_MAX];

_Noreturn void emulator_die(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "cuda emulator: %s\n", text);
    fflush(stderr);
    abort();
}

void *emulator_new(size_t bytes)
{
    void *memory = calloc(1, bytes ? bytes : 1);
    if (!memory)
        emulator_die("out of host memory (%zu bytes)", bytes);
    return memory;
}

/* ---- settings: read at each use, so that tests can change them ---- */

static long long number(const char *name, const char *text)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < 0)
        emulator_die("%s=%s is not a number", name, text);
    return value;
}

static long long setting(const char *name, long long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? number(name, text) : otherwise;
}

static bool driver_too_old(void)
{
    const char *text = getenv("CUDA_EMULATOR_DEVICES");
    return text && strcmp(text, "driver") == 0;
}

static int devices(void)
{
    long long count = driver_too_old() ? 0 : setting("CUDA_EMULATOR_DEVICES", 1);
    if (count > EMULATOR_DEVICES_MAX)
        emulator_die("CUDA_EMULATOR_DEVICES=%lld: at most %d", count, EMULATOR_DEVICES_MAX);
    return (int)count;
}

int emulator_sm(void)
{
    return (int)setting("CUDA_EMULATOR_SM", 90);
}

size_t emulator_memory(void)
{
    return (size_t)setting("CUDA_EMULATOR_MEMORY", 4LL << 30);
}

int emulator_device(void)
{
    return current_device;
}

/* ---- errors ---- */

cudaError_t emulator_error(cudaError_t error)
{
    if (error != cudaSuccess)
        last_error = error;
    return error;
}

/* Whether this is the count-th call since the trap was set, or a later one.  A changed setting also revives
 * the devices, so that one test program can have several failures.  Called with the lock held. */
static bool sprung(emulator_trap *trap, bool counts)
{
    const char *value = getenv(trap->name);
    value = value ? value : "";
    if (strncmp(value, trap->value, sizeof(trap->value)) != 0) {
        snprintf(trap->value, sizeof(trap->value), "%s", value);
        trap->count = 0;
        if (trap == &launch_trap)
            memset(dead, 0, sizeof(dead));
    }
    trap->count += counts;
    return *value && trap->count >= number(trap->name, value);
}

static bool is_dead(void)
{
    pthread_mutex_lock(&lock);
    sprung(&launch_trap, false);
    bool result = dead[current_device];
    pthread_mutex_unlock(&lock);
    return result;
}

cudaError_t emulator_ready(void)
{
    if (driver_too_old())
        return emulator_error(cudaErrorInsufficientDriver);
    if (devices() == 0)
        return emulator_error(cudaErrorNoDevice);
    return is_dead() ? emulator_error(cudaErrorLaunchFailure) : cudaSuccess;
}

cudaError_t emulator_launch(void)
{
    EMULATOR_READY();
    if (current_device >= devices())
        return emulator_error(cudaErrorInvalidDevice);
    pthread_mutex_lock(&lock);
    if (sprung(&launch_trap, true))
        dead[current_device] = true;
    bool failed = dead[current_device];
    pthread_mutex_unlock(&lock);
    return failed ? emulator_error(cudaErrorLaunchFailure) : cudaSuccess;
}

int cuda_emulator_before_launch(void)
{
    return (int)emulator_launch();
}

bool emulator_malloc_fails(void)
{
    pthread_mutex_lock(&lock);
    bool fails = sprung(&malloc_trap, true);
    pthread_mutex_unlock(&lock);
    return fails;
}

/* An error that a kernel has left stays: every call reports it until the process ends. */
cudaError_t cudaPeekAtLastError(void)
{
    if (devices() > 0 && is_dead())
        last_error = cudaErrorLaunchFailure;
    return last_error;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = cudaPeekAtLastError();
    last_error = cudaSuccess;
    return error;
}

static const struct {
    cudaError_t error;
    const char *name, *text;
} error_names[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidPitchValue, "cudaErrorInvalidPitchValue", "invalid pitch argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
};

const char *cudaGetErrorName(cudaError_t error)
{
    for (size_t i = 0; i < sizeof(error_names) / sizeof(error_names[0]); ++i)
        if (error_names[i].error == error)
            return error_names[i].name;
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error)
{
    for (size_t i = 0; i < sizeof(error_names) / sizeof(error_names[0]); ++i)
        if (error_names[i].error == error)
            return error_names[i].text;
    return "unrecognized error code";
}

/* ---- devices ---- */

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    EMULATOR_READY();
    *count = devices();
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    if (devices() == 0)
        return emulator_ready();
    if (device < 0 || device >= devices())
        return emulator_error(cudaErrorInvalidDevice);
    current_device = device;
    EMULATOR_READY();
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    EMULATOR_READY();
    *device = current_device;
    return cudaSuccess;
}

/* The sizes are those of small real devices, so that what fits here fits there. */
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    EMULATOR_READY();
    if (device < 0 || device >= devices())
        return emulator_error(cudaErrorInvalidDevice);
    memset(properties, 0, sizeof(*properties));
    snprintf(properties->name, sizeof(properties->name), "Host emulation (no GPU)");
    properties->totalGlobalMem = emulator_memory();
    properties->sharedMemPerBlock = 48 << 10;
    properties->sharedMemPerBlockOptin = 64 << 10;
    properties->sharedMemPerMultiprocessor = 64 << 10;
    properties->regsPerBlock = 65536;
    properties->regsPerMultiprocessor = 65536;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->maxThreadsPerMultiProcessor = 1024;
    properties->maxBlocksPerMultiProcessor = 16;
    for (int i = 0; i < 3; ++i) {
        properties->maxThreadsDim[i] = i < 2 ? 1024 : 64;
        properties->maxGridSize[i] = i == 0 ? 2147483647 : 65535;
    }
    properties->memPitch = 2147483647;
    properties->totalConstMem = 64 << 10;
    properties->major = emulator_sm() / 10;
    properties->minor = emulator_sm() % 10;
    properties->multiProcessorCount = 2;
    properties->memoryBusWidth = 64;
    properties->l2CacheSize = 1 << 20;
    properties->asyncEngineCount = 2;
    properties->concurrentKernels = 1;
    properties->unifiedAddressing = 1;
    properties->pciBusID = device + 1;
    return cudaSuccess;
}

static int attribute(const struct cudaDeviceProp *properties, enum cudaDeviceAttr attribute)
{
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
        return properties->maxThreadsPerBlock;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        return (int)properties->sharedMemPerBlock;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        return (int)properties->sharedMemPerBlockOptin;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        return (int)properties->sharedMemPerMultiprocessor;
    case cudaDevAttrWarpSize:
        return properties->warpSize;
    case cudaDevAttrMultiProcessorCount:
        return properties->multiProcessorCount;
    case cudaDevAttrL2CacheSize:
        return properties->l2CacheSize;
    case cudaDevAttrGlobalMemoryBusWidth:
        return properties->memoryBusWidth;
    case cudaDevAttrClockRate:
    case cudaDevAttrMemoryClockRate:
        return 1000000; /* kHz */
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        return properties->maxThreadsPerMultiProcessor;
    case cudaDevAttrComputeCapabilityMajor:
        return properties->major;
    case cudaDevAttrComputeCapabilityMinor:
        return properties->minor;
    default:
        return -1;
    }
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr which, int device)
{
    struct cudaDeviceProp properties;
    cudaError_t error = cudaGetDeviceProperties(&properties, device);
    if (error != cudaSuccess)
        return error;
    *value = attribute(&properties, which);
    return *value < 0 ? emulator_error(cudaErrorInvalidValue) : cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int device)
{
    EMULATOR_READY();
    if (device < 0 || device >= devices())
        return emulator_error(cudaErrorInvalidDevice);
    return snprintf(text, (size_t)size, "0000:%02x:00.0", device + 1) < size
               ? cudaSuccess
               : emulator_error(cudaErrorInvalidValue);
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = driver_too_old() ? 12000 : devices() ? CUDART_VERSION : 0;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

/* Revives the device.  Its memory stays: whoever has it must free it, as after a failure. */
cudaError_t cudaDeviceReset(void)
{
    emulator_settle_all();
    pthread_mutex_lock(&lock);
    dead[current_device] = false;
    pthread_mutex_unlock(&lock);
    last_error = cudaSuccess;
    return cudaSuccess;
}
