/* The last layer: its row of OUTPUT_TABLE over a mini-batch, in a thread's columns. */

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

/* The cost of an example that the network has run forward over, times its weight; of
 * probabilities that are clipped, where clip is not 0. */
static real cost_of(const bp_net *net, const bp_data *data, int64_t example, ptrdiff_t i,
                    bp_wide clip)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    const ptrdiff_t row = i * last->stride;
    real *y = net->own.y, sum = R(0.0);
    desired(data, example, 0, last->stride, y);
    const output *f = &OUTPUT_TABLE[net->kind.output];
    const real *z = (const real *)last->delta + row, *a = (const real *)last->a + row;
    if (clip > 0 && f->clipped_cost)
        f->clipped_cost(last->n_out, z, a, (real)clip, y);
    else
        f->cost(last->n_out, z, a, y);
    for (ptrdiff_t j = 0; j < last->n_out; j++)
        sum += y[j];
    return data->weights ? ((const real *)data->weights)[example] * sum : sum;
}
