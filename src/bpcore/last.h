/* The last layer: its row of OUTPUT_TABLE over a mini-batch, in a thread's columns. */

/* Vectors of one neuron's examples at a time, for which net->own.y has room. */
enum { SIDE = BP_DESIRED };

/* The activation of one neuron. */
static void activate_single(const output *f, ptrdiff_t m, ptrdiff_t stride, real *z)
{
    vreal side[SIDE];
    real *items = (real *)side;
    for (ptrdiff_t i = 0, some; i < m; i += some) {
        some = least(m - i, SIDE * LANES);
        side_by_side(some, stride, z + i * stride, items);
        f->apply(1, whole_vectors(some), 0, items);
        apart(some, stride, items, z + i * stride);
    }
}

/* The last layer's activations of m examples, in this thread's columns; z is kept in delta. */
static void activate_output(const bp_net *net, ptrdiff_t m, ptrdiff_t begin, ptrdiff_t end)
{
    const bp_layer *layer = &net->layers[net->num_layers - 1];
    const output *f = &OUTPUT_TABLE[net->kind.output];
    const ptrdiff_t stride = layer->stride;
    real *a = layer->a, *z = layer->delta;
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = begin; j < end; j += LANES)
            *(vreal *)(z + i * stride + j) = *vectors(a + i * stride + j);
    if (f->apply && layer->n_out == 1 && begin < end) {
        activate_single(f, m, stride, a);
        return;
    }
    if (f->apply) {
        f->apply(m, end - begin, stride, a + begin);
        return;
    }
    if (layer->shared)
        bp_wait(net->barrier);
    for (ptrdiff_t i = 0; i < m; i++)
        f->apply_whole(layer->n_out, z + i * stride, begin, end, a + i * stride);
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
 * the activation of 0.  All desired outputs are written first: a vector that is read just after
 * its items were written has to wait for them. */
static void output_error(const bp_net *net, const bp_data *data, batch examples,
                         ptrdiff_t begin, ptrdiff_t end)
{
    const bp_layer *layer = &net->layers[net->num_layers - 1];
    const ptrdiff_t stride = layer->stride;
    const real *weights = data->weights;
    real *delta = layer->delta;
    for (ptrdiff_t i = 0; i < examples.m; i++)
        desired(data, examples.examples[i], begin, end, delta + i * stride);
    OUTPUT_TABLE[net->kind.output].error(examples.m, end - begin, stride,
                                         (const real *)layer->a + begin, delta + begin);
    for (ptrdiff_t i = 0; i < examples.m; i++, delta += stride) {
        if (weights)
            scale(end - begin, weights[examples.examples[i]], delta + begin, delta + begin);
        for (ptrdiff_t j = begin > layer->n_out ? begin : layer->n_out; j < end; j++)
            delta[j] = R(0.0);
    }
}

/* y, what is desired of n neurons, or of one neuron by n examples, becomes the cost of each; of
 * probabilities that are clipped, where clip is not 0. */
static void each_cost(const bp_net *net, ptrdiff_t n, const real *z, const real *a,
                      bp_wide clip, real *y)
{
    const output *f = &OUTPUT_TABLE[net->kind.output];
    if (clip > 0 && f->clipped_cost)
        f->clipped_cost(n, z, a, (real)clip, y);
    else
        f->cost(n, z, a, y);
}

/* The cost of an example that the network has run forward over, times its weight; y holds what
 * is desired, and then the cost of each neuron. */
static real cost_of(const bp_net *net, const bp_data *data, int64_t example, ptrdiff_t i,
                    bp_wide clip, real *y)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    const ptrdiff_t row = i * last->stride;
    real sum = R(0.0);
    each_cost(net, last->n_out, (const real *)last->delta + row, (const real *)last->a + row,
              clip, y);
    for (ptrdiff_t j = 0; j < last->n_out; j++)
        sum += y[j];
    return data->weights ? ((const real *)data->weights)[example] * sum : sum;
}

/* The same of m examples, SIDE vectors at most, and one neuron. */
COMPILED_ONCE
static void costs_of_single(const bp_net *net, const bp_data *data, const int64_t *examples,
                            ptrdiff_t first, ptrdiff_t m, bp_wide clip, real *costs)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    const ptrdiff_t row = first * last->stride, width = whole_vectors(m);
    vreal z[SIDE], a[SIDE];
    real *y = net->own.y;
    for (ptrdiff_t i = 0; i < width; i++)
        desired(data, examples[i < m ? i : 0], 0, 1, y + i);
    side_by_side(m, last->stride, (const real *)last->delta + row, (real *)z);
    side_by_side(m, last->stride, (const real *)last->a + row, (real *)a);
    each_cost(net, width, (const real *)z, (const real *)a, clip, y);
    for (ptrdiff_t i = 0; i < m; i++)
        costs[i] = data->weights ? ((const real *)data->weights)[examples[i]] * y[i] : y[i];
}

/* The same of m examples, which are in the rows from `first` on. */
static void costs_of(const bp_net *net, const bp_data *data, const int64_t *examples,
                     ptrdiff_t first, ptrdiff_t m, bp_wide clip, real *costs)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    const int single = last->n_out == 1;
    real *y = net->own.y;
    for (ptrdiff_t some; m > 0; m -= some, examples += some, first += some, costs += some) {
        some = least(m, single ? SIDE * LANES : SIDE);
        if (single) {
            costs_of_single(net, data, examples, first, some, clip, costs);
            continue;
        }
        for (ptrdiff_t i = 0; i < some; i++)
            desired(data, examples[i], 0, last->stride, y + i * last->stride);
        for (ptrdiff_t i = 0; i < some; i++)
            costs[i] = cost_of(net, data, examples[i], first + i, clip, y + i * last->stride);
    }
}
