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

static void load(bp_net *net, ptrdiff_t l, int place, ptrdiff_t begin, ptrdiff_t end,
                 int by_input, const void *w, const void *b)
{
    const bp_layer *layer = &net->layers[l];
    if (by_input)
        copy_rows(end - begin, layer->n_out, (const real *)w + begin * layer->n_out,
                  layer->n_out, (real *)layer->weights[place] + begin * layer->stride,
                  layer->stride);
    else
        transpose_in(begin, end, layer->n_in, layer->n_out, w, layer->weights[place],
                     layer->stride);
    memcpy(layer->biases[place], b, (size_t)layer->n_out * sizeof(real));
}

static void store(const bp_net *net, ptrdiff_t l, int place, ptrdiff_t begin, ptrdiff_t end,
                  int by_input, void *w, void *b)
{
    const bp_layer *layer = &net->layers[l];
    if (by_input)
        copy_rows(end - begin, layer->n_out,
                  (const real *)layer->weights[place] + begin * layer->stride, layer->stride,
                  (real *)w + begin * layer->n_out, layer->n_out);
    else
        transpose_out(begin, end, layer->n_in, layer->n_out, layer->weights[place],
                      layer->stride, w);
    memcpy(b, layer->biases[place], (size_t)layer->n_out * sizeof(real));
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
        if (l > 0)
            gemm_padded(m, neurons(layer, begin, end), layer->n_in,
                        repeated((const real *)layer->biases[0] + begin),
                        by_rows(before->a, before->stride),
                        by_rows((const real *)layer->weights[0] + begin, stride), z + begin,
                        stride, net->own.packed);
        if (l < net->num_layers - 1)
            ACTIVATION_TABLE[net->kind.hidden].apply(m, end - begin, stride, z + begin);
        else
            activate_output(net, m, begin, end);
        if (layer->shared)
            bp_wait(net->barrier);
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
        if (layer->shared)
            bp_wait(net->barrier);
        shared |= layer->shared;
        gemm(m, neurons(before, begin, end), layer->n_out, zeros(),
             by_rows(layer->delta, layer->stride),
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
        gemm_padded(layer->n_in, neurons(layer, p->begin, p->begin + p->n), m,
                    itself(), transposed(by_rows(before->a, before->stride)),
                    by_rows(delta, layer->stride), p->w[place], p->stride, net->own.packed);
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

/* Run forward over some examples, whose dense inputs are read in place: where they lie.  Then
 * the scratch for inputs is the caller's to put back. */
static void forward_over(bp_net *net, const bp_data *data, batch examples, const part *first,
                         int in_place)
{
    if (in_place)
        net->scratch.next_x = (real *)data->x + examples.examples[0] * data->n_in;
    first_layer(net, data, (batches){.next = examples}, first, 0);
    forward(net, examples.m);
}

static void put_back_inputs(bp_net *net, const bp_scratch *scratch)
{
    net->scratch.x = scratch->x;
    net->scratch.next_x = scratch->next_x;
}

static int are_in_sequence(const int64_t *order, ptrdiff_t begin, ptrdiff_t end)
{
    for (ptrdiff_t i = begin + 1; i < end; i++)
        if (order[i] != order[i - 1] + 1)
            return 0;
    return 1;
}

/* The inputs of a part of a mini-batch must not be written over while another thread reads
 * them: all parts of a call are read in place, or none is. */
static void backprop(bp_net *net, const bp_data *data, const int64_t *order, ptrdiff_t begin,
                     ptrdiff_t end)
{
    const int place = net->kind.slots + 1;
    const int in_place = data->x && lie_ready(data) && are_in_sequence(order, begin, end);
    const part first = borrow(net, place + 1);
    for (ptrdiff_t l = 0; l < net->num_layers && begin == 0; l++) {
        const part p = l ? own_part(net, l, place + 1) : first;
        pass_over(&p, (passes){.next = &(pass){0}});
    }
    const bp_scratch own_x = net->scratch;
    for (ptrdiff_t m; begin < end; begin += m) {
        const batch examples = {order + begin, m = piece(end - begin, net->scratch.summed)};
        forward_over(net, data, examples, &first, in_place);
        backward(net, data, examples);
        for (ptrdiff_t l = 0; l < net->num_layers; l++) {
            const part p = l ? own_part(net, l, place + 1) : first;
            add_gradient(net, l, &p, place, m, R(1.0));
        }
        first_layer(net, data, (batches){.due = examples}, &first, place);
    }
    if (in_place)
        put_back_inputs(net, &own_x);
    give_back(net, &first);
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
    const bp_scratch own_x = net->scratch;
    const part first = own_part(net, 0, 1);
    for (; begin < end; begin += net->scratch.rows) {
        const batch examples = {own_x.picked, least(end - begin, net->scratch.rows)};
        for (ptrdiff_t i = 0; i < examples.m; i++)
            own_x.picked[i] = begin + i;
        forward_over(net, data, examples, &first, data->x && lie_ready(data));
        for (ptrdiff_t i = 0; i < examples.m; i++) {
            const real *a = (const real *)last->a + i * last->stride;
            if (asked->outputs)
                memcpy((real *)asked->outputs + (begin + i) * last->n_out, a,
                       (size_t)last->n_out * sizeof(real));
            if (asked->correct)
                *asked->correct += is_right(last->n_out, a, data->labels[begin + i]);
        }
        if (asked->costs)
            costs_of(net, data, examples.examples, 0, examples.m, 0,
                     (real *)asked->costs + begin);
    }
    put_back_inputs(net, &own_x);
    if (!asked->outputs)
        restore_arithmetic(arithmetic);
}
