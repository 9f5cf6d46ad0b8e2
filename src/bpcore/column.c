/* Memory for one example on its way through a network. */
#include "core.h"

static size_t aligned(size_t bytes)
{
    return (bytes + BP_ALIGN - 1) / BP_ALIGN * BP_ALIGN;
}

/* The next bytes of a block, all of whose parts start on a boundary. */
static void *part(char *block, size_t *taken, size_t bytes)
{
    void *at = block ? block + *taken : NULL;
    *taken += aligned(bytes);
    return at;
}

size_t bp_lay_out_column(void *block, const int64_t *sizes, ptrdiff_t num_layers,
                         size_t itemsize, bp_column *column)
{
    const size_t layers = (size_t)num_layers + 1, last = (size_t)sizes[num_layers];
    size_t taken = 0;
    ptrdiff_t *neurons = part(block, &taken, layers * sizeof *neurons);
    void **pointers = part(block, &taken, 6 * layers * sizeof *pointers);
    column->num_layers = num_layers;
    column->sizes = neurons;
    column->z = part(block, &taken, last * itemsize);
    for (size_t l = 0; l < layers; l++) {
        void *a = part(block, &taken, (size_t)sizes[l] * itemsize);
        void *delta = part(block, &taken, (size_t)sizes[l] * itemsize);
        if (block) {
            neurons[l] = (ptrdiff_t)sizes[l];
            pointers[l] = a;
            pointers[layers + l] = delta;
        }
    }
    if (block) {
        column->a = pointers;
        column->delta = pointers + layers;
        column->weights = (const void **)(pointers + 2 * layers);
        column->biases = (const void **)(pointers + 3 * layers);
        column->new_weights = pointers + 4 * layers;
        column->new_biases = pointers + 5 * layers;
    }
    return taken;
}
