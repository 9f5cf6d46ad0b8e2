/* Whether a CSR form from anywhere, a file as well, can be read without looking again. */
#include "core.h"

/* Offsets ascend from 0 to the number of items: every row lies inside the arrays. */
static int rows_are_inside(const bp_data *data, int64_t items, ptrdiff_t begin, ptrdiff_t end)
{
    if (begin == 0 && data->offsets[0] != 0)
        return 0;
    for (ptrdiff_t i = begin; i < end; i++)
        if (data->offsets[i] > data->offsets[i + 1])
            return 0;
    return end < data->n ? data->offsets[end] <= items : data->offsets[end] == items;
}

static inline int64_t column(const int wide, const bp_data *data, int64_t p)
{
    return wide ? ((const uint32_t *)data->columns)[p] : ((const uint16_t *)data->columns)[p];
}

/* Columns ascend in each row, so the last of them is the largest. */
static inline int columns_ascend(const int wide, const bp_data *data, ptrdiff_t begin,
                                 ptrdiff_t end)
{
    for (ptrdiff_t i = begin; i < end; i++) {
        const int64_t first = data->offsets[i], last = data->offsets[i + 1] - 1;
        int falls = 0;
        for (int64_t p = first; p < last; p++)
            falls |= column(wide, data, p) >= column(wide, data, p + 1);
        if (falls || (first <= last && column(wide, data, last) >= data->n_in))
            return 0;
    }
    return 1;
}

/* Of the items of these rows. */
static int codes_are_inside(const bp_data *data, int64_t n_values, ptrdiff_t begin,
                            ptrdiff_t end)
{
    const int64_t first = data->offsets[begin], last = data->offsets[end];
    uint8_t largest = 0;
    for (int64_t p = first; p < last; p++)
        largest = data->codes[p] > largest ? data->codes[p] : largest;
    return first == last || largest < n_values;
}

const char *bp_csr_fault(const bp_data *data, int64_t items, int64_t n_values, ptrdiff_t begin,
                         ptrdiff_t end)
{
    const int wide = data->n_in > BP_NARROW_CSR_INPUTS;
    if (data->n < 0 || !rows_are_inside(data, items, begin, end))
        return "offsets must ascend from 0 to the number of columns";
    if (wide ? !columns_ascend(1, data, begin, end) : !columns_ascend(0, data, begin, end))
        return "columns must ascend in each row and be less than n_in";
    if (data->codes && wide)
        return "codes must be None with columns of 32 bits";
    if (data->codes && !codes_are_inside(data, n_values, begin, end))
        return "codes must be less than the number of values";
    if (!data->codes && items != n_values)
        return "values must be as many as columns";
    return NULL;
}
