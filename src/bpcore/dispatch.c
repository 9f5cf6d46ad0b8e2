/* The table of engines, and which of them this CPU and its operating system can run. */
#include "core.h"

#define QUOTE_(x) #x
#define QUOTE(x) QUOTE_(x)

const char *bp_compiler(void)
{
#if defined(__clang__)
    return __VERSION__; /* begins with its name */
#elif defined(__GNUC__)
    return "GCC " __VERSION__;
#elif defined(_MSC_VER)
    return "MSVC " QUOTE(_MSC_VER);
#else
    return "unknown";
#endif
}

extern const bp_engine bp_baseline_f32, bp_baseline_f64;

/* The rows, two for each level of vector_level().  To add an instruction set: two files of five
 * lines, a block of isa.h, two rows here and their level below. */
#ifdef BP_X86
extern const bp_engine bp_avx2_f32, bp_avx2_f64, bp_avx512_f32, bp_avx512_f64;
static const bp_engine *const ENGINES[] = {&bp_baseline_f32, &bp_baseline_f64, &bp_avx2_f32,
                                           &bp_avx2_f64, &bp_avx512_f32, &bp_avx512_f64};

#include <cpuid.h>

/* XCR0: which registers the operating system saves.  Only valid where CPUID says OSXSAVE. */
static uint64_t saved_registers(void)
{
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static int has(uint64_t flags, uint64_t wanted)
{
    return (flags & wanted) == wanted;
}

/* 0: baseline only; 1: AVX2 and FMA too; 2: AVX-512 F, DQ, BW, VL too.
 * Bits: Intel SDM volume 1, chapters 14 and 15. */
static int vector_level(void)
{
    const uint32_t fma_osxsave_avx = 1u << 12 | 1u << 27 | 1u << 28;
    const uint32_t avx2 = 1u << 5, avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    const uint64_t ymm = 0x06, zmm = 0xe6;
    uint32_t a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, fma_osxsave_avx))
        return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has(b, avx2))
        return 0;
    if (!has(saved_registers(), ymm))
        return 0;
    return has(b, avx512) && has(saved_registers(), zmm) ? 2 : 1;
}

#else

static const bp_engine *const ENGINES[] = {&bp_baseline_f32, &bp_baseline_f64};

static int vector_level(void)
{
    return 0;
}

#endif

const bp_engine *const *bp_engines(ptrdiff_t *n)
{
    *n = 2 * (vector_level() + 1);
    return ENGINES;
}
