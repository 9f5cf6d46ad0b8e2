/* Rows that lie anywhere, put one after the other.
 *
 * A list that was shuffled visits memory in no order, which no processor foresees: each row is
 * asked for before it is needed.
 */
#include <string.h>

#include "core.h"

enum { AHEAD = 3, LINES = 8 }; /* rows; of each, the lines from which on it is foreseen */

static void fetch_row(const char *row, size_t bytes)
{
    for (size_t at = 0; at < bytes && at < LINES * BP_ALIGN; at += BP_ALIGN)
        bp_fetch(row + at);
}

void bp_gather(ptrdiff_t n, ptrdiff_t n_in, const void *const *rows, size_t from, size_t to,
               void *out)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t begin = i * n_in;
        if (i + AHEAD < n)
            fetch_row(rows[i + AHEAD], (size_t)n_in * from);
        if (from == to)
            memcpy((char *)out + (size_t)begin * to, rows[i], (size_t)n_in * to);
        else if (to == sizeof(float))
            for (ptrdiff_t k = 0; k < n_in; k++)
                ((float *)out)[begin + k] = (float)((const double *)rows[i])[k];
        else
            for (ptrdiff_t k = 0; k < n_in; k++)
                ((double *)out)[begin + k] = ((const float *)rows[i])[k];
    }
}
