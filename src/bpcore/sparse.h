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

/* What the items have: values of their own or, where few occur, codes that say which; columns
 * that are narrow or wide. */
enum { CSR_VALUES, CSR_CODES, CSR_WIDE };

/* The items of x's rows, one after the other. */
typedef struct {
    const void *columns;
    const real *values; /* of every item, or of the codes */
    const uint8_t *codes;
} csr_rows;

/* The rows of w, from some column on, that belong to the columns < limit of x. */
typedef struct {
    csr_rows x;
    ptrdiff_t limit;
    real *w;
    ptrdiff_t ldw;
} csr_block;

/* A row of x: which of its items comes next, and where they end. */
typedef struct {
    int64_t *cursor;
    int64_t end;
} csr_row;

INLINED vreal csr_value(const int form, csr_rows x, int64_t p)
{
    return splat(x.values[form == CSR_CODES ? x.codes[p] : p]);
}

INLINED ptrdiff_t csr_column(const int form, csr_rows x, int64_t p)
{
    return form == CSR_WIDE ? (ptrdiff_t)((const uint32_t *)x.columns)[p]
                            : ((const uint16_t *)x.columns)[p];
}

/* acc (V vectors) += item p times its row of w. */
INLINED void csr_add(const int V, const int form, csr_block b, int64_t p, vreal *acc)
{
    const vreal value = csr_value(form, b.x, p);
    const vreal *row = vectors(b.w + csr_column(form, b.x, p) * b.ldw);
    for (int v = 0; v < V; v++)
        acc[v] = fused(value, row[v], acc[v]);
}

/* z (V vectors) += x w for the items of one row. */
INLINED void csr_forward(const int V, const int form, csr_block b, csr_row x, real *z)
{
    vreal acc[CSR_VECTORS];
    int64_t p = *x.cursor;
    for (int v = 0; v < V; v++)
        acc[v] = vectors(z)[v];
    for (; p < x.end && csr_column(form, b.x, p) < b.limit; p++)
        csr_add(V, form, b, p, acc);
    for (int v = 0; v < V; v++)
        ((vreal *)z)[v] = acc[v];
    *x.cursor = p;
}

/* Two rows in step, because one row's chains leave the adders waiting; as far as both go. */
INLINED void csr_forward_pair(const int V, const int form, csr_block b, csr_row x, real *z,
                              csr_row x2, real *z2)
{
    vreal acc[CSR_VECTORS], acc2[CSR_VECTORS];
    int64_t p = *x.cursor, q = *x2.cursor;
    for (int v = 0; v < V; v++) {
        acc[v] = vectors(z)[v];
        acc2[v] = vectors(z2)[v];
    }
    for (; p + 2 <= x.end && q + 2 <= x2.end && csr_column(form, b.x, p + 1) < b.limit &&
           csr_column(form, b.x, q + 1) < b.limit; p += 2, q += 2)
        for (int i = 0; i < 2; i++) {
            csr_add(V, form, b, p + i, acc);
            csr_add(V, form, b, q + i, acc2);
        }
    for (int v = 0; v < V; v++) {
        ((vreal *)z)[v] = acc[v];
        ((vreal *)z2)[v] = acc2[v];
    }
    *x.cursor = p;
    *x2.cursor = q;
}

/* w += xT delta (V vectors) for the items of one row; two at a time, whose rows of w differ, so
 * that both are read before one is written. */
INLINED void csr_descend(const int V, const int form, csr_block b, csr_row x,
                         const real *delta)
{
    vreal d[CSR_VECTORS], sum[CSR_VECTORS], sum2[CSR_VECTORS];
    int64_t p = *x.cursor;
    for (int v = 0; v < V; v++)
        d[v] = vectors(delta)[v];
    for (; V <= PAIRED && p + 2 <= x.end && csr_column(form, b.x, p + 1) < b.limit; p += 2) {
        const vreal value = csr_value(form, b.x, p), value2 = csr_value(form, b.x, p + 1);
        vreal *row = (vreal *)(b.w + csr_column(form, b.x, p) * b.ldw);
        vreal *row2 = (vreal *)(b.w + csr_column(form, b.x, p + 1) * b.ldw);
        for (int v = 0; v < V; v++) {
            sum[v] = fused(value, d[v], row[v]);
            sum2[v] = fused(value2, d[v], row2[v]);
        }
        for (int v = 0; v < V; v++)
            row[v] = sum[v];
        for (int v = 0; v < V; v++)
            row2[v] = sum2[v];
    }
    for (; p < x.end && csr_column(form, b.x, p) < b.limit; p++) {
        vreal *row = (vreal *)(b.w + csr_column(form, b.x, p) * b.ldw);
        const vreal value = csr_value(form, b.x, p);
        for (int v = 0; v < V; v++)
            row[v] = fused(value, d[v], row[v]);
    }
    *x.cursor = p;
}
