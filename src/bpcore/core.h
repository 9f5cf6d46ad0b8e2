/* What the binding may call: a network, its data, and the engine that computes on them.
 *
 * The core cannot fail: every size is checked and every buffer allocated by the caller.
 * `real` below is float or double, the item type of the engine that the buffers are given to.
 */
#ifndef BP_CORE_H
#define BP_CORE_H

#include <stddef.h>
#include <stdint.h>

#include "threads.h"

/* The compiler can build the AVX2 and AVX-512 engines (whether the CPU can run them is asked
 * at run time).  BP_SCALAR builds what a compiler without vector extensions would. */
#if defined(__GNUC__) && defined(__x86_64__) && !defined(BP_SCALAR)
#define BP_X86
#endif

/* Rows of the core's own matrices start on this boundary and are whole multiples of it,
 * so that every engine sees whole, aligned vectors. */
#define BP_ALIGN 64

/* CSR columns are 16-bit: a row of x longer than this stays dense. */
#define BP_MAX_CSR_INPUTS 65536

/* gemm copies b in blocks of at most so many bytes in a row and in a column: 1 MB of the
 * smaller item type, so that a second cache of 2 MB has room for what else it reads.  Its
 * scratch holds one of them and as many columns of a as 16 rows have. */
#define BP_GEMM_COLUMNS 4096
#define BP_GEMM_DEPTH 1024
#define BP_GEMM_SCRATCH (BP_GEMM_DEPTH * (BP_GEMM_COLUMNS / 4 + 16))

/* One layer of neurons, the input layer excepted, and its scratch for `rows` examples.
 * Padding (columns n_out and up) stays zero in weights, biases and errors: nothing reads it,
 * and nothing may grow in it. */
typedef struct {
    ptrdiff_t n_in, n_out; /* neurons of the layer before, of this layer */
    ptrdiff_t stride;      /* n_out rounded up to BP_ALIGN bytes */
    int shared;            /* threads own columns of it; else each has its own, and does all */
    void *weights;         /* real (n_in, stride): input-major */
    void *biases;          /* real (stride) */
    void *a;               /* real (rows, stride): activations */
    void *delta;           /* real (rows, stride): dC/dz; before that, the last layer's z */
} bp_layer;

/* The cost of an example: |a - y|^2 / 2, or -sum(y ln a + (1 - y) ln(1 - a)). */
enum { BP_QUADRATIC, BP_CROSS_ENTROPY };

/* A network as one thread of a call sees it: shared layers, and what is its own. */
typedef struct {
    ptrdiff_t num_layers; /* of bp_layer: one less than the book's num_layers */
    ptrdiff_t rows;       /* examples that the scratch holds */
    int cost;             /* BP_QUADRATIC or BP_CROSS_ENTROPY */
    double scale;         /* the first layer's weights are so many times what is stored: 1, but
                           * between sgd and settle */
    bp_layer *layers;
    void *next_a;         /* like a of the first layer, for the next mini-batch */
    void *x, *next_x;     /* real (rows, n_in): gathered dense inputs of two mini-batches */
    int64_t *picked;      /* (rows): 0, 1, 2, ... from somewhere on */
    int64_t *cursors;     /* (2 rows) for CSR */
    void *packed;         /* BP_GEMM_SCRATCH bytes */
    void *own_weights;    /* real (n_in + 1, its columns) of the first layer, while they train;
                           * NULL where a thread's part of a row is long */
    ptrdiff_t thread, threads;
    bp_barrier *barrier;
} bp_net;

/* Examples, one a row.  The inputs are dense (x) or CSR (x is NULL); the desired outputs are
 * vectors (y), labels, or absent. */
typedef struct {
    ptrdiff_t n, n_in, n_out;
    const void *x;           /* real (n, n_in) */
    const int64_t *offsets;  /* (n + 1): row i is [offsets[i], offsets[i + 1]) */
    const uint16_t *columns; /* ascending in a row */
    const void *values;      /* real, nonzero: of every item, or of the codes */
    const uint8_t *codes;    /* where few values occur: the place of each item's; or NULL */
    const void *y;           /* real (n, n_out) */
    const int64_t *labels;   /* (n) */
    const void *weights;     /* real (n): a factor of each example's error and cost; NULL: 1 */
} bp_data;

/* How a mini-batch of mean gradient g moves weights w, whose velocity is v:
 *     v = mu v - eta (g + l2 w + l1 sgn(w)),  w += v
 * and biases likewise, without l2 and l1.  mu = 0 needs no velocity.  Nielsen, chapter 3, where
 * l2 is lmbda / n. */
typedef struct {
    double eta, mu, l2, l1;
} bp_rule;

/* Where each of up to BP_CODES values is in a table of them; all zero at first.  Slots are
 * many, so that few values collide: a second look is a branch that cannot be foreseen. */
#define BP_CODES 256
#define BP_CODE_SLOT_BITS 12
#define BP_CODE_SLOTS (1 << BP_CODE_SLOT_BITS)
typedef struct {
    int used;
    uint16_t slots[BP_CODE_SLOTS]; /* 1 + the place; 0: free */
} bp_codes;

/* The unit of dispatch: one instruction set and one item type. */
typedef struct {
    const char *isa;   /* "baseline", "avx2", "avx512" */
    size_t itemsize;   /* 4 or 8 */
    ptrdiff_t lanes;   /* items in a vector register */

    /* Between the book's (n_out, n_in) and (n_out, 1) arrays and layer l. */
    void (*load)(bp_net *net, ptrdiff_t l, const void *w, const void *b);
    void (*store)(const bp_net *net, ptrdiff_t l, void *w, void *b);

    /* out (data->n, n_out): the network's output for every example. */
    void (*feedforward)(bp_net *net, const bp_data *data, void *out);
    /* How many of the examples [begin, end) have their label as the most active output.  The
     * cost of example i goes to costs[i], real, unless that is NULL. */
    int64_t (*evaluate)(bp_net *net, const bp_data *data, ptrdiff_t begin, ptrdiff_t end,
                        void *costs);
    /* nabla, a zeroed network of the same shape, gets the gradient of the summed cost of all
     * examples; there are at most net->rows. */
    void (*backprop)(bp_net *net, const bp_data *data, bp_net *nabla);
    /* Gradient descent over examples order[begin..end), in mini-batches from `begin` on.
     * velocity is a network of the same shape and threads, or NULL without momentum. */
    void (*sgd)(bp_net *net, bp_net *velocity, const bp_data *data, const int64_t *order,
                ptrdiff_t begin, ptrdiff_t end, ptrdiff_t mini_batch_size, const bp_rule *rule);

    /* CSR of dense rows x (n, n_in): offsets[1..n], counted from offsets[0] on, and the rows'
     * items, the first at columns[0]; once there are more than `limit`, nothing.  There is room
     * for limit - offsets[0] + n_in. */
    void (*csr_append)(ptrdiff_t n, ptrdiff_t n_in, const void *x, int64_t limit,
                       int64_t *offsets, uint16_t *columns, void *values);
    /* Write the codes of n items to out, adding new values to the table; return n, or the
     * number of items before one that has no place any more. */
    int64_t (*csr_encode)(int64_t n, const void *items, bp_codes *codes, void *table,
                          uint8_t *out);

    /* Make the scale 1, as all entries but sgd take it to be. */
    void (*settle)(bp_net *net);

    /* The kernels, for tests and benchmarks.  c (m, n) += a (m, k) b (k, n), where a
     * and b are addressed by two strides each and rows of c are whole vectors. */
    void (*gemm)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *a, ptrdiff_t a_row,
                 ptrdiff_t a_column, const void *b, ptrdiff_t b_row, ptrdiff_t b_column,
                 void *c, ptrdiff_t ldc, void *scratch);
    void (*sigmoid)(ptrdiff_t n, void *z); /* in place; n is whole vectors */
} bp_engine;

/* The engines this CPU and OS can run, slowest first, a float32 and a float64 row for each
 * instruction set.  Ends with NULL. */
const bp_engine *const *bp_engines(void);

/* Lay a network out in a block that starts on a boundary of BP_ALIGN, its parameters zero, and
 * set *nets to its views, one for each thread.  Return how many bytes that takes; with block
 * NULL do nothing else.  sizes has num_layers + 1 items. */
size_t bp_lay_out(void *block, const ptrdiff_t *sizes, ptrdiff_t num_layers, ptrdiff_t rows,
                  ptrdiff_t threads, size_t itemsize, bp_net **nets);

/* The engine's sgd and evaluate, shared among threads; the other entries take nets[0]. */
void bp_sgd(const bp_engine *engine, bp_net *nets, bp_net *velocities, ptrdiff_t threads,
            const bp_data *data, const int64_t *order, ptrdiff_t begin, ptrdiff_t end,
            ptrdiff_t mini_batch_size, const bp_rule *rule);
int64_t bp_evaluate(const bp_engine *engine, bp_net *nets, ptrdiff_t threads,
                    const bp_data *data, ptrdiff_t begin, ptrdiff_t end, void *costs);

/* What is wrong with the CSR form of data, which has so many items and values and may come
 * from anywhere; or NULL.  The other entries read a form that passed without looking again. */
const char *bp_csr_fault(const bp_data *data, int64_t items, int64_t n_values);

/* The compiler that built this, and its version. */
const char *bp_compiler(void);

/* Shuffle order as CPython's random.shuffle would from this Mersenne Twister state:
 * 624 words, then the position in them.  n < 2^32. */
void bp_shuffle(uint32_t *state, int64_t *order, ptrdiff_t n);

#endif
