/* What this CPU can do at most: fused multiply-adds on registers, and reading and updating
 * memory.
 *
 * Compiled for the CPU that it runs on; REAL is float or double.
 */
#include <stddef.h>
#include <stdint.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

typedef REAL vreal __attribute__((vector_size(BYTES)));
typedef int64_t integer;

/* Chains of additions that do not wait for each other: latency times FMA units, and some. */
enum { CHAINS = 12, LANES = BYTES / sizeof(REAL) };

/* Return the arithmetic of the given rounds, in flop; the sums go to out (LANES). */
double multiply_add(integer rounds, REAL *out)
{
    vreal sum[CHAINS], a = (vreal){0} + (REAL)0.5, b = (vreal){0} + (REAL)0.25;
    for (int c = 0; c < CHAINS; c++)
        sum[c] = (vreal){0} + (REAL)c;
    for (integer i = 0; i < rounds; i++)
        for (int c = 0; c < CHAINS; c++)
            sum[c] = sum[c] * a + b;
    for (int c = 1; c < CHAINS; c++)
        sum[0] += sum[c];
    for (size_t lane = 0; lane < LANES; lane++)
        out[lane] = sum[0][lane];
    return 2.0 * rounds * CHAINS * LANES;
}

/* Read bytes of memory, which starts on a boundary of 64, a few times. */
void read_memory(integer times, integer bytes, const REAL *memory, REAL *out)
{
    const vreal *x = (const vreal *)memory;
    vreal sum[8] = {{0}};
    for (integer t = 0; t < times; t++) {
        for (integer i = 0; i + 8 <= bytes / BYTES; i += 8)
            for (int c = 0; c < 8; c++)
                sum[c] += x[i + c];
        __asm__ volatile("" ::: "memory"); /* the next time reads again */
    }
    for (int c = 1; c < 8; c++)
        sum[0] += sum[c];
    for (size_t lane = 0; lane < LANES; lane++)
        out[lane] = sum[0][lane];
}

/* Update bytes of memory, which starts on a boundary of 64, a few times, as the gradient does:
 * each item is read, takes part in a fused multiply-add, and is written. */
void update_memory(integer times, integer bytes, REAL *memory, REAL factor)
{
    vreal *x = (vreal *)memory;
    const vreal a = (vreal){0} + factor, b = (vreal){0} + (REAL)0.25;
    for (integer t = 0; t < times; t++) {
        for (integer i = 0; i + 8 <= bytes / BYTES; i += 8)
            for (int c = 0; c < 8; c++)
                x[i + c] = x[i + c] * a + b;
        __asm__ volatile("" ::: "memory");
    }
}
