/* One example through weights as the book has them, (n_out, n_in): a call for one example costs
 * no copy of them.  Each sum is the same chain as in a network that has loaded them.
 */

/* Vectors of neurons at a time: a sum waits for the one before it, so several take little
 * longer than one.  Of rows that lie whole pages apart, caches keep no more than eight. */
enum { NEURON_VECTORS = LANES < 8 ? 4 : 2, PAGED_VECTORS = LANES < 8 ? 2 : 1, PAGE = 4096 };

/* z += w x for V vectors of neurons, of which `rows` exist: squares of w are transposed on
 * their way. */
INLINED void add_neurons(const int V, ptrdiff_t rows, ptrdiff_t n_in, const real *w,
                         const real *x, real *z)
{
    const vreal zero = {0};
    vreal sum[NEURON_VECTORS], square[LANES];
    ptrdiff_t p = 0;
    for (int v = 0; v < V; v++)
        sum[v] = vectors(z)[v];
    for (; p + LANES <= n_in; p += LANES)
        for (int v = 0; v < V; v++) {
            for (int i = 0; i < LANES; i++)
                square[i] = V > 1 || i < rows ? unaligned(w + (v * LANES + i) * n_in + p)
                                              : zero;
            transpose_square(square);
            for (int i = 0; i < LANES; i++)
                sum[v] = fused(splat(x[p + i]), square[i], sum[v]);
        }
    for (; p < n_in; p++)
        for (int v = 0; v < V; v++) {
            real column[LANES] = {0};
            for (int i = 0; i < LANES && (V > 1 || i < rows); i++)
                column[i] = w[(v * LANES + i) * n_in + p];
            sum[v] = fused(splat(x[p]), unaligned(column), sum[v]);
        }
    for (int v = 0; v < V; v++)
        ((vreal *)z)[v] = sum[v];
}

/* z = w x + b, in whole vectors: what is beyond n_out is 0. */
static void weighted_input(ptrdiff_t n_out, ptrdiff_t n_in, const real *w, const real *b,
                           const real *x, real *z)
{
    const ptrdiff_t many = NEURON_VECTORS * LANES, some = PAGED_VECTORS * LANES;
    ptrdiff_t j = 0;
    memcpy(z, b, (size_t)n_out * sizeof(real));
    for (; (n_out + j) % LANES; j++)
        z[n_out + j] = R(0.0);
    j = 0;
    if ((size_t)n_in * sizeof(real) % PAGE)
        for (; j + many <= n_out; j += many)
            add_neurons(NEURON_VECTORS, many, n_in, w + j * n_in, x, z + j);
    for (; j + some <= n_out; j += some)
        add_neurons(PAGED_VECTORS, some, n_in, w + j * n_in, x, z + j);
    for (; j + LANES <= n_out; j += LANES)
        add_neurons(1, LANES, n_in, w + j * n_in, x, z + j);
    if (j < n_out)
        add_neurons(1, n_out - j, n_in, w + j * n_in, x, z + j);
}

/* Up to a vector of items, then zeros. */
INLINED vreal some_items(ptrdiff_t n, const real *from)
{
    vreal v = {0};
    memcpy(&v, from, (size_t)least(n, LANES) * sizeof(real));
    return v;
}

/* V vectors of wT delta, of which n items exist. */
INLINED void add_inputs(const int V, ptrdiff_t n, ptrdiff_t n_out, ptrdiff_t n_in,
                        const real *w, const real *delta, real *out)
{
    const vreal zero = {0};
    vreal acc[SUM_VECTORS];
    for (int v = 0; v < V; v++)
        acc[v] = zero;
    for (ptrdiff_t j = 0; j < n_out; j++)
        for (int v = 0; v < V; v++)
            acc[v] = fused(splat(delta[j]),
                           V > 1 ? unaligned(w + j * n_in + v * LANES)
                                 : some_items(n, w + j * n_in),
                           acc[v]);
    for (int v = 0; v < V; v++)
        *(vreal *)(out + v * LANES) = acc[v];
}

/* out = start + delta xT (BP4); start is 0 where it is NULL. */
static void add_outer_product(ptrdiff_t n_out, ptrdiff_t n_in, const real *delta, const real *x,
                              const real *start, real *out)
{
    const vreal zero = {0};
    for (ptrdiff_t i = 0, j = 0; j < n_out; j++) {
        const ptrdiff_t end = i + n_in;
        const real *item = x;
        for (; i + LANES <= end; i += LANES, item += LANES) {
            const vreal from = start ? unaligned(start + i) : zero;
            const vreal v = fused(splat(delta[j]), *vectors(item), from);
            memcpy(out + i, &v, sizeof v);
        }
        for (; i < end; i++, item++)
            out[i] = fused_item(delta[j], *item, start ? start[i] : R(0.0));
    }
}

static int forward_column(const bp_column *c)
{
    const ptrdiff_t last = c->num_layers - 1;
    const output *f = &OUTPUT_TABLE[c->kind.output];
    if (!are_within(-INFINITY, INFINITY, c->sizes[0], c->a[0]))
        return 0;
    for (ptrdiff_t l = 0; l <= last; l++) {
        const ptrdiff_t n = c->sizes[l + 1], whole = whole_vectors(n);
        real *a = c->a[l + 1];
        weighted_input(n, c->sizes[l], c->weights[l], c->biases[l], c->a[l], a);
        if (l == last)
            memcpy(c->z, a, (size_t)whole * sizeof(real));
        if (l < last)
            ACTIVATION_TABLE[c->kind.hidden].apply(1, whole, whole, a);
        else if (f->apply)
            f->apply(1, whole, whole, a);
        else
            f->apply_whole(n, c->z, 0, whole, a);
    }
    return 1;
}

/* The last delta, which is y, becomes the error (BP1). */
static void output_error_column(const bp_column *c)
{
    const ptrdiff_t l = c->num_layers, n = whole_vectors(c->sizes[l]);
    OUTPUT_TABLE[c->kind.output].error(1, n, n, c->a[l], c->delta[l]);
}

/* The error of layer l's inputs (BP2). */
static void error_before(const bp_column *c, ptrdiff_t l)
{
    const ptrdiff_t n_in = c->sizes[l], n_out = c->sizes[l + 1];
    const real *w = c->weights[l], *delta = c->delta[l + 1];
    real *before = c->delta[l];
    ptrdiff_t k = 0;
    for (; k + SUM_VECTORS * LANES <= n_in; k += SUM_VECTORS * LANES)
        add_inputs(SUM_VECTORS, n_in, n_out, n_in, w + k, delta, before + k);
    for (; k < n_in; k += LANES)
        add_inputs(1, n_in - k, n_out, n_in, w + k, delta, before + k);
    ACTIVATION_TABLE[c->kind.hidden].prime_mul(1, k, k, c->a[l], before);
}

/* The gradient, or where alpha is given the parameters that are alpha times it further on. */
static void move_column(const bp_column *c, const real *alpha)
{
    for (ptrdiff_t l = c->num_layers; l-- > 0;) {
        const ptrdiff_t n_in = c->sizes[l], n_out = c->sizes[l + 1];
        const real *b = c->biases[l], *w = c->weights[l];
        real *delta = c->delta[l + 1], *sums = c->new_biases[l];
        if (l > 0)
            error_before(c, l);
        for (ptrdiff_t j = 0; j < n_out; j++) { /* BP3 */
            if (alpha)
                delta[j] *= *alpha;
            sums[j] = (alpha ? b[j] : R(0.0)) + (R(0.0) + delta[j]);
        }
        add_outer_product(n_out, n_in, delta, c->a[l], alpha ? w : NULL, c->new_weights[l]);
    }
}

static int backward_column(const bp_column *c, int given_error)
{
    const ptrdiff_t n_out = c->sizes[c->num_layers];
    if (!given_error && !are_within(-INFINITY, INFINITY, n_out, c->delta[c->num_layers]))
        return 0;
    if (!given_error)
        output_error_column(c);
    move_column(c, NULL);
    return 1;
}

static int descend_column(const bp_column *c, bp_wide eta)
{
    const bp_row *row = &OUTPUT_TABLE[c->kind.output].row;
    const real alpha = (real)-eta;
    if (!are_within(row->least, row->most, c->sizes[c->num_layers], c->delta[c->num_layers]))
        return 0;
    const uint64_t arithmetic = flush_subnormals();
    const int finite = forward_column(c);
    if (finite) {
        output_error_column(c);
        move_column(c, &alpha);
    }
    restore_arithmetic(arithmetic);
    return finite;
}
