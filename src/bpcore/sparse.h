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
        lane_int item;
        memcpy(&item, x + k, sizeof item);
        columns[p] = (uint16_t)(column + k);
        memcpy(values + p, &item, sizeof item);
        p += (uint64_t)item << (65 - 8 * sizeof item) != 0; /* no zero of either sign */
    }
    return p;
}

/* Row i starts at offsets[i].  No more than n_in items are written past the limit, whatever
 * x holds and however it changes meanwhile. */
static void csr_append(ptrdiff_t n, ptrdiff_t n_in, const void *dense, int64_t limit,
                       int64_t *offsets, uint16_t *columns, void *values)
{
    int64_t p = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const real *x = (const real *)dense + i * n_in;
        ptrdiff_t k = offsets[i] > limit ? n_in : 0;
        for (; k + CSR_LOOK <= n_in; k += CSR_LOOK)
            if (!blank(x + k))
                p = csr_items(CSR_LOOK, k, x + k, p, columns, values);
        p = csr_items(n_in - k, k, x + k, p, columns, values);
        offsets[i + 1] = offsets[0] + p;
    }
}

/* A value's place in the table, by hashing its bits (multiplicative, linear probing). */
static int64_t csr_encode(int64_t n, const void *items, bp_codes *codes, void *values,
                          uint8_t *out)
{
    const real *item = items;
    real *table = values;
    for (int64_t p = 0; p < n; p++) {
        lane_int key;
        memcpy(&key, item + p, sizeof key);
        uint64_t slot = (uint64_t)key * 0x9e3779b97f4a7c15u >> (64 - BP_CODE_SLOT_BITS);
        while (codes->slots[slot] && memcmp(table + codes->slots[slot] - 1, &key, sizeof key))
            slot = (slot + 1) % BP_CODE_SLOTS;
        if (codes->slots[slot] == 0) {
            if (codes->used == BP_CODES)
                return p;
            table[codes->used++] = item[p];
            codes->slots[slot] = (uint16_t)codes->used;
        }
        out[p] = (uint8_t)(codes->slots[slot] - 1);
    }
    return n;
}

/* Two rows of V vectors, and what else they need, fit the registers. */
enum { PAIRED = VECTOR_REGISTERS / 4 };

/* The items of x's rows, one after the other.  Where few values occur, codes say which. */
typedef struct {
    const uint16_t *columns;
    const real *values; /* of every item, or of the codes */
    const uint8_t *codes;
} csr_rows;

/* Some examples of the data. */
typedef struct {
    const int64_t *examples;
    ptrdiff_t m;
} batch;

/* What passes over the first layer's weights at once: the update of one mini-batch, the
 * forward pass of the next and, ahead of it, the inputs of the one after that. */
typedef struct {
    batch down, up, ahead;
    const real *delta; /* (down.m, stride) */
    real *z;           /* (up.m, stride) */
    ptrdiff_t stride;
    real *w;           /* (n_in, ldw) */
    ptrdiff_t ldw;
    int64_t *cursors;  /* (down.m + up.m): the items of each row that come next */
} first_step;

INLINED vreal csr_value(const int coded, csr_rows x, int64_t p)
{
    return splat(x.values[coded ? x.codes[p] : p]);
}

/* acc (V vectors) += item p times its row of w. */
INLINED void csr_add(const int V, const int coded, csr_rows x, int64_t p, const real *w,
                     ptrdiff_t ldw, vreal *acc)
{
    const vreal value = csr_value(coded, x, p);
    const vreal *row = vectors(w + x.columns[p] * ldw);
    for (int v = 0; v < V; v++)
        acc[v] += value * row[v];
}

/* z (V vectors) += x w for the items of one row from *cursor to `end`, in columns < limit. */
INLINED void csr_forward(const int V, const int coded, csr_rows x, int64_t *cursor,
                         int64_t end, ptrdiff_t limit, const real *w, ptrdiff_t ldw, real *z)
{
    vreal acc[CSR_VECTORS];
    int64_t p = *cursor;
    for (int v = 0; v < V; v++)
        acc[v] = vectors(z)[v];
    for (; p < end && x.columns[p] < limit; p++)
        csr_add(V, coded, x, p, w, ldw, acc);
    for (int v = 0; v < V; v++)
        ((vreal *)z)[v] = acc[v];
    *cursor = p;
}

/* Two rows in step, because one row's chains leave the adders waiting; as far as both go. */
INLINED void csr_forward_pair(const int V, const int coded, csr_rows x, int64_t *cursors,
                              int64_t end, int64_t end2, ptrdiff_t limit, const real *w,
                              ptrdiff_t ldw, real *z, real *z2)
{
    vreal acc[CSR_VECTORS], acc2[CSR_VECTORS];
    int64_t p = cursors[0], q = cursors[1];
    for (int v = 0; v < V; v++) {
        acc[v] = vectors(z)[v];
        acc2[v] = vectors(z2)[v];
    }
    for (; p + 2 <= end && q + 2 <= end2 && x.columns[p + 1] < limit &&
           x.columns[q + 1] < limit; p += 2, q += 2)
        for (int i = 0; i < 2; i++) {
            csr_add(V, coded, x, p + i, w, ldw, acc);
            csr_add(V, coded, x, q + i, w, ldw, acc2);
        }
    for (int v = 0; v < V; v++) {
        ((vreal *)z)[v] = acc[v];
        ((vreal *)z2)[v] = acc2[v];
    }
    cursors[0] = p;
    cursors[1] = q;
}

/* w += xT delta (V vectors) for items of one row, as above; two at a time, whose rows of w
 * differ, so that both are read before one is written. */
INLINED void csr_descend(const int V, const int coded, csr_rows x, int64_t *cursor,
                         int64_t end, ptrdiff_t limit, const real *delta, real *w,
                         ptrdiff_t ldw)
{
    vreal d[CSR_VECTORS], sum[CSR_VECTORS], sum2[CSR_VECTORS];
    int64_t p = *cursor;
    for (int v = 0; v < V; v++)
        d[v] = vectors(delta)[v];
    for (; V <= PAIRED && p + 2 <= end && x.columns[p + 1] < limit; p += 2) {
        const vreal value = csr_value(coded, x, p), value2 = csr_value(coded, x, p + 1);
        vreal *row = (vreal *)(w + x.columns[p] * ldw);
        vreal *row2 = (vreal *)(w + x.columns[p + 1] * ldw);
        for (int v = 0; v < V; v++) {
            sum[v] = row[v] + value * d[v];
            sum2[v] = row2[v] + value2 * d[v];
        }
        for (int v = 0; v < V; v++)
            row[v] = sum[v];
        for (int v = 0; v < V; v++)
            row2[v] = sum2[v];
    }
    for (; p < end && x.columns[p] < limit; p++) {
        vreal *row = (vreal *)(w + x.columns[p] * ldw);
        const vreal value = csr_value(coded, x, p);
        for (int v = 0; v < V; v++)
            row[v] += value * d[v];
    }
    *cursor = p;
}

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
 * is. */
INLINED void csr_fetch(const bp_data *data, const first_step *s, ptrdiff_t i)
{
    const batch ahead = s->ahead;
    if (i < ahead.m) {
        const int64_t example = ahead.examples[i];
        const int64_t begin = data->offsets[example], end = data->offsets[example + 1];
        fetch(data->columns + begin, data->columns + end);
        if (data->codes)
            fetch(data->codes + begin, data->codes + end);
        else
            fetch((const real *)data->values + begin, (const real *)data->values + end);
    }
    if (i + s->up.m < ahead.m) {
        const int64_t later = ahead.examples[i + s->up.m];
        fetch(data->offsets + later, data->offsets + later + 2);
        fetch_target(data, later);
    }
}

/* The step for the V vectors of neurons from column j on.  Several rows pass over a block of w
 * before the next block, because they share most of its lines. */
INLINED void csr_panel(const int V, const int coded, const bp_data *data, const first_step *s,
                       ptrdiff_t j)
{
    const csr_rows x = {data->columns, data->values, data->codes};
    const int64_t *offsets = data->offsets, *down = s->down.examples, *up = s->up.examples;
    int64_t *down_cursors = s->cursors, *up_cursors = s->cursors + s->down.m;
    const ptrdiff_t blocks = (data->n_in * V * VECTOR_BYTES - 1) / CSR_BLOCK_BYTES + 1;
    real *w = s->w + j, *z = s->z + j;
    for (ptrdiff_t i = 0; i < s->down.m; i++)
        down_cursors[i] = offsets[down[i]];
    for (ptrdiff_t i = 0; i < s->up.m; i++)
        up_cursors[i] = offsets[up[i]];

    for (ptrdiff_t block = 0; block < blocks; block++) {
        const ptrdiff_t limit = data->n_in * (block + 1) / blocks;
        for (ptrdiff_t i = 0; i < s->down.m; i++)
            csr_descend(V, coded, x, down_cursors + i, offsets[down[i] + 1], limit,
                        s->delta + i * s->stride + j, w, s->ldw);
        for (ptrdiff_t i = 0; i < s->up.m; i++, z += s->stride) {
            if (j == 0 && block == 0)
                csr_fetch(data, s, i);
            if (V <= PAIRED && i % 2 == 0 && i + 1 < s->up.m)
                csr_forward_pair(V, coded, x, up_cursors + i, offsets[up[i] + 1],
                                 offsets[up[i + 1] + 1], limit, w, s->ldw, z, z + s->stride);
            csr_forward(V, coded, x, up_cursors + i, offsets[up[i] + 1], limit, w, s->ldw, z);
        }
        z -= s->up.m * s->stride;
    }
}

/* Each panel reads the items again: narrow vectors and long rows take more of them at a time,
 * though then fewer rows of w fit a block. */
INLINED void csr_panels(const int coded, const bp_data *data, const first_step *s, ptrdiff_t n)
{
    const int wide = VECTOR_BYTES < 64 || n >= 16 * LANES;
    ptrdiff_t j = 0;
    for (; wide && j + 8 * LANES <= n; j += 8 * LANES)
        csr_panel(8, coded, data, s, j);
    for (; j + 4 * LANES <= n; j += 4 * LANES)
        csr_panel(4, coded, data, s, j);
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        csr_panel(2, coded, data, s, j);
    for (; j < n; j += LANES)
        csr_panel(1, coded, data, s, j);
}

/* The step for n neurons, whole vectors. */
static void csr_step(const bp_data *data, const first_step *s, ptrdiff_t n)
{
    if (data->codes)
        csr_panels(1, data, s, n);
    else
        csr_panels(0, data, s, n);
}
