/* How the emulator runs the threads of a block: shuffles, barriers, shared memory, and what it reports. */
#include "kernels/device.cuh"

#include <csetjmp>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>
extern "C" {
#include <cmocka.h>
}

namespace
{

enum { THREADS = 160, BLOCKS = 5 };

int launch(void (*kernel)(int *), int *to, unsigned blocks = BLOCKS, size_t shared = 4096)
{
    return sg_launch_blocks(kernel, dim3(blocks), dim3(THREADS), shared, nullptr, to);
}

unsigned place()
{
    return blockIdx.x * THREADS + threadIdx.x;
}

/* ---- shuffles ---- */

void shuffle_kernel(int *to)
{
    unsigned all = 0xffffffffu, lane = threadIdx.x % 32;
    int value = (int)place(), base = value - (int)lane;
    bool right = __shfl_xor_sync(all, value, 5) == base + (int)(lane ^ 5);
    right &= __shfl_down_sync(all, value, 3) == (lane < 29 ? value + 3 : value);
    right &= __shfl_sync(all, value, 7) == base + 7;
    right &= sg_warp_sum((double)lane) == 496;
    /* Of half a warp each, in different branches. */
    if (lane < 16)
        right &= __shfl_xor_sync(0xffffu, value, 15) == base + (int)(lane ^ 15);
    else
        right &= __shfl_xor_sync(0xffff0000u, (uint64_t)value, 1) == (uint64_t)base + (lane ^ 1);
    __syncwarp();
    to[place()] = right;
}

void test_shuffles(void **)
{
    std::vector<int> to(THREADS * BLOCKS);
    assert_int_equal(launch(shuffle_kernel, to.data()), 0);
    for (int right : to)
        assert_true(right);
}

/* ---- barriers and shared memory ---- */

struct ring {
    int value[THREADS];
};

void barrier_kernel(int *to)
{
    int *value = sg_shared<ring>().value, t = (int)threadIdx.x;
    bool poisoned = value[t] == -1;
    value[t] = t;
    for (int round = 0; round < 3; round++) {
        __syncthreads();
        int next = value[(t + 1) % THREADS];
        __syncthreads();
        value[t] = next;
    }
    to[place()] = poisoned && value[t] == (t + 3) % THREADS;
}

void test_barriers(void **)
{
    std::vector<int> to(THREADS * BLOCKS);
    assert_int_equal(launch(barrier_kernel, to.data(), BLOCKS, sizeof(ring)), 0);
    for (int right : to)
        assert_true(right);
}

struct sums {
    int64_t sum[THREADS / 32];
};

void sum_kernel(int *to)
{
    to[place()] = (int)sg_block_sum<THREADS>((int64_t)place(), sg_shared<sums>().sum);
}

void test_block_sums(void **)
{
    std::vector<int> to(THREADS * BLOCKS);
    assert_int_equal(launch(sum_kernel, to.data(), BLOCKS, sizeof(sums)), 0);
    for (int i = 0; i < THREADS * BLOCKS; i++)
        assert_int_equal(to[(size_t)i], THREADS * (i / THREADS * THREADS) + THREADS * (THREADS - 1) / 2);
}

/* Several host threads launch at once. */
void test_host_threads(void **)
{
    std::vector<int> to[4];
    std::vector<std::thread> threads;
    for (auto &part : to) {
        part.resize(THREADS * 40);
        threads.emplace_back([&part] { launch(barrier_kernel, part.data(), 40, sizeof(ring)); });
    }
    for (auto &thread : threads)
        thread.join();
    for (auto &part : to)
        for (int right : part)
            assert_true(right);
}

/* ---- grids ---- */

void mark_kernel(int *to)
{
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    to[block * blockDim.x * blockDim.y * blockDim.z + thread]++;
}

void test_grids(void **)
{
    dim3 grid(3, 2, 2), block(4, 3, 2);
    std::vector<int> to(12 * 24);
    assert_int_equal(sg_launch_elements(mark_kernel, grid, block, nullptr, to.data()), 0);
    assert_int_equal(sg_launch_blocks(mark_kernel, grid, block, 0, nullptr, to.data()), 0);
    for (int count : to)
        assert_int_equal(count, 2);
    assert_int_not_equal(sg_launch_elements(mark_kernel, dim3(0), block, nullptr, to.data()), 0);
    assert_int_not_equal(sg_launch_elements(mark_kernel, dim3(1, 70000), block, nullptr, to.data()), 0);
    assert_int_not_equal(sg_launch_elements(mark_kernel, grid, dim3(1025), nullptr, to.data()), 0);
}

/* ---- misuse ---- */

/* The launch aborts, and says `message`. */
void assert_aborts(void (*kernel)(int *), const char *message)
{
    int ends[2], status;
    char text[512] = "";
    size_t length = 0;
    assert_int_equal(pipe(ends), 0);
    fflush(nullptr);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        std::vector<int> to(THREADS * BLOCKS);
        launch(kernel, to.data(), BLOCKS, 64);
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t n;
         length < sizeof text - 1 && (n = read(ends[0], text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)n;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(text, message))
        fail_msg("status %x, '%s' instead of '%s'", status, text, message);
}

void early_return(int *)
{
    if (threadIdx.x != 90)
        __syncthreads();
}

void early_warp(int *)
{
    if (threadIdx.x / 32 != 2)
        __syncthreads();
}

void missing_lane(int *)
{
    if (threadIdx.x % 32 != 31)
        __shfl_xor_sync(0xffffffffu, 1, 1);
}

void wrong_lane(int *)
{
    if (threadIdx.x % 32 < 16)
        __shfl_xor_sync(0xffffu, 1, 16);
}

void split_warp(int *)
{
    if (threadIdx.x % 32 < 16)
        __syncthreads();
    else
        __shfl_xor_sync(0xffffffffu, 1, 1);
}

void much_shared(int *to)
{
    to[place()] = sg_shared<ring>().value[0];
}

void test_misuse(void **)
{
    assert_aborts(early_return, "returned while others wait at a barrier");
    assert_aborts(early_warp, "returned while others wait at a barrier");
    assert_aborts(missing_lane, "not reached by the lanes of its mask");
    assert_aborts(wrong_lane, "reads from a lane that takes no part");
    assert_aborts(split_warp, "not reached by the lanes of its mask");
    assert_aborts(much_shared, "more shared memory than the launch asked for");
}

} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shuffles),   cmocka_unit_test(test_barriers),
        cmocka_unit_test(test_block_sums), cmocka_unit_test(test_host_threads),
        cmocka_unit_test(test_grids),      cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
