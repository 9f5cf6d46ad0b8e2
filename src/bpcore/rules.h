/* Steps: how a mini-batch's gradient moves a weight.  The table is at the end.
 *
 * row[0] is a row of weights, row[1] to row[slots] what the rule keeps of each, row[slots + 1]
 * the mean gradient g of the cost, without regularisation: a step adds that by regularised().
 * To add one: write its step for n items (whole vectors), and a row; its twin is a row of
 * bpnet.reference, which is given g with regularisation.  Biases are rows like others, told
 * l2 = l1 = 0.  Padding has w = g = 0 and must keep its slots and itself 0.
 */

/* What a step is told, in the item type. */
typedef struct {
    real eta, l2, l1;
    real eta_l2, eta_l1;
    real p[BP_PARAMETERS]; /* the rule's, in the table's order */
} pass;

typedef void row_pass(const pass *s, ptrdiff_t n, real *const row[]);

/* l1 sgn(w).  l1 is the same for all of a loop, which the compiler then writes twice. */
INLINED vreal signs(vreal w, real l1)
{
    const vreal zero = {0}, up = splat(l1);
    if (l1 == 0)
        return zero;
    return choose(less(zero, w), up, choose(less(w, zero), -up, zero));
}

/* g + l2 w + l1 sgn(w) */
INLINED vreal regularised(const pass *s, vreal w, vreal g)
{
    return fused(splat(s->l2), w, g) + signs(w, s->l1);
}

/* w -= eta g */
static void plain(const pass *s, ptrdiff_t n, real *const row[])
{
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        vreal *w = (vreal *)(row[0] + j);
        const vreal g = regularised(s, *w, *vectors(row[1] + j));
        *w = fused(-splat(s->eta), g, *w);
    }
}

/* v = mu v - eta g, w += v: Nielsen, chapter 3. */
static void momentum(const pass *s, ptrdiff_t n, real *const row[])
{
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        vreal *w = (vreal *)(row[0] + j), *v = (vreal *)(row[1] + j);
        const vreal g = regularised(s, *w, *vectors(row[2] + j));
        *v = fused(-splat(s->eta), g, splat(s->p[0]) * *v);
        *w += *v;
    }
}

/* v = mu v - eta g, w += mu v - eta g: Sutskever et al., 2013, at the point looked ahead to. */
static void nesterov(const pass *s, ptrdiff_t n, real *const row[])
{
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        vreal *w = (vreal *)(row[0] + j), *v = (vreal *)(row[1] + j);
        const vreal g = regularised(s, *w, *vectors(row[2] + j));
        *v = fused(-splat(s->eta), g, splat(s->p[0]) * *v);
        *w += fused(-splat(s->eta), g, splat(s->p[0]) * *v);
    }
}

/* m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w -= rate m / (sqrt(v) + epsilon), where
 * adam_rate corrects for the means' beginning at 0: Kingma and Ba, 2015, end of section 2. */
static void adam(const pass *s, ptrdiff_t n, real *const row[])
{
    const vreal one = splat(R(1.0)), b1 = splat(s->p[0]), b2 = splat(s->p[1]);
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        vreal *w = (vreal *)(row[0] + j);
        vreal *m = (vreal *)(row[1] + j), *v = (vreal *)(row[2] + j);
        const vreal g = regularised(s, *w, *vectors(row[3] + j));
        *m = fused(b1, *m, (one - b1) * g);
        *v = fused(b2, *v, (one - b2) * (g * g));
        *w -= splat(s->eta) * *m / (square_root(*v) + splat(s->p[2]));
    }
}

/* b^t by squaring: the same bits on every machine. */
static bp_wide power(bp_wide b, int64_t t)
{
    bp_wide product = 1;
    for (; t > 0; t /= 2, b *= b)
        if (t % 2)
            product *= b;
    return product;
}

static bp_wide adam_rate(const bp_descent *d, int64_t t)
{
    return d->eta * sqrt(1 - power(d->parameters[1], t)) / (1 - power(d->parameters[0], t));
}

/* In shares: the products add -eta / m times each example's gradient to row[slots], and what is
 * left of the step is done after them (ends) and before those of the next (begins). */
typedef void row_shares(int ends, int begins, const pass *s, ptrdiff_t n, real *const row[]);

/* Before: w -= eta (l2 w + l1 sgn(w)). */
static void plain_in_shares(int ends, int begins, const pass *s, ptrdiff_t n,
                            real *const row[])
{
    (void)ends;
    for (ptrdiff_t j = 0; j < n && begins; j += LANES) {
        vreal *w = (vreal *)(row[0] + j);
        *w = fused(-splat(s->eta_l2), *w, *w) - signs(*w, s->eta_l1);
    }
}

/* Before: v = mu v - eta (l2 w + l1 sgn(w)).  After: w += v. */
static void momentum_in_shares(int ends, int begins, const pass *s, ptrdiff_t n,
                               real *const row[])
{
    for (ptrdiff_t j = 0; j < n; j += LANES) {
        vreal w = *vectors(row[0] + j), v = *vectors(row[1] + j);
        if (ends)
            *(vreal *)(row[0] + j) = w += v;
        if (begins)
            *(vreal *)(row[1] + j) =
                splat(s->p[0]) * v - fused(splat(s->eta_l2), w, signs(w, s->eta_l1));
    }
}

typedef struct {
    bp_row row;
    row_pass *step;     /* given the whole mean gradient */
    row_shares *shares; /* NULL: the gradient is always whole */
    bp_wide (*rate)(const bp_descent *d, int64_t t); /* eta at the t-th step; NULL: as given */
} rule;

static const rule RULE_TABLE[] = {
    {{.name = "plain"}, plain, plain_in_shares, NULL},
    {{.name = "momentum", .slots = 1, .parameters = {"mu"}},
     momentum, momentum_in_shares, NULL},
    {{.name = "nesterov", .slots = 1, .parameters = {"mu"}}, nesterov, NULL, NULL},
    {{.name = "adam", .slots = 2, .parameters = {"beta_1", "beta_2", "epsilon"}},
     adam, NULL, adam_rate},
};
