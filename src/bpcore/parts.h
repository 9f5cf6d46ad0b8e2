/* A thread's part of a layer: its columns of the parameters, of what the rule keeps of them, and of
 * their gradient.
 */

static ptrdiff_t least(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

/* This thread's columns of a layer, up to the last vector that holds a neuron: whole cache lines,
 * so that no line is written by two threads. */
static void own(const bp_net *net, const bp_layer *layer, ptrdiff_t *begin, ptrdiff_t *end)
{
    const ptrdiff_t line = BP_ALIGN / REAL_BYTES, lines = layer->stride / line;
    const ptrdiff_t used = (layer->n_out + LANES - 1) / LANES * LANES;
    const ptrdiff_t thread = layer->shared ? net->thread : 0;
    const ptrdiff_t threads = layer->shared ? net->threads : 1;
    *begin = least(lines * thread / threads * line, used);
    *end = least(lines * (thread + 1) / threads * line, used);
}

/* Pointers by place. */
typedef struct {
    real *w[BP_PLACES], *biases[BP_PLACES];
    ptrdiff_t places, n_in, n, stride; /* of rows of n columns, how far apart they are */
} part;

static part own_part(const bp_net *net, ptrdiff_t l)
{
    const bp_layer *layer = &net->layers[l];
    ptrdiff_t begin, end;
    own(net, layer, &begin, &end);
    part p = {{0}, {0}, net->slots + 2, layer->n_in, end - begin, layer->stride};
    for (ptrdiff_t q = 0; q < p.places; q++) {
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

/* The first layer's part, the places < `places` of it: in copies beside one another, away from the
 * other threads', where that pays. */
static part borrow(const bp_net *net, ptrdiff_t places)
{
    part mine = own_part(net, 0);
    mine.places = places;
    if (net->threads == 1 || !net->own_part)
        return mine;
    part copies = mine;
    copies.stride = mine.n;
    for (ptrdiff_t q = 0; q < places; q++) {
        copies.w[q] = (real *)net->own_part + q * (mine.n_in + 1) * mine.n;
        copies.biases[q] = copies.w[q] + mine.n_in * mine.n;
    }
    copy_part(&mine, &copies);
    return copies;
}

static void give_back(const bp_net *net, const part *copies)
{
    const part mine = own_part(net, 0);
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

/* What a pass does for each weight: end the step that is due, and then begin the next, a whole
 * gradient's by making room for it. */
typedef struct {
    row_pass *step; /* of whole gradients, or */
    row_shares *shares;
    int ends, begins;
    pass due, next;
} passes;

/* The items at one distance from each place's start. */
static void pass_row(const passes *s, ptrdiff_t places, ptrdiff_t n, real *const start[],
                     ptrdiff_t at)
{
    real *row[BP_PLACES] = {0};
    for (ptrdiff_t q = 0; q < places; q++)
        row[q] = start[q] + at;
    if (s->shares) {
        s->shares(s->ends, s->begins, &s->next, n, row);
        return;
    }
    if (s->ends)
        s->step(&s->due, n, row);
    if (s->begins)
        memset(row[places - 1], 0, (size_t)n * sizeof(real));
}

/* The same for all weights, each row while it is in the first cache, and for the biases, which
 * are not regularised. */
static void pass_over(const part *p, passes s)
{
    const ptrdiff_t n = p->n;
    const ptrdiff_t block = n == p->stride && n < PASS_ITEMS / 2 ? PASS_ITEMS / (n + !n) : 1;
    for (ptrdiff_t k = 0; k < p->n_in; k += block)
        pass_row(&s, p->places, least(block, p->n_in - k) * n, p->w, k * p->stride);
    s.due.l2 = s.due.l1 = s.due.eta_l2 = s.due.eta_l1 = R(0.0);
    s.next.l2 = s.next.l1 = s.next.eta_l2 = s.next.eta_l1 = R(0.0);
    pass_row(&s, p->places, n, p->biases, 0);
}
