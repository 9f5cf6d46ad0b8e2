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
    return (y >> 1) ^ (low & 1 ? 0x9908b0dfu : 0);
}

/* state: WORDS words, then the position of the next unread one. */
static uint32_t next_word(uint32_t *state)
{
    if (state[WORDS] >= WORDS) {
        for (int i = 0; i < WORDS; i++)
            state[i] = state[(i + MIDDLE) % WORDS] ^ twist(state[i], state[(i + 1) % WORDS]);
        state[WORDS] = 0;
    }
    uint32_t y = state[state[WORDS]++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

void bp_shuffle(uint32_t *state, int64_t *order, ptrdiff_t n)
{
    int shift = 32; /* an index in [0, i] takes 32 - shift bits of i + 1 */
    for (uint32_t bound = (uint32_t)(n > 0 ? n : 0); bound; bound >>= 1)
        shift--;
    for (ptrdiff_t i = n - 1; i > 0; i--) {
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
