/* Vectors of `real`: the only file that knows a compiler's vector extension.
 *
 * In:  real, lane_int, REAL_BYTES, VECTOR_BYTES.  Out: LANES, INLINED, vreal, vint and the few
 * operations that are not plain C operators.  Without the extension vreal is real, LANES 1.
 */
#if defined(__GNUC__) && !defined(BP_SCALAR)

#if defined(TARGET)
#include <immintrin.h>
#elif defined(FUSES)
#include <arm_neon.h>
#endif
#if VECTOR_BYTES == 64 && REAL_BYTES == 4
#define MULTIPLY_ADD_LANES _mm512_fmadd_ps
#elif VECTOR_BYTES == 64
#define MULTIPLY_ADD_LANES _mm512_fmadd_pd
#elif VECTOR_BYTES == 32 && REAL_BYTES == 4
#define MULTIPLY_ADD_LANES _mm256_fmadd_ps
#elif VECTOR_BYTES == 32
#define MULTIPLY_ADD_LANES _mm256_fmadd_pd
#elif REAL_BYTES == 4
#define MULTIPLY_ADD_LANES(a, b, c) vfmaq_f32(c, a, b)
#else
#define MULTIPLY_ADD_LANES(a, b, c) vfmaq_f64(c, a, b)
#endif

#define LANES (VECTOR_BYTES / REAL_BYTES)
/* A register tile is a tile only where it is inlined with its constants. */
#define INLINED static inline __attribute__((always_inline))
typedef real vreal __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef lane_int vint __attribute__((vector_size(VECTOR_BYTES), may_alias));

INLINED vint bits(vreal v)
{
    return (vint)v;
}

INLINED vreal from_bits(vint v)
{
    return (vreal)v;
}

/* All ones in the lanes where a < b, else zero. */
INLINED vint less(vreal a, vreal b)
{
    return (vint)(a < b);
}

#else

#define LANES 1
#define INLINED static inline
typedef real vreal;
typedef lane_int vint;

INLINED vint bits(vreal v)
{
    union { vreal v; vint i; } u;
    u.v = v;
    return u.i;
}

INLINED vreal from_bits(vint i)
{
    union { vreal v; vint i; } u;
    u.i = i;
    return u.v;
}

INLINED vint less(vreal a, vreal b)
{
    return -(vint)(a < b);
}

#endif

INLINED vreal splat(real s)
{
    const vreal zero = {0};
    return s - zero; /* exact, -0 included */
}

/* a where mask is all ones, b where it is zero. */
INLINED vreal choose(vint mask, vreal a, vreal b)
{
    return from_bits((mask & bits(a)) | (~mask & bits(b)));
}

/* a b + c, rounded once wherever the engine can: on all but plain x86-64.
 *
 * What is fused is written here, and never left to the compiler (-ffp-contract=off): GCC 13 and
 * 14 fuse one copy of a loop and not another, so that the bits would depend on the number of
 * threads, and no two compilers choose alike. */
INLINED real fused_item(real a, real b, real c)
{
#ifdef FUSES
    return MULTIPLY_ADD(a, b, c);
#else
    return a * b + c;
#endif
}

INLINED vreal fused(vreal a, vreal b, vreal c)
{
#if LANES == 1
    return fused_item(a, b, c);
#elif !defined(FUSES)
    return a * b + c;
#else
    return (vreal)MULTIPLY_ADD_LANES(a, b, c);
#endif
}

/* Lane by lane: the compiler makes one instruction of it. */
INLINED vreal square_root(vreal v)
{
    real lanes[LANES];
    memcpy(lanes, &v, sizeof v);
    for (int i = 0; i < LANES; i++)
        lanes[i] = SQUARE_ROOT(lanes[i]);
    memcpy(&v, lanes, sizeof v);
    return v;
}

/* A vector that may start anywhere. */
INLINED vreal unaligned(const real *from)
{
    vreal v;
    memcpy(&v, from, sizeof v);
    return v;
}

/* For a long function: no copies of it for the constants that some callers give. */
#if defined(__GNUC__) && !defined(__clang__)
#define COMPILED_ONCE __attribute__((noinline, noclone))
#else
#define COMPILED_ONCE
#endif

/* The compiler can name the lanes of two vectors: then interleaving them is an instruction. */
#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE __builtin_shufflevector
#endif
#endif

/* Within each block of 16 bytes, which processors shuffle best, items of the first half of two
 * vectors, or of the second, in turn; and every second block of both. */
#define BLOCK (16 / REAL_BYTES)
#if LANES == 2
#define LOW_PAIRS 0, 2
#define HIGH_PAIRS 1, 3
#elif LANES == 4 && BLOCK == 4
#define LOW_PAIRS 0, 4, 1, 5
#define HIGH_PAIRS 2, 6, 3, 7
#elif LANES == 4
#define LOW_PAIRS 0, 4, 2, 6
#define HIGH_PAIRS 1, 5, 3, 7
#define EVEN_BLOCKS 0, 1, 4, 5
#define ODD_BLOCKS 2, 3, 6, 7
#elif LANES == 8 && BLOCK == 4
#define LOW_PAIRS 0, 8, 1, 9, 4, 12, 5, 13
#define HIGH_PAIRS 2, 10, 3, 11, 6, 14, 7, 15
#define EVEN_BLOCKS 0, 1, 2, 3, 8, 9, 10, 11
#define ODD_BLOCKS 4, 5, 6, 7, 12, 13, 14, 15
#elif LANES == 8
#define LOW_PAIRS 0, 8, 2, 10, 4, 12, 6, 14
#define HIGH_PAIRS 1, 9, 3, 11, 5, 13, 7, 15
#define EVEN_BLOCKS 0, 1, 4, 5, 8, 9, 12, 13
#define ODD_BLOCKS 2, 3, 6, 7, 10, 11, 14, 15
#else
#define LOW_PAIRS 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define HIGH_PAIRS 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define EVEN_BLOCKS 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define ODD_BLOCKS 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#endif

/* v = the square v, transposed: first that of each block, by interleaving half of a block's
 * rows with the others, then that of the blocks. */
INLINED void transpose_square(vreal *v)
{
    vreal w[LANES];
#if defined(SHUFFLE) && LANES > 1
    for (int pairs = 1; pairs < BLOCK; pairs *= 2) {
        for (int i = 0; i < LANES / 2; i++) {
            const int row = i / (BLOCK / 2) * BLOCK + i % (BLOCK / 2);
            w[2 * i] = SHUFFLE(v[row], v[row + BLOCK / 2], LOW_PAIRS);
            w[2 * i + 1] = SHUFFLE(v[row], v[row + BLOCK / 2], HIGH_PAIRS);
        }
        for (int i = 0; i < LANES; i++)
            v[i] = w[i];
    }
#ifdef EVEN_BLOCKS
    for (int pairs = 1; pairs < LANES / BLOCK; pairs *= 2) {
        for (int i = 0; i < LANES / 2; i++) {
            const int row = i / BLOCK * 2 * BLOCK + i % BLOCK;
            w[i] = SHUFFLE(v[row], v[row + BLOCK], EVEN_BLOCKS);
            w[i + LANES / 2] = SHUFFLE(v[row], v[row + BLOCK], ODD_BLOCKS);
        }
        for (int i = 0; i < LANES; i++)
            v[i] = w[i];
    }
#endif
#else
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++)
            ((real *)&w[j])[i] = ((const real *)&v[i])[j];
    for (int i = 0; i < LANES; i++)
        v[i] = w[i];
#endif
}

/* The transpose of a square of LANES items a side: the first `rows` rows of it are in `in`, the
 * others are zero, and the first `columns` rows of the result are written to out. */
INLINED void transpose_lanes(ptrdiff_t rows, ptrdiff_t columns, const real *in,
                             ptrdiff_t in_stride, real *out, ptrdiff_t out_stride)
{
    const vreal zero = {0};
    vreal v[LANES];
    for (int i = 0; i < LANES; i++)
        v[i] = i < rows ? unaligned(in + i * in_stride) : zero;
    transpose_square(v);
    for (int i = 0; i < LANES; i++)
        if (i < columns)
            memcpy(out + i * out_stride, &v[i], sizeof v[i]);
}

/* Ask the cache for the lines from `begin` to `end`, which will be read soon. */
INLINED void fetch(const void *begin, const void *end)
{
#if defined(__GNUC__) && !defined(BP_SCALAR)
    for (const char *line = begin; line < (const char *)end; line += BP_ALIGN)
        __builtin_prefetch(line, 0, 2);
#else
    (void)begin, (void)end;
#endif
}

/* How this thread's arithmetic is done, as restore_arithmetic() takes it. */
INLINED uint64_t arithmetic_now(void)
{
#if defined(BP_X86)
    return __builtin_ia32_stmxcsr();
#elif defined(__aarch64__) && defined(__GNUC__) && !defined(BP_SCALAR)
    uint64_t now;
    __asm__ volatile("mrs %0, fpcr" : "=r"(now));
    return now;
#else
    return 0;
#endif
}

INLINED void restore_arithmetic(uint64_t before)
{
#if defined(BP_X86)
    __builtin_ia32_ldmxcsr((uint32_t)before);
#elif defined(__aarch64__) && defined(__GNUC__) && !defined(BP_SCALAR)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

/* The bits of it that take numbers below the normal range for zeros. */
#ifdef __aarch64__
#define FLUSHES ((uint64_t)1 << 24) /* FZ */
#else
#define FLUSHES ((uint64_t)0x8040) /* FTZ and DAZ */
#endif

/* Let arithmetic of this thread take numbers below the normal range for zeros, which processors
 * are slow with; return what restore_arithmetic() takes to undo that. */
INLINED uint64_t flush_subnormals(void)
{
    const uint64_t before = arithmetic_now();
    restore_arithmetic(before | FLUSHES);
    return before;
}

/* Let it keep them again; likewise. */
INLINED uint64_t keep_subnormals(void)
{
    const uint64_t before = arithmetic_now();
    restore_arithmetic(before & ~FLUSHES);
    return before;
}
