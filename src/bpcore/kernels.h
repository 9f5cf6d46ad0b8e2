/* The arithmetic that is no matrix product: sigmoid, and passes over a matrix's rows. */

INLINED const vreal *vectors(const real *row)
{
    return (const vreal *)row;
}

/* y += s x */
INLINED void axpy(ptrdiff_t n, real s, const real *x, real *y)
{
    for (ptrdiff_t j = 0; j < n; j += LANES)
        *(vreal *)(y + j) += splat(s) * *vectors(x + j);
}

/* y = s x; y may be x. */
INLINED void scale(ptrdiff_t n, real s, const real *x, real *y)
{
    for (ptrdiff_t j = 0; j < n; j += LANES)
        *(vreal *)(y + j) = splat(s) * *vectors(x + j);
}

/* v = keep v - l2 w - l1 sgn(w), where v may be w; with move, w += v first. */
INLINED void decay(const int move, ptrdiff_t n, real keep, real l2, real l1, real *w, real *v)
{
    const vreal zero = {0}, up = splat(l1), down = -up;
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        const vreal velocity = *vectors(v + j);
        vreal from = *vectors(w + j);
        if (move)
            *(vreal *)(w + j) = from += velocity;
        const vreal sign = choose(less(zero, from), up, choose(less(from, zero), down, zero));
        *(vreal *)(v + j) = splat(keep) * velocity - splat(l2) * from - sign;
    }
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
            q[i] = q[2 * i] + q[2 * i + 1] * x;
        if (n % 2)
            q[n / 2] = q[n - 1];
    }
    return q[0];
}

/* exp(-|z|) for any z, as the sum of the result and the much smaller *low.
 *
 * Cody and Waite: exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2.  ln 2 is split
 * so that n times its high part is exact.  The polynomial is Taylor's, cut where the rest is
 * under a tenth of an ulp.  2^n is applied as 2^(n + 64) and 2^-64, so that the first factor
 * is a normal number and subnormal results are right too. */
INLINED vreal exp_minus_abs(vreal z, vreal *low)
{
    const vreal one = splat(R(1.0)), least = splat(EXP_UNDERFLOW);
    const vreal shifter = splat(ROUND_SHIFTER); /* adding it rounds to an integer */
    vreal x = from_bits(bits(z) | bits(splat(-R(0.0))));
    x = choose(less(x, least), least, x);
    const vreal rounded = x * splat(R(1.4426950408889634)) + shifter; /* n in its low bits */
    const vreal n = rounded - shifter;
    const vreal r = (x - n * splat(LN2_HIGH)) - n * splat(LN2_LOW);

    static const real taylor[] = {EXP_TAYLOR};
    const vreal rest = r + r * r * polynomial(EXP_TERMS, taylor, r); /* exp(r) - 1 */
    const vreal e = one + rest;
    const vreal e_low = rest - (e - one);

    const vreal two_64 = splat(R(18446744073709551616.0));
    const vreal scale = from_bits((bits(rounded) << MANTISSA_BITS) + bits(two_64));
    *low = e_low * scale * (one / two_64);
    return e * scale * (one / two_64);
}

/* z = 1 / (1 + exp(-z)), in place; n is whole vectors.
 *
 * With t = exp(-|z|) this is 1 / (1 + t), or t / (1 + t) where z is negative: nothing can
 * overflow.  What rounding took from t and from 1 + t is put back to first order; two
 * roundings are left, and the result is within 2 ulp for every z.  sigmoid(0) is exactly
 * 1/2, which keeps padding as it is. */
static void sigmoid(ptrdiff_t n, real *z)
{
    const vreal zero = {0}, one = splat(R(1.0));
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        vreal *a = (vreal *)(z + j), t_low;
        const vint negative = less(*a, zero);
        const vreal t = exp_minus_abs(*a, &t_low);
        const vreal sum = one + t;
        const vreal sum_low = (t - (sum - one)) + t_low;
        const vreal s = choose(negative, t, one) / sum;
        const vreal inverse = choose(negative, one - s, s); /* of sum, roughly */
        *a = s + (choose(negative, t_low, zero) - s * sum_low) * inverse;
    }
}

/* z = the cross-entropy cost of a = sigmoid(z) for a desired output y, in place:
 *     -y ln a - (1 - y) ln(1 - a) = ln(1 + exp(-|z|)) + (1 - y) max(z, 0) + y max(-z, 0)
 * From z and not from a, which rounds to 0 or 1: finite, and for y in [0, 1] a sum of nothing
 * negative.  An infinite |z| is taken for the largest number, so that 0 times it is 0.
 * ln(1 + t) = 2 atanh(s), s = t / (2 + t) <= 1/3, cut as exp is. */
static void cross_entropy(ptrdiff_t n, const real *y, real *z)
{
    static const real series[] = {ATANH_SERIES};
    const vreal zero = {0}, one = splat(R(1.0)), two = splat(R(2.0));
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        vreal *v = (vreal *)(z + j), low;
        const vint negative = less(*v, zero);
        const vreal t = exp_minus_abs(*v, &low), s = t / (two + t);
        const vreal logarithm = two * s * polynomial(ATANH_TERMS, series, s * s);
        const vreal far = choose(negative, *vectors(y + j), one - *vectors(y + j));
        const vreal size = choose(negative, -*v, *v), most = splat(LARGEST);
        *v = logarithm + far * choose(less(most, size), most, size);
    }
}

/* y = the quadratic cost of a for a desired output y, in place. */
INLINED void squared_error(ptrdiff_t n, const real *a, real *y)
{
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        const vreal error = *vectors(a + j) - *vectors(y + j);
        *(vreal *)(y + j) = splat(R(0.5)) * error * error;
    }
}

/* delta *= sigmoid'(z), given a = sigmoid(z): sigmoid' = a (1 - a). */
INLINED void sigmoid_prime_mul(ptrdiff_t n, const real *a, real *delta)
{
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        const vreal v = *vectors(a + j);
        *(vreal *)(delta + j) *= v * (splat(R(1.0)) - v);
    }
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

/* inside (n_in, stride) = w (n_out, n_in), transposed, and zeros up to a whole vector. */
static void transpose_in(ptrdiff_t n_in, ptrdiff_t n_out, const real *w, real *inside,
                         ptrdiff_t stride)
{
    const ptrdiff_t whole = n_in / LANES * LANES;
    for (ptrdiff_t k = 0; k < whole; k += LANES)
        for (ptrdiff_t j = 0; j < n_out; j += LANES)
            transpose_lanes(n_out - j, LANES, w + j * n_in + k, n_in, inside + k * stride + j,
                            stride);
    for (ptrdiff_t k = whole; k < n_in; k++)
        for (ptrdiff_t j = 0; j < n_out; j++)
            inside[k * stride + j] = w[j * n_in + k];
}

/* w (n_out, n_in) = inside (n_in, stride), transposed. */
static void transpose_out(ptrdiff_t n_in, ptrdiff_t n_out, const real *inside,
                          ptrdiff_t stride, real *w)
{
    const ptrdiff_t whole = n_in / LANES * LANES;
    for (ptrdiff_t k = 0; k < whole; k += LANES)
        for (ptrdiff_t j = 0; j < n_out; j += LANES)
            transpose_lanes(LANES, n_out - j, inside + k * stride + j, stride,
                            w + j * n_in + k, n_in);
    for (ptrdiff_t k = whole; k < n_in; k++)
        for (ptrdiff_t j = 0; j < n_out; j++)
            w[j * n_in + k] = inside[k * stride + j];
}
