/* AVX-512, float32. */
#define BP_AVX512
#define REAL_BYTES 4
#define ENGINE bp_avx512_f32
#include "engine.h"
