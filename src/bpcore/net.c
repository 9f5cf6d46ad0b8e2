/* A network's memory, and its work shared among threads. */
#include "core.h"

#include <string.h>

/* Up to this many weights, computing a whole layer costs less than waiting for a part of it. */
enum { MAX_REPEATED_WEIGHTS = 4096 };

/* False sharing: processors fetch the lines beside one that they read, so parts of a row that
 * are shorter than this would move between processors all the time. */
enum { SHORT_LINES = 8 };

/* The most bytes that a thread copies of the first layer: in and out again take a tenth of a
 * slice. */
enum { MOST_COPIED = 1 << 23 };

/* Slices of a call: their length in seconds, the weights that the first visits (a millisecond
 * or two; the next are twice as long while they are short), and after how many of them all
 * threads and one are compared. */
#define SLICE_SECONDS 2e-2
enum { FIRST_SLICE = 1 << 23, FIRST_TRIAL = 4, LAST_TRIAL = 64 };

/* A gradient is summed of so many weights times examples at a time, some tens of milliseconds,
 * but of no fewer examples: each time passes over all weights. */
enum { SUMMED_WEIGHTS = 1 << 28, FEWEST_SUMMED = 8 };

/* Arrays one after the other, on boundaries of BP_ALIGN; without a start they are only
 * counted.  What does not fit in memory counts as MOST. */
typedef struct {
    char *start;
    size_t used;
} arena;

#define MOST (SIZE_MAX / 4)

static size_t times(size_t a, size_t b)
{
    return b && a > MOST / b ? MOST : a * b;
}

static void *take(arena *arena, size_t n, size_t itemsize)
{
    void *taken = arena->start ? arena->start + arena->used : NULL;
    const size_t used =
        arena->used + (times(n, itemsize) + BP_ALIGN - 1) / BP_ALIGN * BP_ALIGN;
    arena->used = used < MOST ? used : MOST;
    return taken;
}

/* Rows whose distance is a multiple of so many bytes share a few lines of the first cache. */
enum { ALIASED = 4096 };

/* The distance of rows of n items: whole lines. */
static size_t line_bytes(ptrdiff_t n, size_t itemsize)
{
    const size_t bytes = (times((size_t)n, itemsize) + BP_ALIGN - 1) / BP_ALIGN * BP_ALIGN;
    return bytes % ALIASED == 0 && bytes < MOST ? bytes + BP_ALIGN : bytes;
}

static bp_layer lay_out_layer(arena *arena, const bp_shape *shape, ptrdiff_t l)
{
    const size_t n_in = (size_t)shape->sizes[l], rows = (size_t)shape->rows;
    const size_t row = line_bytes(shape->sizes[l + 1], shape->itemsize);
    bp_layer layer = {0};
    layer.n_in = shape->sizes[l];
    layer.n_out = shape->sizes[l + 1];
    layer.stride = (ptrdiff_t)(row / shape->itemsize);
    for (int q = 0; q < shape->kind.slots + 2; q++) {
        layer.weights[q] = take(arena, n_in, row);
        layer.biases[q] = take(arena, 1, row);
        if (arena->start && !shape->zeroed && q <= shape->kind.slots) {
            memset(layer.weights[q], 0, n_in * row);
            memset(layer.biases[q], 0, row);
        }
    }
    layer.a = take(arena, rows, row);
    layer.delta = take(arena, rows, row);
    layer.penalties = take(arena, 1, row);
    return layer;
}

/* One thread's layers: parts of the first thread's, or its own. */
static void lay_out_layers(arena *arena, const bp_shape *shape, const bp_layer *first,
                           bp_net *net)
{
    net->layers = take(arena, (size_t)net->num_layers, sizeof *net->layers);
    for (ptrdiff_t l = 0; l < net->num_layers; l++) {
        const size_t weights = times((size_t)shape->sizes[l], (size_t)shape->sizes[l + 1]);
        const int shared = l == 0 || weights > MAX_REPEATED_WEIGHTS;
        bp_layer layer = {0};
        if (net->thread == 0 || !shared)
            layer = lay_out_layer(arena, shape, l);
        else if (first)
            layer = first[l];
        if (net->thread > 0 && l == 0 && net->num_layers > 1) /* nobody else reads it */
            layer.delta = take(arena, (size_t)shape->rows,
                               line_bytes(shape->sizes[1], shape->itemsize));
        layer.shared = shared;
        if (arena->start)
            net->layers[l] = layer;
    }
}

/* How many examples' gradient is summed at a time. */
static ptrdiff_t rows_summed(const bp_shape *shape)
{
    size_t weights = 1;
    for (ptrdiff_t l = 0; l < shape->num_layers; l++)
        weights += times((size_t)shape->sizes[l], (size_t)shape->sizes[l + 1]);
    const ptrdiff_t few = (ptrdiff_t)(SUMMED_WEIGHTS / weights);
    const ptrdiff_t wanted = few > FEWEST_SUMMED ? few : FEWEST_SUMMED;
    const ptrdiff_t most = shape->rows < BP_ROWS ? shape->rows : BP_ROWS;
    return wanted < most ? wanted : most;
}

static bp_scratch lay_out_scratch(arena *arena, const bp_shape *shape)
{
    const size_t rows = (size_t)shape->rows, item = shape->itemsize;
    bp_scratch s = {.rows = shape->rows, .summed = rows_summed(shape)};
    s.picked = take(arena, rows, sizeof *s.picked);
    s.next_a = take(arena, rows, line_bytes(shape->sizes[1], item));
    s.costs = take(arena, rows, item);
    return s;
}

static bp_own lay_out_own(arena *arena, const bp_shape *shape)
{
    const size_t threads = (size_t)shape->threads, item = shape->itemsize;
    const size_t lines = line_bytes(shape->sizes[1], item) / BP_ALIGN;
    const size_t part = (lines + threads - 1) / threads * BP_ALIGN;
    const size_t rows_of_places =
        times((size_t)shape->sizes[0] + 1, (size_t)shape->kind.slots + 2);
    bp_own own = {0};
    own.y = take(arena, BP_DESIRED, line_bytes(shape->sizes[shape->num_layers], item));
    own.cursors = take(arena, times(2, (size_t)shape->rows), sizeof *own.cursors);
    own.packed = take(arena, 1, BP_GEMM_SCRATCH);
    if (threads > 1 && part <= SHORT_LINES * BP_ALIGN &&
        times(rows_of_places, part) <= MOST_COPIED)
        own.part = take(arena, rows_of_places, part);
    return own;
}

size_t bp_lay_out(void *block, const bp_shape *shape, bp_net **nets)
{
    arena arena = {block, 0};
    bp_net net = {.num_layers = shape->num_layers, .kind = shape->kind, .factor = 1,
                  .threads = 1};
    *nets = take(&arena, (size_t)shape->threads, sizeof net);
    net.barrier = take(&arena, 1, sizeof *net.barrier);
    net.scratch = lay_out_scratch(&arena, shape);
    for (; net.thread < shape->threads; net.thread++) {
        net.own = lay_out_own(&arena, shape);
        lay_out_layers(&arena, shape, block ? (*nets)[0].layers : NULL, &net);
        if (block)
            (*nets)[net.thread] = net;
    }
    if (block)
        *net.barrier = (bp_barrier){1, 0, 0};
    return arena.used;
}

size_t bp_lay_out_inputs(void *block, bp_net *nets, size_t itemsize)
{
    arena arena = {block, 0};
    const size_t inputs = times((size_t)nets->scratch.rows, (size_t)nets->layers->n_in);
    nets->scratch.x = take(&arena, inputs, itemsize);
    nets->scratch.next_x = take(&arena, inputs, itemsize);
    return arena.used;
}

/* Let `threads` work on what the first view holds; 1: it works alone. */
static void share(bp_net *nets, ptrdiff_t threads, size_t itemsize)
{
    nets->threads = nets->barrier->threads = threads;
    for (ptrdiff_t t = 1; t < threads; t++) {
        bp_net *net = &nets[t];
        net->threads = threads;
        net->factor = nets->factor;
        net->steps = nets->steps;
        net->scratch = nets->scratch;
        for (ptrdiff_t l = 0; l < net->num_layers; l++) {
            const bp_layer *first = &nets->layers[l];
            bp_layer *layer = &net->layers[l];
            const size_t row = (size_t)layer->stride * itemsize;
            if (l == 0)
                layer->a = first->a; /* which the first view may have exchanged */
            for (int q = 0; q < net->kind.slots + 2 && !layer->shared; q++) {
                memcpy(layer->weights[q], first->weights[q], (size_t)layer->n_in * row);
                memcpy(layer->biases[q], first->biases[q], row);
            }
        }
    }
}

/* The arguments of one slice of a call. */
typedef struct {
    const bp_engine *engine;
    bp_net *nets;
    ptrdiff_t threads, begin, end;
    const bp_descent *descent;
    const bp_data *data;
    const int64_t *order; /* of backprop */
    const bp_questions *asked;
    ptrdiff_t reached; /* by sgd */
    int64_t correct[BP_MAX_THREADS];
} slice;

static void train_part(void *job, ptrdiff_t thread)
{
    slice *s = job;
    bp_descent told = *s->descent;
    told.begin = s->begin;
    const ptrdiff_t reached = s->engine->sgd(&s->nets[thread], &told, s->end);
    if (thread == 0)
        s->reached = reached;
}

static void backprop_part(void *job, ptrdiff_t thread)
{
    slice *s = job;
    s->engine->backprop(&s->nets[thread], s->data, s->order, s->begin, s->end);
}

/* Each thread visits all examples of a slice, and computes its columns. */
static void share_columns(slice *s, void (*part)(void *job, ptrdiff_t thread))
{
    const size_t itemsize = s->engine->itemsize;
    share(s->nets, s->threads, itemsize);
    const int done = bp_run(part, s, s->threads);
    share(s->nets, 1, itemsize);
    if (!done) /* one does it all: the bits are the same */
        part(s, 0);
}

/* Move where a view's part of the shared scratch begins by a number of rows. */
static void move_rows(bp_net *net, ptrdiff_t rows, size_t itemsize)
{
    const ptrdiff_t item = (ptrdiff_t)itemsize, inputs = rows * net->layers->n_in * item;
    bp_scratch *s = &net->scratch;
    s->picked += rows;
    if (s->x) {
        s->x = (char *)s->x + inputs;
        s->next_x = (char *)s->next_x + inputs;
    }
    s->next_a = (char *)s->next_a + rows * net->layers->stride * item;
    for (ptrdiff_t l = 0; l < net->num_layers; l++)
        if (net->layers[l].shared) {
            const ptrdiff_t bytes = rows * net->layers[l].stride * item;
            net->layers[l].a = (char *)net->layers[l].a + bytes;
            net->layers[l].delta = (char *)net->layers[l].delta + bytes;
        }
}

static void evaluate_part(void *job, ptrdiff_t thread)
{
    slice *s = job;
    const ptrdiff_t n = s->end - s->begin;
    bp_questions asked = *s->asked;
    if (asked.correct)
        asked.correct = &s->correct[thread];
    s->engine->evaluate(&s->nets[thread], s->data, s->begin + n * thread / s->threads,
                        s->begin + n * (thread + 1) / s->threads, &asked);
}

/* Examples are evaluated one by one: each thread takes some of them, and rows of its own. */
static void evaluate_slice(slice *s)
{
    bp_net *nets = s->nets;
    const size_t itemsize = s->engine->itemsize;
    const ptrdiff_t all_rows = nets->scratch.rows;
    s->threads = s->threads < all_rows ? s->threads : all_rows;
    const ptrdiff_t rows = all_rows / s->threads;
    share(nets, s->threads, itemsize);
    nets->barrier->threads = 1;
    for (ptrdiff_t t = 0; t < s->threads; t++) {
        nets[t].scratch.rows = rows;
        nets[t].thread = 0;
        nets[t].threads = 1;
        s->correct[t] = 0;
        move_rows(&nets[t], t * rows, itemsize);
    }
    if (!bp_run(evaluate_part, s, s->threads))
        for (ptrdiff_t t = 0; t < s->threads; t++)
            evaluate_part(s, t);
    for (ptrdiff_t t = 0; t < s->threads; t++) {
        move_rows(&nets[t], -t * rows, itemsize);
        nets[t].scratch.rows = all_rows;
        nets[t].thread = t;
        if (s->asked->correct)
            *s->asked->correct += s->correct[t];
    }
    share(nets, 1, itemsize);
}

/* How many examples a first slice has. */
static ptrdiff_t first_slice(const bp_net *net)
{
    ptrdiff_t weights = 0;
    for (ptrdiff_t l = 0; l < net->num_layers; l++)
        weights += net->layers[l].n_in * net->layers[l].n_out;
    return FIRST_SLICE / weights + 1;
}

static bp_wide seconds_since(int64_t start)
{
    return 1e-9 * (bp_wide)(bp_nanoseconds() - start);
}

/* Note how fast one thread or all were; after a trial, choose between them.  One must be
 * clearly faster: all find their caches cold when they come back. */
static void judge_pace(bp_pace *pace, int alone, int trial, bp_wide seconds)
{
    pace->seconds[alone] = seconds;
    if (!trial) {
        pace->until_trial--;
        return;
    }
    if (seconds < (alone ? 0.8 : 1.0) * pace->seconds[!alone]) {
        pace->alone = alone;
        pace->trials_apart = FIRST_TRIAL;
    } else
        pace->trials_apart = pace->trials_apart < LAST_TRIAL / 2 ? 2 * pace->trials_apart
                                                                 : LAST_TRIAL;
    pace->until_trial = pace->trials_apart;
}

/* Threads that meet all the time wait for one whose processor another program has: so half a
 * slice now and then tries whether one thread would be faster than all, or all again. */
void bp_sgd(const bp_engine *engine, bp_net *nets, ptrdiff_t threads,
            const bp_descent *descent, bp_look *look, void *context)
{
    bp_pace *pace = &nets->pace;
    const ptrdiff_t n = descent->data->n;
    slice s = {.engine = engine, .nets = nets, .descent = descent, .reached = descent->begin};
    if (pace->slice == 0)
        *pace = (bp_pace){.slice = first_slice(nets), .until_trial = FIRST_TRIAL,
                          .trials_apart = FIRST_TRIAL};
    ptrdiff_t length = pace->slice;
    while (s.reached < n) {
        const int trial = threads > 1 && pace->until_trial <= 0, alone = pace->alone != trial;
        const ptrdiff_t wanted = trial ? length / 2 + 1 : length;
        s.threads = alone ? 1 : threads;
        s.begin = s.reached;
        s.end = wanted < n - s.begin ? s.begin + wanted : n;
        const int64_t start = bp_nanoseconds();
        share_columns(&s, train_part);
        const bp_wide seconds = seconds_since(start);
        const ptrdiff_t done = s.reached - s.begin;
        if (look(context, done))
            break;
        if (threads > 1)
            judge_pace(pace, alone, trial, seconds / (bp_wide)done);
        if (seconds < SLICE_SECONDS / 2 && !trial)
            length *= 2;
    }
    if (s.reached < n && s.reached % descent->mini_batch_size)
        nets->steps--; /* of a mini-batch that was begun and is dropped */
    engine->settle(nets);
}

void bp_evaluate(const bp_engine *engine, bp_net *nets, ptrdiff_t threads, const bp_data *data,
                 const bp_questions *asked, bp_look *look, void *context)
{
    const bp_scratch *scratch = &nets->scratch;
    const ptrdiff_t some = BP_MOST_ROWS / BP_ROWS * scratch->summed;
    const ptrdiff_t fewest = some < scratch->rows ? some : scratch->rows;
    ptrdiff_t length = first_slice(nets), more = 1;
    slice s = {.engine = engine, .nets = nets, .data = data, .asked = asked};
    length = length < fewest ? fewest : length;
    for (; more && s.begin < data->n; s.begin = s.end) {
        const int64_t start = bp_nanoseconds();
        s.threads = threads;
        s.end = length < data->n - s.begin ? s.begin + length : data->n;
        evaluate_slice(&s);
        more = !look(context, s.end - s.begin);
        if (seconds_since(start) < SLICE_SECONDS / 2)
            length *= 2;
    }
}

/* A wide network's first slice is short: as many examples as are summed at a time. */
void bp_backprop(const bp_engine *engine, bp_net *nets, ptrdiff_t threads, const bp_data *data,
                 const int64_t *order, ptrdiff_t n, bp_look *look, void *context)
{
    ptrdiff_t length = nets->scratch.summed;
    slice s = {.engine = engine, .nets = nets, .threads = threads, .data = data,
               .order = order};
    do {
        const int64_t start = bp_nanoseconds();
        s.begin = s.end;
        s.end = length < n - s.begin ? s.begin + length : n;
        share_columns(&s, backprop_part);
        if (look(context, s.end - s.begin))
            return;
        if (seconds_since(start) < SLICE_SECONDS / 2)
            length *= 2;
    } while (s.end < n);
}
