/* cudart_copy.c: copies and memsets of the emulated CUDA runtime; every address is checked for its extent. */
#include "emulator.h"

#include <string.h>

size_t emulator_extent(size_t pitch, size_t width, size_t height)
{
    return width == 0 || height == 0 ? 0 : (height - 1) * pitch + width;
}

void emulator_copy_now(const emulator_copy *copy)
{
    if (copy->width == copy->to_pitch && copy->width == copy->from_pitch) {
        memcpy(copy->to, copy->from, copy->width * copy->height);
        return;
    }
    for (size_t y = 0; y < copy->height; ++y)
        memcpy(copy->to + y * copy->to_pitch, copy->from + y * copy->from_pitch, copy->width);
}

/* Which side is the device is what the caller says, and must be so; cudaMemcpyDefault asks the addresses. */
static enum cudaMemcpyKind check_copy(const emulator_copy *copy, enum cudaMemcpyKind kind, const char *call)
{
    size_t to = emulator_extent(copy->to_pitch, copy->width, copy->height);
    size_t from = emulator_extent(copy->from_pitch, copy->width, copy->height);
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (kind == cudaMemcpyDefault) {
        to_device = emulator_on_device(copy->to);
        from_device = emulator_on_device(copy->from);
    }
    if (to_device)
        emulator_check_device(copy->to, to, -1, call, "destination");
    else
        emulator_check_host(copy->to, to, call, "destination");
    if (from_device)
        emulator_check_device(copy->from, from, -1, call, "source");
    else
        emulator_check_host(copy->from, from, call, "source");
    /* Interleaved rows may share a range; whole blocks of bytes may not. */
    if (copy->height == 1 && emulator_overlap(copy->to, to, copy->from, from))
        emulator_die("%s: source %p and destination %p overlap (%zu bytes)", call, (const void *)copy->from,
                     (void *)copy->to, to);
    if (to_device)
        return from_device ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice;
    return from_device ? cudaMemcpyDeviceToHost : cudaMemcpyHostToHost;
}

static bool valid_kind(enum cudaMemcpyKind kind)
{
    return (unsigned)kind <= (unsigned)cudaMemcpyDefault;
}

/* A synchronous copy waits for the default stream and the streams that wait for it, not for the others. */
static cudaError_t copy_and_wait(const emulator_copy *copy, enum cudaMemcpyKind kind, const char *call)
{
    EMULATOR_READY();
    if (!valid_kind(kind))
        return emulator_error(cudaErrorInvalidValue);
    if (copy->width == 0 || copy->height == 0)
        return cudaSuccess;
    check_copy(copy, kind, call);
    emulator_settle(0, emulator_late_now());
    emulator_copy_now(copy);
    return cudaSuccess;
}

/* A copy to pageable memory is there when the call returns, and so is all that the stream did before. */
static cudaError_t copy_async(const emulator_copy *copy, enum cudaMemcpyKind kind, cudaStream_t stream,
                              const char *call)
{
    EMULATOR_READY();
    int number = emulator_stream(stream, call);
    if (!valid_kind(kind))
        return emulator_error(cudaErrorInvalidValue);
    if (copy->width == 0 || copy->height == 0)
        return cudaSuccess;
    kind = check_copy(copy, kind, call);
    if (kind == cudaMemcpyDeviceToHost && emulator_page_locked(copy->to)) {
        emulator_late_to_host(number, copy);
    } else if (kind == cudaMemcpyHostToDevice && emulator_page_locked(copy->from)) {
        emulator_late_from_host(number, copy);
    } else {
        if (kind == cudaMemcpyDeviceToHost)
            emulator_settle(number, emulator_late_now());
        emulator_copy_now(copy);
    }
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    emulator_copy copy = {to, from, bytes, bytes, bytes, 1};
    return copy_and_wait(&copy, kind, "cudaMemcpy");
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    emulator_copy copy = {to, from, bytes, bytes, bytes, 1};
    return copy_async(&copy, kind, stream, "cudaMemcpyAsync");
}

cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                         size_t height, enum cudaMemcpyKind kind)
{
    emulator_copy copy = {to, from, to_pitch, from_pitch, width, height};
    if (width > to_pitch || width > from_pitch)
        return emulator_error(cudaErrorInvalidPitchValue);
    return copy_and_wait(&copy, kind, "cudaMemcpy2D");
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    emulator_copy copy = {to, from, to_pitch, from_pitch, width, height};
    if (width > to_pitch || width > from_pitch)
        return emulator_error(cudaErrorInvalidPitchValue);
    return copy_async(&copy, kind, stream, "cudaMemcpy2DAsync");
}

cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    EMULATOR_READY();
    emulator_check_device(to, bytes, -1, "cudaMemset", "destination");
    if (bytes)
        memset(to, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    EMULATOR_READY();
    emulator_stream(stream, "cudaMemsetAsync");
    emulator_check_device(to, bytes, -1, "cudaMemsetAsync", "destination");
    if (bytes)
        memset(to, value, bytes);
    return cudaSuccess;
}
