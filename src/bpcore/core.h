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

/* CSR columns are 16-bit up to so many inputs, and 32-bit beyond; what is packed from dense
 * rows is narrow.  The most is what int32 holds, as the indices of other packages are. */
#define BP_NARROW_CSR_INPUTS 65536
#define BP_MAX_CSR_INPUTS 2147483647

/* Blocks in which gemm copies b, in bytes of a row and of a column at most: 1 MB of the
 * smaller item type, so that a second cache of 2 MB has room for what else it reads.  Its
 * scratch holds one of them and as many columns of a as 16 rows have. */
#define BP_GEMM_COLUMNS 4096
#define BP_GEMM_DEPTH 1024
#define BP_GEMM_SCRATCH (BP_GEMM_DEPTH * (BP_GEMM_COLUMNS / 4 + 16))

/* Sums, seconds, and numbers as Python gives them, whatever the item type. */
typedef double bp_wide;

/* What is kept of each weight and bias: place 0 is the parameter itself, 1 .. slots are the
 * rule's, slots + 1 is the gradient of a mini-batch. */
#define BP_SLOTS 2
#define BP_PLACES (BP_SLOTS + 2)

/* One layer of neurons, the input layer excepted, and its scratch for `rows` examples.
 * Padding (columns n_out and up) is zero in all places and errors, by decree: what passes over
 * whole vectors must leave it so. */
typedef struct {
    ptrdiff_t n_in, n_out; /* neurons of the layer before, of this layer */
    ptrdiff_t stride;      /* at least n_out: a whole number of BP_ALIGN bytes */
    int shared;            /* threads own columns of it; else each has its own, and does all */
    void *weights[BP_PLACES]; /* real (n_in, stride): input-major */
    void *biases[BP_PLACES];  /* real (stride) */
    void *a;                  /* real (rows, stride): activations */
    void *delta;              /* real (rows, stride): dC/dz; before that, the last layer's z */
    void *penalties;          /* real (stride): what regularisation costs, by column */
} bp_layer;

/* A row of one of the engine's tables, as far as it is not arithmetic. */
enum { BP_ACTIVATIONS, BP_OUTPUTS, BP_RULES };
#define BP_PARAMETERS 3
typedef struct {
    const char *name;
    const char *parameters[BP_PARAMETERS]; /* of a rule */
    int slots;                             /* of a rule */
    int classifies; /* an output: the fewest neurons among which one is an answer; 0: none is */
    bp_wide least, most; /* an output: the range of its activation, and so of y */
} bp_row;

/* How fast a call went on with all threads [0] and with one [1], and what follows from it. */
typedef struct {
    bp_wide seconds[2]; /* an example took */
    int alone;          /* one thread was faster: others had the processors */
    int until_trial, trials_apart; /* slices */
    ptrdiff_t slice;    /* examples; 0: not known yet */
} bp_pace;

/* Rows of the engine's tables, and what of them the layout depends on. */
typedef struct {
    int hidden, output, rule;
    int slots; /* the rule's */
} bp_kind;

/* The most scratch rows: answers gain from as many, each block of weights being copied once for
 * all of them. */
#define BP_MOST_ROWS 512

/* Scratch for `rows` examples beside that of the layers: one for all threads... */
typedef struct {
    ptrdiff_t rows;
    ptrdiff_t summed; /* of them a gradient is summed of at a time: fewer in a wide network, so
                       * that a slice stays short */
    void *x, *next_x; /* real (rows, n_in): gathered dense inputs of two mini-batches; NULL
                       * until bp_lay_out_inputs */
    void *next_a;     /* like a of the first layer, for the next mini-batch */
    void *costs;      /* real (rows): of a mini-batch's examples */
    int64_t *picked;  /* (rows): 0, 1, 2, ... from somewhere on */
} bp_scratch;

/* ... and what each thread has for itself; y is written for some examples, then read. */
#define BP_DESIRED 8
typedef struct {
    void *y;          /* real (BP_DESIRED, stride of the last layer): desired outputs */
    int64_t *cursors; /* (2 rows) for CSR */
    void *packed;     /* BP_GEMM_SCRATCH bytes */
    void *part;       /* real (slots + 2, n_in + 1, its columns): a copy of its columns of the
                       * first layer's places during sgd; NULL if they are too wide, or too
                       * many, to be worth copying */
} bp_own;

/* A network as one thread of a call sees it. */
typedef struct {
    ptrdiff_t num_layers; /* of bp_layer: one less than the book's num_layers */
    bp_kind kind;
    bp_layer *layers;
    int64_t steps;        /* mini-batches begun, the rule's t */
    bp_wide factor;       /* first layer: true weights = factor * stored weights.  1 except
                           * inside sgd, until settle() */
    bp_scratch scratch;
    bp_own own;
    ptrdiff_t thread, threads;
    bp_barrier *barrier;
    bp_pace pace; /* the first view's */
} bp_net;

/* What a network is made of. */
typedef struct {
    const ptrdiff_t *sizes; /* (num_layers + 1) */
    ptrdiff_t num_layers, rows, threads;
    bp_kind kind;
    size_t itemsize;
    int zeroed; /* the block is zero already */
} bp_shape;

/* What items of dense inputs may be, whatever real is. */
enum {
    BP_FLOAT32,
    BP_FLOAT64,
    BP_FLOAT16,
    BP_INT8,
    BP_INT16,
    BP_INT32,
    BP_INT64,
    BP_UINT8,
    BP_UINT16,
    BP_UINT32,
    BP_UINT64
};

/* Examples, one a row.  The inputs are dense (x) or CSR (x is NULL); the desired outputs are
 * vectors (y), labels, or absent. */
typedef struct {
    ptrdiff_t n, n_in, n_out;
    const void *x;           /* (n, n_in) of x_type */
    ptrdiff_t x_item, x_row; /* bytes of an item, and from row to row */
    int x_type;
    const int64_t *offsets;  /* (n + 1): row i is [offsets[i], offsets[i + 1]) */
    const void *columns;     /* ascending in a row; uint16_t, or uint32_t where n_in is more
                              * than BP_NARROW_CSR_INPUTS */
    const void *values;      /* real, nonzero: of every item, or of the codes */
    const uint8_t *codes;    /* of narrow columns, where few values occur: the place of each
                              * item's; or NULL */
    const void *y;           /* real (n, n_out) */
    const int64_t *labels;   /* (n) */
    const void *weights;     /* real (n): a factor of each example's error and cost; NULL: 1 */
} bp_data;

/* Gradient descent over the examples order[begin .. n), in mini-batches from 0 on, with the
 * gradient g of a mini-batch's mean cost plus l2 w + l1 sgn(w) for weights (Nielsen, chapter 3,
 * where l2 is lmbda / n).  From BP_WHOLE examples on, and for a rule that needs it, a
 * mini-batch's gradient is summed before it meets a parameter, BP_ROWS examples at a time at
 * most: shares of it that were added one by one would each be rounded away. */
#define BP_WHOLE 128
#define BP_ROWS 128
typedef struct {
    const bp_data *data;
    const int64_t *order;
    ptrdiff_t begin, mini_batch_size;
    bp_wide eta, l2, l1;
    int l2_by_batch; /* l2 is of the mini-batch's summed cost: divided by its examples'
                      * weights */
    bp_wide parameters[BP_PARAMETERS]; /* the rule's, in the table's order */
    bp_wide *losses; /* (mini-batches, 2): mean cost and penalty before each step; or NULL */
    bp_wide clip;    /* probabilities are rounded in losses, and in [clip, 1 - clip]; 0: not */
} bp_descent;

/* What is asked about examples; NULL: it is not. */
typedef struct {
    void *outputs;    /* real (data->n, n_out) */
    void *costs;      /* real (data->n), each times its example's weight */
    int64_t *correct; /* how many have their label as the answer: the most active output, or,
                       * of one output, whether it is above 1/2 */
} bp_questions;

/* One example on its way through weights as the book has them.  a and delta are whole vectors
 * on boundaries of BP_ALIGN. */
typedef struct {
    ptrdiff_t num_layers;
    const ptrdiff_t *sizes; /* (num_layers + 1) */
    bp_kind kind;
    const void **weights;   /* real (n_out, n_in), anywhere */
    const void **biases;
    void **a;               /* activations; a[0] is the input */
    void **delta;           /* errors; delta[0] is not used */
    void *z;                /* the weighted inputs of the last layer */
    void **new_weights;     /* of what comes back: a gradient, or parameters */
    void **new_biases;
} bp_column;

/* How images are distorted: each by draws from its own number, from -1 to 1, times the largest
 * that is given here.  Displacements are uniform cubic B-splines of two lattices of knots. */
typedef struct {
    ptrdiff_t height, width;                 /* of an image */
    ptrdiff_t knots_down, knots_across;
    const int64_t *down_first, *across_first; /* (height), (width): the first of the four knots
                                               * that move a pixel */
    const void *down, *across;               /* real (height, 4), (width, 4): their weights */
    uint64_t seed;
    ptrdiff_t first; /* the number of the first image */
    bp_wide half_rotation;                   /* tan(angle / 2) */
    bp_wide scale, shear, shift;
    bp_wide displacement; /* of a knot */
} bp_distortion;

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

    /* Row i of a table; NULL past its end. */
    const bp_row *(*row)(int table, ptrdiff_t i);

    /* Between a place of layer l and the book's (n_out, n_in) and (n_out, 1) arrays, or, by
     * input, (n_in, n_out): the weights of the inputs [begin, end), and the biases. */
    void (*load)(bp_net *net, ptrdiff_t l, int place, ptrdiff_t begin, ptrdiff_t end,
                 int by_input, const void *w, const void *b);
    void (*store)(const bp_net *net, ptrdiff_t l, int place, ptrdiff_t begin, ptrdiff_t end,
                  int by_input, void *w, void *b);

    /* Answer for the examples [begin, end). */
    void (*evaluate)(bp_net *net, const bp_data *data, ptrdiff_t begin, ptrdiff_t end,
                     const bp_questions *asked);
    /* The gradient's place gets the gradient of the summed cost of the examples
     * order[begin .. end), beside what is there unless begin is 0. */
    void (*backprop)(bp_net *net, const bp_data *data, const int64_t *order, ptrdiff_t begin,
                     ptrdiff_t end);
    /* Descend from descent->begin to `end` or a little further: mini-batches that are not
     * summed whole are not cut.  Return where that is. */
    ptrdiff_t (*sgd)(bp_net *net, const bp_descent *descent, ptrdiff_t end);
    /* Make the factor 1, as all entries but sgd take it to be. */
    void (*settle)(bp_net *net);

    /* Activations of every layer; return 0, at once, if the input is not finite. */
    int (*forward_column)(const bp_column *column);
    /* Then the gradient, to arrays as the book's.  The last delta is y, or the error if that is
     * given; return 0, at once, if y is not finite. */
    int (*backward_column)(const bp_column *column, int given_error);
    /* Instead of both, the parameters after sgd of this one example; return 0 if the input or
     * y is not finite, or y is out of the output's range. */
    int (*descend_column)(const bp_column *column, bp_wide eta);

    /* Whether n items are finite and in [least, most]. */
    int (*are_within)(bp_wide least, bp_wide most, ptrdiff_t n, const void *items);
    /* Add to sums[0..2] the squares of n items before, of those after, and of their change. */
    void (*squares)(ptrdiff_t n, const void *before, const void *after, bp_wide *sums);

    /* Copy n rows of n_in items, which are floats or doubles as their bytes say, to out. */
    void (*stack)(ptrdiff_t n, ptrdiff_t n_in, const void *const *rows, size_t given_bytes,
                  void *out);
    /* Ask the cache for bytes that will be read soon; they need not exist. */
    void (*ask_for)(const void *there, ptrdiff_t bytes);

    /* CSR of dense rows x (n, n_in): offsets[1..n], counted from offsets[0] on, and the rows'
     * items, the first at columns[0]; once there are more than `limit`, nothing.  There is room
     * for limit - offsets[0] + n_in. */
    void (*csr_append)(ptrdiff_t n, ptrdiff_t n_in, const void *x, int64_t limit,
                       int64_t *offsets, uint16_t *columns, void *values);
    /* Write the codes of n items to out, adding new values to the table; return n, or the
     * number of items before one that has no place any more. */
    int64_t (*csr_encode)(int64_t n, const void *items, bp_codes *codes, void *table,
                          uint8_t *out);

    /* Distort the images [begin, end) of in (n, height, width) to out.  There is scratch
     * for the image in a frame and for its displacements: see bp_distort. */
    void (*distort)(const bp_distortion *distortion, ptrdiff_t begin, ptrdiff_t end,
                    const void *in, void *out, void *scratch);

    /* The kernels, for tests and benchmarks.  c (m, n) += a (m, k) b (k, n), where a
     * and b are addressed by two strides each and rows of c are whole vectors. */
    void (*gemm)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *a, ptrdiff_t a_row,
                 ptrdiff_t a_column, const void *b, ptrdiff_t b_row, ptrdiff_t b_column,
                 void *c, ptrdiff_t ldc, void *scratch);
    /* Hidden activation i of n items z, whole vectors, in place. */
    void (*activate)(ptrdiff_t i, ptrdiff_t n, void *z);
} bp_engine;

/* The engines this CPU and OS can run, slowest first, a float32 and a float64 row for each
 * instruction set, and how many they are. */
const bp_engine *const *bp_engines(ptrdiff_t *n);

/* Lay a network out in a block that starts on a boundary of BP_ALIGN, its parameters and slots
 * zero, and set *nets to its views, one for each thread.  Return how many bytes that takes;
 * with block NULL do nothing else. */
size_t bp_lay_out(void *block, const bp_shape *shape, bp_net **nets);

/* Lay out what dense inputs are gathered in, which CSR has no need of and which is large where
 * there are many: in a block like the other, for nets that are laid out.  Return how many
 * bytes that takes, which is all that NULL is for. */
size_t bp_lay_out_inputs(void *block, bp_net *nets, size_t itemsize);

/* Lay out an example of these sizes, all but the parameters, in a block that starts on a
 * boundary of BP_ALIGN.  Return how many bytes that takes; with block NULL do nothing else. */
size_t bp_lay_out_column(void *block, const int64_t *sizes, ptrdiff_t num_layers,
                         size_t itemsize, bp_column *column);

/* Called about every 20 milliseconds with the number of examples done since; not 0: stop. */
typedef int bp_look(void *context, ptrdiff_t done);

/* The engine's entries over all examples, or those order[0 .. n), in slices between which
 * `look` is called, shared among as many threads as were laid out, or fewer where that is
 * faster: the bits are the same.  Stop early, with a whole number of mini-batches done, if look
 * says so. */
void bp_sgd(const bp_engine *engine, bp_net *nets, ptrdiff_t threads,
            const bp_descent *descent, bp_look *look, void *context);
void bp_evaluate(const bp_engine *engine, bp_net *nets, ptrdiff_t threads, const bp_data *data,
                 const bp_questions *asked, bp_look *look, void *context);
void bp_backprop(const bp_engine *engine, bp_net *nets, ptrdiff_t threads, const bp_data *data,
                 const int64_t *order, ptrdiff_t n, bp_look *look, void *context);

/* The entry over n images, shared among threads, each with scratch of its own: the bits are the
 * same.  Return how many bytes all of that scratch takes, which is all that NULL is for. */
size_t bp_distort(const bp_engine *engine, const bp_distortion *distortion, ptrdiff_t threads,
                  ptrdiff_t n, const void *in, void *out, void *scratch);

/* What is wrong with the CSR form of data, of this many items and values, which may come from
 * anywhere, in the rows [begin, end), those before having passed; or NULL.  The other entries
 * read a form all of whose rows passed without looking again. */
const char *bp_csr_fault(const bp_data *data, int64_t items, int64_t n_values, ptrdiff_t begin,
                         ptrdiff_t end);

/* The compiler that built this, and its version. */
const char *bp_compiler(void);

/* Choose the items [begin, n) of order as CPython's random.shuffle of n would from this
 * Mersenne Twister state, 624 words, then the position in them: it goes on with n = begin, to
 * 0.  n < 2^32. */
void bp_shuffle(uint32_t *state, int64_t *order, ptrdiff_t begin, ptrdiff_t n);

#endif
