/* AVX-512, float64. */
#define BP_AVX512
#define REAL_BYTES 8
#define ENGINE bp_avx512_f64
#include "engine.h"
