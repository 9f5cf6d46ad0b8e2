/* CSR: a row of x as its nonzero (columns, values), and the two products of the first layer.
 *
 * The skipped terms are exact zeros and the order of additions is that of gemm, so finite
 * data gives the same bits in both forms.
 */

/* Items of a dense row that one look can find to be zeros, as the blank parts of images are. */
#define CSR_LOOK 8

/* Whether all bits of CSR_LOOK items are zero. */
INLINED int blank(const real *x)
{
    lane_int words[CSR_LOOK], any = 0;
    memcpy(words, x, sizeof words);
    for (int k = 0; k < CSR_LOOK; k++)
        any |= words[k];
    return any == 0;
}

/* Append m items of a dense row, the first in this column, at p; return the new end.  What is
 * zero is written, too, and then over: a branch that images make random costs more. */
INLINED int64_t csr_items(ptrdiff_t m, ptrdiff_t column, const real *x, int64_t p,
                          uint16_t *columns, real *values)
{
    for (ptrdiff_t k = 0; k < m; k++) {
        const real item = x[k];
        columns[p] = (uint16_t)(column + k);
        values[p] = item;
        p += item != 0;
    }
    return p;
}

/* Row i starts at offsets[i].  No more than n_in items are written past the limit, whatever
 * x holds and however it changes meanwhile. */
static void csr_append(ptrdiff_t n, ptrdiff_t n_in, const void *dense, int64_t limit,
                       int64_t *offsets, uint16_t *columns, void *values)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *x = (const real *)dense + i * n_in;
        int64_t p = offsets[i];
        ptrdiff_t k = p > limit ? n_in : 0;
        for (; k + CSR_LOOK <= n_in; k += CSR_LOOK)
            if (!blank(x + k))
                p = csr_items(CSR_LOOK, k, x + k, p, columns, values);
        offsets[i + 1] = csr_items(n_in - k, k, x + k, p, columns, values);
    }
}

/* z (V vectors) += x w, where x is one CSR row of `nonzeros` items. */
INLINED void csr_row_panel(const int V, ptrdiff_t nonzeros, const uint16_t *columns,
                                 const real *values, const real *w, ptrdiff_t ldw, real *z)
{
    vreal acc[CSR_VECTORS];
    for (int v = 0; v < V; v++)
        acc[v] = vectors(z)[v];
    for (ptrdiff_t p = 0; p < nonzeros; p++)
        for (int v = 0; v < V; v++)
            acc[v] += splat(values[p]) * vectors(w + columns[p] * ldw)[v];
    for (int v = 0; v < V; v++)
        ((vreal *)z)[v] = acc[v];
}

/* z (n) += x w, where x is row i of data; n is whole vectors. */
static void csr_forward(const bp_data *data, int64_t i, ptrdiff_t n, const real *w,
                        ptrdiff_t ldw, real *z)
{
    const int64_t begin = data->offsets[i];
    const ptrdiff_t nonzeros = (ptrdiff_t)(data->offsets[i + 1] - begin);
    const uint16_t *columns = data->columns + begin;
    const real *values = (const real *)data->values + begin;
    ptrdiff_t j = 0;
    for (; j + CSR_VECTORS * LANES <= n; j += CSR_VECTORS * LANES)
        csr_row_panel(CSR_VECTORS, nonzeros, columns, values, w + j, ldw, z + j);
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        csr_row_panel(2, nonzeros, columns, values, w + j, ldw, z + j);
    for (; j < n; j += LANES)
        csr_row_panel(1, nonzeros, columns, values, w + j, ldw, z + j);
}

/* w += xT delta, where x is row i of data and delta has n items, whole vectors. */
static void csr_descend(const bp_data *data, int64_t i, ptrdiff_t n, const real *delta, real *w,
                        ptrdiff_t ldw)
{
    const real *values = data->values;
    for (int64_t p = data->offsets[i]; p < data->offsets[i + 1]; p++)
        axpy(n, values[p], delta, w + data->columns[p] * ldw);
}
