/* The book's algorithm: forward, backward, descend, one mini-batch, one epoch, evaluate.
 *
 * Equations BP1-BP4 are those of Nielsen, Neural Networks and Deep Learning, chapter 2.
 * Weights are input-major here: forward is a w, the gradient aT delta, and one input's
 * weights are contiguous, so a zero input is skipped whole.
 *
 * Every thread that trains runs this same text on its own bp_net.  It writes its own columns of
 * shared layers, reads all of them, and waits for the others where it needs theirs.  A thread
 * that evaluates has examples of its own, and all columns.
 */

static void load(bp_net *net, ptrdiff_t l, const void *w, const void *b)
{
    const bp_layer *layer = &net->layers[l];
    transpose_in(layer->n_in, layer->n_out, w, layer->weights, layer->stride);
    memcpy(layer->biases, b, (size_t)layer->n_out * sizeof(real));
}

static void store(const bp_net *net, ptrdiff_t l, void *w, void *b)
{
    const bp_layer *layer = &net->layers[l];
    transpose_out(layer->n_in, layer->n_out, layer->weights, layer->stride, w);
    memcpy(b, layer->biases, (size_t)layer->n_out * sizeof(real));
}

static ptrdiff_t least(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

/* This thread's columns of a layer: whole lines, so that no line is written by two threads, up
 * to the last vector that holds a neuron. */
static void own(const bp_net *net, const bp_layer *layer, ptrdiff_t *begin, ptrdiff_t *end)
{
    const ptrdiff_t line = BP_ALIGN / REAL_BYTES, lines = layer->stride / line;
    const ptrdiff_t used = (layer->n_out + LANES - 1) / LANES * LANES;
    const ptrdiff_t thread = layer->shared ? net->thread : 0;
    const ptrdiff_t threads = layer->shared ? net->threads : 1;
    *begin = least(lines * thread / threads * line, used);
    *end = least(lines * (thread + 1) / threads * line, used);
}

/* Examples begin, begin + 1, ... as a mini-batch. */
static batch in_order(const bp_net *net, ptrdiff_t begin, ptrdiff_t m)
{
    const batch picked = {net->picked, m};
    for (ptrdiff_t i = 0; i < m; i++)
        net->picked[i] = begin + i;
    return picked;
}

/* Gather dense inputs, so that the products run over rows at one distance. */
static void gather(const bp_net *net, const bp_data *data, batch examples, real *x)
{
    const ptrdiff_t n_in = data->n_in;
    for (ptrdiff_t i = net->thread; i < examples.m; i += net->threads)
        memcpy(x + i * n_in, (const real *)data->x + examples.examples[i] * n_in,
               (size_t)n_in * sizeof(real));
    bp_wait(net->barrier);
}

/* A layer's parameters, in the columns of one thread. */
typedef struct {
    real *w, *biases;
    ptrdiff_t n, stride; /* columns, and how far apart rows are */
    double scale;        /* of w */
} parameters;

static parameters own_parameters(const bp_net *net, ptrdiff_t l)
{
    const bp_layer *layer = &net->layers[l];
    ptrdiff_t begin, end;
    own(net, layer, &begin, &end);
    const parameters found = {(real *)layer->weights + begin, (real *)layer->biases + begin,
                              end - begin, layer->stride, l ? 1 : net->scale};
    return found;
}

/* Copies of the first layer's beside one another, away from the other threads'. */
static parameters borrow(const bp_net *net)
{
    const parameters from = own_parameters(net, 0);
    ptrdiff_t k = 0;
    if (net->threads == 1 || !net->own_weights)
        return from;
    const ptrdiff_t n = from.n;
    real *w = net->own_weights;
    for (; k < net->layers->n_in; k++)
        memcpy(w + k * n, from.w + k * from.stride, (size_t)n * sizeof(real));
    memcpy(w + k * n, from.biases, (size_t)n * sizeof(real));
    const parameters copies = {w, w + k * n, n, n, from.scale};
    return copies;
}

static void give_back(const bp_net *net, parameters copies)
{
    const parameters to = own_parameters(net, 0);
    const size_t row = (size_t)to.n * sizeof(real);
    if (copies.w == to.w)
        return;
    for (ptrdiff_t k = 0; k < net->layers->n_in; k++)
        memcpy(to.w + k * to.stride, copies.w + k * copies.stride, row);
    memcpy(to.biases, copies.biases, row);
}

/* The step for dense inputs, gathered in x and next_x, and n neurons. */
static void dense_step(const bp_net *net, const bp_data *data, const first_step *s, ptrdiff_t n)
{
    const ptrdiff_t n_in = data->n_in;
    const ptrdiff_t bytes = n * REAL_BYTES;
    const ptrdiff_t fit = DENSE_BLOCK_BYTES / (bytes + !bytes);
    const ptrdiff_t block = bytes >= DENSE_ROW_BYTES ? n_in : fit;
    for (ptrdiff_t k = 0; k < n_in; k += block) {
        const ptrdiff_t depth = n_in - k < block ? n_in - k : block;
        real *w = s->w + k * s->ldw;
        gemm(depth, n, s->down.m, (const real *)net->x + k, 1, n_in, s->delta, s->stride, 1, w,
             s->ldw, net->packed);
        gemm(s->up.m, n, depth, (const real *)net->next_x + k, n_in, 1, w, s->ldw, 1, s->z,
             s->stride, net->packed);
        for (ptrdiff_t i = 0; i < s->ahead.m && i < s->up.m && block < n_in; i++) {
            const real *x = (const real *)data->x + s->ahead.examples[i] * n_in + k;
            fetch(x, x + depth);
            if (k == 0)
                fetch_target(data, s->ahead.examples[i]);
        }
    }
}

/* Where training spends its time: the first layer's update for the mini-batch `down` (BP3,
 * BP4; delta is scaled), then its weighted inputs for the mini-batch `up`, in one pass over
 * the weights, which are to.scale times what is stored.  Either may be empty. */
static void first_layer(bp_net *net, const bp_data *data, batch down, batch up, batch ahead,
                        parameters to)
{
    bp_layer *layer = &net->layers[0];
    const ptrdiff_t stride = layer->stride, n = to.n;
    ptrdiff_t begin, end;
    own(net, layer, &begin, &end);
    const first_step s = {down, up, ahead, (real *)layer->delta + begin,
                          (real *)net->next_a + begin, stride, to.w, to.stride, net->cursors};
    const real factor = (real)to.scale, inverse = (real)(1 / to.scale);
    for (ptrdiff_t i = 0; i < down.m; i++) {
        real *delta = (real *)layer->delta + begin + i * stride;
        axpy(n, R(1.0), delta, to.biases);
        if (to.scale != 1)
            scale(n, inverse, delta, delta);
    }
    for (ptrdiff_t i = 0; i < up.m; i++)
        scale(n, inverse, to.biases, s.z + i * stride);
    if (data->x) {
        gather(net, data, up, net->next_x);
        dense_step(net, data, &s, n);
    } else
        csr_step(data, &s, n);
    for (ptrdiff_t i = 0; i < up.m && to.scale != 1; i++)
        scale(n, factor, s.z + i * stride, s.z + i * stride);

    void *const a = layer->a, *const x = net->x;
    if (up.m) {
        layer->a = net->next_a;
        net->next_a = a;
        net->x = net->next_x;
        net->next_x = x;
    }
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
                memcpy(z + i * stride + begin, (const real *)layer->biases + begin,
                       (size_t)(end - begin) * sizeof(real));
            gemm(m, end - begin, layer->n_in, before->a, before->stride, 1,
                 (const real *)layer->weights + begin, stride, 1, z + begin, stride,
                 net->packed);
        }
        for (ptrdiff_t i = 0; i < m; i++) {
            if (l == net->num_layers - 1)
                memcpy((real *)layer->delta + i * stride + begin, z + i * stride + begin,
                       (size_t)(end - begin) * sizeof(real));
            sigmoid(end - begin, z + i * stride + begin);
        }
        if (layer->shared)
            bp_wait(net->barrier);
    }
}

/* y = the desired outputs [begin, end) of an example; 1/2, the activation of padding, for what
 * is padding. */
static void desired(const bp_data *data, int64_t example, ptrdiff_t begin, ptrdiff_t end,
                    real *y)
{
    const ptrdiff_t n_out = data->n_out, real_end = end < n_out ? end : n_out;
    const real *given = data->y ? (const real *)data->y + example * n_out : NULL;
    for (ptrdiff_t j = begin; j < real_end; j++)
        y[j] = given ? given[j] : R(0.0);
    if (!given && begin <= data->labels[example] && data->labels[example] < real_end)
        y[data->labels[example]] = R(1.0);
    for (ptrdiff_t j = real_end; j < end; j++)
        y[j] = R(0.5);
}

/* The error of the output layer in columns [begin, end): a - y for the cross-entropy, times
 * a (1 - a) for the quadratic cost (BP1). */
static void output_error(const bp_net *net, const bp_data *data, batch examples,
                         ptrdiff_t begin, ptrdiff_t end)
{
    const bp_layer *layer = &net->layers[net->num_layers - 1];
    for (ptrdiff_t i = 0; i < examples.m; i++) {
        const real *a = (const real *)layer->a + i * layer->stride;
        real *delta = (real *)layer->delta + i * layer->stride;
        desired(data, examples.examples[i], begin, end, delta);
        for (ptrdiff_t j = begin; j < end; j += LANES)
            *(vreal *)(delta + j) = *vectors(a + j) - *vectors(delta + j);
        if (net->cost == BP_QUADRATIC)
            sigmoid_prime_mul(end - begin, a + begin, delta + begin);
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
        own(net, before, &begin, &end);
        const ptrdiff_t n = (end < before->n_out ? end : before->n_out) - begin;
        if (layer->shared)
            bp_wait(net->barrier);
        shared |= layer->shared;
        for (ptrdiff_t i = 0; i < m; i++)
            memset((real *)before->delta + i * stride + begin, 0,
                   (size_t)(end - begin) * sizeof(real));
        gemm(m, n > 0 ? n : 0, layer->n_out, layer->delta, layer->stride, 1,
             (const real *)layer->weights + begin * layer->stride, 1, layer->stride,
             (real *)before->delta + begin, stride, net->packed);
        for (ptrdiff_t i = 0; i < m; i++)
            sigmoid_prime_mul(end - begin, (const real *)before->a + i * stride + begin,
                              (real *)before->delta + i * stride + begin);
    }
    if (shared) /* BP2 has read the weights of others: they may change now */
        bp_wait(net->barrier);
}

/* Scale the errors by alpha and add the gradient of the upper layers to target's weights (BP4)
 * and biases (BP3); the first layer's errors are only scaled. */
static void descend(const bp_net *net, ptrdiff_t m, real alpha, bp_net *target)
{
    for (ptrdiff_t l = 0; l < net->num_layers; l++) {
        const bp_layer *layer = &net->layers[l], *before = layer - 1;
        const ptrdiff_t stride = layer->stride;
        ptrdiff_t begin, end;
        own(net, layer, &begin, &end);
        for (ptrdiff_t i = 0; i < m; i++) {
            real *delta = (real *)layer->delta + i * stride;
            scale(end - begin, alpha, delta + begin, delta + begin);
            if (l > 0)
                axpy(end - begin, R(1.0), delta + begin,
                     (real *)target->layers[l].biases + begin);
        }
        if (l > 0)
            gemm(layer->n_in, end - begin, m, before->a, 1, before->stride,
                 (const real *)layer->delta + begin, stride, 1,
                 (real *)target->layers[l].weights + begin, stride, net->packed);
    }
}

/* The next mini-batch of order[i..end): at most m examples, none past the end. */
static batch next_batch(const int64_t *order, ptrdiff_t i, ptrdiff_t end, ptrdiff_t m)
{
    const ptrdiff_t left = end > i ? end - i : 0;
    const batch next = {order + (end > i ? i : end), least(left, m)};
    return next;
}

/* Multiply a matrix of n_in rows by its scale. */
static void settle_rows(ptrdiff_t n_in, parameters to)
{
    for (ptrdiff_t k = 0; k < n_in && to.scale != 1; k++)
        scale(to.n, (real)to.scale, to.w + k * to.stride, to.w + k * to.stride);
}

static void settle(bp_net *net)
{
    settle_rows(net->layers[0].n_in, own_parameters(net, 0));
    net->scale = 1;
}

static int regular(const bp_rule *rule)
{
    return rule->l2 != 0 || rule->l1 != 0;
}

/* Begin a step of a layer: momentum keeps a part of v, and regularisation takes from w, which
 * is v where there is no momentum.  With move, end the step before: w += v. */
static void begin_step(const int move, ptrdiff_t n_in, const bp_rule *rule, parameters w,
                       parameters v)
{
    const real keep = w.w == v.w ? R(1.0) : (real)rule->mu;
    const real l2 = (real)(rule->eta * rule->l2), l1 = (real)(rule->eta * rule->l1);
    for (ptrdiff_t k = 0; k < n_in; k++)
        decay(move, w.n, keep, l2, l1, w.w + k * w.stride, v.w + k * v.stride);
    decay(move, w.n, keep, R(0.0), R(0.0), w.biases, v.biases);
}

/* End it, without another. */
static void end_step(ptrdiff_t n_in, parameters w, parameters v)
{
    for (ptrdiff_t k = 0; k < n_in; k++)
        axpy(w.n, R(1.0), v.w + k * v.stride, w.w + k * w.stride);
    axpy(w.n, R(1.0), v.biases, w.biases);
}

/* Whether L2 is all there is, and weak: then it shrinks the first layer by its scale, and no
 * mini-batch passes over weights that its inputs do not need. */
static int shrinks(const bp_rule *rule, const bp_net *velocity)
{
    const int weak = 0 < rule->eta * rule->l2 && rule->eta * rule->l2 < 0.125;
    return weak && rule->l1 == 0 && !velocity;
}

static void shrink(ptrdiff_t n_in, const bp_rule *rule, parameters *w)
{
    w->scale *= 1 - rule->eta * rule->l2;
    if (w->scale < 0.001) { /* at the same mini-batch in any thread and slice */
        settle_rows(n_in, *w);
        w->scale = 1;
    }
}

/* One step of all but the first layer, whose errors are scaled. */
static void descend_by_rule(bp_net *net, ptrdiff_t m, const bp_rule *rule,
                            bp_net *velocity)
{
    const real alpha = (real)-rule->eta / (real)m;
    for (ptrdiff_t l = 1; l < net->num_layers && (velocity || regular(rule)); l++)
        begin_step(0, net->layers[l].n_in, rule, own_parameters(net, l),
                   own_parameters(velocity ? velocity : net, l));
    descend(net, m, alpha, velocity ? velocity : net);
    for (ptrdiff_t l = 1; l < net->num_layers && velocity; l++)
        end_step(net->layers[l].n_in, own_parameters(net, l), own_parameters(velocity, l));
}

/* BP2 needs the weights that the forward pass used: all errors first, then all updates.  The
 * first layer's update waits for the next mini-batch and passes over the weights with it, or,
 * where they move by a velocity, just before it. */
static void sgd(bp_net *net, bp_net *velocity, const bp_data *data, const int64_t *order,
                ptrdiff_t begin, ptrdiff_t end, ptrdiff_t mini_batch_size, const bp_rule *rule)
{
    const uint64_t arithmetic = flush_subnormals();
    parameters w = borrow(net);
    const parameters v = velocity ? borrow(velocity) : w;
    const batch none = {order, 0};
    batch done = none;
    for (ptrdiff_t i = begin; i < end; i += mini_batch_size) {
        const batch now = next_batch(order, i, end, mini_batch_size);
        const batch ahead =
            next_batch(order, i + mini_batch_size, end, 2 * mini_batch_size);
        if (velocity && i > begin) {
            first_layer(net, data, done, none, none, v);
            begin_step(1, data->n_in, rule, w, v);
            done = none;
        }
        first_layer(net, data, done, now, ahead, w);
        forward(net, now.m);
        backward(net, data, now);
        if (shrinks(rule, velocity))
            shrink(data->n_in, rule, &w);
        else if (velocity ? i == begin : regular(rule))
            begin_step(0, data->n_in, rule, w, v);
        descend_by_rule(net, now.m, rule, velocity);
        done = now;
    }
    first_layer(net, data, done, none, none, velocity ? v : w);
    if (velocity) {
        end_step(data->n_in, w, v);
        give_back(velocity, v);
    }
    give_back(net, w);
    net->scale = w.scale;
    restore_arithmetic(arithmetic);
}

static void forward_only(bp_net *net, const bp_data *data, batch examples)
{
    const batch none = {NULL, 0};
    first_layer(net, data, none, examples, none, own_parameters(net, 0));
    forward(net, examples.m);
}

static void backprop(bp_net *net, const bp_data *data, bp_net *nabla)
{
    const batch all = in_order(net, 0, data->n), none = {NULL, 0};
    forward_only(net, data, all);
    backward(net, data, all);
    descend(net, data->n, R(1.0), nabla);
    first_layer(net, data, all, none, none, own_parameters(nabla, 0));
}

static void feedforward(bp_net *net, const bp_data *data, void *out)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    for (ptrdiff_t begin = 0; begin < data->n; begin += net->rows) {
        const ptrdiff_t m = least(data->n - begin, net->rows);
        forward_only(net, data, in_order(net, begin, m));
        for (ptrdiff_t i = 0; i < m; i++)
            memcpy((real *)out + (begin + i) * last->n_out, (real *)last->a + i * last->stride,
                   (size_t)last->n_out * sizeof(real));
    }
}

/* The costs of examples that the network has run forward over.  Where only activations or
 * weighted inputs count, the desired outputs replace the others. */
static void output_costs(const bp_net *net, const bp_data *data, batch examples, real *costs)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    ptrdiff_t begin, end;
    own(net, last, &begin, &end);
    for (ptrdiff_t i = 0; i < examples.m; i++) {
        real *a = (real *)last->a + i * last->stride;
        real *z = (real *)last->delta + i * last->stride, sum = R(0.0);
        if (net->cost == BP_CROSS_ENTROPY) {
            desired(data, examples.examples[i], begin, end, a);
            cross_entropy(end, a, z);
        } else {
            desired(data, examples.examples[i], begin, end, z);
            squared_error(end, a, z);
        }
        for (ptrdiff_t j = 0; j < last->n_out; j++)
            sum += z[j];
        costs[i] = sum;
    }
}

static int64_t evaluate(bp_net *net, const bp_data *data, ptrdiff_t begin, ptrdiff_t end,
                        void *costs)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    const uint64_t arithmetic = flush_subnormals();
    int64_t correct = 0;
    for (; begin < end; begin += net->rows) {
        const ptrdiff_t m = least(end - begin, net->rows);
        const batch examples = in_order(net, begin, m);
        forward_only(net, data, examples);
        for (ptrdiff_t i = 0; i < m; i++)
            correct += argmax(last->n_out, (real *)last->a + i * last->stride) ==
                       data->labels[begin + i];
        if (costs)
            output_costs(net, data, examples, (real *)costs + begin);
    }
    restore_arithmetic(arithmetic);
    return correct;
}
