/* Baseline (SSE2, NEON, or no vectors at all), float64. */
#define BP_BASELINE
#define REAL_BYTES 8
#define ENGINE bp_baseline_f64
#include "engine.h"
