/* The core without Python, on any processor: what networks become, in one line a case.
 *
 * A line is an engine's name, a case's name and the checksum (FNV-1a) of all that the case
 * computes: parameters, what the rule keeps, the gradient, outputs and costs.  Data come from an
 * integer generator and are exact, so that engines and machines whose arithmetic is the same
 * print the same lines.  Each case is computed three times, of dense inputs by one thread, of CSR
 * by two and of codes by three: where their bits differ, or are no numbers, the exit status is 1.
 */
#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXAMPLES = 140, MAX_LAYERS = 3, FORMS = 3 };

typedef struct {
    ptrdiff_t num_layers;
    ptrdiff_t sizes[MAX_LAYERS + 1];
} shape;

/* Below, at and above whole vectors; the third has a layer wide enough to be shared among
 * threads that is not the first. */
static const shape SHAPES[] = {
    {2, {37, 19, 7}}, {1, {40, 16}}, {3, {12, 70, 66, 5}}, {2, {300, 33, 8}},
};

/* What else a case has: mini-batches below and above BP_WHOLE, both penalties. */
static const struct {
    ptrdiff_t n, mini_batch_size;
    bp_wide l2, l1;
} DESCENTS[] = {{41, 6, 0, 0}, {41, 10, 0.01, 0.001}, {EXAMPLES, 130, 0.01, 0}};

static uint64_t drawn;

/* xorshift64*, of which the upper half is drawn. */
static uint32_t draw(void)
{
    drawn ^= drawn >> 12;
    drawn ^= drawn << 25;
    drawn ^= drawn >> 27;
    return (uint32_t)(drawn * 0x2545f4914f6cdd1d >> 32);
}

static uint64_t fnv(uint64_t hash, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3;
    return hash;
}

static void *room(size_t bytes)
{
    void *block = calloc(1, bytes + 1);
    if (!block)
        exit(2);
    return block;
}

static void put(size_t itemsize, void *array, ptrdiff_t i, double value)
{
    if (itemsize == 4)
        ((float *)array)[i] = (float)value;
    else
        ((double *)array)[i] = value;
}

static int finite_items(size_t itemsize, const void *array, ptrdiff_t n)
{
    int finite = 1;
    for (ptrdiff_t i = 0; i < n; i++) {
        const double item = itemsize == 4 ? ((const float *)array)[i]
                                          : ((const double *)array)[i];
        finite &= item - item == 0;
    }
    return finite;
}

/* Every third input is one of 63 values, the others are 0; desired outputs are in [0, 1). */
static void draw_examples(const bp_engine *engine, bp_data *data, void *x, void *y)
{
    for (ptrdiff_t i = 0; i < data->n * data->n_in; i++)
        put(engine->itemsize, x, i, draw() % 3 ? 0 : (draw() % 63 + 1) / 64.0);
    for (ptrdiff_t i = 0; i < data->n * data->n_out; i++)
        put(engine->itemsize, y, i, draw() % 16 / 16.0);
    data->x = x;
    data->y = y;
}

/* form 0: dense; 1: CSR; 2: CSR with codes. */
static bp_data in_form(const bp_engine *engine, const bp_data *dense, int form)
{
    static bp_codes codes;
    bp_data data = *dense;
    const int64_t limit = data.n * data.n_in;
    if (form == 0)
        return data;
    int64_t *offsets = room((size_t)(data.n + 1) * sizeof *offsets);
    uint16_t *columns = room((size_t)(limit + data.n_in) * sizeof *columns);
    void *values = room((size_t)(limit + data.n_in) * engine->itemsize);
    engine->csr_append(data.n, data.n_in, data.x, limit, offsets, columns, values);
    data.x = NULL;
    data.offsets = offsets;
    data.columns = columns;
    data.values = values;
    if (form == 2) {
        uint8_t *out = room((size_t)(limit + data.n_in));
        void *table = room(BP_CODES * engine->itemsize);
        memset(&codes, 0, sizeof codes);
        if (engine->csr_encode(offsets[data.n], values, &codes, table, out) != offsets[data.n])
            exit(2);
        data.values = table;
        data.codes = out;
        free(values);
    }
    return data;
}

static void free_form(const bp_data *data)
{
    if (data->x)
        return;
    free((void *)data->offsets);
    free((void *)data->columns);
    free((void *)data->values);
    free((void *)data->codes);
}

static int go_on(void *context, ptrdiff_t done)
{
    (void)context, (void)done;
    return 0;
}

/* Weights of a layer in (-1/8, 1/8), biases in (-1, 1). */
static void draw_parameters(const bp_engine *engine, bp_net *nets)
{
    for (ptrdiff_t l = 0; l < nets->num_layers; l++) {
        const ptrdiff_t n_in = nets->layers[l].n_in, n_out = nets->layers[l].n_out;
        void *w = room((size_t)(n_in * n_out) * engine->itemsize);
        void *b = room((size_t)n_out * engine->itemsize);
        for (ptrdiff_t i = 0; i < n_in * n_out; i++)
            put(engine->itemsize, w, i, ((int)(draw() % 255) - 127) / 1024.0);
        for (ptrdiff_t i = 0; i < n_out; i++)
            put(engine->itemsize, b, i, ((int)(draw() % 255) - 127) / 128.0);
        engine->load(nets, l, 0, w, b);
        free(w);
        free(b);
    }
}

/* The hash of a place of every layer; 0 if an item of it is no finite number. */
static uint64_t hash_place(const bp_engine *engine, const bp_net *nets, int place,
                           uint64_t hash)
{
    for (ptrdiff_t l = 0; l < nets->num_layers; l++) {
        const ptrdiff_t n = nets->layers[l].n_in * nets->layers[l].n_out;
        const ptrdiff_t n_out = nets->layers[l].n_out;
        void *w = room((size_t)n * engine->itemsize);
        void *b = room((size_t)n_out * engine->itemsize);
        engine->store(nets, l, place, w, b);
        if (!finite_items(engine->itemsize, w, n) || !finite_items(engine->itemsize, b, n_out))
            return 0;
        hash = fnv(fnv(hash, w, (size_t)n * engine->itemsize), b,
                   (size_t)n_out * engine->itemsize);
        free(w);
        free(b);
    }
    return hash;
}

static uint64_t hash_answers(const bp_engine *engine, bp_net *nets, ptrdiff_t threads,
                             const bp_data *data, uint64_t hash)
{
    const size_t outputs = (size_t)(data->n * data->n_out) * engine->itemsize;
    const size_t costs = (size_t)data->n * engine->itemsize;
    const bp_questions asked = {room(outputs), room(costs), NULL};
    bp_evaluate(engine, nets, threads, data, &asked, go_on, NULL);
    if (!finite_items(engine->itemsize, asked.outputs, data->n * data->n_out) ||
        !finite_items(engine->itemsize, asked.costs, data->n))
        return 0;
    hash = fnv(fnv(hash, asked.outputs, outputs), asked.costs, costs);
    free(asked.outputs);
    free(asked.costs);
    return hash;
}

/* Everything the network computes of data: two epochs, answers, a gradient. */
static uint64_t hash_run(const bp_engine *engine, const shape *s, const bp_kind *kind, size_t d,
                         const bp_data *data, ptrdiff_t threads)
{
    const bp_wide parameters[][BP_PARAMETERS] = {{0}, {0.5}, {0.5}, {0.875, 0.984375, 1e-8}};
    const ptrdiff_t m = DESCENTS[d].mini_batch_size, n = data->n;
    const bp_shape laid = {s->sizes, s->num_layers, m < BP_ROWS ? m : BP_ROWS, threads, *kind,
                           engine->itemsize};
    bp_descent told = {.data = data, .mini_batch_size = m, .eta = 0.0625,
                       .l2 = DESCENTS[d].l2, .l1 = DESCENTS[d].l1};
    bp_net *nets;
    char *block = room(bp_lay_out(NULL, &laid, &nets) + BP_ALIGN);
    bp_lay_out(block + (BP_ALIGN - (uintptr_t)block % BP_ALIGN) % BP_ALIGN, &laid, &nets);
    drawn = 7;
    draw_parameters(engine, nets);
    uint32_t state[625];
    for (int i = 0; i < 624; i++)
        state[i] = draw();
    state[624] = 624;
    int64_t order[EXAMPLES];
    for (ptrdiff_t i = 0; i < n; i++)
        order[i] = i;
    bp_wide losses[EXAMPLES];
    told.order = order;
    told.losses = losses;
    memcpy(told.parameters, parameters[kind->rule], sizeof told.parameters);
    uint64_t hash = 0xcbf29ce484222325;
    for (int epoch = 0; epoch < 2; epoch++) {
        bp_shuffle(state, order, n);
        bp_sgd(engine, nets, threads, &told, go_on, NULL);
        hash = fnv(hash, losses, (size_t)((n + m - 1) / m) * sizeof *losses);
    }
    for (int place = 0; place <= kind->slots && hash; place++)
        hash = hash_place(engine, nets, place, hash);
    if (hash)
        hash = hash_answers(engine, nets, threads, data, hash);
    bp_backprop(engine, nets, data, go_on, NULL);
    if (hash)
        hash = hash_place(engine, nets, kind->slots + 1, hash);
    free(block);
    return hash;
}

/* One line; return whether the three forms agree. */
static int print_case(const bp_engine *engine, const shape *s, const bp_kind *kind, size_t d)
{
    uint64_t hashes[FORMS];
    bp_data dense = {.n = DESCENTS[d].n, .n_in = s->sizes[0], .n_out = s->sizes[s->num_layers]};
    void *x = room((size_t)(dense.n * dense.n_in) * engine->itemsize);
    void *y = room((size_t)(dense.n * dense.n_out) * engine->itemsize);
    drawn = 42;
    draw_examples(engine, &dense, x, y);
    for (int form = 0; form < FORMS; form++) {
        const bp_data data = in_form(engine, &dense, form);
        hashes[form] = hash_run(engine, s, kind, d, &data, form + 1);
        free_form(&data);
    }
    free(x);
    free(y);
    printf("%s float%d ", engine->isa, (int)(8 * engine->itemsize));
    for (ptrdiff_t l = 0; l <= s->num_layers; l++)
        printf("%s%td", l ? "-" : "", s->sizes[l]);
    printf(" %s %s %s mini-batch %td: %016llx\n",
           engine->row(BP_ACTIVATIONS, kind->hidden)->name,
           engine->row(BP_OUTPUTS, kind->output)->name, engine->row(BP_RULES, kind->rule)->name,
           DESCENTS[d].mini_batch_size, (unsigned long long)hashes[0]);
    if (hashes[0] && hashes[0] == hashes[1] && hashes[0] == hashes[2])
        return 1;
    printf("FAULT: %s\n", hashes[0] ? "forms or threads differ" : "no finite numbers");
    return 0;
}

/* Every shape with every rule and output, and in turn the activations; `all`: every one. */
static int print_engine(const bp_engine *engine, int all)
{
    int right = 1, turn = 0;
    for (size_t s = 0; s < sizeof SHAPES / sizeof *SHAPES; s++)
        for (int output = 0; engine->row(BP_OUTPUTS, output); output++)
            for (int rule = 0; engine->row(BP_RULES, rule); rule++, turn++)
                for (int hidden = 0; engine->row(BP_ACTIVATIONS, hidden); hidden++)
                    for (size_t d = 0; d < sizeof DESCENTS / sizeof *DESCENTS; d++) {
                        const bp_kind kind = {hidden, output, rule,
                                              engine->row(BP_RULES, rule)->slots};
                        if (all || ((hidden + rule + output + (int)s) % 4 == 0 &&
                                    (turn + rule) % 3 == (int)d))
                            right &= print_case(engine, &SHAPES[s], &kind, d);
                    }
    return right;
}

int main(int argc, char **argv)
{
    ptrdiff_t n;
    int right = 1;
    const bp_engine *const *engines = bp_engines(&n);
    for (ptrdiff_t i = 0; i < n; i++)
        right &= print_engine(engines[i], argc > 1 && !strcmp(argv[1], "all"));
    return !right;
}
