/* The first layer, where training spends its time: one pass over its weights for the update of
 * a mini-batch and the forward pass of the next, dense or CSR.
 */

/* Some examples of the data. */
typedef struct {
    const int64_t *examples;
    ptrdiff_t m;
} batch;

/* What passes over the first layer's weights at once: the update of one mini-batch, the
 * forward pass of the next and, ahead of it, the inputs of the one after that.  Any may be
 * empty. */
typedef struct {
    batch due, next, ahead;
} batches;

/* The same with where it happens. */
typedef struct {
    batches of;
    const real *delta; /* (due.m, stride) */
    real *z;           /* (next.m, stride) */
    ptrdiff_t stride;
    origin start;      /* what z starts from */
    real *w;           /* (n_in, ldw) */
    ptrdiff_t ldw;
    int64_t *cursors;  /* (due.m + next.m): the items of each row that come next */
} first_step;

/* Ask for the desired output of an example. */
INLINED void fetch_target(const bp_data *data, int64_t example)
{
    if (data->y)
        fetch((const real *)data->y + example * data->n_out,
              (const real *)data->y + (example + 1) * data->n_out);
    else
        fetch(data->labels + example, data->labels + example + 1);
}

/* Ask for what row i of the next mini-batch needs, and for where row i of the one after that
 * is.  Inlined: a call that only asks the cache has no effect that gcc knows of, and is
 * dropped. */
INLINED void csr_fetch(const bp_data *data, const first_step *s, ptrdiff_t i)
{
    const batch ahead = s->of.ahead;
    if (i < ahead.m) {
        const int64_t example = ahead.examples[i];
        const int64_t begin = data->offsets[example], end = data->offsets[example + 1];
        const int64_t bytes = data->n_in > BP_NARROW_CSR_INPUTS ? 4 : 2;
        fetch((const char *)data->columns + begin * bytes,
              (const char *)data->columns + end * bytes);
        if (data->codes)
            fetch(data->codes + begin, data->codes + end);
        else
            fetch((const real *)data->values + begin, (const real *)data->values + end);
    }
    if (i + s->of.next.m < ahead.m) {
        const int64_t later = ahead.examples[i + s->of.next.m];
        fetch(data->offsets + later, data->offsets + later + 2);
        fetch_target(data, later);
    }
}

/* How many blocks of w the rows pass over: what fits the cache, but with enough items in each
 * that going there is worth it.  No bit depends on it. */
static ptrdiff_t csr_blocks(ptrdiff_t V, const bp_data *data)
{
    const int64_t items = data->offsets[data->n] / (data->n + !data->n);
    const ptrdiff_t fit = (data->n_in * V * VECTOR_BYTES - 1) / CSR_BLOCK_BYTES + 1;
    return least(fit, (ptrdiff_t)(items / CSR_BLOCK_ITEMS) + 1);
}

/* The step for the V vectors of neurons from column j on.  Several rows pass over a block of w
 * before the next block, because they share most of its lines. */
INLINED void csr_panel(const int V, const int form, const bp_data *data, const first_step *s,
                       ptrdiff_t j)
{
    const int64_t *due = s->of.due.examples, *next = s->of.next.examples;
    const int64_t *offsets = data->offsets;
    int64_t *due_cursors = s->cursors, *next_cursors = s->cursors + s->of.due.m;
    const ptrdiff_t blocks = csr_blocks(V, data);
    real *z = s->z + j;
    csr_block b = {{data->columns, data->values, data->codes}, 0, s->w + j, s->ldw};
    for (ptrdiff_t i = 0; i < s->of.due.m; i++)
        due_cursors[i] = offsets[due[i]];
    for (ptrdiff_t i = 0; i < s->of.next.m; i++)
        next_cursors[i] = offsets[next[i]];

    for (ptrdiff_t block = 0; block < blocks; block++) {
        b.limit = data->n_in * (block + 1) / blocks;
        for (ptrdiff_t i = 0; i < s->of.due.m; i++) {
            const csr_row x = {due_cursors + i, offsets[due[i] + 1]};
            csr_descend(V, form, b, x, s->delta + i * s->stride + j);
        }
        for (ptrdiff_t i = 0; i < s->of.next.m; i++, z += s->stride) {
            const csr_row x = {next_cursors + i, offsets[next[i] + 1]};
            if (j == 0 && block == 0)
                csr_fetch(data, s, i);
            if (V <= PAIRED && i % 2 == 0 && i + 1 < s->of.next.m) {
                const csr_row x2 = {next_cursors + i + 1, offsets[next[i + 1] + 1]};
                csr_forward_pair(V, form, b, x, z, x2, z + s->stride);
            }
            csr_forward(V, form, b, x, z);
        }
        z -= s->of.next.m * s->stride;
    }
}

/* Each panel reads the items again: narrow vectors and long rows take more of them at a time,
 * though then fewer rows of w fit a block. */
INLINED void csr_panels(const int form, const bp_data *data, const first_step *s, ptrdiff_t n)
{
    const int wide = VECTOR_BYTES < 64 || n >= 16 * LANES;
    ptrdiff_t j = 0;
    for (; wide && j + 8 * LANES <= n; j += 8 * LANES)
        csr_panel(8, form, data, s, j);
    for (; j + 4 * LANES <= n; j += 4 * LANES)
        csr_panel(4, form, data, s, j);
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        csr_panel(2, form, data, s, j);
    for (; j < n; j += LANES)
        csr_panel(1, form, data, s, j);
}

/* The step for CSR inputs and n neurons, whole vectors. */
static void csr_step(const bp_data *data, const first_step *s, ptrdiff_t n)
{
    if (data->n_in > BP_NARROW_CSR_INPUTS)
        csr_panels(CSR_WIDE, data, s, n);
    else if (data->codes)
        csr_panels(CSR_CODES, data, s, n);
    else
        csr_panels(CSR_VALUES, data, s, n);
}

/* Where the dense inputs of an example lie, from item k on. */
INLINED const char *dense_row(const bp_data *data, int64_t example, ptrdiff_t k)
{
    return (const char *)data->x + example * data->x_row + k * data->x_item;
}

/* Whether dense inputs lie as the products take them, reals one row after the other. */
static int lie_ready(const bp_data *data)
{
    return data->x_type == REAL_TYPE && data->x_row == data->n_in * REAL_BYTES;
}

/* A finite number of IEEE 754's binary16: its bits are those of a binary32 2^112 times less. */
INLINED real from_half(uint16_t half)
{
    union {
        uint32_t bits;
        single value;
    } number = {(uint32_t)(half & 0x7fff) << 13};
    const real value = (real)(number.value * 5192296858534827628530496329220096.0f);
    return half & 0x8000 ? -value : value;
}

#define CONVERSION(name, type, converted)                                                      \
    static void name(ptrdiff_t n, const void *items, real *x)                                  \
    {                                                                                          \
        for (ptrdiff_t k = 0; k < n; k++)                                                      \
            x[k] = converted(((const type *)items)[k]);                                        \
    }
CONVERSION(convert_other, other_real, (real))
CONVERSION(convert_half, uint16_t, from_half)
CONVERSION(convert_i8, int8_t, )
CONVERSION(convert_i16, int16_t, )
CONVERSION(convert_i32, int32_t, (real))
CONVERSION(convert_i64, int64_t, (real))
CONVERSION(convert_u8, uint8_t, )
CONVERSION(convert_u16, uint16_t, )
CONVERSION(convert_u32, uint32_t, (real))
CONVERSION(convert_u64, uint64_t, (real))
#undef CONVERSION

/* Convert n items of a type as NumPy does, and so with subnormal numbers. */
static void convert(ptrdiff_t n, int type, const void *items, real *x)
{
    const uint64_t arithmetic = keep_subnormals();
    switch (type) {
    case BP_FLOAT16: convert_half(n, items, x); break;
    case BP_INT8: convert_i8(n, items, x); break;
    case BP_INT16: convert_i16(n, items, x); break;
    case BP_INT32: convert_i32(n, items, x); break;
    case BP_INT64: convert_i64(n, items, x); break;
    case BP_UINT8: convert_u8(n, items, x); break;
    case BP_UINT16: convert_u16(n, items, x); break;
    case BP_UINT32: convert_u32(n, items, x); break;
    case BP_UINT64: convert_u64(n, items, x); break;
    default: convert_other(n, items, x);
    }
    restore_arithmetic(arithmetic);
}

/* Gather dense inputs, so that the products run over reals in rows at one distance; unless x is
 * where they lie in the data like that. */
static void gather(const bp_net *net, const bp_data *data, batch examples, real *x)
{
    const ptrdiff_t n_in = data->n_in;
    if (examples.m && (const char *)x == dense_row(data, examples.examples[0], 0))
        return;
    for (ptrdiff_t i = net->thread; i < examples.m; i += net->threads) {
        const char *row = dense_row(data, examples.examples[i], 0);
        if (data->x_type == REAL_TYPE)
            memcpy(x + i * n_in, row, (size_t)n_in * sizeof(real));
        else
            convert(n_in, data->x_type, row, x + i * n_in);
    }
    bp_wait(net->barrier);
}

/* V vectors of neurons, of one example that is due and one that is next: while the one's sums
 * wait for one another, the other's products are written. */
INLINED void single_panel(const int V, ptrdiff_t depth, const real *x, const real *delta,
                          const real *next_x, real *w, ptrdiff_t ldw, const real *start,
                          real *z)
{
    vreal sum[SUM_VECTORS];
    for (int v = 0; v < V; v++)
        sum[v] = vectors(start ? start : z)[v];
    for (ptrdiff_t k = 0; k < depth; k++, w += ldw)
        for (int v = 0; v < V; v++) {
            vreal *item = (vreal *)w + v;
            *item = fused(splat(x[k]), vectors(delta)[v], *item);
            sum[v] = fused(splat(next_x[k]), *item, sum[v]);
        }
    for (int v = 0; v < V; v++)
        ((vreal *)z)[v] = sum[v];
}

/* The step for n neurons of the inputs [k, k + depth), likewise. */
COMPILED_ONCE
static void single_step(ptrdiff_t n, ptrdiff_t depth, const real *x, const real *next_x,
                        const first_step *s, origin start, real *w)
{
    ptrdiff_t j = 0;
    for (; j + SUM_VECTORS * LANES <= n; j += SUM_VECTORS * LANES)
        single_panel(SUM_VECTORS, depth, x, s->delta + j, next_x, w + j, s->ldw,
                     after(start, j).row, s->z + j);
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        single_panel(2, depth, x, s->delta + j, next_x, w + j, s->ldw, after(start, j).row,
                     s->z + j);
    for (; j < n; j += LANES)
        single_panel(1, depth, x, s->delta + j, next_x, w + j, s->ldw, after(start, j).row,
                     s->z + j);
}

/* How many inputs' weights, n of each, are updated and read again at a time: what fits a cache,
 * but enough that sums are seldom stored; all where wide rows are not read again. */
static ptrdiff_t dense_block(const first_step *s, ptrdiff_t n, ptrdiff_t n_in)
{
    enum { FEWEST = 8 };
    const ptrdiff_t bytes = n * REAL_BYTES;
    const int wide = bytes >= DENSE_ROW_BYTES;
    const ptrdiff_t fit = (wide ? DENSE_WIDE_BYTES : DENSE_BLOCK_BYTES) / (bytes + !bytes);
    if (wide && !(s->of.due.m && s->of.next.m))
        return n_in;
    return fit < FEWEST ? FEWEST : fit;
}

/* The step for dense inputs, gathered in x and next_x, and n neurons. */
static void dense_step(const bp_net *net, const bp_data *data, const first_step *s, ptrdiff_t n)
{
    const ptrdiff_t n_in = data->n_in, block = dense_block(s, n, n_in);
    const int single = s->of.due.m == 1 && s->of.next.m == 1;
    const matrix x = by_rows(net->scratch.x, n_in), next_x = by_rows(net->scratch.next_x, n_in);
    for (ptrdiff_t k = 0; k < n_in; k += block) {
        const ptrdiff_t depth = least(block, n_in - k);
        real *w = s->w + k * s->ldw;
        const origin start = k ? itself() : s->start;
        if (s->of.due.m && !single)
            gemm(depth, n, s->of.due.m, itself(), transposed(from(x, 0, k)),
                 by_rows(s->delta, s->stride), w, s->ldw, net->own.packed);
        if (single)
            single_step(n, depth, x.at + k, next_x.at + k, s, start, w);
        else
            gemm(s->of.next.m, n, depth, start, from(next_x, 0, k), by_rows(w, s->ldw), s->z,
                 s->stride, net->own.packed);
        for (ptrdiff_t i = 0; i < s->of.ahead.m && i < s->of.next.m && block < n_in; i++) {
            const char *row = dense_row(data, s->of.ahead.examples[i], k);
            fetch(row, row + depth * data->x_item);
            if (k == 0)
                fetch_target(data, s->of.ahead.examples[i]);
        }
    }
}

/* Add the gradient of the mini-batch `due`, whose errors are scaled, to a place of the part's
 * weights (BP4), then take the weighted inputs of the mini-batch `next`, in one pass.  Unless
 * that is empty, the layer's a holds them on return, and scratch.x its rows. */
static void first_layer(bp_net *net, const bp_data *data, batches of, const part *p, int place)
{
    bp_layer *layer = &net->layers[0];
    bp_scratch *scratch = &net->scratch;
    const ptrdiff_t stride = layer->stride, n = p->n;
    real *delta = (real *)layer->delta + p->begin, *z = (real *)scratch->next_a + p->begin;
    /* Products of rows of x start from the biases, in place of a copy of them. */
    const int copied = !data->x || net->factor != 1;
    const origin start = copied ? itself() : repeated(p->biases[0]);
    const first_step s = {of, delta, z, stride, start, p->w[place], p->stride,
                          net->own.cursors};
    const real factor = (real)net->factor, inverse = (real)(1 / net->factor);
    for (ptrdiff_t i = 0; i < of.due.m && net->factor != 1; i++)
        scale(n, inverse, delta + i * stride, delta + i * stride);
    for (ptrdiff_t i = 0; i < of.next.m && copied; i++)
        scale(n, inverse, p->biases[0], z + i * stride);
    if (data->x) {
        gather(net, data, of.next, scratch->next_x);
        dense_step(net, data, &s, n);
    } else
        csr_step(data, &s, n);
    for (ptrdiff_t i = 0; i < of.next.m && net->factor != 1; i++)
        scale(n, factor, z + i * stride, z + i * stride);

    void *const a = layer->a, *const x = scratch->x;
    if (of.next.m) {
        layer->a = scratch->next_a;
        scratch->next_a = a;
        scratch->x = scratch->next_x;
        scratch->next_x = x;
    }
}
