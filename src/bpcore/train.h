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

static const batch none = {NULL, 0};

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
    const output *f = &OUTPUT_TABLE[net->output];
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
                 net->packed);
        }
        if (l < net->num_layers - 1)
            ACTIVATION_TABLE[net->hidden].apply(m, end - begin, stride, z + begin);
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
    const ptrdiff_t n_out = data->n_out, real_end = end < n_out ? end : n_out;
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
        OUTPUT_TABLE[net->output].error(end - begin, a + begin, delta + begin);
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
        const ptrdiff_t n = (end < before->n_out ? end : before->n_out) - begin;
        if (layer->shared)
            bp_wait(net->barrier);
        shared |= layer->shared;
        for (ptrdiff_t i = 0; i < m; i++)
            memset(delta + i * stride + begin, 0, (size_t)(end - begin) * sizeof(real));
        gemm(m, n > 0 ? n : 0, layer->n_out, by_rows(layer->delta, layer->stride),
             transposed(by_rows((const real *)layer->weights[0] + begin * layer->stride,
                                layer->stride)),
             delta + begin, stride, net->packed);
        ACTIVATION_TABLE[net->hidden].prime_mul(m, end - begin, stride,
                                                (const real *)before->a + begin,
                                                delta + begin);
    }
    if (shared) /* BP2 has read the weights of others: they may change now */
        bp_wait(net->barrier);
}

/* Scale a layer's errors by alpha and, above the first layer, add the gradient to a place of its
 * weights (BP4) and biases (BP3). */
static void add_gradient(const bp_net *net, ptrdiff_t l, ptrdiff_t m, real alpha, int place)
{
    const bp_layer *layer = &net->layers[l], *before = layer - 1;
    const part p = own_part(net, l);
    ptrdiff_t begin, end;
    own(net, layer, &begin, &end);
    real *delta = (real *)layer->delta + begin;
    for (ptrdiff_t i = 0; i < m; i++) {
        scale(p.n, alpha, delta + i * layer->stride, delta + i * layer->stride);
        if (l > 0)
            axpy(p.n, R(1.0), delta + i * layer->stride, p.biases[place]);
    }
    if (l > 0)
        gemm(layer->n_in, p.n, m, transposed(by_rows(before->a, before->stride)),
             by_rows(delta, layer->stride), p.w[place], p.stride, net->packed);
}

/* The cost of an example that the network has run forward over, times its weight. */
static real cost_of(const bp_net *net, const bp_data *data, int64_t example, ptrdiff_t i)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    const ptrdiff_t row = i * last->stride;
    real *y = net->y, sum = R(0.0);
    desired(data, example, 0, last->stride, y);
    OUTPUT_TABLE[net->output].cost(last->n_out, (const real *)last->delta + row,
                                   (const real *)last->a + row, y);
    for (ptrdiff_t j = 0; j < last->n_out; j++)
        sum += y[j];
    return data->weights ? ((const real *)data->weights)[example] * sum : sum;
}

/* A call of sgd in one thread. */
typedef struct {
    bp_net *net;
    const bp_descent *told;
    const rule *rule;
    int whole;         /* mini-batches are summed before they are used; else taken in shares */
    int place;         /* what the products are added to */
    part first;        /* the first layer's, borrowed */
    batch due;         /* examples whose gradient the first layer has not met yet */
    pass step;         /* of the mini-batch that they belong to */
    int ends;          /* they are its last */
} descent;

static descent begin_descent(bp_net *net, const bp_descent *told)
{
    const rule *r = &RULE_TABLE[net->rule];
    const int whole = !r->shares || told->mini_batch_size >= BP_WHOLE;
    descent d = {.net = net, .told = told, .rule = r, .whole = whole};
    d.place = whole ? net->slots + 1 : net->slots;
    d.first = borrow(net, d.place + 1);
    d.due.examples = told->order;
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

static bp_wide l2_of(const bp_descent *told, bp_wide weight)
{
    return told->l2_by_batch && weight > 0 ? told->l2 / weight : told->l2;
}

/* What the t-th step is told, for a mini-batch of this weight. */
static pass told_step(const descent *d, bp_wide weight)
{
    const bp_descent *told = d->told;
    const bp_wide eta = d->rule->rate ? d->rule->rate(told, d->net->steps) : told->eta;
    const bp_wide l2 = l2_of(told, weight);
    pass s = {(real)eta, (real)l2, (real)told->l1, (real)(eta * l2), (real)(eta * told->l1),
              {0}};
    for (int k = 0; k < BP_PARAMETERS; k++)
        s.p[k] = (real)told->parameters[k];
    return s;
}

static passes passes_of(const descent *d, int ends, const pass *due, int begins,
                        const pass *next)
{
    const passes s = {d->rule->step, d->whole ? NULL : d->rule->shares, ends, begins, *due,
                      *next};
    return s;
}

/* Where the products have a place of their own: add what is due to the first layer, end its step
 * if that was all, and begin the next. */
static void meet_first_layer(descent *d, int starts, const pass *next)
{
    first_layer(d->net, d->told->data, d->due, none, none, &d->first, d->place, 1);
    const int ends = d->due.m && d->ends;
    if (ends || starts)
        pass_over(&d->first, passes_of(d, ends, &d->step, starts, next));
    d->due.m = 0;
}

/* Whether L2 is all there is, and weak: then it shrinks the first layer by its factor, and no
 * mini-batch passes over weights that its inputs do not need. */
static int shrinks(const descent *d, const pass *s)
{
    return d->place == 0 && 0 < s->eta_l2 && s->eta_l2 < R(0.125) && s->l1 == 0;
}

/* Regularise the first layer in place, which has the true weights that were used. */
static void shrink_or_regularise(descent *d, bp_wide weight, const pass *s)
{
    bp_net *net = d->net;
    if (shrinks(d, s)) {
        net->factor *= 1 - d->told->eta * l2_of(d->told, weight);
        if (net->factor < 0.001) { /* depends on the number of steps alone: the same bits in
                                    * any slice and thread */
            scale_part(&d->first, net->factor);
            net->factor = 1;
        }
    } else if (s->eta_l2 != 0 || s->eta_l1 != 0)
        pass_over(&d->first, passes_of(d, 0, s, 1, s));
}

/* The step of the layers above the first, whose errors are only scaled: BP3 and BP4. */
static void descend(descent *d, ptrdiff_t m, bp_wide weight, int starts, int ends, const pass *s)
{
    const bp_net *net = d->net;
    const real inverse = weight > 0 ? (real)weight : R(1.0);
    const real alpha = d->whole ? R(1.0) / inverse : (real)-d->told->eta / inverse;
    add_gradient(net, 0, m, alpha, d->place);
    for (ptrdiff_t l = 1; l < net->num_layers; l++) {
        part p = own_part(net, l);
        p.places = d->place + 1;
        const int regular = d->place > 0 || s->eta_l2 != 0 || s->eta_l1 != 0;
        if (starts && (d->whole || regular))
            pass_over(&p, passes_of(d, 0, s, 1, s));
        add_gradient(net, l, m, alpha, d->place);
        if (ends && d->place > 0)
            pass_over(&p, passes_of(d, 1, s, 0, s));
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
static void add_loss(const descent *d, batch examples, bp_wide *loss, bp_wide weight, int starts,
                     const pass *s)
{
    const bp_net *net = d->net;
    for (ptrdiff_t i = net->thread; i < examples.m; i += net->threads)
        ((real *)net->costs)[i] = cost_of(net, d->told->data, examples.examples[i], i);
    for (ptrdiff_t l = 0; l < net->num_layers && starts; l++) {
        const part p = l ? own_part(net, l) : d->first;
        ptrdiff_t begin, end;
        own(net, &net->layers[l], &begin, &end);
        add_penalties(&p, l ? 1 : net->factor, s, (real *)net->layers[l].penalties + begin);
    }
    bp_wait(net->barrier);
    if (net->thread > 0)
        return;
    bp_wide sum = 0, penalty = 0;
    for (ptrdiff_t i = 0; i < examples.m; i++)
        sum += ((const real *)net->costs)[i];
    for (ptrdiff_t l = 0; l < net->num_layers && starts; l++)
        for (ptrdiff_t j = 0; j < net->layers[l].n_out; j++)
            penalty += ((const real *)net->layers[l].penalties)[j];
    *loss = (starts ? penalty : *loss) + (weight > 0 ? sum / weight : 0);
}

/* One step on the mini-batch that the examples from order[i] on belong to, or a part of one that
 * is summed whole.  BP2 needs the weights that the forward pass used: all errors first, then all
 * updates.  The first layer's waits for the next mini-batch and passes over the weights with it
 * or, where it has a place of its own, just before it.  Return where the next begins. */
static ptrdiff_t update_mini_batch(descent *d, ptrdiff_t i)
{
    bp_net *net = d->net;
    const bp_descent *told = d->told;
    const ptrdiff_t n = told->data->n, size = told->mini_batch_size;
    const ptrdiff_t begin = i - i % size, end = least(n, begin + size);
    const ptrdiff_t m = d->whole ? piece(end - i, net->rows) : end - i;
    const batch next = {told->order + i, m};
    const batch ahead = {next.examples + m, least(n - i - m, 2 * m)};
    const bp_wide weight = sum_of_weights(told, begin, end);
    const int starts = i == begin, ends = i + m == end;
    net->steps += starts;
    const pass step = told_step(d, weight);
    if (d->place > 0)
        meet_first_layer(d, starts, &step);
    first_layer(net, told->data, d->due, next, ahead, &d->first, 0, net->factor);
    forward(net, m);
    if (told->losses)
        add_loss(d, next, told->losses + begin / size, weight, starts, &step);
    backward(net, told->data, next);
    if (d->place == 0)
        shrink_or_regularise(d, weight, &step);
    descend(d, m, weight, starts, ends, &step);
    d->due = next, d->step = step, d->ends = ends;
    return i + m;
}

static ptrdiff_t sgd(bp_net *net, const bp_descent *told, ptrdiff_t end)
{
    const uint64_t arithmetic = flush_subnormals();
    descent d = begin_descent(net, told);
    ptrdiff_t i = told->begin;
    while (i < end)
        i = update_mini_batch(&d, i);
    if (d.place > 0)
        meet_first_layer(&d, 0, &d.step);
    else
        first_layer(net, told->data, d.due, none, none, &d.first, 0, net->factor);
    give_back(net, &d.first);
    restore_arithmetic(arithmetic);
    return i;
}

static void settle(bp_net *net)
{
    const part first = own_part(net, 0);
    scale_part(&first, net->factor);
    net->factor = 1;
}

/* Examples begin, begin + 1, ... as a mini-batch. */
static batch in_order(const bp_net *net, ptrdiff_t begin, ptrdiff_t m)
{
    const batch picked = {net->picked, m};
    for (ptrdiff_t i = 0; i < m; i++)
        net->picked[i] = begin + i;
    return picked;
}

static batch forward_in_order(bp_net *net, const bp_data *data, ptrdiff_t begin, ptrdiff_t end)
{
    const part first = own_part(net, 0);
    const batch examples = in_order(net, begin, least(end - begin, net->rows));
    first_layer(net, data, none, examples, none, &first, 0, 1);
    forward(net, examples.m);
    return examples;
}

static void backprop(bp_net *net, const bp_data *data, ptrdiff_t begin, ptrdiff_t end)
{
    const int place = net->slots + 1;
    const part first = own_part(net, 0);
    for (ptrdiff_t l = 0; l < net->num_layers && begin == 0; l++) {
        const part p = own_part(net, l);
        pass_over(&p, (passes){.begins = 1});
    }
    for (; begin < end; begin += net->rows) {
        const batch examples = forward_in_order(net, data, begin, end);
        backward(net, data, examples);
        for (ptrdiff_t l = 0; l < net->num_layers; l++)
            add_gradient(net, l, examples.m, R(1.0), place);
        first_layer(net, data, examples, none, none, &first, place, 1);
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
    for (; begin < end; begin += net->rows) {
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
