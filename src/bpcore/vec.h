/* Vectors of `real`: the only file that knows a compiler's vector extension.
 *
 * In:  real, lane_int, REAL_BYTES, VECTOR_BYTES.  Out: LANES, INLINED, vreal, vint and the few
 * operations that are not plain C operators.  Without the extension vreal is real, LANES 1.
 */
#if defined(__GNUC__) && !defined(BP_SCALAR)

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

/* The compiler can name the lanes of two vectors: then interleaving them is an instruction. */
#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE __builtin_shufflevector
#endif
#endif

#if LANES == 2
#define LOW_PAIRS 0, 2
#define HIGH_PAIRS 1, 3
#elif LANES == 4
#define LOW_PAIRS 0, 4, 1, 5
#define HIGH_PAIRS 2, 6, 3, 7
#elif LANES == 8
#define LOW_PAIRS 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_PAIRS 4, 12, 5, 13, 6, 14, 7, 15
#else
#define LOW_PAIRS 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_PAIRS 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif

/* The transpose of a square of LANES items a side: the first `rows` rows of it are in `in`, the
 * others are zero, and the first `columns` rows of the result are written to out. */
INLINED void transpose_lanes(ptrdiff_t rows, ptrdiff_t columns, const real *in,
                             ptrdiff_t in_stride, real *out, ptrdiff_t out_stride)
{
#if defined(SHUFFLE) && LANES > 1
    /* Interleaving the first half of the rows with the second, log2(LANES) times over. */
    const vreal zero = {0};
    vreal v[LANES], w[LANES];
    for (int i = 0; i < LANES; i++)
        v[i] = i < rows ? unaligned(in + i * in_stride) : zero;
    for (int pairs = 1; pairs < LANES; pairs *= 2) {
        for (int i = 0; i < LANES / 2; i++) {
            w[2 * i] = SHUFFLE(v[i], v[i + LANES / 2], LOW_PAIRS);
            w[2 * i + 1] = SHUFFLE(v[i], v[i + LANES / 2], HIGH_PAIRS);
        }
        for (int i = 0; i < LANES; i++)
            v[i] = w[i];
    }
    for (int i = 0; i < LANES; i++)
        if (i < columns)
            memcpy(out + i * out_stride, &v[i], sizeof v[i]);
#else
    for (int i = 0; i < LANES && i < columns; i++)
        for (int j = 0; j < LANES; j++)
            out[i * out_stride + j] = j < rows ? in[j * in_stride + i] : 0;
#endif
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

/* Let arithmetic of this thread take numbers below the normal range for zeros, which processors
 * are slow with; return what restore_arithmetic() takes to undo that. */
INLINED uint64_t flush_subnormals(void)
{
#if defined(BP_X86)
    const uint32_t before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x8040); /* FTZ and DAZ */
    return before;
#elif defined(__aarch64__) && defined(__GNUC__) && !defined(BP_SCALAR)
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (uint64_t)1 << 24)); /* FZ */
    return before;
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
