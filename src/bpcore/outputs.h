/* The last layer: its activation, its error and its cost are one row, because only these
 * products have a name and BP1 needs both halves.  The table is at the end.
 *
 * To add one: write what is missing of the three for one example, and a row; its twin is a row
 * of bpnet.reference.  Rows are n_out neurons and then padding up to whole vectors, on
 * boundaries of vectors; what is written to padding does not count.
 */

/* a = softmax(z) in the columns [begin, end): exp(z - max z), which cannot overflow, over its
 * sum, which is NaN if an item is.  Every thread sums the whole row in the same order, so that
 * threads change no bit. */
static void softmax(ptrdiff_t n_out, const real *z, ptrdiff_t begin, ptrdiff_t end, real *a)
{
    const vreal most = splat(largest(n_out, z));
    real sum = R(0.0), e[LANES];
    for (ptrdiff_t j = 0; j < n_out; j += LANES) {
        const vreal power = exponential(*vectors(z + j) - most);
        memcpy(e, &power, sizeof e);
        for (ptrdiff_t k = 0; k < LANES && j + k < n_out; k++)
            sum += e[k];
        if (begin <= j && j < end)
            *(vreal *)(a + j) = power;
    }
    for (ptrdiff_t j = begin; j < end; j += LANES)
        *(vreal *)(a + j) /= splat(sum);
}

static void exponentials(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, real *z)
{
    for (; m > 0; m--, z += stride)
        for (ptrdiff_t j = 0; j < n; j += LANES)
            *(vreal *)(z + j) = exponential(*vectors(z + j));
}

/* a - y: of every cost whose activation is its canonical link. */
static void difference(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, const real *a, real *y)
{
    for (; m > 0; m--, a += stride, y += stride)
        for (ptrdiff_t j = 0; j < n; j += LANES)
            *(vreal *)(y + j) = *vectors(a + j) - *vectors(y + j);
}

static void quadratic_error(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, const real *a, real *y)
{
    difference(m, n, stride, a, y);
    sigmoid_prime_mul(m, n, stride, a, y);
}

/* |a - y|^2 / 2 */
static void squared_error(ptrdiff_t n, const real *z, const real *a, real *y)
{
    (void)z;
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        const vreal error = *vectors(a + j) - *vectors(y + j);
        *(vreal *)(y + j) = splat(R(0.5)) * error * error;
    }
}

/* The largest number for an infinite one, so that 0 times it is 0. */
INLINED vreal bounded(vreal size)
{
    const vreal most = splat(LARGEST);
    return choose(less(most, size), most, size);
}

/* -y ln a - (1 - y) ln(1 - a) = ln(1 + exp(-|z|)) + (1 - y) max(z, 0) + y max(-z, 0)
 * From z and not from a, which rounds to 0 or 1: finite, and for y in [0, 1] a sum of nothing
 * negative.  ln(1 + t) = 2 atanh(s), s = t / (2 + t) <= 1/3, cut as exp is. */
static void cross_entropy(ptrdiff_t n, const real *z, const real *a, real *y)
{
    static const real series[] = {ATANH_SERIES};
    const vreal zero = {0}, one = splat(R(1.0)), two = splat(R(2.0));
    (void)a;
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        const vreal v = *vectors(z + j), target = *vectors(y + j);
        vreal low;
        const vint negative = less(v, zero);
        const vreal t = exp_minus_abs(v, &low), s = t / (two + t);
        const vreal far = choose(negative, target, one - target);
        *(vreal *)(y + j) = fused(two * s, polynomial(ATANH_TERMS, series, s * s),
                                  far * bounded(choose(negative, -v, v)));
    }
}

/* -y ln a = y (ln sum exp(z - max z) + max z - z): from z, as above. */
static void log_likelihood(ptrdiff_t n, const real *z, const real *a, real *y)
{
    /* The most active output is exp(0) / sum. */
    const vreal most = splat(largest(n, z)), sum = logarithm(splat(R(1.0) / largest(n, a)));
    for (ptrdiff_t j = 0; j < n; j += LANES)
        *(vreal *)(y + j) *= sum + bounded(most - *vectors(z + j));
}

/* -ln p of a probability that is kept in [clip, 1 - clip], NaN included. */
INLINED vreal clipped_cost(vreal p, real clip)
{
    const vreal least = splat(clip), most = splat(R(1.0) - clip);
    p = choose(less(p, least), least, choose(less(most, p), most, p));
    return -logarithm(p);
}

/* -ln a where y is 1, -ln(1 - a) where it is 0, as from a = 1 / (1 + exp(-z)) without care:
 * near 1 it is one of few numbers, as far apart as those above 1. */
static void cross_entropy_clipped(ptrdiff_t n, const real *z, const real *a, real clip,
                                  real *y)
{
    const vreal zero = {0}, one = splat(R(1.0)), half = splat(R(0.5));
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        vreal low, *target = (vreal *)(y + j);
        const vreal v = *vectors(z + j);
        const vreal near = one / (one + exp_minus_abs(v, &low));
        const vreal p = choose(less(v, zero), *vectors(a + j), near);
        *target = clipped_cost(choose(less(half, *target), p, one - p), clip);
    }
}

/* -y ln a */
static void log_likelihood_clipped(ptrdiff_t n, const real *z, const real *a, real clip,
                                   real *y)
{
    (void)z;
    for (ptrdiff_t j = 0; j < n; j += LANES)
        *(vreal *)(y + j) *= clipped_cost(*vectors(a + j), clip);
}

/* y ln(y / a) - y + a = y (ln y - z) - y + a, where 0 ln 0 is 0. */
static void poisson(ptrdiff_t n, const real *z, const real *a, real *y)
{
    const vreal zero = {0}, one = splat(R(1.0));
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        const vreal target = *vectors(y + j);
        const vint some = less(zero, target);
        const vreal ratio = logarithm(choose(some, target, one)) - *vectors(z + j);
        *(vreal *)(y + j) = choose(some, target * ratio, zero) - target + *vectors(a + j);
    }
}

typedef struct {
    bp_row row;
    /* z becomes a: item by item, as a hidden activation, or, where that is NULL, from whole
     * rows, which threads wait for */
    void (*apply)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, real *z);
    void (*apply_whole)(ptrdiff_t n_out, const real *z, ptrdiff_t begin, ptrdiff_t end,
                        real *a);
    /* y becomes dC/dz */
    void (*error)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, const real *a, real *y);
    /* y becomes C, item by item */
    void (*cost)(ptrdiff_t n_out, const real *z, const real *a, real *y);
    /* the same for y of 0 and 1 and an a that is rounded, and clipped; NULL: cost is */
    void (*clipped_cost)(ptrdiff_t n_out, const real *z, const real *a, real clip, real *y);
} output;

static const output OUTPUT_TABLE[] = {
    {{.name = "quadratic", .classifies = 1, .most = 1},
     sigmoid, NULL, quadratic_error, squared_error, NULL},
    {{.name = "cross-entropy", .classifies = 1, .most = 1},
     sigmoid, NULL, difference, cross_entropy, cross_entropy_clipped},
    {{.name = "log-likelihood", .classifies = 2, .most = 1},
     NULL, softmax, difference, log_likelihood, log_likelihood_clipped},
    {{.name = "squared", .least = -INFINITY, .most = INFINITY},
     leave, NULL, difference, squared_error, NULL},
    {{.name = "poisson", .most = INFINITY}, exponentials, NULL, difference, poisson,
     NULL},
};
