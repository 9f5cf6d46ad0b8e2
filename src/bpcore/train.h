/* The book's algorithm: forward, backward, descend, update_mini_batch, sgd, backprop, evaluate.
 *
 * Equations BP1-BP4 are those of Nielsen, Neural Networks and Deep Learning, chapter 2.
 * Weights are input-major here: forward is a w, the gradient aT delta, and one input's
 * weights are contiguous, so a zero input is skipped whole.
 *
 * Every thread that trains runs this same text on its own bp_net.  It writes its own columns of
 * shared layers, reads all of them, and waits for the others where it needs theirs.  A thread
 * that evaluates has examples of its own, and all columns.
 */

static void load(bp_net *net, ptrdiff_t l, int place, const void *w, const void *b)
{
    const bp_layer *layer = &net->layers[l];
    transpose_in(layer->n_in, layer->n_out, w, layer->weights[place], layer->stride);
    memcpy(layer->biases[place], b, (size_t)layer->n_out * sizeof(real));
}

static void store(const bp_net *net, ptrdiff_t l, int place, void *w, void *b)
{
    const bp_layer *layer = &net->layers[l];
    transpose_out(layer->n_in, layer->n_out, layer->weights[place], layer->stride, w);
    memcpy(b, layer->biases[place], (size_t)layer->n_out * sizeof(real));
}

/* The last layer's activations of m examples, in this thread's columns; z is kept in delta. */
static void activate_output(const bp_net *net, ptrdiff_t m, ptrdiff_t begin, ptrdiff_t end)
{
    const bp_layer *layer = &net->layers[net->num_layers - 1];
    const output *f = &OUTPUT_TABLE[net->kind.output];
    const ptrdiff_t stride = layer->stride;
    real *a = layer->a, *z = layer->delta;
    for (ptrdiff_t i = 0; i < m; i++)
        memcpy(z + i * stride + begin, a + i * stride + begin,
               (size_t)(end - begin) * sizeof(real));
    if (f->apply) {
        f->apply(m, end - begin, stride, a + begin);
        return;
    }
    if (layer->shared)
        bp_wait(net->barrier);
    for (ptrdiff_t i = 0; i < m; i++)
        f->apply_whole(layer->n_out, z + i * stride, begin, end, a + i * stride);
}

/* Activations of every layer for m examples, whose weighted inputs the first layer has; the
 * last layer's weighted inputs stay in its delta. */
static void forward(const bp_net *net, ptrdiff_t m)
{
    for (ptrdiff_t l = 0; l < net->num_layers; l++) {
        const bp_layer *layer = &net->layers[l], *before = layer - 1;
        const ptrdiff_t stride = layer->stride;
        real *z = layer->a;
        ptrdiff_t begin, end;
        own(net, layer, &begin, &end);
        if (l > 0) {
            for (ptrdiff_t i = 0; i < m; i++)
                memcpy(z + i * stride + begin, (const real *)layer->biases[0] + begin,
                       (size_t)(end - begin) * sizeof(real));
            gemm(m, end - begin, layer->n_in, by_rows(before->a, before->stride),
                 by_rows((const real *)layer->weights[0] + begin, stride), z + begin, stride,
                 net->own.packed);
        }
        if (l < net->num_layers - 1)
            ACTIVATION_TABLE[net->kind.hidden].apply(m, end - begin, stride, z + begin);
        else
            activate_output(net, m, begin, end);
        if (layer->shared)
            bp_wait(net->barrier);
    }
}

/* y = the desired outputs [begin, end) of an example, 0 where it is padding. */
static void desired(const bp_data *data, int64_t example, ptrdiff_t begin, ptrdiff_t end,
                    real *y)
{
    const ptrdiff_t n_out = data->n_out, real_end = least(end, n_out);
    const real *given = data->y ? (const real *)data->y + example * n_out : NULL;
    const int64_t label = given ? 0 : data->labels[example];
    for (ptrdiff_t j = begin; j < real_end; j++)
        y[j] = given ? given[j] : n_out == 1 ? (real)label : R(0.0);
    if (!given && n_out > 1 && begin <= label && label < real_end)
        y[label] = R(1.0);
    for (ptrdiff_t j = real_end; j < end; j++)
        y[j] = R(0.0);
}

/* The error of the output layer in columns [begin, end) (BP1): 0 where it is padding, whatever
 * the activation of 0. */
static void output_error(const bp_net *net, const bp_data *data, batch examples,
                         ptrdiff_t begin, ptrdiff_t end)
{
    const bp_layer *layer = &net->layers[net->num_layers - 1];
    for (ptrdiff_t i = 0; i < examples.m; i++) {
        const int64_t example = examples.examples[i];
        const real *a = (const real *)layer->a + i * layer->stride;
        real *delta = (real *)layer->delta + i * layer->stride;
        desired(data, example, begin, end, delta);
        OUTPUT_TABLE[net->kind.output].error(end - begin, a + begin, delta + begin);
        if (data->weights)
            scale(end - begin, ((const real *)data->weights)[example], delta + begin,
                  delta + begin);
        for (ptrdiff_t j = begin > layer->n_out ? begin : layer->n_out; j < end; j++)
            delta[j] = R(0.0);
    }
}

/* The error delta = dC/dz of every layer for a mini-batch. */
static void backward(const bp_net *net, const bp_data *data, batch examples)
{
    const ptrdiff_t m = examples.m;
    const bp_layer *layer = &net->layers[net->num_layers - 1];
    int shared = 0;
    ptrdiff_t begin, end;
    own(net, layer, &begin, &end);
    output_error(net, data, examples, begin, end);
    for (; layer > net->layers; layer--) { /* BP2 */
        const bp_layer *before = layer - 1;
        const ptrdiff_t stride = before->stride;
        real *delta = before->delta;
        own(net, before, &begin, &end);
        const ptrdiff_t n = least(end, before->n_out) - begin;
        if (layer->shared)
            bp_wait(net->barrier);
        shared |= layer->shared;
        for (ptrdiff_t i = 0; i < m; i++)
            memset(delta + i * stride + begin, 0, (size_t)(end - begin) * sizeof(real));
        gemm(m, n > 0 ? n : 0, layer->n_out, by_rows(layer->delta, layer->stride),
             transposed(by_rows((const real *)layer->weights[0] + begin * layer->stride,
                                layer->stride)),
             delta + begin, stride, net->own.packed);
        ACTIVATION_TABLE[net->kind.hidden].prime_mul(m, end - begin, stride,
                                                (const real *)before->a + begin,
                                                delta + begin);
    }
    if (shared) /* BP2 has read the weights of others: they may change now */
        bp_wait(net->barrier);
}

/* Scale a layer's errors by alpha and add the gradient to a place of its biases (BP3) and,
 * above the first layer, weights (BP4).  The errors are summed before they meet a bias, whose
 * ulp may be larger than theirs.  A gradient's place holds such a sum already: it goes on, so
 * that no bit depends on the parts of a mini-batch. */
static void add_gradient(const bp_net *net, ptrdiff_t l, const part *p, int place, ptrdiff_t m,
                         real alpha)
{
    const bp_layer *layer = &net->layers[l], *before = layer - 1;
    real *delta = (real *)layer->delta + p->begin;
    scale_and_sum(m, p->n, layer->stride, alpha, delta, place > net->kind.slots,
                  p->biases[place]);
    if (l > 0)
        gemm(layer->n_in, p->n, m, transposed(by_rows(before->a, before->stride)),
             by_rows(delta, layer->stride), p->w[place], p->stride, net->own.packed);
}

/* The cost of an example that the network has run forward over, times its weight. */
static real cost_of(const bp_net *net, const bp_data *data, int64_t example, ptrdiff_t i)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    const ptrdiff_t row = i * last->stride;
    real *y = net->own.y, sum = R(0.0);
    desired(data, example, 0, last->stride, y);
    OUTPUT_TABLE[net->kind.output].cost(last->n_out, (const real *)last->delta + row,
                                        (const real *)last->a + row, y);
    for (ptrdiff_t j = 0; j < last->n_out; j++)
        sum += y[j];
    return data->weights ? ((const real *)data->weights)[example] * sum : sum;
}

/* A mini-batch, or a part of one that is summed whole. */
typedef struct {
    batch examples;
    int starts, ends; /* this is its first part, its last */
    bp_wide weight;   /* the sum of those of all its examples */
    bp_wide l2;       /* what it is told, or its share of that */
    bp_wide *loss;    /* gets its mean cost and penalty; or NULL */
    pass step;
} mini_batch;

/* A call of sgd in one thread. */
typedef struct {
    bp_net *net;
    const bp_descent *told;
    const rule *rule;
    int whole;      /* mini-batches are summed before they are used; else taken in shares */
    int place;      /* what the products are added to */
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
    const ptrdiff_t m = d->whole ? piece(end - i, d->net->scratch.rows) : end - i;
    const bp_wide weight = sum_of_weights(told, begin, end);
    mini_batch b = {{told->order + i, m}, i == begin, i + m == end, .weight = weight};
    b.l2 = told->l2_by_batch && weight > 0 ? told->l2 / weight : told->l2;
    b.loss = told->losses ? told->losses + begin / size : NULL;
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

/* The step, BP3 and BP4; only the first layer's weights wait for the next mini-batch. */
static void descend(const descent *d, const mini_batch *b)
{
    const bp_net *net = d->net;
    const ptrdiff_t m = b->examples.m;
    const real weight = b->weight > 0 ? (real)b->weight : R(1.0);
    const real alpha = (d->whole ? R(1.0) : (real)-d->told->eta) / weight;
    add_gradient(net, 0, &d->first, d->place, m, alpha);
    for (ptrdiff_t l = 1; l < net->num_layers; l++) {
        const part p = own_part(net, l, d->place + 1);
        if (b->starts && (d->place > 0 || is_regularised(&b->step)))
            pass_over(&p, passes_of(d, NULL, &b->step));
        add_gradient(net, l, &p, d->place, m, alpha);
        if (b->ends && d->place > 0)
            pass_over(&p, passes_of(d, &b->step, NULL));
    }
}

/* The column sums of what regularisation costs in a layer: l2 / 2 w^2 + l1 |w|. */
static void add_penalties(const part *p, bp_wide factor, const pass *s, real *sums)
{
    const vreal l2 = splat((real)(s->l2 / 2 * factor * factor));
    const vreal l1 = splat((real)(s->l1 * factor)), zero = {0};
    memset(sums, 0, (size_t)p->n * sizeof(real));
    for (ptrdiff_t k = 0; k < p->n_in; k++)
        for (ptrdiff_t j = 0; j < p->n; j += LANES) {
            const vreal w = *vectors(p->w[0] + k * p->stride + j);
            *(vreal *)(sums + j) += l2 * w * w + l1 * choose(less(w, zero), -w, w);
        }
}

/* Add the examples' share of their mini-batch's loss, and at its start its penalty. */
static void add_loss(const descent *d, const mini_batch *b)
{
    const bp_net *net = d->net;
    const batch examples = b->examples;
    real *costs = net->scratch.costs;
    for (ptrdiff_t i = net->thread; i < examples.m; i += net->threads)
        costs[i] = cost_of(net, d->told->data, examples.examples[i], i);
    for (ptrdiff_t l = 0; l < net->num_layers && b->starts; l++) {
        const part p = l ? own_part(net, l, 1) : d->first;
        add_penalties(&p, l ? 1 : net->factor, &b->step,
                      (real *)net->layers[l].penalties + p.begin);
    }
    bp_wait(net->barrier);
    if (net->thread > 0)
        return;
    bp_wide sum = 0, penalty = 0;
    for (ptrdiff_t i = 0; i < examples.m; i++)
        sum += costs[i];
    for (ptrdiff_t l = 0; l < net->num_layers && b->starts; l++)
        for (ptrdiff_t j = 0; j < net->layers[l].n_out; j++)
            penalty += ((const real *)net->layers[l].penalties)[j];
    *b->loss = (b->starts ? penalty : *b->loss) + (b->weight > 0 ? sum / b->weight : 0);
}

/* One step on a mini-batch, or a part of one, from order[i] on.  BP2 needs the weights that the
 * forward pass used: all errors first, then all updates.  The first layer's waits for the next
 * mini-batch and passes over the weights with it or, where it has a place of its own, just
 * before it.  Return where the next begins. */
static ptrdiff_t update_mini_batch(descent *d, ptrdiff_t i)
{
    bp_net *net = d->net;
    const bp_data *data = d->told->data;
    const mini_batch b = begin_mini_batch(d, i);
    const ptrdiff_t m = b.examples.m, end = i + m;
    const batch ahead = {d->told->order + end, least(data->n - end, 2 * m)};
    if (d->place > 0)
        meet_first_layer(d, &b);
    const batches met = {d->due.examples, b.examples, ahead};
    first_layer(net, data, met, &d->first, 0);
    forward(net, m);
    if (b.loss)
        add_loss(d, &b);
    backward(net, data, b.examples);
    if (d->place == 0)
        shrink_or_regularise(d, &b);
    descend(d, &b);
    d->due = b;
    return end;
}

static ptrdiff_t sgd(bp_net *net, const bp_descent *told, ptrdiff_t end)
{
    const uint64_t arithmetic = flush_subnormals();
    descent d = begin_descent(net, told);
    ptrdiff_t i = told->begin;
    while (i < end)
        i = update_mini_batch(&d, i);
    if (d.place > 0)
        meet_first_layer(&d, NULL);
    else
        first_layer(net, told->data, (batches){.due = d.due.examples}, &d.first, 0);
    give_back(net, &d.first);
    restore_arithmetic(arithmetic);
    return i;
}

static void settle(bp_net *net)
{
    const part first = own_part(net, 0, 1);
    scale_part(&first, net->factor);
    net->factor = 1;
}

/* Run forward over examples from begin on, before `end`, as many as there is scratch for. */
static batch forward_in_order(bp_net *net, const bp_data *data, ptrdiff_t begin, ptrdiff_t end)
{
    const part first = own_part(net, 0, 1);
    int64_t *picked = net->scratch.picked;
    const batch examples = {picked, least(end - begin, net->scratch.rows)};
    for (ptrdiff_t i = 0; i < examples.m; i++)
        picked[i] = begin + i;
    first_layer(net, data, (batches){.next = examples}, &first, 0);
    forward(net, examples.m);
    return examples;
}

static void backprop(bp_net *net, const bp_data *data, ptrdiff_t begin, ptrdiff_t end)
{
    const int place = net->kind.slots + 1;
    const part first = own_part(net, 0, place + 1);
    for (ptrdiff_t l = 0; l < net->num_layers && begin == 0; l++) {
        const part p = own_part(net, l, place + 1);
        pass_over(&p, (passes){.next = &(pass){0}});
    }
    for (; begin < end; begin += net->scratch.rows) {
        const batch examples = forward_in_order(net, data, begin, end);
        backward(net, data, examples);
        for (ptrdiff_t l = 0; l < net->num_layers; l++) {
            const part p = own_part(net, l, place + 1);
            add_gradient(net, l, &p, place, examples.m, R(1.0));
        }
        first_layer(net, data, (batches){.due = examples}, &first, place);
    }
}

static int is_right(ptrdiff_t n_out, const real *a, int64_t label)
{
    return label == (n_out == 1 ? a[0] > R(0.5) : argmax(n_out, a));
}

static void evaluate(bp_net *net, const bp_data *data, ptrdiff_t begin, ptrdiff_t end,
                     const bp_questions *asked)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    const uint64_t arithmetic = asked->outputs ? 0 : flush_subnormals();
    for (; begin < end; begin += net->scratch.rows) {
        const batch examples = forward_in_order(net, data, begin, end);
        for (ptrdiff_t i = 0; i < examples.m; i++) {
            const real *a = (const real *)last->a + i * last->stride;
            if (asked->outputs)
                memcpy((real *)asked->outputs + (begin + i) * last->n_out, a,
                       (size_t)last->n_out * sizeof(real));
            if (asked->correct)
                *asked->correct += is_right(last->n_out, a, data->labels[begin + i]);
            if (asked->costs)
                ((real *)asked->costs)[begin + i] = cost_of(net, data, begin + i, i);
        }
    }
    if (!asked->outputs)
        restore_arithmetic(arithmetic);
}
