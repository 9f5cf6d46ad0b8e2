/* The tutorial's algorithm as a plain C loop over a BLAS, the peer that has no overhead.
 *
 * Matrices are row-major and weights[l] is (n_out, n_in), which is the faster layout here: the
 * small products of OpenBLAS like long rows.  The update is the gradient product with alpha =
 * -eta / m, added straight into the weights.  A mini-batch of one example uses gemv and ger.
 * REAL is float or double.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef REAL real;
typedef int64_t integer;

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };

typedef struct {
    void (*gemm)(int order, int trans_a, int trans_b, integer m, integer n, integer k, real alpha,
                 const real *a, integer lda, const real *b, integer ldb, real beta, real *c,
                 integer ldc);
    void (*gemv)(int order, int trans, integer m, integer n, real alpha, const real *a,
                 integer lda, const real *x, integer incx, real beta, real *y, integer incy);
    void (*ger)(int order, integer m, integer n, real alpha, const real *x, integer incx,
                const real *y, integer incy, real *a, integer lda);
} blas;

typedef struct {
    integer num_layers;   /* of weights: one less than the book's num_layers */
    const integer *sizes; /* (num_layers + 1) */
    real *const *weights;
    real *const *biases;
    real *const *a;     /* a[l] (rows, sizes[l]): a[0] the inputs gathered */
    real *const *delta; /* delta[l] (rows, sizes[l]); delta[0] is not used */
    real *y;            /* (rows, sizes[num_layers]) */
} net;

/* exp(z) = 2^n exp(r), n = round(z / ln 2), |r| <= ln 2 / 2, and Taylor's sum for exp(r), whose
 * first term left out is below the rounding of real.  No branch, no call: it vectorises. */
static inline real exponential(real z)
{
    enum { DOUBLE = sizeof(real) == 8, TERMS = DOUBLE ? 13 : 7 };
    const real limit = DOUBLE ? 708 : 87;
    const real shifter = DOUBLE ? 6755399441055744.0 : 12582912.0f; /* 1.5 * 2^(bits - 1) */
    const real high = DOUBLE ? 0x1.62e42feep-1 : 0x1.62ep-1;
    const real low = DOUBLE ? 0x1.a39ef35793c76p-33 : 0x1.0bfbe8p-15;
    z = z > limit ? limit : z < -limit ? -limit : z;
    real shifted = z * (real)1.4426950408889634 + shifter;
    real n = shifted - shifter;
    real r = z - n * high - n * low;
    real sum = 1;
    for (int k = TERMS; k > 0; k--)
        sum = sum * r * (real)(1.0 / k) + 1;
#define POWER(INT, BIAS, BITS) /* 2^n, from the low bits of shifted */ \
    INT bits; \
    memcpy(&bits, &shifted, sizeof bits); \
    bits = (INT)((bits + BIAS) << BITS); \
    memcpy(&n, &bits, sizeof bits);
    if (DOUBLE) {
        POWER(uint64_t, 1023, 52)
    } else {
        POWER(uint32_t, 127, 23)
    }
    return sum * n;
}

static void sigmoid(integer n, real *z)
{
    for (integer i = 0; i < n; i++)
        z[i] = 1 / (1 + exponential(-z[i]));
}

/* a (m, n_out) = sigmoid(x wT + b) */
static void layer_forward(const blas *blas, const net *net, integer l, integer m, const real *x,
                          real *a)
{
    integer n_in = net->sizes[l], n_out = net->sizes[l + 1];
    for (integer i = 0; i < m; i++)
        memcpy(a + i * n_out, net->biases[l], n_out * sizeof(real));
    if (m == 1)
        blas->gemv(ROW_MAJOR, NO_TRANS, n_out, n_in, 1, net->weights[l], n_in, x, 1, 1, a, 1);
    else
        blas->gemm(ROW_MAJOR, NO_TRANS, TRANS, m, n_out, n_in, 1, x, n_in, net->weights[l],
                   n_in, 1, a, n_out);
    sigmoid(m * n_out, a);
}

/* delta[l] from delta[l + 1]: BP2 */
static void layer_backward(const blas *blas, const net *net, integer l, integer m)
{
    integer n_in = net->sizes[l], n_out = net->sizes[l + 1];
    const real *w = net->weights[l], *a = net->a[l], *above = net->delta[l + 1];
    real *delta = net->delta[l];
    if (m == 1)
        blas->gemv(ROW_MAJOR, TRANS, n_out, n_in, 1, w, n_in, above, 1, 0, delta, 1);
    else
        blas->gemm(ROW_MAJOR, NO_TRANS, NO_TRANS, m, n_in, n_out, 1, above, n_out, w, n_in, 0,
                   delta, n_in);
    for (integer i = 0; i < m * n_in; i++)
        delta[i] *= a[i] * (1 - a[i]);
}

static void layer_descend(const blas *blas, const net *net, integer l, integer m, real step)
{
    integer n_in = net->sizes[l], n_out = net->sizes[l + 1];
    const real *x = net->a[l], *delta = net->delta[l + 1];
    if (m == 1)
        blas->ger(ROW_MAJOR, n_out, n_in, step, delta, 1, x, 1, net->weights[l], n_in);
    else
        blas->gemm(ROW_MAJOR, TRANS, NO_TRANS, n_out, n_in, m, step, delta, n_out, x, n_in, 1,
                   net->weights[l], n_in);
    for (integer i = 0; i < m; i++)
        for (integer j = 0; j < n_out; j++)
            net->biases[l][j] += step * delta[i * n_out + j];
}

/* Copy m rows of x, and ask for those of the next mini-batch. */
static void gather(integer m, integer n, const real *x, const integer *order, integer next,
                   real *rows)
{
    const integer line = 64 / sizeof(real);
    for (integer i = 0; i < m; i++) {
        memcpy(rows + i * n, x + order[i] * n, n * sizeof(real));
        for (integer k = 0; i < next && k < n; k += line)
            __builtin_prefetch(x + order[m + i] * n + k, 0, 2);
    }
}

void train(const blas *blas, const net *net, integer n, const real *x, const real *y,
           const integer *order, integer mini_batch_size, real eta)
{
    integer last = net->num_layers, n_in = net->sizes[0], n_out = net->sizes[last];
    for (integer begin = 0; begin < n; begin += mini_batch_size) {
        integer m = n - begin < mini_batch_size ? n - begin : mini_batch_size;
        integer next = n - begin - m < m ? n - begin - m : m;
        gather(m, n_in, x, order + begin, next, net->a[0]);
        gather(m, n_out, y, order + begin, next, net->y);
        for (integer l = 0; l < last; l++)
            layer_forward(blas, net, l, m, net->a[l], net->a[l + 1]);
        const real *a = net->a[last];
        real *delta = net->delta[last];
        for (integer i = 0; i < m * n_out; i++)
            delta[i] = (a[i] - net->y[i]) * a[i] * (1 - a[i]); /* BP1 */
        for (integer l = last - 1; l > 0; l--)
            layer_backward(blas, net, l, m);
        for (integer l = 0; l < last; l++)
            layer_descend(blas, net, l, m, -eta / m);
    }
}

/* out (n, n_out), by blocks of as many rows as the net has room for */
void feedforward(const blas *blas, const net *net, integer n, const real *x, integer rows,
                 real *out)
{
    integer last = net->num_layers;
    for (integer begin = 0; begin < n; begin += rows) {
        integer m = n - begin < rows ? n - begin : rows;
        const real *a = x + begin * net->sizes[0];
        for (integer l = 0; l < last; l++) {
            real *z = l == last - 1 ? out + begin * net->sizes[last] : net->a[l + 1];
            layer_forward(blas, net, l, m, a, z);
            a = z;
        }
    }
}
