/* cudart_memory.c: memory of the emulated devices and page-locked memory.
 *
 * Each allocation is a block of its own from malloc, so that AddressSanitizer sees accesses beyond its end;
 * without it, a guard behind the block is checked when the block is freed.
 */
#include "emulator.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
enum { GUARD = 0 };
#else
enum { GUARD = 64 };
#endif
enum { ALIGNMENT = 256, POISON = 0xff, GUARD_BYTE = 0x5a, PAGE_LOCKED = -1 };

/* The address is kept inverted: the table shall not count as a reference when LeakSanitizer looks for one. */
typedef struct {
    uintptr_t inverted;
    size_t bytes;
    int device; /* or PAGE_LOCKED */
} emulator_block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static emulator_block *table; /* by address */
static size_t blocks, capacity;
static size_t used[EMULATOR_DEVICES_MAX];

static char *address_of(const emulator_block *block)
{
    return (char *)~block->inverted;
}

/* Index of the first block that begins after `address`. */
static size_t upper_bound(const void *address)
{
    size_t low = 0, high = blocks;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((uintptr_t)address_of(&table[middle]) <= (uintptr_t)address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Copies the block that holds `address`, or the one that ends there, into *found. */
static bool find(const void *address, emulator_block *found)
{
    pthread_mutex_lock(&lock);
    size_t next = upper_bound(address);
    bool result = false;
    if (next > 0) {
        *found = table[next - 1];
        result = (uintptr_t)address - (uintptr_t)address_of(found) < found->bytes;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static void enter(char *address, size_t bytes, int device)
{
    pthread_mutex_lock(&lock);
    if (blocks == capacity) {
        capacity = capacity ? 2 * capacity : 64;
        table = realloc(table, capacity * sizeof(*table));
        if (!table)
            emulator_die("out of host memory");
    }
    size_t at = upper_bound(address);
    memmove(&table[at + 1], &table[at], (blocks - at) * sizeof(*table));
    table[at] = (emulator_block){~(uintptr_t)address, bytes, device};
    ++blocks;
    if (device >= 0)
        used[device] += bytes;
    pthread_mutex_unlock(&lock);
}

/* Removes the block that begins at `address`; false if there is none of that kind. */
static bool leave(const void *address, bool page_locked, emulator_block *left)
{
    pthread_mutex_lock(&lock);
    size_t next = upper_bound(address);
    bool found = next > 0 && address_of(&table[next - 1]) == address &&
                 (table[next - 1].device == PAGE_LOCKED) == page_locked;
    if (found) {
        *left = table[next - 1];
        memmove(&table[next - 1], &table[next], (blocks - next) * sizeof(*table));
        --blocks;
        if (left->device >= 0)
            used[left->device] -= left->bytes;
        if (blocks == 0) {
            free(table);
            table = NULL;
            capacity = 0;
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static char *allocate(size_t bytes)
{
    void *memory;
    if (posix_memalign(&memory, ALIGNMENT, bytes + GUARD) != 0)
        return NULL;
    memset(memory, POISON, bytes);
    memset((char *)memory + bytes, GUARD_BYTE, GUARD);
    return memory;
}

static void release(const void *address, bool page_locked, const char *call)
{
    emulator_block left;
    if (!leave(address, page_locked, &left))
        emulator_die("%s(%p): not an address that was allocated, or freed twice", call, address);
    char *memory = address_of(&left);
    for (int i = 0; i < GUARD; ++i)
        if (memory[left.bytes + (size_t)i] != GUARD_BYTE)
            emulator_die("%s(%p): byte %d behind the end of this block was written, it has %zu bytes", call,
                         address, i, left.bytes);
    memset(memory, POISON, left.bytes);
    free(memory);
}

/* ---- checks ---- */

bool emulator_on_device(const void *address)
{
    emulator_block found;
    return find(address, &found) && found.device != PAGE_LOCKED;
}

bool emulator_page_locked(const void *address)
{
    emulator_block found;
    return find(address, &found) && found.device == PAGE_LOCKED;
}

bool emulator_overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    uintptr_t first = (uintptr_t)a, second = (uintptr_t)b;
    return a_bytes > 0 && b_bytes > 0 && first < second + b_bytes && second < first + a_bytes;
}

static void check_end(const emulator_block *found, const void *from, size_t bytes, const char *call,
                      const char *what)
{
    size_t offset = (size_t)((uintptr_t)from - (uintptr_t)address_of(found));
    if (bytes > found->bytes - offset)
        emulator_die("%s: %s: %zu bytes from %p reach %zu bytes beyond the end of a block of %zu bytes", call,
                     what, bytes, from, offset + bytes - found->bytes, found->bytes);
}

void emulator_check_device(const void *from, size_t bytes, int device, const char *call, const char *what)
{
    emulator_block found;
    if (bytes == 0)
        return;
    if (!find(from, &found) || found.device == PAGE_LOCKED)
        emulator_die("%s: %s: %p is not device memory", call, what, from);
    check_end(&found, from, bytes, call, what);
    if (device >= 0 && found.device != device)
        emulator_die("%s: %s: %p is memory of device %d, the call is for device %d", call, what, from,
                     found.device, device);
}

void emulator_check_host(const void *from, size_t bytes, const char *call, const char *what)
{
    emulator_block found;
    if (bytes == 0)
        return;
    if (!from)
        emulator_die("%s: %s: NULL", call, what);
    if (find(from, &found)) {
        if (found.device != PAGE_LOCKED)
            emulator_die("%s: %s: %p is device memory, and is used as memory of the host", call, what, from);
        check_end(&found, from, bytes, call, what);
    }
}

/* ---- device memory ---- */

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    EMULATOR_READY();
    *memory = NULL;
    if (emulator_malloc_fails())
        return emulator_error(cudaErrorMemoryAllocation);
    if (bytes == 0)
        return cudaSuccess;
    pthread_mutex_lock(&lock);
    size_t in_use = used[emulator_device()];
    pthread_mutex_unlock(&lock);
    if (in_use > emulator_memory() || bytes > emulator_memory() - in_use)
        return emulator_error(cudaErrorMemoryAllocation);
    char *block = allocate(bytes);
    if (!block)
        return emulator_error(cudaErrorMemoryAllocation);
    enter(block, bytes, emulator_device());
    *memory = block;
    return cudaSuccess;
}

/* Frees also on a device that has failed.  As on a real one, all work is waited for. */
cudaError_t cudaFree(void *memory)
{
    if (!memory)
        return cudaSuccess;
    emulator_settle_all();
    release(memory, false, "cudaFree");
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    EMULATOR_READY();
    *total = emulator_memory();
    pthread_mutex_lock(&lock);
    size_t in_use = used[emulator_device()];
    pthread_mutex_unlock(&lock);
    *available = in_use < *total ? *total - in_use : 0;
    return cudaSuccess;
}

/* ---- page-locked memory ---- */

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags)
{
    EMULATOR_READY();
    *memory = NULL;
    if (flags & ~(unsigned)(cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined))
        return emulator_error(cudaErrorInvalidValue);
    if (bytes == 0)
        return cudaSuccess;
    char *block = allocate(bytes);
    if (!block)
        return emulator_error(cudaErrorMemoryAllocation);
    enter(block, bytes, PAGE_LOCKED);
    *memory = block;
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **memory, size_t bytes)
{
    return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *memory)
{
    if (!memory)
        return cudaSuccess;
    emulator_settle_all();
    release(memory, true, "cudaFreeHost");
    return cudaSuccess;
}
