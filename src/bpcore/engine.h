/* An engine: the templates for one instruction set and one item type, and their table row.
 *
 * In:  BP_BASELINE, BP_AVX2 or BP_AVX512; REAL_BYTES; ENGINE, the row's name.  All but the row
 * is static, so no name needs a suffix and every call can be inlined.  The order of the
 * includes is the order in which the templates use one another.
 */
#include "core.h"

#if defined(BP_BASELINE) || defined(BP_X86)

#include "isa.h"

#include "dtype.h"

#include "vec.h"

#include "kernels.h"

#include "gemm.h"

#include "activations.h"

#include "outputs.h"

#include "rules.h"

#include "parts.h"

#include "sparse.h"

#include "first.h"

#include "last.h"

#include "descent.h"

#include "train.h"

#include "stack.h"

#include "norms.h"

#include "column.h"

#include "distort.h"

#define ROW(table) (i < (ptrdiff_t)(sizeof table / sizeof *table) ? &table[i].row : NULL)

static const bp_row *row(int table, ptrdiff_t i)
{
    switch (table) {
    case BP_ACTIVATIONS: return ROW(ACTIVATION_TABLE);
    case BP_OUTPUTS: return ROW(OUTPUT_TABLE);
    default: return ROW(RULE_TABLE);
    }
}

/* The table speaks of void *, so that one type of row serves both dtypes. */
static void gemm_entry(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *a, ptrdiff_t a_row,
                       ptrdiff_t a_column, const void *b, ptrdiff_t b_row, ptrdiff_t b_column,
                       void *c, ptrdiff_t ldc, void *scratch)
{
    const matrix left = {a, a_row, a_column}, right = {b, b_row, b_column};
    gemm(m, n, k, itself(), left, right, c, ldc, scratch);
}

static void activate_entry(ptrdiff_t i, ptrdiff_t n, void *z)
{
    ACTIVATION_TABLE[i].apply(1, n, n, z);
}

extern const bp_engine ENGINE;
const bp_engine ENGINE = {
    .isa = ISA,
    .itemsize = sizeof(real),
    .lanes = LANES,
    .row = row,
    .load = load,
    .store = store,
    .evaluate = evaluate,
    .backprop = backprop,
    .sgd = sgd,
    .settle = settle,
    .forward_column = forward_column,
    .backward_column = backward_column,
    .descend_column = descend_column,
    .are_within = are_within,
    .squares = squares,
    .stack = stack,
    .ask_for = ask_for,
    .csr_append = csr_append,
    .csr_encode = csr_encode,
    .distort = distort,
    .gemm = gemm_entry,
    .activate = activate_entry,
};

#if defined(__clang__) && defined(TARGET)
#pragma clang attribute pop
#endif

#endif
