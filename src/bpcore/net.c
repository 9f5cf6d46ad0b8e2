/* A network's memory, and its work shared among threads. */
#include "core.h"

#include <string.h>

/* Up to this many weights, computing a whole layer costs less than waiting for a part of it. */
enum { MAX_REPEATED_WEIGHTS = 4096 };

/* Processors fetch lines beside those that are read: parts of a row that are shorter than this
 * would move between them all the time. */
enum { SHORT_LINES = 8 };

/* Arrays one after the other, on boundaries of BP_ALIGN; without a start they are only counted.
 * What does not fit in memory counts as MOST. */
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

/* A row of n items, in whole lines. */
static size_t line_bytes(ptrdiff_t n, size_t itemsize)
{
    return (times((size_t)n, itemsize) + BP_ALIGN - 1) / BP_ALIGN * BP_ALIGN;
}

static bp_layer lay_out_layer(arena *arena, const ptrdiff_t *sizes, ptrdiff_t rows,
                              size_t itemsize)
{
    const size_t n_in = (size_t)sizes[0], stride = line_bytes(sizes[1], itemsize) / itemsize;
    bp_layer layer = {sizes[0], sizes[1], (ptrdiff_t)stride, 0, NULL, NULL, NULL, NULL};
    layer.weights = take(arena, times(n_in, stride), itemsize);
    layer.biases = take(arena, stride, itemsize);
    layer.a = take(arena, times((size_t)rows, stride), itemsize);
    layer.delta = take(arena, times((size_t)rows, stride), itemsize);
    if (arena->start) {
        memset(layer.weights, 0, n_in * stride * itemsize);
        memset(layer.biases, 0, stride * itemsize);
    }
    return layer;
}

/* One thread's layers: parts of the first thread's, or its own. */
static void lay_out_layers(arena *arena, const ptrdiff_t *sizes, size_t itemsize,
                           const bp_layer *first, bp_net *net)
{
    net->layers = take(arena, (size_t)net->num_layers, sizeof *net->layers);
    for (ptrdiff_t l = 0; l < net->num_layers; l++) {
        const size_t weights = times((size_t)sizes[l], (size_t)sizes[l + 1]);
        const int shared = l == 0 || weights > MAX_REPEATED_WEIGHTS;
        bp_layer layer = {0};
        if (net->thread == 0 || !shared)
            layer = lay_out_layer(arena, sizes + l, net->rows, itemsize);
        else if (first)
            layer = first[l];
        if (net->thread > 0 && l == 0) /* its own columns, which nobody else reads */
            layer.delta = take(arena, (size_t)net->rows, line_bytes(sizes[1], itemsize));
        layer.shared = shared;
        if (arena->start)
            net->layers[l] = layer;
    }
}

size_t bp_lay_out(void *block, const ptrdiff_t *sizes, ptrdiff_t num_layers, ptrdiff_t rows,
                  ptrdiff_t threads, size_t itemsize, bp_net **nets)
{
    arena arena = {block, 0};
    const size_t examples = (size_t)rows, inputs = times(examples, (size_t)sizes[0]);
    const size_t lines = line_bytes(sizes[1], itemsize) / BP_ALIGN;
    const size_t part = (lines + (size_t)threads - 1) / (size_t)threads;
    bp_net net = {0};
    net.num_layers = num_layers;
    net.rows = rows;
    net.threads = 1;
    net.scale = 1;
    *nets = take(&arena, (size_t)threads, sizeof net);
    net.barrier = take(&arena, 1, sizeof *net.barrier);
    net.picked = take(&arena, examples, sizeof *net.picked);
    net.x = take(&arena, inputs, itemsize);
    net.next_x = take(&arena, inputs, itemsize);
    net.next_a = take(&arena, examples, lines * BP_ALIGN);
    for (; net.thread < threads; net.thread++) {
        net.cursors = take(&arena, times(2, examples), sizeof *net.cursors);
        net.packed = take(&arena, 1, BP_GEMM_SCRATCH);
        if (threads > 1 && part <= SHORT_LINES)
            net.own_weights = take(&arena, (size_t)sizes[0] + 1, part * BP_ALIGN);
        lay_out_layers(&arena, sizes, itemsize, block ? (*nets)[0].layers : NULL, &net);
        if (block)
            (*nets)[net.thread] = net;
    }
    if (block)
        *net.barrier = (bp_barrier){1, 0, 0};
    return arena.used;
}

/* Let `threads` work on what the first view holds; 1: it works alone. */
static void share(bp_net *nets, ptrdiff_t threads, size_t itemsize)
{
    nets->threads = nets->barrier->threads = threads;
    for (ptrdiff_t t = 1; t < threads; t++) {
        bp_net *net = &nets[t];
        net->threads = threads;
        net->cost = nets->cost;
        net->scale = nets->scale;
        net->next_a = nets->next_a;
        net->x = nets->x;
        net->next_x = nets->next_x;
        for (ptrdiff_t l = 0; l < net->num_layers; l++) {
            const bp_layer *from = &nets->layers[l];
            bp_layer *layer = &net->layers[l];
            const size_t line = (size_t)layer->stride * itemsize;
            if (l == 0)
                layer->a = from->a; /* which the first view may have exchanged */
            if (!layer->shared) {
                memcpy(layer->weights, from->weights, (size_t)layer->n_in * line);
                memcpy(layer->biases, from->biases, line);
            }
        }
    }
}

/* A call of sgd, or of evaluate where there is no order. */
typedef struct {
    const bp_engine *engine;
    bp_net *nets, *velocities;
    const bp_data *data;
    const int64_t *order;
    ptrdiff_t begin, end, mini_batch_size;
    const bp_rule *rule;
    void *costs;
    ptrdiff_t threads;
    int64_t correct[BP_MAX_THREADS];
} call;

static void train(void *job, ptrdiff_t thread)
{
    call *c = job;
    c->engine->sgd(&c->nets[thread], c->velocities ? &c->velocities[thread] : NULL, c->data,
                   c->order, c->begin, c->end, c->mini_batch_size, c->rule);
}

static void test(void *job, ptrdiff_t thread)
{
    call *c = job;
    const ptrdiff_t n = c->end - c->begin;
    c->correct[thread] = c->engine->evaluate(&c->nets[thread], c->data,
                                             c->begin + n * thread / c->threads,
                                             c->begin + n * (thread + 1) / c->threads,
                                             c->costs);
}

void bp_sgd(const bp_engine *engine, bp_net *nets, bp_net *velocities, ptrdiff_t threads,
            const bp_data *data, const int64_t *order, ptrdiff_t begin, ptrdiff_t end,
            ptrdiff_t mini_batch_size, const bp_rule *rule)
{
    call c = {engine, nets, velocities, data, order, begin, end, mini_batch_size, rule, NULL,
              threads, {0}};
    share(nets, threads, engine->itemsize);
    if (velocities)
        share(velocities, threads, engine->itemsize);
    const int done = bp_run(train, &c, threads);
    share(nets, 1, engine->itemsize);
    if (velocities)
        share(velocities, 1, engine->itemsize);
    if (!done) /* one does it all: the bits are the same */
        train(&c, 0);
}

/* Make what a view uses of the shared scratch for examples start so many rows later. */
static void move_rows(bp_net *net, ptrdiff_t rows, size_t itemsize)
{
    const ptrdiff_t item = (ptrdiff_t)itemsize, inputs = rows * net->layers->n_in * item;
    net->picked += rows;
    net->x = (char *)net->x + inputs;
    net->next_x = (char *)net->next_x + inputs;
    net->next_a = (char *)net->next_a + rows * net->layers->stride * item;
    for (ptrdiff_t l = 0; l < net->num_layers; l++)
        if (net->layers[l].shared) {
            const ptrdiff_t bytes = rows * net->layers[l].stride * item;
            net->layers[l].a = (char *)net->layers[l].a + bytes;
            net->layers[l].delta = (char *)net->layers[l].delta + bytes;
        }
}

/* Examples are evaluated one by one: each thread takes some of them, and rows of its own. */
int64_t bp_evaluate(const bp_engine *engine, bp_net *nets, ptrdiff_t threads,
                    const bp_data *data, ptrdiff_t begin, ptrdiff_t end, void *costs)
{
    const ptrdiff_t all_rows = nets->rows, used = threads < all_rows ? threads : all_rows;
    const ptrdiff_t rows = all_rows / used;
    call c = {engine, nets, NULL, data, NULL, begin, end, 0, NULL, costs, used, {0}};
    int64_t correct = 0;
    share(nets, used, engine->itemsize);
    nets->barrier->threads = 1;
    for (ptrdiff_t t = 0; t < used; t++) {
        nets[t].rows = rows;
        nets[t].thread = 0;
        nets[t].threads = 1;
        move_rows(&nets[t], t * rows, engine->itemsize);
    }
    if (!bp_run(test, &c, used))
        for (ptrdiff_t t = 0; t < used; t++)
            test(&c, t);
    for (ptrdiff_t t = 0; t < used; t++) {
        move_rows(&nets[t], -t * rows, engine->itemsize);
        nets[t].rows = all_rows;
        nets[t].thread = t;
        correct += c.correct[t];
    }
    share(nets, 1, engine->itemsize);
    return correct;
}
