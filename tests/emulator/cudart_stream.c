/* cudart_stream.c: streams and events of the emulated CUDA runtime.  Work is done when it is enqueued; what
 * there is to wait for is in cudart_late.c.  Graphs are not supported, which callers must be ready for. */
#include "emulator.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STREAM_MAGIC = 0x57e4a, EVENT_MAGIC = 0xe4e27 };

struct CUstream_st {
    int magic, number, device;
};

struct CUevent_st {
    int magic, device;
    bool timed, recorded, asked;
    int stream;
    uint64_t point;
    double milliseconds;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool taken[EMULATOR_STREAMS_MAX] = {true}; /* numbers of streams; 0 is the default stream's */
static bool blocks[EMULATOR_STREAMS_MAX] = {true};

/* ---- streams ---- */

int emulator_stream(cudaStream_t stream, const char *call)
{
    if (!stream || stream == cudaStreamLegacy)
        return 0;
    if (stream == cudaStreamPerThread)
        emulator_die("%s: the per-thread default stream is not emulated", call);
    if (stream->magic != STREAM_MAGIC)
        emulator_die("%s: %p is not a stream, or one that was destroyed", call, (void *)stream);
    if (stream->device != emulator_device())
        emulator_die("%s: a stream of device %d while device %d is current", call, stream->device,
                     emulator_device());
    return stream->number;
}

bool emulator_stream_blocks(int number)
{
    return blocks[number];
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    EMULATOR_READY();
    if (flags != cudaStreamDefault && flags != cudaStreamNonBlocking)
        return emulator_error(cudaErrorInvalidValue);
    pthread_mutex_lock(&lock);
    int number = 0;
    while (number < EMULATOR_STREAMS_MAX && taken[number])
        ++number;
    if (number == EMULATOR_STREAMS_MAX)
        emulator_die("more than %d streams", EMULATOR_STREAMS_MAX);
    taken[number] = true;
    blocks[number] = flags == cudaStreamDefault;
    pthread_mutex_unlock(&lock);
    *stream = emulator_new(sizeof(**stream));
    **stream = (struct CUstream_st){STREAM_MAGIC, number, emulator_device()};
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

/* A real stream goes on with its work and is gone later; what it has yet to deliver is delivered now. */
cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    if (!stream || stream->magic != STREAM_MAGIC)
        emulator_die("cudaStreamDestroy(%p): not a stream, or destroyed twice", (void *)stream);
    emulator_settle(stream->number, emulator_late_now());
    pthread_mutex_lock(&lock);
    taken[stream->number] = false;
    pthread_mutex_unlock(&lock);
    stream->magic = 0;
    free(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    EMULATOR_READY();
    emulator_settle(emulator_stream(stream, "cudaStreamSynchronize"), emulator_late_now());
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    return cudaStreamSynchronize(stream);
}

cudaError_t cudaDeviceSynchronize(void)
{
    EMULATOR_READY();
    emulator_settle_all();
    return cudaSuccess;
}

/* ---- events ---- */

static cudaEvent_t event_of(cudaEvent_t event, const char *call)
{
    if (!event || event->magic != EVENT_MAGIC)
        emulator_die("%s: %p is not an event, or one that was destroyed", call, (void *)event);
    return event;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    EMULATOR_READY();
    if (flags & ~(unsigned)(cudaEventBlockingSync | cudaEventDisableTiming))
        return emulator_error(cudaErrorInvalidValue);
    *event = emulator_new(sizeof(**event));
    (*event)->magic = EVENT_MAGIC;
    (*event)->device = emulator_device();
    (*event)->timed = !(flags & cudaEventDisableTiming);
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    event_of(event, "cudaEventDestroy")->magic = 0;
    free(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    EMULATOR_READY();
    event_of(event, "cudaEventRecord");
    if (event->device != emulator_device())
        emulator_die("cudaEventRecord: an event of device %d while device %d is current", event->device,
                     emulator_device());
    event->stream = emulator_stream(stream, "cudaEventRecord");
    event->point = emulator_late_now();
    event->recorded = true;
    event->asked = false;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    event->milliseconds = 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
    return cudaSuccess;
}

/* An event that was never recorded counts as done, as on a real device. */
cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    EMULATOR_READY();
    if (event_of(event, "cudaEventSynchronize")->recorded)
        emulator_settle(event->stream, event->point);
    return cudaSuccess;
}

/* With CUDA_EMULATOR_LATE the first question is answered with no, so that callers' loops run. */
cudaError_t cudaEventQuery(cudaEvent_t event)
{
    EMULATOR_READY();
    if (!event_of(event, "cudaEventQuery")->recorded || emulator_settled(event->stream, event->point))
        return cudaSuccess;
    if (!event->asked) {
        event->asked = true;
        return emulator_error(cudaErrorNotReady);
    }
    return cudaEventSynchronize(event);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t begin, cudaEvent_t end)
{
    EMULATOR_READY();
    event_of(begin, "cudaEventElapsedTime");
    event_of(end, "cudaEventElapsedTime");
    if (!begin->timed || !end->timed || !begin->recorded || !end->recorded || begin->device != end->device)
        return emulator_error(cudaErrorInvalidResourceHandle);
    if (!emulator_settled(begin->stream, begin->point) || !emulator_settled(end->stream, end->point))
        return emulator_error(cudaErrorNotReady);
    *milliseconds = (float)(end->milliseconds - begin->milliseconds);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    EMULATOR_READY();
    if (flags != 0)
        return emulator_error(cudaErrorInvalidValue);
    int number = emulator_stream(stream, "cudaStreamWaitEvent");
    if (event_of(event, "cudaStreamWaitEvent")->recorded)
        emulator_late_after(number, event->stream, event->point);
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    (void)stream;
    (void)mode;
    return emulator_error(cudaErrorNotSupported);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    (void)stream;
    *graph = NULL;
    return emulator_error(cudaErrorNotSupported);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
    EMULATOR_READY();
    emulator_stream(stream, "cudaStreamIsCapturing");
    *status = cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long flags)
{
    (void)graph;
    (void)flags;
    *executable = NULL;
    return emulator_error(cudaErrorNotSupported);
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo *result)
{
    (void)executable;
    (void)graph;
    memset(result, 0, sizeof(*result));
    return emulator_error(cudaErrorNotSupported);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream)
{
    (void)executable;
    (void)stream;
    return emulator_error(cudaErrorNotSupported);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    return graph ? emulator_error(cudaErrorNotSupported) : cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable)
{
    return executable ? emulator_error(cudaErrorNotSupported) : cudaSuccess;
}
