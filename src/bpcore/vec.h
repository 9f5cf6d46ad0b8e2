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
