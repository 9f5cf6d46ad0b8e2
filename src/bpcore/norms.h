/* What is asked of numbers: whether they are in a range, how large they are, how far they
 * moved. */

/* Whether all items are numbers in [least, most]. */
static int are_within(bp_wide least, bp_wide most, ptrdiff_t n, const void *items)
{
    const real *x = items;
    lane_int outside = 0;
    for (ptrdiff_t k = 0; k < n; k++)
        outside |= !(x[k] >= least) | !(x[k] <= most) | !(x[k] - x[k] == R(0.0));
    return !outside;
}

/* Chains of additions, which fill vectors whatever the instruction set; they are added last. */
enum { CHAINS = 16 };

INLINED void add_squares(bp_wide before, bp_wide after, int k, bp_wide (*chains)[CHAINS])
{
    chains[0][k] += before * before;
    chains[1][k] += after * after;
    chains[2][k] += (after - before) * (after - before);
}

/* Add to sums what the squares of before are, of after, and of the way between them. */
static void squares(ptrdiff_t n, const void *before, const void *after, bp_wide *sums)
{
    const real *from = before, *to = after;
    bp_wide chains[3][CHAINS] = {{0}};
    ptrdiff_t i = 0;
    for (; i + CHAINS <= n; i += CHAINS)
        for (int k = 0; k < CHAINS; k++)
            add_squares(from[i + k], to[i + k], k, chains);
    for (int k = 0; i < n; i++, k++)
        add_squares(from[i], to[i], k, chains);
    for (int s = 0; s < 3; s++)
        for (int k = 0; k < CHAINS; k++)
            sums[s] += chains[s][k];
}
