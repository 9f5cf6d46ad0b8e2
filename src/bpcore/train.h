/* The book's algorithm: forward, backward, descend, one mini-batch, one epoch, evaluate.
 *
 * Equations BP1-BP4 are those of Nielsen, Neural Networks and Deep Learning, chapter 2.
 * Weights are input-major here: forward is a w, the gradient aT delta, and one input's
 * weights are contiguous, so a zero input is skipped whole.
 */

static inline ptrdiff_t padded(ptrdiff_t n)
{
    const ptrdiff_t unit = BP_ALIGN / REAL_BYTES;
    return (n + unit - 1) / unit * unit;
}

static void load(bp_net *net, ptrdiff_t l, const void *w, const void *b)
{
    const bp_layer *layer = &net->layers[l];
    memset(layer->weights, 0, (size_t)(layer->n_in * layer->stride) * sizeof(real));
    memset(layer->biases, 0, (size_t)layer->stride * sizeof(real));
    transpose(layer->n_out, layer->n_in, w, layer->n_in, layer->weights, layer->stride);
    memcpy(layer->biases, b, (size_t)layer->n_out * sizeof(real));
}

static void store(const bp_net *net, ptrdiff_t l, void *w, void *b)
{
    const bp_layer *layer = &net->layers[l];
    transpose(layer->n_in, layer->n_out, layer->weights, layer->stride, w, layer->n_in);
    memcpy(b, layer->biases, (size_t)layer->n_out * sizeof(real));
}

/* Pick examples order[0..m) (or begin + 0..m where order is NULL) as the mini-batch; dense
 * inputs are gathered, so that the products run over contiguous rows. */
static void pick(const bp_net *net, const bp_data *data, const int64_t *order, ptrdiff_t begin,
                 ptrdiff_t m)
{
    const ptrdiff_t n_in = data->n_in;
    for (ptrdiff_t i = 0; i < m; i++) {
        net->picked[i] = order ? order[i] : begin + i;
        if (data->x)
            memcpy((real *)net->x + i * n_in, (const real *)data->x + net->picked[i] * n_in,
                   (size_t)n_in * sizeof(real));
    }
}

/* The desired outputs of the mini-batch, padded with 1/2: the activation of a neuron that
 * is only padding, so that its error is exactly zero. */
static void pick_y(const bp_net *net, const bp_data *data, ptrdiff_t m)
{
    const ptrdiff_t n_out = data->n_out, stride = padded(n_out);
    for (ptrdiff_t i = 0; i < m; i++) {
        real *y = (real *)net->y + i * stride;
        if (data->y)
            memcpy(y, (const real *)data->y + net->picked[i] * n_out,
                   (size_t)n_out * sizeof(real));
        else {
            memset(y, 0, (size_t)n_out * sizeof(real));
            y[data->labels[net->picked[i]]] = R(1.0);
        }
        for (ptrdiff_t j = n_out; j < stride; j++)
            y[j] = R(0.5);
    }
}

/* Activations of every layer for the m picked examples: a = sigmoid(a w + b). */
static void forward(const bp_net *net, const bp_data *data, ptrdiff_t m)
{
    const real *a = net->x;
    ptrdiff_t a_stride = data->n_in;
    for (ptrdiff_t l = 0; l < net->num_layers; l++) {
        const bp_layer *layer = &net->layers[l];
        real *z = layer->a;
        for (ptrdiff_t i = 0; i < m; i++)
            memcpy(z + i * layer->stride, layer->biases, (size_t)layer->stride * sizeof(real));
        if (l == 0 && !data->x)
            for (ptrdiff_t i = 0; i < m; i++)
                csr_forward(data, net->picked[i], layer->stride, layer->weights, layer->stride,
                            z + i * layer->stride);
        else
            gemm(m, layer->stride, layer->n_in, a, a_stride, 1, layer->weights, layer->stride,
                 1, z, layer->stride, net->scratch);
        sigmoid(m * layer->stride, z);
        a = z;
        a_stride = layer->stride;
    }
}

/* The error delta = dC/dz of every layer for the m picked examples. */
static void backward(const bp_net *net, const bp_data *data, ptrdiff_t m)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    pick_y(net, data, m);
    for (ptrdiff_t j = 0; j < m * last->stride; j += LANES) /* dC/da of |a - y|^2 / 2 */
        *(vreal *)((real *)last->delta + j) =
            *vectors((real *)last->a + j) - *vectors((real *)net->y + j);
    sigmoid_prime_mul(m * last->stride, last->a, last->delta); /* BP1 */

    for (ptrdiff_t l = net->num_layers - 1; l > 0; l--) { /* BP2 */
        const bp_layer *layer = &net->layers[l], *before = &net->layers[l - 1];
        memset(before->delta, 0, (size_t)(m * before->stride) * sizeof(real));
        gemm(m, layer->n_in, layer->n_out, layer->delta, layer->stride, 1, layer->weights, 1,
             layer->stride, before->delta, before->stride, net->scratch);
        sigmoid_prime_mul(m * before->stride, before->a, before->delta);
    }
}

/* target's weights += alpha nabla_w (BP4), its biases += alpha nabla_b (BP3), summed over
 * the m picked examples.  The gradient product is added straight into its target: the
 * network itself when training, a zeroed one for backprop.  delta is scaled on the way. */
static void descend(const bp_net *net, const bp_data *data, ptrdiff_t m, real alpha,
                    bp_net *target)
{
    const real *a = net->x;
    ptrdiff_t a_stride = data->n_in;
    for (ptrdiff_t l = 0; l < net->num_layers; l++) {
        const bp_layer *layer = &net->layers[l];
        const ptrdiff_t stride = layer->stride;
        real *delta = layer->delta, *w = target->layers[l].weights;
        for (ptrdiff_t j = 0; j < m * stride; j += LANES)
            *(vreal *)(delta + j) *= splat(alpha);
        for (ptrdiff_t i = 0; i < m; i++)
            axpy(stride, R(1.0), delta + i * stride, target->layers[l].biases);
        if (l == 0 && !data->x)
            for (ptrdiff_t i = 0; i < m; i++)
                csr_descend(data, net->picked[i], stride, delta + i * stride, w, stride);
        else
            gemm(layer->n_in, stride, m, a, 1, a_stride, delta, stride, 1, w, stride,
                 net->scratch);
        a = layer->a;
        a_stride = stride;
    }
}

/* BP2 needs the weights that the forward pass used: all errors first, then all updates. */
static void update_mini_batch(bp_net *net, const bp_data *data, const int64_t *order,
                              ptrdiff_t m, real eta)
{
    pick(net, data, order, 0, m);
    forward(net, data, m);
    backward(net, data, m);
    descend(net, data, m, -eta / (real)m, net);
}

static void sgd(bp_net *net, const bp_data *data, const int64_t *order, ptrdiff_t begin,
                ptrdiff_t end, ptrdiff_t mini_batch_size, double eta)
{
    for (ptrdiff_t i = begin; i < end; i += mini_batch_size) {
        const ptrdiff_t left = end - i;
        update_mini_batch(net, data, order + i, left < mini_batch_size ? left : mini_batch_size,
                          (real)eta);
    }
}

static void backprop(const bp_net *net, const bp_data *data, bp_net *nabla)
{
    pick(net, data, NULL, 0, data->n);
    forward(net, data, data->n);
    backward(net, data, data->n);
    descend(net, data, data->n, R(1.0), nabla);
}

static void feedforward(const bp_net *net, const bp_data *data, void *out)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    for (ptrdiff_t begin = 0; begin < data->n; begin += net->rows) {
        const ptrdiff_t left = data->n - begin, m = left < net->rows ? left : net->rows;
        pick(net, data, NULL, begin, m);
        forward(net, data, m);
        for (ptrdiff_t i = 0; i < m; i++)
            memcpy((real *)out + (begin + i) * last->n_out, (real *)last->a + i * last->stride,
                   (size_t)last->n_out * sizeof(real));
    }
}

static int64_t evaluate(const bp_net *net, const bp_data *data, ptrdiff_t begin, ptrdiff_t end)
{
    const bp_layer *last = &net->layers[net->num_layers - 1];
    int64_t correct = 0;
    for (; begin < end; begin += net->rows) {
        const ptrdiff_t left = end - begin, m = left < net->rows ? left : net->rows;
        pick(net, data, NULL, begin, m);
        forward(net, data, m);
        for (ptrdiff_t i = 0; i < m; i++)
            correct += argmax(last->n_out, (real *)last->a + i * last->stride) ==
                       data->labels[begin + i];
    }
    return correct;
}
