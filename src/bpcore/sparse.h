/* CSR: a row of x as its nonzero (columns, values), and the two products of the first layer.
 *
 * The skipped terms are exact zeros and the order of additions is that of gemm, so finite
 * data gives the same bits in both forms.
 */

static void csr_offsets(ptrdiff_t n, ptrdiff_t n_in, const void *dense, int64_t *offsets)
{
    const real *x = dense;
    offsets[0] = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        int64_t nonzeros = 0;
        for (ptrdiff_t k = 0; k < n_in; k++)
            nonzeros += x[i * n_in + k] != 0;
        offsets[i + 1] = offsets[i] + nonzeros;
    }
}

static void csr_fill(ptrdiff_t n, ptrdiff_t n_in, const void *dense, const int64_t *offsets,
                     uint16_t *columns, void *nonzeros)
{
    const real *x = dense;
    real *values = nonzeros;
    for (ptrdiff_t i = 0; i < n; i++) {
        int64_t p = offsets[i];
        for (ptrdiff_t k = 0; k < n_in && p < offsets[i + 1]; k++)
            if (x[i * n_in + k] != 0) {
                columns[p] = (uint16_t)k;
                values[p++] = x[i * n_in + k];
            }
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
