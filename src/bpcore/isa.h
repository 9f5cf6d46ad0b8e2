/* One instruction set: the compiler's target for the rest of the file, and the register file.
 *
 * In:  BP_BASELINE, BP_AVX2 or BP_AVX512.  Out: ISA (its name), VECTOR_BYTES, FUSES and
 * the shapes of the register tiles.  The compiler's flags live here and not in setup.py, so
 * that one command builds every file.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(BP_AVX512)
#define ISA "avx512"
#define VECTOR_BYTES 64
#define VECTOR_REGISTERS 32
#define TARGET "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"
#elif defined(BP_AVX2)
#define ISA "avx2"
#define VECTOR_BYTES 32
#define VECTOR_REGISTERS 16
#define TARGET "avx2,fma"
#else
#define ISA "baseline"
#define VECTOR_BYTES 16
#ifdef __aarch64__
#define VECTOR_REGISTERS 32
#else
#define VECTOR_REGISTERS 16
#endif
#endif

/* The largest tile of gemm: its accumulators, a row of b and an item of a fill the registers.
 * Two vectors a row: each item of a is loaded for two products, and all of the core's rows
 * divide into them, but those of one vector. */
#if VECTOR_REGISTERS == 32
#define TILE_ROWS 14
#else
#define TILE_ROWS 6
#endif
#define TILE_VECTORS 2

/* The widest panel of neurons of the CSR form, in vectors. */
#define CSR_VECTORS 8

/* Twice the first level cache: a mini-batch of images touches about half of a block's lines. */
#define CSR_BLOCK_BYTES (100 * 1024)

/* A row comes to a block for no fewer items than this, on average: going there costs as much as
 * some of them. */
#define CSR_BLOCK_ITEMS 16

/* The same of dense inputs' weights, all of which are touched; rows of DENSE_ROW_BYTES and more
 * are too few there, and stay in the second cache. */
#define DENSE_BLOCK_BYTES (24 * 1024)
#define DENSE_ROW_BYTES 1024
#define DENSE_WIDE_BYTES (128 * 1024)

/* A product and a sum are one instruction, which rounds once. */
#if defined(TARGET) || (defined(__aarch64__) && defined(__GNUC__))
#define FUSES
#endif

#ifdef TARGET
#define PRAGMA_(text) _Pragma(#text)
#define PRAGMA(text) PRAGMA_(text)
#ifdef __clang__
PRAGMA(clang attribute push(__attribute__((target(TARGET))), apply_to = function))
#else
PRAGMA(GCC target(TARGET))
#endif
#endif
