/* fibers.cpp: runs the threads of a block on the host, in turn, each on a stack of its own.
 *
 * A fiber runs until it reaches a barrier or a shuffle, or returns.  The scheduler takes warp after warp:
 * when all lanes of a shuffle have arrived it hands out the values and runs them on; when all threads are at
 * the barrier it lets them pass.  Fibers are made with ucontext and switched by setjmp, which needs no system
 * calls; they are kept from block to block.
 */
#undef _FORTIFY_SOURCE /* its longjmp takes a change of stacks for an error */
#include "emulator/device.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATOR_ASAN
#endif
#endif
#ifdef EMULATOR_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

__thread uint3 threadIdx, blockIdx, blockDim, gridDim;

/* The programs' own hook takes precedence. */
extern "C" __attribute__((weak)) int cuda_emulator_before_launch(void)
{
    return 0;
}

namespace
{

enum { WARP = 32, THREADS_MAX = 1024, STACK_BYTES = 1 << 18, INVALID_CONFIGURATION = 9 };

enum fiber_state { READY, AT_BARRIER, AT_SHUFFLE, RETURNED };

[[noreturn]] void misuse(const char *what)
{
    fprintf(stderr, "CUDA emulator: block (%u, %u, %u), thread (%u, %u, %u): %s\n", blockIdx.x, blockIdx.y,
            blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z, what);
    abort();
}

struct fiber {
    fiber_state state;
    uint3 index;
    unsigned mask, from; /* of the shuffle it waits in */
    uint64_t bits;
    jmp_buf context;
    char *stack;
    void *fake_stack; /* AddressSanitizer's */
    bool started;
};

/* The fibers of one host thread, and the block they are running. */
struct machine {
    std::vector<std::unique_ptr<fiber>> fibers;
    fiber *current = nullptr;
    jmp_buf scheduler;
    void *fake_stack = nullptr;
    const void *origin_stack = nullptr;
    size_t origin_size = 0;
    void (*body)(void *) = nullptr;
    void *of = nullptr;
    unsigned threads = 0;
    std::unique_ptr<unsigned char[]> shared; /* exactly as large as asked for: overruns are seen */
    size_t shared_bytes = 0;

    ~machine()
    {
        for (auto &f : fibers)
            munmap(f->stack, STACK_BYTES);
    }
};

thread_local machine here;

/* ---- switching ---- */

void leave(void **fake_stack, const void *stack, size_t size)
{
#ifdef EMULATOR_ASAN
    __sanitizer_start_switch_fiber(fake_stack, stack, size);
#else
    (void)fake_stack, (void)stack, (void)size;
#endif
}

void arrive(void *fake_stack, const void **from, size_t *size)
{
#ifdef EMULATOR_ASAN
    __sanitizer_finish_switch_fiber(fake_stack, from, size);
#else
    (void)fake_stack, (void)from, (void)size;
#endif
}

/* From a fiber to the scheduler, until it is run again. */
void pause_fiber(machine &m, fiber_state state)
{
    fiber *f = m.current;
    f->state = state;
    leave(&f->fake_stack, m.origin_stack, m.origin_size);
    if (_setjmp(f->context) == 0)
        _longjmp(m.scheduler, 1);
    arrive(f->fake_stack, &m.origin_stack, &m.origin_size);
}

/* A fiber runs one thread of one block after the other. */
void fiber_main()
{
    machine &m = here;
    arrive(nullptr, &m.origin_stack, &m.origin_size);
    for (;;) {
        m.body(m.of);
        pause_fiber(m, RETURNED);
    }
}

void make_fiber(machine &m)
{
    auto f = std::make_unique<fiber>();
    void *stack = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED || mprotect(stack, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE) != 0)
        misuse("no memory for stacks");
    f->stack = static_cast<char *>(stack);
    f->started = false;
    m.fibers.push_back(std::move(f));
}

/* From the scheduler to a fiber, until it waits or returns. */
void run_fiber(machine &m, fiber *f)
{
    m.current = f;
    threadIdx = f->index;
    leave(&m.fake_stack, f->stack, STACK_BYTES);
    if (_setjmp(m.scheduler) == 0) {
        if (f->started)
            _longjmp(f->context, 1);
        f->started = true;
        ucontext_t start;
        getcontext(&start);
        start.uc_stack.ss_sp = f->stack;
        start.uc_stack.ss_size = STACK_BYTES;
        start.uc_link = nullptr;
        makecontext(&start, fiber_main, 0);
        setcontext(&start); /* swapcontext would need no more, but AddressSanitizer frowns on it */
    }
    arrive(m.fake_stack, nullptr, nullptr);
    m.current = nullptr;
}

/* ---- one block ---- */

/* The lanes that wait in a shuffle with this mask. */
unsigned lanes_at(const machine &m, unsigned first, unsigned lanes, unsigned mask)
{
    unsigned waiting = 0;
    for (unsigned l = 0; l < lanes; l++)
        if (m.fibers[first + l]->state == AT_SHUFFLE && m.fibers[first + l]->mask == mask)
            waiting |= 1u << l;
    return waiting;
}

/* Gives all lanes of a shuffle their values. */
void exchange(machine &m, unsigned first, unsigned mask)
{
    uint64_t value[WARP];
    for (unsigned l = 0; l < WARP; l++) {
        if (!(mask >> l & 1))
            continue;
        fiber *f = m.fibers[first + l].get();
        threadIdx = f->index;
        if (!(mask >> f->from & 1))
            misuse("a shuffle reads from a lane that takes no part");
        value[l] = m.fibers[first + f->from]->bits;
    }
    for (unsigned l = 0; l < WARP; l++) {
        if (mask >> l & 1) {
            m.fibers[first + l]->bits = value[l];
            m.fibers[first + l]->state = READY;
        }
    }
}

/* Finishes the shuffles of a warp to which all lanes have come; false if no lane waits in any. */
bool finish_shuffles(machine &m, unsigned first, unsigned lanes)
{
    bool waiting = false, finished = false;
    for (unsigned l = 0; l < lanes; l++) {
        fiber *f = m.fibers[first + l].get();
        if (f->state != AT_SHUFFLE)
            continue;
        threadIdx = f->index;
        waiting = true;
        if (lanes_at(m, first, lanes, f->mask) == f->mask && (f->mask >> l & 1)) {
            exchange(m, first, f->mask);
            finished = true;
        }
    }
    if (waiting && !finished)
        misuse("a shuffle is not reached by the lanes of its mask");
    return waiting;
}

/* Runs a warp until all of its lanes are at the barrier or have returned. */
void run_warp(machine &m, unsigned first, bool reverse)
{
    unsigned lanes = m.threads - first < WARP ? m.threads - first : (unsigned)WARP;
    do {
        for (unsigned k = 0; k < lanes; k++) {
            fiber *f = m.fibers[first + (reverse ? lanes - 1 - k : k)].get();
            if (f->state == READY)
                run_fiber(m, f);
        }
    } while (finish_shuffles(m, first, lanes));
}

/* Runs all threads up to the next barrier; false when they have returned. */
bool run_phase(machine &m, bool reverse)
{
    unsigned warps = (m.threads + WARP - 1) / WARP, waiting = 0;
    for (unsigned w = 0; w < warps; w++)
        run_warp(m, WARP * (reverse ? warps - 1 - w : w), reverse);
    for (unsigned t = 0; t < m.threads; t++)
        waiting += m.fibers[t]->state == AT_BARRIER;
    for (unsigned t = 0; waiting > 0 && t < m.threads; t++) {
        threadIdx = m.fibers[t]->index;
        if (m.fibers[t]->state != AT_BARRIER)
            misuse("returned while others wait at a barrier");
        m.fibers[t]->state = READY;
    }
    return waiting > 0;
}

void run_fibers(machine &m, bool reverse)
{
    memset(m.shared.get(), 0xff, m.shared_bytes);
    for (unsigned t = 0; t < m.threads; t++) {
        if (t >= m.fibers.size())
            make_fiber(m);
        m.fibers[t]->state = READY;
        m.fibers[t]->index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
    }
    while (run_phase(m, reverse)) {
    }
}

void run_loop(machine &m)
{
    for (threadIdx.z = 0; threadIdx.z < blockDim.z; threadIdx.z++)
        for (threadIdx.y = 0; threadIdx.y < blockDim.y; threadIdx.y++)
            for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++)
                m.body(m.of);
}

} // namespace

/* ---- what kernels call ---- */

static machine &waiting_machine(const char *what)
{
    machine &m = here;
    if (!m.current)
        misuse(what);
    return m;
}

void __syncthreads()
{
    pause_fiber(waiting_machine("a barrier in a kernel of sg_launch_elements"), AT_BARRIER);
}

void __syncwarp(unsigned mask)
{
    cuda_emulator_exchange(mask, 0, cuda_emulator_lane());
}

unsigned cuda_emulator_lane()
{
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % WARP;
}

uint64_t cuda_emulator_exchange(unsigned mask, uint64_t bits, unsigned from)
{
    machine &m = waiting_machine("a shuffle in a kernel of sg_launch_elements");
    fiber *f = m.current;
    f->mask = mask;
    f->bits = bits;
    f->from = from % WARP;
    pause_fiber(m, AT_SHUFFLE);
    return f->bits;
}

void *cuda_emulator_shared(size_t bytes)
{
    machine &m = waiting_machine("shared memory in a kernel of sg_launch_elements");
    if (bytes > m.shared_bytes)
        misuse("more shared memory than the launch asked for");
    return m.shared.get();
}

/* ---- launching ---- */

int cuda_emulator_check_launch(dim3 grid, dim3 block)
{
    int error = cuda_emulator_before_launch();
    if (error != 0)
        return error;
    uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (threads == 0 || threads > THREADS_MAX || block.z > 64)
        return INVALID_CONFIGURATION;
    if (grid.x == 0 || grid.y == 0 || grid.z == 0)
        return INVALID_CONFIGURATION;
    if (grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
        return INVALID_CONFIGURATION;
    return 0;
}

void cuda_emulator_run(dim3 grid, dim3 block, size_t shared_bytes, bool fibers, void (*body)(void *),
                       void *of)
{
    machine &m = here;
    m.body = body;
    m.of = of;
    m.threads = block.x * block.y * block.z;
    m.shared_bytes = shared_bytes;
    m.shared.reset(new unsigned char[shared_bytes]);
    gridDim = {grid.x, grid.y, grid.z};
    blockDim = {block.x, block.y, block.z};
    for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++)
                fibers ? run_fibers(m, blockIdx.x % 2 == 1) : run_loop(m);
}
