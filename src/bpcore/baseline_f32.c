/* Baseline (SSE2, NEON, or no vectors at all), float32. */
#define BP_BASELINE
#define REAL_BYTES 4
#define ENGINE bp_baseline_f32
#include "engine.h"
