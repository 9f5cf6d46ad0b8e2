/* Rows that lie anywhere, put one after the other.
 *
 * A list that was shuffled visits memory in no order, which no processor foresees: each row is
 * asked for before it is needed.
 */

/* Rows ahead, and of each the bytes from which on it is foreseen. */
enum { ROWS_AHEAD = 3, UNFORESEEN = 512 };

/* Copy n rows of n_in items, of this item type or, as given_bytes says, the other, to out. */
static void stack(ptrdiff_t n, ptrdiff_t n_in, const void *const *rows, size_t given_bytes,
                  void *out)
{
    const ptrdiff_t bytes = n_in * (ptrdiff_t)given_bytes;
    for (ptrdiff_t i = 0; i < n; i++) {
        real *to = (real *)out + i * n_in;
        if (i + ROWS_AHEAD < n) {
            const char *later = rows[i + ROWS_AHEAD];
            fetch(later, later + least(bytes, UNFORESEEN));
        }
        if (given_bytes == sizeof(real))
            memcpy(to, rows[i], (size_t)bytes);
        else
            for (ptrdiff_t k = 0; k < n_in; k++)
                to[k] = (real)((const other_real *)rows[i])[k];
    }
}

/* Called by way of the engine's row, so no compiler can drop it for doing nothing. */
static void ask_for(const void *there, ptrdiff_t bytes)
{
    fetch(there, (const char *)there + bytes);
}
