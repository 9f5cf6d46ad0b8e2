/* Hidden layers: a = f(z) beside its derivative, which a gives.  The table is at the end.
 *
 * To add one: write the two, for m rows of n items (whole vectors, on boundaries of vectors),
 * and a row; its twin is a row of bpnet.reference.  Padding has z = 0, delta = 0 and needs no
 * care.
 */

/* 1 / (1 + exp(-z)).
 *
 * With t = exp(-|z|) this is 1 / (1 + t), or t / (1 + t) where z is negative: nothing can
 * overflow.  What rounding took from t and from 1 + t is put back to first order; two
 * roundings are left, and the result is within 2 ulp for every z. */
static void sigmoid(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, real *z)
{
    const vreal zero = {0}, one = splat(R(1.0));
    for (; m > 0; m--, z += stride)
        for (ptrdiff_t j = 0; j < n; j += LANES) {
            vreal *a = (vreal *)(z + j), t_low;
            const vint negative = less(*a, zero);
            const vreal t = exp_minus_abs(*a, &t_low);
            const vreal sum = one + t;
            const vreal sum_low = (t - (sum - one)) + t_low;
            const vreal s = choose(negative, t, one) / sum;
            const vreal inverse = choose(negative, one - s, s); /* of sum, roughly */
            *a = fused(fused(-s, sum_low, choose(negative, t_low, zero)), inverse, s);
        }
}

/* a (1 - a) */
static void sigmoid_prime_mul(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, const real *a,
                              real *delta)
{
    for (; m > 0; m--, a += stride, delta += stride)
        for (ptrdiff_t j = 0; j < n; j += LANES) {
            const vreal v = *vectors(a + j);
            *(vreal *)(delta + j) *= v * (splat(R(1.0)) - v);
        }
}

/* sgn(z) (1 - t) / (1 + t) with t = exp(-2 |z|), of which t - 1 is known: within 4 ulp, near 0,
 * too. */
static void hyperbolic_tangent(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, real *z)
{
    const vreal zero = {0}, two = splat(R(2.0));
    for (; m > 0; m--, z += stride)
        for (ptrdiff_t j = 0; j < n; j += LANES) {
            vreal *a = (vreal *)(z + j);
            const vreal less_1 = exp_minus_abs_minus_1(two * *a);
            const vreal size = -less_1 / (two + less_1);
            *a = choose(less(*a, zero), -size, size);
        }
}

/* 1 - a^2 */
static void hyperbolic_tangent_prime_mul(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride,
                                         const real *a, real *delta)
{
    for (; m > 0; m--, a += stride, delta += stride)
        for (ptrdiff_t j = 0; j < n; j += LANES) {
            const vreal v = *vectors(a + j);
            *(vreal *)(delta + j) *= fused(-v, v, splat(R(1.0)));
        }
}

/* max(z, 0); NaN stays. */
static void rectify(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, real *z)
{
    const vreal zero = {0};
    for (; m > 0; m--, z += stride)
        for (ptrdiff_t j = 0; j < n; j += LANES) {
            vreal *a = (vreal *)(z + j);
            *a = choose(less(*a, zero), zero, *a);
        }
}

/* 1 where a > 0, else 0 */
static void rectify_prime_mul(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, const real *a,
                              real *delta)
{
    const vreal zero = {0};
    for (; m > 0; m--, a += stride, delta += stride)
        for (ptrdiff_t j = 0; j < n; j += LANES) {
            vreal *d = (vreal *)(delta + j);
            *d = choose(less(zero, *vectors(a + j)), *d, zero);
        }
}

static void leave(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, real *z)
{
    (void)m, (void)n, (void)stride, (void)z;
}

static void leave_prime_mul(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, const real *a,
                            real *delta)
{
    (void)m, (void)n, (void)stride, (void)a, (void)delta;
}

typedef struct {
    bp_row row; /* named as in ONNX, in lower case */
    void (*apply)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, real *z); /* z becomes a */
    /* delta *= f'(z), given a = f(z) */
    void (*prime_mul)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, const real *a, real *delta);
} activation;

static const activation ACTIVATION_TABLE[] = {
    {{.name = "sigmoid"}, sigmoid, sigmoid_prime_mul},
    {{.name = "tanh"}, hyperbolic_tangent, hyperbolic_tangent_prime_mul},
    {{.name = "relu"}, rectify, rectify_prime_mul},
    {{.name = "identity"}, leave, leave_prime_mul},
};
