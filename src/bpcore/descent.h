/* How a call of sgd goes from one mini-batch to the next: what a step is told, where its
 * gradient lies, when the rule ends and begins it, and what the mini-batch cost before.
 */

/* A mini-batch, or a part of one that is summed whole. */
typedef struct {
    batch examples;
    int starts, ends; /* this is its first part, its last */
    bp_wide weight;   /* the sum of those of all its examples */
    bp_wide l2;       /* what it is told, or its share of that */
    bp_wide *loss;    /* gets its mean cost, its penalty; or NULL */
    pass step;
} mini_batch;

/* A call of sgd in one thread. */
typedef struct {
    bp_net *net;
    const bp_descent *told;
    const rule *rule;
    int whole;      /* mini-batches are summed before they are used; else taken in shares */
    int place;      /* what the products are added to: in shares 0 or slots, w or v; if whole,
                     * slots + 1, the gradient */
    part first;     /* the first layer's, borrowed */
    mini_batch due; /* whose gradient the first layer has not met yet */
} descent;

static descent begin_descent(bp_net *net, const bp_descent *told)
{
    const rule *r = &RULE_TABLE[net->kind.rule];
    const int whole = !r->shares || told->mini_batch_size >= BP_WHOLE;
    descent d = {.net = net, .told = told, .rule = r, .whole = whole};
    d.place = whole ? net->kind.slots + 1 : net->kind.slots;
    d.first = borrow(net, d.place + 1);
    return d;
}

/* The sum of the weights of the mini-batch of examples [i, end). */
static bp_wide sum_of_weights(const bp_descent *told, ptrdiff_t i, ptrdiff_t end)
{
    const real *weights = told->data->weights;
    bp_wide sum = 0;
    for (ptrdiff_t k = i; weights && k < end; k++)
        sum += weights[told->order[k]];
    return weights ? sum : (bp_wide)(end - i);
}

/* What the t-th step is told. */
static pass told_step(const descent *d, bp_wide l2)
{
    const bp_descent *told = d->told;
    const bp_wide eta = d->rule->rate ? d->rule->rate(told, d->net->steps) : told->eta;
    pass s = {(real)eta, (real)l2, (real)told->l1, (real)(eta * l2), (real)(eta * told->l1),
              {0}};
    for (int k = 0; k < BP_PARAMETERS; k++)
        s.p[k] = (real)told->parameters[k];
    return s;
}

/* The mini-batch that the examples from order[i] on belong to, or what of it the scratch has
 * room for. */
static mini_batch begin_mini_batch(const descent *d, ptrdiff_t i)
{
    const bp_descent *told = d->told;
    const ptrdiff_t size = told->mini_batch_size, begin = i - i % size;
    const ptrdiff_t end = least(told->data->n, begin + size);
    const ptrdiff_t m = d->whole ? piece(end - i, d->net->scratch.summed) : end - i;
    const bp_wide weight = sum_of_weights(told, begin, end);
    mini_batch b = {{told->order + i, m}, i == begin, i + m == end, .weight = weight};
    b.l2 = told->l2_by_batch && weight > 0 ? told->l2 / weight : told->l2;
    b.loss = told->losses ? told->losses + 2 * (begin / size) : NULL;
    d->net->steps += b.starts;
    b.step = told_step(d, b.l2);
    return b;
}

static passes passes_of(const descent *d, const pass *due, const pass *next)
{
    const passes s = {d->rule->step, d->whole ? NULL : d->rule->shares, due, next};
    return s;
}

/* Where the products have a place of their own: add what is due to the first layer, end its
 * step if that was all, and begin the next mini-batch's; NULL: there is none. */
static void meet_first_layer(descent *d, const mini_batch *next)
{
    const batches due = {.due = d->due.examples};
    const pass *ended = d->due.ends ? &d->due.step : NULL;
    const pass *begun = next && next->starts ? &next->step : NULL;
    first_layer(d->net, d->told->data, due, &d->first, d->place);
    if (ended || begun)
        pass_over(&d->first, passes_of(d, ended, begun));
    d->due = (mini_batch){0};
}

static int is_regularised(const pass *s)
{
    return s->eta_l2 != 0 || s->eta_l1 != 0;
}

/* Whether L2 is all there is, and weak: then it shrinks the first layer by its factor, and no
 * mini-batch passes over weights that its inputs do not need. */
static int shrinks(const pass *s)
{
    return 0 < s->eta_l2 && s->eta_l2 < R(0.125) && s->l1 == 0;
}

/* Regularise the first layer in place, which has the true weights that were used. */
static void shrink_or_regularise(descent *d, const mini_batch *b)
{
    bp_net *net = d->net;
    if (shrinks(&b->step)) {
        net->factor *= 1 - d->told->eta * b->l2;
        if (net->factor < 0.001) { /* depends on the number of steps alone: the same bits in
                                    * any slice and thread */
            scale_part(&d->first, net->factor);
            net->factor = 1;
        }
    } else if (is_regularised(&b->step))
        pass_over(&d->first, passes_of(d, NULL, &b->step));
}

/* sums (V vectors) = the column sums of l2 w^2 + l1 |w|. */
INLINED void sum_penalties(const int V, const part *p, ptrdiff_t j, vreal l2, vreal l1,
                           real *sums)
{
    const vreal zero = {0};
    vreal acc[SUM_VECTORS], *sum = (vreal *)(sums + j);
    for (int v = 0; v < V; v++)
        acc[v] = zero;
    for (ptrdiff_t k = 0; k < p->n_in; k++)
        for (int v = 0; v < V; v++) {
            const vreal w = vectors(p->w[0] + k * p->stride + j)[v];
            acc[v] += fused(l2 * w, w, l1 * choose(less(w, zero), -w, w));
        }
    for (int v = 0; v < V; v++)
        sum[v] = acc[v];
}

/* The column sums of what regularisation costs in a layer: l2 / 2 w^2 + l1 |w|. */
COMPILED_ONCE
static void add_penalties(const part *p, bp_wide factor, const pass *s, real *sums)
{
    const vreal l2 = splat((real)(s->l2 / 2 * factor * factor));
    const vreal l1 = splat((real)(s->l1 * factor));
    ptrdiff_t j = 0;
    for (; j + SUM_VECTORS * LANES <= p->n; j += SUM_VECTORS * LANES)
        sum_penalties(SUM_VECTORS, p, j, l2, l1, sums);
    for (; j < p->n; j += LANES)
        sum_penalties(1, p, j, l2, l1, sums);
}

/* Add the examples' share of their mini-batch's loss, and at its start its penalty. */
static void add_loss(const descent *d, const mini_batch *b)
{
    const bp_net *net = d->net;
    const batch examples = b->examples;
    real *costs = net->scratch.costs;
    const ptrdiff_t begin = examples.m * net->thread / net->threads;
    const ptrdiff_t end = examples.m * (net->thread + 1) / net->threads;
    costs_of(net, d->told->data, examples.examples + begin, begin, end - begin, d->told->clip,
             costs + begin);
    for (ptrdiff_t l = 0; l < net->num_layers && b->starts; l++) {
        const part p = l ? own_part(net, l, 1) : d->first;
        add_penalties(&p, l ? 1 : net->factor, &b->step,
                      (real *)net->layers[l].penalties + p.begin);
    }
    bp_wait(net->barrier);
    if (net->thread > 0)
        return;
    bp_wide sum = 0;
    for (ptrdiff_t i = 0; i < examples.m; i++)
        sum += costs[i];
    if (b->starts)
        b->loss[0] = b->loss[1] = 0;
    b->loss[0] += b->weight > 0 ? sum / b->weight : 0;
    for (ptrdiff_t l = 0; l < net->num_layers && b->starts; l++)
        for (ptrdiff_t j = 0; j < net->layers[l].n_out; j++)
            b->loss[1] += ((const real *)net->layers[l].penalties)[j];
}
