/* CPython's random.shuffle, bit for bit, at C speed.
 *
 * The generator is MT19937 (Matsumoto and Nishimura, 1998) as CPython's getrandbits draws
 * from it; the shuffle is Fisher and Yates' from the last item down, each index drawn by
 * rejection from the fewest bits that hold it.
 */
#include "core.h"

enum { WORDS = 624, MIDDLE = 397 };

static uint32_t twist(uint32_t high, uint32_t low)
{
    const uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
    return (y >> 1) ^ (-(low & 1) & 0x9908b0dfu);
}

/* The next WORDS words of the state; three loops without a modulo, which are vectors. */
static void generate(uint32_t *state)
{
    for (int i = 0; i < WORDS - MIDDLE; i++)
        state[i] = state[i + MIDDLE] ^ twist(state[i], state[i + 1]);
    for (int i = WORDS - MIDDLE; i < WORDS - 1; i++)
        state[i] = state[i + MIDDLE - WORDS] ^ twist(state[i], state[i + 1]);
    state[WORDS - 1] = state[MIDDLE - 1] ^ twist(state[WORDS - 1], state[0]);
}

static uint32_t temper(uint32_t y)
{
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

/* state: WORDS words, then the position of the next unread one. */
static uint32_t next_word(uint32_t *state)
{
    if (state[WORDS] >= WORDS) {
        generate(state);
        state[WORDS] = 0;
    }
    return temper(state[state[WORDS]++]);
}

void bp_shuffle(uint32_t *state, int64_t *order, ptrdiff_t begin, ptrdiff_t n)
{
    int shift = 32; /* an index in [0, i] takes 32 - shift bits of i + 1 */
    for (uint32_t bound = (uint32_t)(n > 0 ? n : 0); bound; bound >>= 1)
        shift--;
    for (ptrdiff_t i = n - 1; i > 0 && i >= begin; i--) {
        const uint32_t bound = (uint32_t)i + 1;
        if (bound >> (31 - shift) == 0) /* one bit less from here on */
            shift++;
        uint32_t j = next_word(state) >> shift;
        while (j >= bound)
            j = next_word(state) >> shift;
        const int64_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
}
