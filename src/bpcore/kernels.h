/* Vector functions: exp and ln, scales and sums of rows, argmax, transposes. */

INLINED const vreal *vectors(const real *row)
{
    return (const vreal *)row;
}

/* y = s x; y may be x. */
INLINED void scale(ptrdiff_t n, real s, const real *x, real *y)
{
    for (ptrdiff_t j = 0; j < n; j += LANES)
        *(vreal *)(y + j) = splat(s) * *vectors(x + j);
}

static ptrdiff_t whole_vectors(ptrdiff_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

/* items = the first of each of m rows, and zeros up to a whole vector: one neuron fills no
 * vector, but several examples or inputs of it do. */
static void side_by_side(ptrdiff_t m, ptrdiff_t stride, const real *rows, real *items)
{
    for (ptrdiff_t i = 0; i < m; i++)
        items[i] = rows[i * stride];
    for (ptrdiff_t i = m; i % LANES; i++)
        items[i] = R(0.0);
}

/* The inverse. */
static void apart(ptrdiff_t m, ptrdiff_t stride, const real *items, real *rows)
{
    for (ptrdiff_t i = 0; i < m; i++)
        rows[i * stride] = items[i];
}

/* At least BP_ALIGN bytes: a line of the cache is asked for once. */
enum { SUM_VECTORS = 4 };

/* V vectors of m rows *= s, and sums += their sum: summed first, from the first row on, and
 * then added once, or, `onto`, from what sums holds on. */
INLINED void scale_and_sum_panel(const int V, ptrdiff_t m, ptrdiff_t stride, real s, real *rows,
                                 int onto, real *sums)
{
    const vreal zero = {0};
    vreal acc[SUM_VECTORS], *sum = (vreal *)sums;
    for (int v = 0; v < V; v++) {
        acc[v] = zero;
        if (onto)
            acc[v] = sum[v];
    }
    for (ptrdiff_t i = 0; i < m; i++)
        for (int v = 0; v < V; v++) {
            vreal *item = (vreal *)(rows + i * stride) + v;
            *item *= splat(s);
            acc[v] += *item;
        }
    for (int v = 0; v < V; v++) {
        if (!onto)
            acc[v] += sum[v];
        sum[v] = acc[v];
    }
}

/* The same for n items of each row. */
static void scale_and_sum(ptrdiff_t m, ptrdiff_t n, ptrdiff_t stride, real s, real *rows,
                          int onto, real *sums)
{
    ptrdiff_t j = 0;
    for (; j + SUM_VECTORS * LANES <= n; j += SUM_VECTORS * LANES)
        scale_and_sum_panel(SUM_VECTORS, m, stride, s, rows + j, onto, sums + j);
    for (; j < n; j += LANES)
        scale_and_sum_panel(1, m, stride, s, rows + j, onto, sums + j);
}

/* The sum of c[i] x^i.  Estrin's order: neighbours first, so that a vector waits for 4
 * products, not for 11. */
INLINED vreal polynomial(const int terms, const real *c, vreal x)
{
    vreal q[MOST_TERMS];
    for (int i = 0; i < terms; i++)
        q[i] = splat(c[i]);
    for (int n = terms; n > 1; n = (n + 1) / 2, x *= x) {
        for (int i = 0; i < n / 2; i++)
            q[i] = fused(q[2 * i + 1], x, q[2 * i]);
        if (n % 2)
            q[n / 2] = q[n - 1];
    }
    return q[0];
}

/* exp(x) = 2^n (1 + rest) for |x| <= -EXP_UNDERFLOW, with n in the low bits of *rounded.
 *
 * Cody and Waite: n = round(x / ln 2), r = x - n ln 2, |r| <= ln 2 / 2.  ln 2 is split so that
 * n times its high part is exact.  The polynomial is Taylor's, cut where the rest is under a
 * tenth of an ulp. */
INLINED vreal exp_rest(vreal x, vreal *rounded)
{
    static const real taylor[] = {EXP_TAYLOR};
    const vreal shifter = splat(ROUND_SHIFTER); /* adding it rounds to an integer */
    *rounded = fused(x, splat(R(1.4426950408889634)), shifter);
    const vreal n = *rounded - shifter;
    const vreal r = fused(-n, splat(LN2_LOW), fused(-n, splat(LN2_HIGH), x));
    return fused(r * r, polynomial(EXP_TERMS, taylor, r), r);
}

/* 2^n times `beside`, a power of two that keeps the product a normal number: dividing by it
 * afterwards makes subnormal and infinite results right, too. */
INLINED vreal two_to(vreal rounded, vreal beside)
{
    return from_bits((bits(rounded) << MANTISSA_BITS) + bits(beside));
}

/* -|z|, but not so far below 0 that exp of it is out of reach. */
INLINED vreal minus_abs(vreal z)
{
    const vreal least = splat(EXP_UNDERFLOW);
    const vreal x = from_bits(bits(z) | bits(splat(-R(0.0))));
    return choose(less(x, least), least, x);
}

/* exp(-|z|) for any z, as the sum of the result and the much smaller *low. */
INLINED vreal exp_minus_abs(vreal z, vreal *low)
{
    const vreal one = splat(R(1.0)), two_64 = splat(TWO_64);
    vreal rounded;
    const vreal rest = exp_rest(minus_abs(z), &rounded);
    const vreal e = one + rest;
    const vreal e_low = rest - (e - one);
    const vreal scale = two_to(rounded, two_64);
    *low = e_low * scale * (one / two_64);
    return e * scale * (one / two_64);
}

/* exp(-|z|) - 1, without loss where z is small. */
INLINED vreal exp_minus_abs_minus_1(vreal z)
{
    const vreal one = splat(R(1.0)), two_64 = splat(TWO_64);
    vreal rounded;
    const vreal rest = exp_rest(minus_abs(z), &rounded);
    const vreal power = two_to(rounded, two_64) * (one / two_64);
    return fused(power, rest, power - one);
}

/* exp(z) for any z, within 2 ulp. */
INLINED vreal exponential(vreal z)
{
    const vreal zero = {0}, one = splat(R(1.0)), most = splat(-EXP_UNDERFLOW);
    const vint negative = less(z, zero);
    const vreal beside = choose(negative, splat(TWO_64), splat(R(1.0) / TWO_64));
    vreal rounded;
    vreal x = choose(less(z, -most), -most, z);
    x = choose(less(most, x), most, x);
    const vreal rest = exp_rest(x, &rounded);
    return (one + rest) * two_to(rounded, beside) * (one / beside);
}

/* ln(x) for a normal x > 0: of x = 2^n m with m within a factor of sqrt(2) of 1,
 * n ln 2 + 2 atanh((m - 1) / (m + 1)). */
INLINED vreal logarithm(vreal x)
{
    static const real series[] = {ATANH_SERIES};
    const vreal one = splat(R(1.0)), two = splat(R(2.0)), shifter = splat(ROUND_SHIFTER);
    vreal m = from_bits((bits(x) & FRACTION_MASK) | bits(one));
    vreal n = from_bits(((bits(x) - bits(one)) >> MANTISSA_BITS) + bits(shifter)) - shifter;
    const vint large = less(splat(R(1.4142135623730951)), m);
    m = choose(large, m * splat(R(0.5)), m);
    n = choose(large, n + one, n);
    const vreal s = (m - one) / (m + one);
    const vreal low = n * splat(LN2_LOW);
    return fused(n, splat(LN2_HIGH),
                 fused(two * s, polynomial(ATANH_TERMS, series, s * s), low));
}

/* The first index of the largest item, or of the first NaN, as numpy.argmax. */
INLINED ptrdiff_t argmax(ptrdiff_t n, const real *a)
{
    ptrdiff_t best = 0;
    for (ptrdiff_t j = 0; j < n && a[best] == a[best]; j++)
        if (!(a[j] <= a[best]))
            best = j;
    return best;
}

/* m rows of n items, `from` and `to` being so far apart. */
static void copy_rows(ptrdiff_t m, ptrdiff_t n, const real *in, ptrdiff_t from, real *out,
                      ptrdiff_t to)
{
    for (ptrdiff_t i = 0; i < m; i++)
        memcpy(out + i * to, in + i * from, (size_t)n * sizeof(real));
}

/* The largest item, if none is NaN; without a branch, which outputs would make random. */
INLINED real largest(ptrdiff_t n, const real *a)
{
    real most = a[0];
    for (ptrdiff_t j = 1; j < n; j++)
        most = a[j] > most ? a[j] : most;
    return most;
}

/* Rows [begin, end) of inside (n_in, stride) = w (n_out, n_in), transposed, and zeros up to a
 * whole vector. */
static void transpose_in(ptrdiff_t begin, ptrdiff_t end, ptrdiff_t n_in, ptrdiff_t n_out,
                         const real *w, real *inside, ptrdiff_t stride)
{
    const ptrdiff_t squares = (end - begin) / LANES * LANES + begin;
    for (ptrdiff_t j = 0; j < n_out; j += LANES)
        for (ptrdiff_t k = begin; k < squares; k += LANES)
            transpose_lanes(n_out - j, LANES, w + j * n_in + k, n_in, inside + k * stride + j,
                            stride);
    for (ptrdiff_t k = squares; k < end; k++)
        for (ptrdiff_t j = 0; j < n_out; j++)
            inside[k * stride + j] = w[j * n_in + k];
}

/* Columns [begin, end) of w (n_out, n_in) = inside (n_in, stride), transposed. */
static void transpose_out(ptrdiff_t begin, ptrdiff_t end, ptrdiff_t n_in, ptrdiff_t n_out,
                          const real *inside, ptrdiff_t stride, real *w)
{
    const ptrdiff_t squares = (end - begin) / LANES * LANES + begin;
    for (ptrdiff_t j = 0; j < n_out; j += LANES)
        for (ptrdiff_t k = begin; k < squares; k += LANES)
            transpose_lanes(LANES, n_out - j, inside + k * stride + j, stride,
                            w + j * n_in + k, n_in);
    for (ptrdiff_t k = squares; k < end; k++)
        for (ptrdiff_t j = 0; j < n_out; j++)
            w[j * n_in + k] = inside[k * stride + j];
}
