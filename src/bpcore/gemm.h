/* The matrix product: c = start + a b, where a and b are addressed by two strides each.
 *
 * Every element of c is one chain of products, added to where it starts in ascending order of
 * the summed index.  Between two blocks of that index c is stored and loaded, which is exact:
 * neither the path nor the cut into blocks and tiles can change a bit.
 *
 * A small product reads a and b where they are.  A large one copies a block of b, which then
 * stays in the second cache, and of a one tile after the other, which stays in the first, into
 * the order in which the tiles read them: lines one after the other, few pages.
 */

enum {
    PANEL = TILE_VECTORS * LANES,                         /* columns of a tile */
    TILE_WIDTH = (TILE_ROWS + LANES - 1) / LANES * LANES, /* rows of a packed tile of a */
    BLOCK_DEPTH = BP_GEMM_DEPTH / REAL_BYTES,             /* summed indices of a block */
    BLOCK_COLUMNS = BP_GEMM_COLUMNS / REAL_BYTES
};

/* A matrix wherever it lies: item (i, j) is at[i * row + j * column]. */
typedef struct {
    const real *at;
    ptrdiff_t row, column;
} matrix;

INLINED matrix by_rows(const real *at, ptrdiff_t stride)
{
    const matrix found = {at, stride, 1};
    return found;
}

INLINED matrix transposed(matrix m)
{
    const matrix found = {m.at, m.column, m.row};
    return found;
}

/* What each row of a product starts from: c itself (NULL), or a row of items beside one another
 * or, step 0, all the same, of which the widest tile reads as many. */
typedef struct {
    const real *row;
    ptrdiff_t step;
} origin;

enum { MOST_VECTORS = 8 };

INLINED origin itself(void)
{
    const origin found = {NULL, 0};
    return found;
}

INLINED origin repeated(const real *row)
{
    const origin found = {row, 1};
    return found;
}

INLINED origin zeros(void)
{
    static const vreal zero[MOST_VECTORS];
    const origin found = {(const real *)zero, 0};
    return found;
}

/* From column j on. */
INLINED origin after(origin start, ptrdiff_t j)
{
    const origin found = {start.row ? start.row + j * start.step : NULL, start.step};
    return found;
}

/* What is left of m from row i and column j on. */
INLINED matrix from(matrix m, ptrdiff_t i, ptrdiff_t j)
{
    const matrix found = {m.at + i * m.row + j * m.column, m.row, m.column};
    return found;
}

/* What to cut off next: the most there can be, but the last two pieces are halves, because a
 * small tile is slow. */
INLINED ptrdiff_t piece(ptrdiff_t left, ptrdiff_t most)
{
    return left <= most ? left : left < 2 * most ? (left + 1) / 2 : most;
}

/* c (R, V vectors) = start, or c where that is NULL, + a (R, k) b (k, V vectors).  R and V are
 * constants where this is inlined: the accumulators live in registers. */
INLINED void tile(const int R, const int V, ptrdiff_t k, const real *start, const real *a,
                  ptrdiff_t a_row, ptrdiff_t a_column, const real *b, ptrdiff_t b_row, real *c,
                  ptrdiff_t ldc)
{
    vreal acc[VECTOR_REGISTERS];
    if (start)
        for (int r = 0; r < R; r++)
            for (int v = 0; v < V; v++)
                acc[r * V + v] = vectors(start)[v];
    else
        for (int r = 0; r < R; r++)
            for (int v = 0; v < V; v++)
                acc[r * V + v] = vectors(c + r * ldc)[v];
    for (ptrdiff_t p = 0; p < k; p++)
        for (int r = 0; r < R; r++)
            for (int v = 0; v < V; v++)
                acc[r * V + v] = fused(splat(a[r * a_row + p * a_column]),
                                       vectors(b + p * b_row)[v], acc[r * V + v]);
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++)
            ((vreal *)(c + r * ldc))[v] = acc[r * V + v];
}

/* A row of tiles: c (R, n) = start + a (R, k) b (k, n).  One stride of a is 1; b and c are rows
 * of whole vectors.  Panels of b, PANEL columns each, are `panel` items apart. */
typedef struct {
    ptrdiff_t n, k;
    origin start;
    const real *a;
    ptrdiff_t a_row, a_column;
    const real *b;
    ptrdiff_t b_row, panel;
    real *c;
    ptrdiff_t ldc;
} tile_row;

/* Each chain of additions waits for itself, so few rows take many columns at a time, as far as
 * the registers hold the accumulators, a row of b and an item of a. */
INLINED void add_row(const int R, ptrdiff_t a_row, ptrdiff_t a_column, const tile_row *t)
{
    const int most = (VECTOR_REGISTERS - 1) / (R + 1);
    const ptrdiff_t n = t->n, k = t->k, b_row = t->b_row, panel = t->panel, ldc = t->ldc;
    const origin start = t->start;
    const real *a = t->a, *b = t->b;
    real *c = t->c;
    ptrdiff_t j = 0;
    if (most >= MOST_VECTORS && panel == PANEL)
        for (; j + MOST_VECTORS * LANES <= n;
             j += MOST_VECTORS * LANES, b += MOST_VECTORS * LANES)
            tile(R, MOST_VECTORS, k, after(start, j).row, a, a_row, a_column, b, b_row, c + j,
                 ldc);
    if (most >= 4 && panel == PANEL)
        for (; j + 4 * LANES <= n; j += 4 * LANES, b += 4 * LANES)
            tile(R, 4, k, after(start, j).row, a, a_row, a_column, b, b_row, c + j, ldc);
    for (; j + PANEL <= n; j += PANEL, b += panel)
        tile(R, TILE_VECTORS, k, after(start, j).row, a, a_row, a_column, b, b_row, c + j, ldc);
    for (; j < n; j += LANES, b += LANES)
        tile(R, 1, k, after(start, j).row, a, a_row, a_column, b, b_row, c + j, ldc);
}

/* Rows of a tile that reads a where it is: those may be a power of two apart, and share a few
 * lines of the first cache. */
enum { DIRECT_ROWS = 6 };

INLINED void add_rows(const int R, const tile_row *t)
{
    if (R > DIRECT_ROWS || t->a_row == 1)
        add_row(R, 1, t->a_column, t);
    else
        add_row(R, t->a_row, 1, t);
}

COMPILED_ONCE
static void add_tile_row(ptrdiff_t R, const tile_row *t)
{
    switch (R) {
    case 1: add_rows(1, t); break;
    case 2: add_rows(2, t); break;
    case 3: add_rows(3, t); break;
    case 4: add_rows(4, t); break;
    case 5: add_rows(5, t); break;
    case 6: add_rows(6, t); break;
#if TILE_ROWS > 6
    case 7: add_rows(7, t); break;
    case 8: add_rows(8, t); break;
    case 9: add_rows(9, t); break;
    case 10: add_rows(10, t); break;
    case 11: add_rows(11, t); break;
    case 12: add_rows(12, t); break;
    case 13: add_rows(13, t); break;
    case 14: add_rows(14, t); break;
#endif
    }
}

/* Where item (p, j) of k rows lies, in panels of `width` columns. */
INLINED ptrdiff_t packed_at(const ptrdiff_t width, ptrdiff_t k, ptrdiff_t p, ptrdiff_t j)
{
    return j / width * width * k + p * width + j % width;
}

/* Rows [p, k) of one vector of a panel, of which n <= LANES items exist; the rest is 0. */
INLINED void pack_vector(const ptrdiff_t width, ptrdiff_t p, ptrdiff_t k, ptrdiff_t n,
                         matrix in, real *out)
{
    const vreal zero = {0};
    for (; p < k; p++) {
        if (n < LANES)
            *(vreal *)(out + p * width) = zero;
        for (ptrdiff_t j = 0; j < n; j++)
            out[p * width + j] = from(in, p, j).at[0];
    }
}

/* out = in (k, n) in panels of `width` columns, with zeros up to a whole vector.  in is read in
 * the order of its memory: it is far away. */
INLINED void pack(const ptrdiff_t width, ptrdiff_t k, ptrdiff_t n, matrix in, real *out)
{
    const ptrdiff_t whole = n / LANES * LANES;
    /* Rows of the whole vectors that are copied a vector, or a square of them, at a time. */
    const ptrdiff_t done = in.column == 1 ? k : in.row == 1 ? k / LANES * LANES : 0;
    if (in.column == 1)
        for (ptrdiff_t p = 0; p < done; p++)
            for (ptrdiff_t j = 0; j < whole; j += LANES)
                *(vreal *)(out + packed_at(width, k, p, j)) = unaligned(in.at + p * in.row + j);
    else
        for (ptrdiff_t j = 0; j < whole; j += LANES)
            for (ptrdiff_t p = 0; p < done; p += LANES)
                transpose_lanes(LANES, LANES, in.at + p + j * in.column, in.column,
                                out + packed_at(width, k, p, j), width);
    for (ptrdiff_t j = done < k ? 0 : whole; j < n; j += LANES)
        pack_vector(width, j < whole ? done : 0, k, n - j < LANES ? n - j : LANES,
                    from(in, 0, j), out + packed_at(width, k, 0, j));
}

/* c (m, n) = start + a (m, k) b (k, n), where b is a packed block. */
static void gemm_block(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, origin start, matrix a,
                       const real *b, real *c, ptrdiff_t ldc, real *packed_a)
{
    for (ptrdiff_t i = 0, R; i < m; i += R) {
        const ptrdiff_t left = m - i, width = left < TILE_WIDTH ? left : TILE_WIDTH;
        R = piece(left, TILE_ROWS);
        pack(TILE_WIDTH, k, width, transposed(from(a, i, 0)), packed_a);
        add_tile_row(R, &(tile_row){n, k, start, packed_a, 1, TILE_WIDTH, b, PANEL, k * PANEL,
                                    c + i * ldc, ldc});
    }
}

COMPILED_ONCE
static void gemm_packed(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, origin start, matrix a,
                        matrix b, real *c, ptrdiff_t ldc, real *scratch)
{
    real *packed_b = scratch + TILE_WIDTH * BLOCK_DEPTH;
    for (ptrdiff_t j = 0, wide; j < n; j += wide) {
        wide = n - j < BLOCK_COLUMNS ? n - j : BLOCK_COLUMNS;
        for (ptrdiff_t p = 0, deep; p < k; p += deep) {
            deep = piece(k - p, BLOCK_DEPTH);
            pack(PANEL, deep, wide, from(b, p, j), packed_b);
            gemm_block(m, wide, deep, p ? itself() : after(start, j), from(a, 0, p), packed_b,
                       c + j, ldc, scratch);
        }
    }
}

/* Blocks of b are 128 kB: read along its rows from far away, then again for every tile. */
static void gemm_direct(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, origin start, matrix a,
                        matrix b, real *c, ptrdiff_t ldc)
{
    const ptrdiff_t fit = (1 << 17) / REAL_BYTES / (n + !n), most = fit < 64 ? 64 : fit;
    for (ptrdiff_t p = 0, deep; p < k; p += deep) {
        deep = piece(k - p, most);
        for (ptrdiff_t i = 0, R; i < m; i += R) {
            R = piece(m - i, DIRECT_ROWS);
            add_tile_row(R, &(tile_row){n, deep, p ? itself() : start, from(a, i, p).at, a.row,
                                        a.column, b.at + p * b.row, b.row, PANEL, c + i * ldc,
                                        ldc});
        }
    }
}

/* Whether gemm copies what it reads: the tiles cannot read it where it is, or enough of them
 * read it again and its rows are long (measured: 32 rows, 1 kB, and 256 kB of c). */
static int gemm_packs(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, matrix a, matrix b)
{
    if ((a.row != 1 && a.column != 1) || b.column != 1 || n % LANES || b.row % LANES ||
        (uintptr_t)b.at % sizeof(vreal))
        return 1;
    return k >= 32 && m >= 32 && n * REAL_BYTES >= 1 << 10 && m * n > (1 << 18) / REAL_BYTES;
}

enum { TURNED = 4 * LANES };

/* c (m, n) += a (m, k) b (k, n) where aT's rows are vectors and n is small: cT += bT aT, so
 * that no lane is empty, for TURNED rows of c at a time. */
COMPILED_ONCE
static void gemm_turned(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, matrix a, matrix b, real *c,
                        ptrdiff_t ldc)
{
    vreal lines[DIRECT_ROWS * TURNED / LANES];
    real *turned = (real *)lines;
    for (ptrdiff_t j = 0, R; j < n; j += R) {
        R = piece(n - j, DIRECT_ROWS);
        for (ptrdiff_t i = 0; i < m; i += TURNED) {
            const ptrdiff_t rows = m - i < TURNED ? m - i : TURNED;
            for (ptrdiff_t r = 0; r < R; r++)
                for (ptrdiff_t p = 0; p < rows; p++)
                    turned[r * TURNED + p] = c[(i + p) * ldc + j + r];
            add_tile_row(R, &(tile_row){whole_vectors(rows), k, itself(), from(b, 0, j).at,
                                        b.column, b.row, from(a, i, 0).at, a.column, PANEL,
                                        turned, TURNED});
            for (ptrdiff_t r = 0; r < R; r++)
                for (ptrdiff_t p = 0; p < rows; p++)
                    c[(i + p) * ldc + j + r] = turned[r * TURNED + p];
        }
    }
}

/* Whether that can be done, and saves a third (measured: less is lost in turning). */
static int gemm_turns(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, matrix a, matrix b)
{
    const ptrdiff_t width = whole_vectors(m);
    if (a.row != 1 || a.column % LANES || a.column < width ||
        (uintptr_t)a.at % sizeof(vreal) || (b.row != 1 && b.column != 1))
        return 0;
    return k >= 32 && 3 * n * width <= 2 * m * whole_vectors(n);
}

/* sum += the first `deep` columns of a square of a, times b (deep, 1). */
INLINED vreal add_square(ptrdiff_t deep, matrix a, matrix b, vreal sum)
{
    vreal v[LANES];
    for (int i = 0; i < LANES; i++)
        v[i] = *vectors(from(a, i, 0).at);
    transpose_square(v);
    for (int p = 0; p < LANES; p++)
        if (p < deep)
            sum = fused(v[p], splat(from(b, p, 0).at[0]), sum);
    return sum;
}

/* Squares side by side, whose chains of additions do not wait for one another; their rows. */
enum { SQUARES = LANES < 16 ? 16 / LANES : 1, COLUMN_ROWS = SQUARES * LANES };

/* c (COLUMN_ROWS), items beside one another, += a (COLUMN_ROWS, k) b (k, 1): squares of a,
 * whose rows are whole vectors, are turned, so that every lane is of a row. */
COMPILED_ONCE
static void column_tile(ptrdiff_t k, matrix a, matrix b, real *c)
{
    vreal sum[SQUARES];
    ptrdiff_t p = 0;
    memcpy(sum, c, sizeof sum);
    for (; p + LANES <= k; p += LANES)
        for (int q = 0; q < SQUARES; q++)
            sum[q] = add_square(LANES, from(a, q * LANES, p), from(b, p, 0), sum[q]);
    for (int q = 0; q < SQUARES && p < k; q++)
        sum[q] = add_square(k - p, from(a, q * LANES, p), from(b, p, 0), sum[q]);
    memcpy(c, sum, sizeof sum);
}

/* How many rows of c = a (m, k) b (k, 1) are computed so. */
static ptrdiff_t column_rows(ptrdiff_t m, ptrdiff_t k, matrix a)
{
    const int whole = a.column == 1 && a.row % LANES == 0 && a.row >= whole_vectors(k) &&
                      (uintptr_t)a.at % sizeof(vreal) == 0;
    return LANES > 1 && k >= LANES && whole ? m / COLUMN_ROWS * COLUMN_ROWS : 0;
}

/* c (m, 1) = start + a (m, k) b (k, 1), m of whole tiles, where else lanes would be empty. */
static void gemm_column(ptrdiff_t m, ptrdiff_t k, origin start, matrix a, matrix b, real *c,
                        ptrdiff_t ldc)
{
    vreal lines[SQUARES];
    real *items = (real *)lines;
    for (ptrdiff_t i = 0; i < m; i += COLUMN_ROWS, c += COLUMN_ROWS * ldc) {
        for (int r = 0; r < COLUMN_ROWS; r++)
            items[r] = start.row ? start.row[0] : c[r * ldc];
        column_tile(k, from(a, i, 0), b, items);
        for (int r = 0; r < COLUMN_ROWS; r++) {
            if (start.row)
                *(vreal *)(c + r * ldc) = *vectors(start.row);
            c[r * ldc] = items[r];
        }
    }
}

/* c (1, n) = start + a (1, k) b (k, n), n of whole tiles, where each column of b lies in memory
 * as a row does: a copy would be read only once. */
static void gemm_row(ptrdiff_t n, ptrdiff_t k, origin start, matrix a, matrix b, real *c)
{
    for (ptrdiff_t j = 0; j < n; j += COLUMN_ROWS) {
        for (int v = 0; v < COLUMN_ROWS && start.row; v += LANES)
            *(vreal *)(c + j + v) = *vectors(after(start, j + v).row);
        column_tile(k, transposed(from(b, 0, j)), transposed(a), c + j);
    }
}

/* c (m, n) = start + a (m, k) b (k, n), k > 0.  Rows of c, ldc apart, are whole vectors; what
 * is beyond column n is start's.  scratch has BP_GEMM_SCRATCH bytes on a BP_ALIGN boundary. */
COMPILED_ONCE
static void gemm(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, origin start, matrix a, matrix b,
                 real *c, ptrdiff_t ldc, void *scratch)
{
    if (n == 1) {
        const ptrdiff_t rows = column_rows(m, k, a);
        gemm_column(rows, k, start, a, b, c, ldc);
        m -= rows;
        a = from(a, rows, 0);
        c += rows * ldc;
    } else if (m == 1) {
        const ptrdiff_t columns = column_rows(n, k, transposed(b));
        gemm_row(columns, k, start, a, b, c);
        n -= columns;
        b = from(b, 0, columns);
        c += columns;
        start = after(start, columns);
    }
    if (!start.row && gemm_turns(m, n, k, a, b))
        gemm_turned(m, n, k, a, b, c, ldc);
    else if (gemm_packs(m, n, k, a, b))
        gemm_packed(m, n, k, start, a, b, c, ldc, scratch);
    else
        gemm_direct(m, n, k, start, a, b, c, ldc);
}

/* The same where the columns of b from n on are zeros up to a whole vector, so that they need
 * no copy. */
static void gemm_padded(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, origin start, matrix a, matrix b,
                        real *c, ptrdiff_t ldc, void *scratch)
{
    const ptrdiff_t rows = gemm_turns(m, n, k, a, b) ? m : n == 1 ? column_rows(m, k, a) : 0;
    if (rows > 0)
        gemm(rows, n, k, start, a, b, c, ldc, scratch);
    if (rows < m)
        gemm(m - rows, whole_vectors(n), k, start, from(a, rows, 0), b, c + rows * ldc, ldc,
             scratch);
}
