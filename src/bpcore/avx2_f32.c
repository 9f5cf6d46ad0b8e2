/* AVX2 and FMA, float32. */
#define BP_AVX2
#define REAL_BYTES 4
#define ENGINE bp_avx2_f32
#include "engine.h"
