/* AVX2 and FMA, float64. */
#define BP_AVX2
#define REAL_BYTES 8
#define ENGINE bp_avx2_f64
#include "engine.h"
