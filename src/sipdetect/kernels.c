/* kernels.c: the instruction sets of this build, and which of them this processor can run. */
#include "sipdetect/kernels.h"

#include <string.h>

#if (defined(__x86_64__) || defined(__i386__)) && !defined(SD_NO_X86)
#define SD_X86
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Slowest first. */
static const sd_kernels *const all[] = {
    &sd_kernels_generic_fp32,  &sd_kernels_generic_bf16,    &sd_kernels_generic_int8,
#ifdef SD_X86
    &sd_kernels_avx2_fp32,     &sd_kernels_avx2_bf16,       &sd_kernels_avx2_int8,
    &sd_kernels_avx2_dot_int8, &sd_kernels_avx512_fp32,     &sd_kernels_avx512_bf16,
    &sd_kernels_avx512_int8,   &sd_kernels_avx512_dot_bf16, &sd_kernels_avx512_dot_int8,
    &sd_kernels_amx_fp32,      &sd_kernels_amx_bf16,        &sd_kernels_amx_int8,
#endif
};

enum { KERNELS = sizeof all / sizeof all[0] };

#ifdef SD_X86

typedef struct {
    unsigned eax, ebx, ecx, edx;
} cpuid_leaf;

static cpuid_leaf cpuid(unsigned leaf, unsigned part)
{
    cpuid_leaf r = {0, 0, 0, 0};
    if (!__get_cpuid_count(leaf, part, &r.eax, &r.ebx, &r.ecx, &r.edx))
        memset(&r, 0, sizeof r);
    return r;
}

/* The registers that the kernel saves for us (XCR0). */
static uint64_t saved_registers(void)
{
    if (!(cpuid(1, 0).ecx & (1u << 27))) /* OSXSAVE */
        return 0;
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Linux gives the tile registers to processes that request them. */
static bool tiles_permitted(void)
{
#if defined(__linux__) && defined(__x86_64__)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}

static bool has(unsigned bits, unsigned wanted)
{
    return (bits & wanted) == wanted;
}

static unsigned features(void)
{
    uint64_t saved = saved_registers();
    cpuid_leaf basic = cpuid(1, 0), more = cpuid(7, 0), most = more.eax >= 1 ? cpuid(7, 1) : (cpuid_leaf){0};
    unsigned got = 0;
    if ((saved & 0x6) == 0x6 && has(basic.ecx, 1u << 12 | 1u << 28) && has(more.ebx, 1u << 5)) {
        got |= SD_AVX2;
        got |= has(most.eax, 1u << 4) ? SD_AVX_VNNI : 0;
    }
    if (!(got & SD_AVX2) || (saved & 0xe6) != 0xe6 ||
        !has(more.ebx, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31))
        return got;
    got |= SD_AVX512;
    got |= has(more.ecx, 1u << 11) ? SD_AVX512_VNNI : 0;
    got |= has(most.eax, 1u << 5) ? SD_AVX512_BF16 : 0;
    if ((saved & 0x60000) == 0x60000 && has(more.edx, 1u << 22 | 1u << 24 | 1u << 25) && tiles_permitted())
        got |= SD_AMX;
    return got;
}

#else

static unsigned features(void)
{
    return 0;
}

#endif

const sd_kernels *sd_kernels_at(int i, bool *usable)
{
    if (i < 0 || i >= KERNELS)
        return NULL;
    *usable = (all[i]->needs & ~features()) == 0;
    return all[i];
}

const sd_kernels *sd_kernels_find(const char *name, sd_precision precision)
{
    bool any = !name || !strcmp(name, "auto");
    unsigned have = features();
    for (int i = KERNELS - 1; i >= 0; i--)
        if (all[i]->precision == precision && (any || !strcmp(name, all[i]->level)) &&
            !(all[i]->needs & ~have))
            return all[i];
    return NULL;
}

const char *sd_kernels_name(const sd_kernels *kernels)
{
    return kernels->level;
}

const char *sd_kernels_all(void)
{
    unsigned have = features();
    return have & SD_AMX      ? "generic avx2 avx512 amx"
           : have & SD_AVX512 ? "generic avx2 avx512"
           : have & SD_AVX2   ? "generic avx2"
                              : "generic";
}
