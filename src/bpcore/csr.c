/* Whether a CSR form from anywhere, a file as well, can be read without looking again. */
#include "core.h"

/* Offsets ascend from 0 to the number of items: every row lies inside the arrays. */
static int rows_are_inside(const bp_data *data, int64_t items)
{
    if (data->n < 0 || data->offsets[0] != 0)
        return 0;
    for (ptrdiff_t i = 0; i < data->n; i++)
        if (data->offsets[i] > data->offsets[i + 1])
            return 0;
    return data->offsets[data->n] == items;
}

/* Columns ascend in each row, so the last of them is the largest. */
static int columns_ascend(const bp_data *data)
{
    for (ptrdiff_t i = 0; i < data->n; i++) {
        const int64_t begin = data->offsets[i], end = data->offsets[i + 1];
        int falls = 0;
        for (int64_t p = begin + 1; p < end; p++)
            falls |= data->columns[p - 1] >= data->columns[p];
        if (falls || (begin < end && data->columns[end - 1] >= data->n_in))
            return 0;
    }
    return 1;
}

static int codes_are_inside(const uint8_t *codes, int64_t items, int64_t n_values)
{
    uint8_t largest = 0;
    for (int64_t p = 0; p < items; p++)
        largest = codes[p] > largest ? codes[p] : largest;
    return items == 0 || largest < n_values;
}

const char *bp_csr_fault(const bp_data *data, int64_t items, int64_t n_values)
{
    if (!rows_are_inside(data, items))
        return "offsets must ascend from 0 to the number of columns";
    if (!columns_ascend(data))
        return "columns must ascend in each row and be less than n_in";
    if (data->codes && !codes_are_inside(data->codes, items, n_values))
        return "codes must be less than the number of values";
    if (!data->codes && items != n_values)
        return "values must be as many as columns";
    return NULL;
}
