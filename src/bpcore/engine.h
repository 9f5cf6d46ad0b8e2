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

#include "sparse.h"

#include "train.h"

/* The table speaks of void *, so that one type of row serves both dtypes. */
static void gemm_entry(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *a, ptrdiff_t a_row,
                       ptrdiff_t a_column, const void *b, ptrdiff_t b_row, ptrdiff_t b_column,
                       void *c, ptrdiff_t ldc, void *scratch)
{
    gemm(m, n, k, a, a_row, a_column, b, b_row, b_column, c, ldc, scratch);
}

static void sigmoid_entry(ptrdiff_t n, void *z)
{
    sigmoid(n, z);
}

extern const bp_engine ENGINE;
const bp_engine ENGINE = {
    .isa = ISA,
    .itemsize = sizeof(real),
    .lanes = LANES,
    .load = load,
    .store = store,
    .feedforward = feedforward,
    .evaluate = evaluate,
    .backprop = backprop,
    .sgd = sgd,
    .settle = settle,
    .csr_append = csr_append,
    .csr_encode = csr_encode,
    .gemm = gemm_entry,
    .sigmoid = sigmoid_entry,
};

#if defined(__clang__) && defined(TARGET)
#pragma clang attribute pop
#endif

#endif
