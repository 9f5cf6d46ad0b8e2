/* A thread's part of a layer: its columns of the parameters, of what the rule keeps of them,
 * and of their gradient.
 */

static ptrdiff_t least(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

/* This thread's columns of a layer, up to the last vector that holds a neuron: whole cache
 * lines, so that no line is written by two threads. */
static void own(const bp_net *net, const bp_layer *layer, ptrdiff_t *begin, ptrdiff_t *end)
{
    const ptrdiff_t line = BP_ALIGN / REAL_BYTES, lines = layer->stride / line;
    const ptrdiff_t used = (layer->n_out + LANES - 1) / LANES * LANES;
    const ptrdiff_t thread = layer->shared ? net->thread : 0;
    const ptrdiff_t threads = layer->shared ? net->threads : 1;
    *begin = least(lines * thread / threads * line, used);
    *end = least(lines * (thread + 1) / threads * line, used);
}

/* How many neurons the columns [begin, end) hold; the others are padding. */
static ptrdiff_t neurons(const bp_layer *layer, ptrdiff_t begin, ptrdiff_t end)
{
    const ptrdiff_t n = least(end, layer->n_out) - begin;
    return n > 0 ? n : 0;
}

/* Pointers by place. */
typedef struct {
    real *w[BP_PLACES], *biases[BP_PLACES];
    ptrdiff_t places, n_in;
    ptrdiff_t begin, n; /* columns of the layer: the first, and how many */
    int single;         /* one of them is a neuron, and the others are padding */
    ptrdiff_t stride;   /* how far apart their rows are */
} part;

/* The places < `places` of layer l. */
static part own_part(const bp_net *net, ptrdiff_t l, int places)
{
    const bp_layer *layer = &net->layers[l];
    ptrdiff_t begin, end;
    own(net, layer, &begin, &end);
    const int single = layer->n_out == 1 && begin < end;
    part p = {{0}, {0}, places, layer->n_in, begin, end - begin, single, layer->stride};
    for (int q = 0; q < places; q++) {
        p.w[q] = (real *)layer->weights[q] + begin;
        p.biases[q] = (real *)layer->biases[q] + begin;
    }
    return p;
}

static void copy_part(const part *from, const part *to)
{
    const size_t row = (size_t)from->n * sizeof(real);
    for (ptrdiff_t q = 0; q < from->places; q++) {
        for (ptrdiff_t k = 0; k < from->n_in; k++)
            memcpy(to->w[q] + k * to->stride, from->w[q] + k * from->stride, row);
        memcpy(to->biases[q], from->biases[q], row);
    }
}

/* The first layer's part: in copies beside one another, away from the other threads', where
 * that pays. */
static part borrow(const bp_net *net, int places)
{
    const part mine = own_part(net, 0, places);
    if (net->threads == 1 || !net->own.part)
        return mine;
    part copies = mine;
    copies.stride = mine.n;
    for (int q = 0; q < places; q++) {
        copies.w[q] = (real *)net->own.part + q * (mine.n_in + 1) * mine.n;
        copies.biases[q] = copies.w[q] + mine.n_in * mine.n;
    }
    copy_part(&mine, &copies);
    return copies;
}

static void give_back(const bp_net *net, const part *copies)
{
    const part mine = own_part(net, 0, (int)copies->places);
    if (copies->w[0] != mine.w[0])
        copy_part(copies, &mine);
}

/* Multiply the weights by a factor. */
static void scale_part(const part *p, bp_wide factor)
{
    for (ptrdiff_t k = 0; k < p->n_in && factor != 1; k++)
        scale(p->n, (real)factor, p->w[0] + k * p->stride, p->w[0] + k * p->stride);
}

/* Items that a pass takes at a time where rows lie end to end: all places of them fit the first
 * cache. */
enum { PASS_ITEMS = 4096 / REAL_BYTES };

/* What a pass does for each weight: finish the step `due`, then start the step `next`, which
 * for whole gradients means to clear the gradient.  NULL: leave that out. */
typedef struct {
    row_pass *step;     /* of whole gradients, or */
    row_shares *shares; /* the rest of a step in shares, of which both are told alike */
    const pass *due, *next;
} passes;

/* The items at one distance from each place's start. */
static void pass_row(const passes *s, ptrdiff_t places, ptrdiff_t n, real *const start[],
                     ptrdiff_t at)
{
    real *row[BP_PLACES] = {0};
    for (ptrdiff_t q = 0; q < places; q++)
        row[q] = start[q] + at;
    if (s->shares) {
        s->shares(s->due != NULL, s->next != NULL, s->next ? s->next : s->due, n, row);
        return;
    }
    if (s->due)
        s->step(s->due, n, row);
    if (s->next)
        memset(row[places - 1], 0, (size_t)n * sizeof(real));
}

/* The step of one neuron, of some inputs at a time: a row of it would fill no vector. */
COMPILED_ONCE
static void pass_single(const passes *s, const part *p)
{
    enum { MOST = 8 * LANES };
    vreal side[BP_PLACES][8];
    for (ptrdiff_t k = 0, m; k < p->n_in; k += m) {
        real *row[BP_PLACES];
        m = least(MOST, p->n_in - k);
        for (ptrdiff_t q = 0; q < p->places; q++) {
            row[q] = (real *)side[q];
            side_by_side(m, p->stride, p->w[q] + k * p->stride, row[q]);
        }
        pass_row(s, p->places, whole_vectors(m), row, 0);
        for (ptrdiff_t q = 0; q < p->places; q++)
            apart(m, p->stride, row[q], p->w[q] + k * p->stride);
    }
}

static const pass *unregularised(const pass *s, pass *of_biases)
{
    if (!s)
        return NULL;
    *of_biases = *s;
    of_biases->l2 = of_biases->l1 = of_biases->eta_l2 = of_biases->eta_l1 = R(0.0);
    return of_biases;
}

/* The same for all weights, each row while it is in the first cache, and for the biases, which
 * are not regularised. */
static void pass_over(const part *p, passes s)
{
    const ptrdiff_t n = p->n;
    const ptrdiff_t block = n == p->stride && n < PASS_ITEMS / 2 ? PASS_ITEMS / (n + !n) : 1;
    if (p->single && s.due && !s.shares)
        pass_single(&s, p);
    else
        for (ptrdiff_t k = 0; k < p->n_in; k += block)
            pass_row(&s, p->places, least(block, p->n_in - k) * n, p->w, k * p->stride);
    pass due, next;
    s.due = unregularised(s.due, &due);
    s.next = unregularised(s.next, &next);
    pass_row(&s, p->places, n, p->biases, 0);
}
