/* Trains networks of every shape, kind and rule in the core alone, and prints a checksum of each
 * one's parameters: the same lines wherever the bits are the same.
 *
 *     portable ISA [K]
 *
 * trains every K-th of them.  Examples come from an integer generator and have three forms:
 * dense, CSR and codes.  The last lines are of distorted images.
 */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 150, FEW = 30, MOST = 100 }; /* examples; one by one; the most neurons of a layer */

static const ptrdiff_t SHAPES[][5] = {{20, 30, 10}, {9, 70, 65, 3}, {33, 40}, {90, 100, 7, 4}};
static const ptrdiff_t MINI_BATCHES[] = {1, 10, 130}; /* summed from 128 on */
static const ptrdiff_t THREADS[] = {1, 2};

static uint32_t draw(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void put(const bp_engine *engine, void *array, ptrdiff_t i, double value)
{
    if (engine->itemsize == 4)
        ((float *)array)[i] = (float)value;
    else
        ((double *)array)[i] = value;
}

static void *block(size_t bytes)
{
    void *found = NULL;
    bytes = (bytes + BP_ALIGN) / BP_ALIGN * BP_ALIGN;
    found = aligned_alloc(BP_ALIGN, bytes);
    if (!found)
        abort();
    return memset(found, 0, bytes);
}

/* FNV-1a. */
static uint64_t add(uint64_t sum, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
    return sum;
}

/* Examples in all forms, and room for one layer's parameters. */
typedef struct {
    bp_data forms[3];
    int64_t offsets[N + 1], order[N];
    uint16_t columns[(N + 1) * MOST];
    uint8_t codes[(N + 1) * MOST];
    bp_codes places;
    void *x, *values, *table, *y, *w, *b, *outputs, *costs;
} examples;

/* A third of the inputs is not zero, and has one of 200 values. */
static void make_examples(const bp_engine *engine, ptrdiff_t n_in, ptrdiff_t n_out, examples *e)
{
    uint32_t state = 2463534242u;
    for (ptrdiff_t i = 0; i < N * n_in; i++) {
        const uint32_t number = draw(&state);
        put(engine, e->x, i, number % 3 ? 0 : ((int)(number / 3 % 200) - 100) / 128.0);
    }
    for (ptrdiff_t i = 0; i < N * n_out; i++)
        put(engine, e->y, i, draw(&state) % 256 / 256.0);
    for (ptrdiff_t i = 0; i < N; i++)
        e->order[i] = i;
    e->offsets[0] = 0;
    memset(&e->places, 0, sizeof e->places);
    engine->csr_append(N, n_in, e->x, N * n_in, e->offsets, e->columns, e->values);
    if (engine->csr_encode(e->offsets[N], e->values, &e->places, e->table, e->codes)
        != e->offsets[N])
        abort();
    const ptrdiff_t item = (ptrdiff_t)engine->itemsize;
    const bp_data dense = {.n = N, .n_in = n_in, .n_out = n_out, .x = e->x, .x_item = item,
                           .x_row = n_in * item, .y = e->y,
                           .x_type = item == 4 ? BP_FLOAT32 : BP_FLOAT64};
    e->forms[0] = e->forms[1] = e->forms[2] = dense;
    e->forms[1].x = e->forms[2].x = NULL;
    e->forms[1].offsets = e->forms[2].offsets = e->offsets;
    e->forms[1].columns = e->forms[2].columns = e->columns;
    e->forms[1].values = e->values;
    e->forms[2].values = e->table;
    e->forms[2].codes = e->codes;
    for (int form = 1; form < 3; form++)
        if (bp_csr_fault(&e->forms[form], e->offsets[N],
                         form == 1 ? e->offsets[N] : e->places.used, 0, N))
            abort();
}

static int no_look(void *context, ptrdiff_t done)
{
    (void)context, (void)done;
    return 0;
}

static void load(const bp_engine *engine, bp_net *net, examples *e)
{
    uint32_t state = 362436069u;
    for (ptrdiff_t l = 0; l < net->num_layers; l++) {
        const ptrdiff_t n_in = net->layers[l].n_in, n_out = net->layers[l].n_out;
        for (ptrdiff_t i = 0; i < n_in * n_out; i++)
            put(engine, e->w, i, ((int)(draw(&state) % 512) - 256) / 1024.0);
        for (ptrdiff_t j = 0; j < n_out; j++)
            put(engine, e->b, j, ((int)(draw(&state) % 512) - 256) / 512.0);
        engine->load(net, l, 0, 0, n_in, 0, e->w, e->b);
    }
}

static uint64_t sum_of(const bp_engine *engine, bp_net *net, examples *e)
{
    uint64_t sum = 14695981039346656037u;
    for (ptrdiff_t l = 0; l < net->num_layers; l++) {
        const size_t n_in = (size_t)net->layers[l].n_in, n_out = (size_t)net->layers[l].n_out;
        engine->store(net, l, 0, 0, net->layers[l].n_in, 0, e->w, e->b);
        sum = add(sum, e->w, n_in * n_out * engine->itemsize);
        sum = add(sum, e->b, n_out * engine->itemsize);
        for (size_t j = 0; j < n_out; j++) /* what is no number has other bits elsewhere */
            if (engine->itemsize == 4 ? ((float *)e->b)[j] - ((float *)e->b)[j] != 0
                                      : ((double *)e->b)[j] - ((double *)e->b)[j] != 0)
                abort();
    }
    return sum;
}

/* Two epochs; regularised or not by whether mini-batches are odd. */
static uint64_t train(const bp_engine *engine, bp_shape shape, ptrdiff_t m, int form,
                      examples *e)
{
    bp_net *nets;
    static void *memory; /* of all networks, one after the other */
    static size_t room;
    const size_t bytes = bp_lay_out(NULL, &shape, &nets);
    const size_t inputs = 2 * BP_ROWS * MOST * sizeof(double) + 2 * BP_ALIGN;
    if (bytes + inputs > room) {
        free(memory);
        memory = block(bytes + inputs);
        room = bytes + inputs;
    }
    bp_lay_out(memory, &shape, &nets);
    if (bp_lay_out_inputs((char *)memory + bytes, nets, shape.itemsize) > inputs)
        abort();
    load(engine, nets, e);
    bp_wide losses[2 * N] = {0};
    const bp_row *rule = engine->row(BP_RULES, shape.kind.rule);
    bp_descent told = {.data = &e->forms[form], .order = e->order, .mini_batch_size = m,
                       .begin = m == 1 ? N - FEW : 0, .eta = rule->slots == 2 ? 1e-3 : 1 / 32.0,
                       .l2 = m % 2 ? 0 : 1e-3,
                       .l1 = m == 130 ? 1e-4 : 0, .losses = losses,
                       .clip = m == 130 ? 1e-7 : 0};
    for (int i = 0; i < BP_PARAMETERS; i++)
        told.parameters[i] = !rule->parameters[i]                         ? 0
                             : strcmp(rule->parameters[i], "epsilon") == 0 ? 1e-6
                                                                           : 0.75;
    bp_sgd(engine, nets, shape.threads, &told, no_look, NULL);
    bp_sgd(engine, nets, shape.threads, &told, no_look, NULL);
    engine->evaluate(nets, told.data, 0, N, &(bp_questions){e->outputs, e->costs, NULL});
    uint64_t sum = add(sum_of(engine, nets, e), e->outputs, N * (size_t)told.data->n_out * engine->itemsize);
    return add(add(sum, e->costs, N * engine->itemsize), losses, sizeof losses);
}

/* One line; the forms and the numbers of threads must agree on it. */
static int report(const bp_engine *engine, const ptrdiff_t *sizes, ptrdiff_t num_layers,
                  bp_kind kind, int every, examples *e)
{
    static int asked;
    int differ = 0;
    if (asked++ % every)
        return 0;
    printf("float%d", (int)engine->itemsize * 8);
    for (ptrdiff_t l = 0; l <= num_layers; l++)
        printf("%c%d", l ? '-' : ' ', (int)sizes[l]);
    printf(" %s %s %s", engine->row(BP_ACTIVATIONS, kind.hidden)->name,
           engine->row(BP_OUTPUTS, kind.output)->name, engine->row(BP_RULES, kind.rule)->name);
    for (size_t i = 0; i < sizeof MINI_BATCHES / sizeof *MINI_BATCHES; i++) {
        uint64_t sums[6];
        for (int form = 0; form < 3; form++)
            for (int t = 0; t < 2; t++) {
                const bp_shape shape = {sizes, num_layers, BP_ROWS, THREADS[t], kind,
                                        engine->itemsize, 0};
                sums[2 * form + t] = train(engine, shape, MINI_BATCHES[i], form, e);
            }
        for (int j = 1; j < 6; j++)
            differ |= sums[j] != sums[0];
        printf(" %016llx", (unsigned long long)sums[0]);
    }
    printf(differ ? " THREADS OR FORMS DIFFER\n" : "\n");
    return differ;
}

/* Every activation with every output under plain descent, and every rule. */
static int report_kinds(const bp_engine *engine, const ptrdiff_t *sizes, ptrdiff_t num_layers,
                        int every, examples *e)
{
    int differ = 0;
    bp_kind kind = {0};
    for (kind.output = 0; engine->row(BP_OUTPUTS, kind.output); kind.output++)
        for (kind.hidden = 0; engine->row(BP_ACTIVATIONS, kind.hidden); kind.hidden++)
            differ |= report(engine, sizes, num_layers, kind, every, e);
    kind.hidden = kind.output = 0;
    for (kind.rule = 1; engine->row(BP_RULES, kind.rule); kind.rule++) {
        kind.slots = engine->row(BP_RULES, kind.rule)->slots;
        differ |= report(engine, sizes, num_layers, kind, every, e);
    }
    return differ;
}

/* Images of 20 by 17 pixels, moved by knots of made-up weights. */
static uint64_t distorted(const bp_engine *engine, ptrdiff_t threads)
{
    enum { IMAGES = 100, DOWN = 20, ACROSS = 17, KNOTS = 6 };
    int64_t first[DOWN];
    const size_t pixels = IMAGES * DOWN * ACROSS, bytes = pixels * engine->itemsize;
    void *weights = block(4 * DOWN * engine->itemsize), *in = block(bytes), *out = block(bytes);
    uint32_t state = 2463534242u;
    for (ptrdiff_t i = 0; i < DOWN; i++)
        first[i] = i * (KNOTS - 3) / DOWN;
    for (ptrdiff_t i = 0; i < 4 * DOWN; i++)
        put(engine, weights, i, draw(&state) % 1000 / 2000.0);
    for (size_t i = 0; i < pixels; i++)
        put(engine, in, (ptrdiff_t)i, draw(&state) % 256 / 255.0);
    const bp_distortion distortion = {
        .height = DOWN, .width = ACROSS, .knots_down = KNOTS, .knots_across = KNOTS,
        .down_first = first, .across_first = first, .down = weights, .across = weights,
        .seed = 12345, .half_rotation = 0.2, .scale = 0.3, .shear = 0.1, .shift = 1.5,
        .displacement = 2.0,
    };
    void *scratch = block(bp_distort(engine, &distortion, threads, 0, NULL, NULL, NULL));
    bp_distort(engine, &distortion, threads, IMAGES, in, out, scratch);
    const uint64_t sum = add(14695981039346656037u, out, bytes);
    free(weights), free(in), free(out), free(scratch);
    return sum;
}

static int report_distorted(const bp_engine *engine)
{
    const uint64_t sums[] = {distorted(engine, THREADS[0]), distorted(engine, THREADS[1])};
    const int differ = sums[0] != sums[1];
    printf("float%d distorted %016llx%s\n", (int)engine->itemsize * 8,
           (unsigned long long)sums[0], differ ? " THREADS DIFFER" : "");
    return differ;
}

int main(int argc, char **argv)
{
    static examples e;
    ptrdiff_t n;
    int differ = 0, found = 0;
    const int every = argc > 2 ? atoi(argv[2]) : 1;
    const bp_engine *const *engines = bp_engines(&n);
    const size_t room = (N + 1) * MOST * sizeof(double);
    void **arrays[] = {&e.x, &e.values, &e.table, &e.y, &e.w, &e.b, &e.outputs, &e.costs};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        *arrays[i] = block(room);
    for (ptrdiff_t i = 0; i < n; i++) {
        if (argc < 2 || every < 1 || strcmp(engines[i]->isa, argv[1]) != 0)
            continue;
        found = 1;
        for (size_t s = 0; s < sizeof SHAPES / sizeof *SHAPES; s++) {
            ptrdiff_t layers = 0;
            while (layers < 4 && SHAPES[s][layers + 1])
                layers++;
            make_examples(engines[i], SHAPES[s][0], SHAPES[s][layers], &e);
            differ |= report_kinds(engines[i], SHAPES[s], layers, every, &e);
        }
        differ |= report_distorted(engines[i]);
    }
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(*arrays[i]);
    return found ? differ : 2;
}
