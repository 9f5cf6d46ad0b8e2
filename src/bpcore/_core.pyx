# cython: language_level=3, embedsignature=True, freethreading_compatible=True
"""The binding: check, take pointers, release the GIL, call, look for signals, return.

Any thread may call, also where there is no GIL: what never changes is shared, what does is read
and replaced under its object's lock, and an object with memory to compute in serves one call at
a time.
"""

import array as _array
import random as _random
from operator import index as _index

import numpy as np

cimport cython
from cpython.array cimport array
from cpython.buffer cimport (PyBUF_SIMPLE, PyBUF_STRIDED_RO, PyBUF_WRITABLE,
                             PyBuffer_Release, PyObject_GetBuffer)
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from cpython.list cimport PyList_GET_ITEM
from cpython.ref cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM
from cpython.weakref cimport PyWeakref_NewRef
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy


cdef extern from "core.h" nogil:
    enum:
        BP_ALIGN
        BP_CODES
        BP_GEMM_SCRATCH
        BP_MAX_CSR_INPUTS
        BP_MAX_THREADS
        BP_MOST_ROWS
        BP_NARROW_CSR_INPUTS
        BP_PARAMETERS
        BP_WHOLE
        BP_ACTIVATIONS
        BP_OUTPUTS
        BP_RULES

    ctypedef struct bp_row:
        const char *name
        const char **parameters
        int slots
        int classifies
        double least, most

    ctypedef struct bp_kind:
        int hidden, output, rule, slots

    ctypedef struct bp_scratch:
        ptrdiff_t rows
        void *x

    ctypedef struct bp_net:
        ptrdiff_t num_layers
        bp_kind kind
        int64_t steps
        bp_scratch scratch

    ctypedef struct bp_shape:
        const ptrdiff_t *sizes
        ptrdiff_t num_layers, rows, threads
        bp_kind kind
        size_t itemsize
        int zeroed

    ctypedef struct bp_data:
        ptrdiff_t n, n_in, n_out
        const void *x
        ptrdiff_t x_item, x_row
        int x_type
        const int64_t *offsets
        const void *columns
        const void *values
        const uint8_t *codes
        const void *y
        const int64_t *labels
        const void *weights

    ctypedef struct bp_descent:
        const bp_data *data
        const int64_t *order
        ptrdiff_t begin, mini_batch_size
        double eta, l2, l1
        int l2_by_batch
        double *parameters
        double *losses
        double clip

    ctypedef struct bp_questions:
        void *outputs
        void *costs
        int64_t *correct

    ctypedef struct bp_column:
        ptrdiff_t num_layers
        const ptrdiff_t *sizes
        bp_kind kind
        const void **weights
        const void **biases
        void **a
        void **delta
        void *z
        void **new_weights
        void **new_biases

    ctypedef struct bp_distortion:
        ptrdiff_t height, width, knots_down, knots_across
        const int64_t *down_first
        const int64_t *across_first
        const void *down
        const void *across
        uint64_t seed
        ptrdiff_t first
        double half_rotation, scale, shear, shift, displacement

    ctypedef struct bp_codes:
        int used

    ctypedef int bp_look(void *, ptrdiff_t) noexcept nogil

    ctypedef struct bp_engine:
        const char *isa
        size_t itemsize
        ptrdiff_t lanes
        const bp_row *(*row)(int, ptrdiff_t) noexcept nogil
        void (*load)(bp_net *, ptrdiff_t, int, ptrdiff_t, ptrdiff_t, int, const void *,
                     const void *) noexcept nogil
        void (*store)(const bp_net *, ptrdiff_t, int, ptrdiff_t, ptrdiff_t, int, void *,
                      void *) noexcept nogil
        int (*forward_column)(const bp_column *) noexcept nogil
        int (*backward_column)(const bp_column *, int) noexcept nogil
        int (*descend_column)(const bp_column *, double) noexcept nogil
        int (*are_within)(double, double, ptrdiff_t, const void *) noexcept nogil
        void (*squares)(ptrdiff_t, const void *, const void *, double *) noexcept nogil
        void (*stack)(ptrdiff_t, ptrdiff_t, const void *const *, size_t, void *) noexcept nogil
        void (*ask_for)(const void *, ptrdiff_t) noexcept nogil
        void (*csr_append)(ptrdiff_t, ptrdiff_t, const void *, int64_t, int64_t *, uint16_t *,
                           void *) noexcept nogil
        int64_t (*csr_encode)(int64_t, const void *, bp_codes *, void *,
                              uint8_t *) noexcept nogil
        void (*gemm)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t,
                     const void *, ptrdiff_t, ptrdiff_t, void *, ptrdiff_t,
                     void *) noexcept nogil
        void (*activate)(ptrdiff_t, ptrdiff_t, void *) noexcept nogil

    const char *bp_compiler()
    size_t bp_distort(const bp_engine *, const bp_distortion *, ptrdiff_t, ptrdiff_t,
                      const void *, void *, void *)
    const char *bp_csr_fault(const bp_data *, int64_t, int64_t, ptrdiff_t, ptrdiff_t)
    const bp_engine *const *bp_engines(ptrdiff_t *)
    void bp_shuffle(uint32_t *, int64_t *, ptrdiff_t, ptrdiff_t)
    size_t bp_lay_out(void *, const bp_shape *, bp_net **)
    size_t bp_lay_out_inputs(void *, bp_net *, size_t)
    size_t bp_lay_out_column(void *, const int64_t *, ptrdiff_t, size_t, bp_column *)
    void bp_sgd(const bp_engine *, bp_net *, ptrdiff_t, const bp_descent *, bp_look *, void *)
    void bp_evaluate(const bp_engine *, bp_net *, ptrdiff_t, const bp_data *,
                     const bp_questions *, bp_look *, void *)
    void bp_backprop(const bp_engine *, bp_net *, ptrdiff_t, const bp_data *, const int64_t *,
                     ptrdiff_t, bp_look *, void *)


cdef extern from *:
    """
    /* An array as NumPy's ABI lays it out for whatever is compiled; see _foretold. */
    typedef struct {
        PyObject_HEAD
        char *data;
        int nd;
        Py_ssize_t *shape, *strides;
        PyObject *base, *dtype;
        int flags;
    } bp_array;
    enum { BP_C_CONTIGUOUS = 0x1, BP_ALIGNED = 0x100 };
    """
    ctypedef struct bp_array:
        char *data
        int nd
        Py_ssize_t *shape
        PyObject *dtype
        int flags
    enum:
        BP_C_CONTIGUOUS
        BP_ALIGNED


# No list comprehensions here: Cython 3.3 frees an item twice where the list cannot grow.

# Items, or weights, between two looks for a signal where no time is taken.
cdef enum:
    SLICE = 1 << 18

# Fewer items are shuffled while the generator's state is copied out and in.
cdef enum:
    FEW = 512

# Bytes of a network from which on it is allocated as zeros.
cdef enum:
    ZEROED = 1 << 25

# As it is before anybody replaces it.
_SHUFFLE = _random.Random.shuffle


cdef object _ARRAY = np.ndarray
cdef object _FLOAT = np.dtype(np.float32)
cdef object _DOUBLE = np.dtype(np.float64)


cdef object _holder(array):
    """What keeps an array's memory where it is for as long as it lives.

    NumPy moves no memory of an array that has a weak reference, even where resize is told not
    to look; and what is no array, as a mapped file, is not closed while it is exported.
    """
    if not isinstance(array, _ARRAY):
        try:
            return memoryview(array)
        except (TypeError, ValueError, BufferError):  # it has another way to lend its memory
            return None
    base, reference = array.base, PyWeakref_NewRef(array, None)
    return reference if base is None else (reference, _holder(base))


cdef bint _foretold() except -1:
    """Whether arrays of this NumPy are laid out as bp_array says."""
    cdef Py_buffer view
    array = np.zeros((3, 2), np.float32)
    cdef bp_array *found = <bp_array *>array
    PyObject_GetBuffer(array, &view, PyBUF_STRIDED_RO)
    PyBuffer_Release(&view)  # the array lives on
    return (found.data == view.buf and found.nd == 2
            and found.shape[0] == 3 and found.shape[1] == 2
            and <object>found.dtype is array.dtype
            and found.flags & (BP_C_CONTIGUOUS | BP_ALIGNED)
            and not (<bp_array *>array.T).flags & BP_C_CONTIGUOUS)


cdef bint _FORETOLD = _foretold()  # else no array is as expected at a glance


cdef inline const void *_matrix(array, dtype, ptrdiff_t rows, ptrdiff_t columns):
    """Where a C-contiguous array of this dtype and shape lies; NULL if it is another."""
    cdef bp_array *found = <bp_array *>array
    if (not _FORETOLD or type(array) is not _ARRAY or found.nd != 2
            or found.shape[0] != rows or found.shape[1] != columns
            or ~found.flags & (BP_C_CONTIGUOUS | BP_ALIGNED)
            or <object>found.dtype is not dtype and <object>found.dtype != dtype):
        return NULL
    return found.data


cdef class _Buffer:
    """The memory of a C-contiguous array of a known dtype and shape, held while this lives."""

    cdef Py_buffer view
    cdef object holder

    def __cinit__(self, array, str name, dtype, tuple shape, bint writable=False,
                  bint ours=False, bint rows=False):
        """ours: nobody else has the array yet.  rows: only each row is contiguous."""
        if len(shape) != 2 or _matrix(array, dtype, shape[0], shape[1]) == NULL:
            self.check(array, name, dtype, shape, rows)
        PyObject_GetBuffer(array, &self.view, PyBUF_WRITABLE if writable else
                           PyBUF_STRIDED_RO if rows else PyBUF_SIMPLE)
        self.holder = None if ours else _holder(array)

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    cdef check(self, array, str name, dtype, tuple shape, bint rows):
        if type(array) is not np.ndarray:  # a subclass may hide what is in its memory
            raise TypeError(f"{name} must be an array of {dtype}, got {type(array).__name__}")
        if array.dtype != dtype:
            raise TypeError(f"{name} must be an array of {dtype}, got {array.dtype}")
        if array.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
        flags = array.flags
        if not (flags.aligned and (flags.c_contiguous
                                   or rows and array[:1].flags.c_contiguous)):
            raise ValueError(f"{name} must be C-contiguous and aligned")


@cython.auto_pickle(False)
cdef class _Serving:
    """What serves one call at a time: another meanwhile, from a callback or from another
    thread, is a RuntimeError."""

    cdef bint busy  # a call is under way

    cdef int take(self) except -1:
        """Begin a call, the only one until the next ``give``."""
        cdef bint busy
        with cython.critical_section(self):
            busy, self.busy = self.busy, True
        if busy:
            raise RuntimeError(f"a {type(self).__name__} serves one call at a time, and "
                               f"another is under way")

    cdef int give(self) noexcept:
        with cython.critical_section(self):
            self.busy = False


cdef class Engine:
    """Row ``index`` of the core's table: an instruction set and an item type."""

    cdef const bp_engine *row
    cdef readonly str isa
    cdef readonly object dtype
    cdef readonly tuple activations  # names of what hidden layers may do
    cdef readonly dict outputs       # names of last layers: fewest neurons to classify, or 0
    cdef readonly dict targets       # names of last layers: (least, most) that y may be
    cdef readonly dict rules         # names of steps: (names of parameters, slots)
    cdef dict hiddens, lasts         # where activations and outputs are in their tables

    def __cinit__(self, size_t index):
        cdef ptrdiff_t n
        cdef const bp_engine *const *rows = bp_engines(&n)
        if index >= <size_t>n:
            raise IndexError(f"index must be less than the {n} engines, got {index}")
        self.row = rows[index]
        self.isa = self.row.isa.decode()
        self.dtype = np.dtype(f"float{8 * self.row.itemsize}")
        self.activations = tuple(name for name, *_ in self.table(BP_ACTIVATIONS))
        self.outputs = {name: row[2] for name, *row in self.table(BP_OUTPUTS)}
        self.targets = {name: tuple(row[3:]) for name, *row in self.table(BP_OUTPUTS)}
        self.rules = {name: tuple(row[:2]) for name, *row in self.table(BP_RULES)}
        self.hiddens = {name: i for i, name in enumerate(self.activations)}
        self.lasts = {name: i for i, name in enumerate(self.outputs)}

    cdef list table(self, int which):
        """The rows (name, parameters, slots, classifies, least, most) of one of the core's
        tables."""
        cdef const bp_row *row
        cdef int i
        found = []
        while (row := self.row.row(which, len(found))) != NULL:
            parameters = tuple(row.parameters[i].decode() for i in range(BP_PARAMETERS)
                               if row.parameters[i] != NULL)
            found.append((row.name.decode(), parameters, row.slots, row.classifies,
                          row.least, row.most))
        return found

    @property
    def lanes(self):
        """Items in a vector register."""
        return self.row.lanes

    def __repr__(self):
        return f"<bpcore.Engine {self.isa} {self.dtype}>"

    def gemm(self, a, b, c):
        """Add a @ b to c in place; a (m, k) and b (k, n) may have any strides.

        c is C-contiguous and has n columns rounded up to a multiple of ``lanes``; what is
        added beyond column n is zeros.
        """
        cdef uintptr_t a_address = _strided(a, "a", self.dtype)
        cdef uintptr_t b_address = _strided(b, "b", self.dtype)
        cdef ptrdiff_t m = a.shape[0], k = a.shape[1], n = b.shape[1]
        cdef ptrdiff_t ldc = -(-n // self.row.lanes) * self.row.lanes
        if b.shape[0] != k:
            raise ValueError(f"b must have {k} rows to match a, got {b.shape[0]}")
        cdef _Buffer c_buffer = _Buffer(c, "c", self.dtype, (m, ldc), True)
        _check_vectors("c", <uintptr_t>c_buffer.view.buf, self.row)
        cdef ptrdiff_t item = self.row.itemsize
        cdef ptrdiff_t a_row = a.strides[0] // item, a_column = a.strides[1] // item
        cdef ptrdiff_t b_row = b.strides[0] // item, b_column = b.strides[1] // item
        cdef void *block = PyMem_RawMalloc(BP_GEMM_SCRATCH + BP_ALIGN)
        if block == NULL:
            raise MemoryError()
        cdef void *scratch = <void *>_aligned(<uintptr_t>block)
        holders = _holder(a), _holder(b)
        with nogil:
            self.row.gemm(m, n, k, <const void *>a_address, a_row, a_column,
                          <const void *>b_address, b_row, b_column, c_buffer.view.buf, ldc,
                          scratch)
            PyMem_RawFree(block)

    def are_within(self, array, double least=-np.inf, double most=np.inf):
        """Whether all items of a C-contiguous array are finite and in [least, most]."""
        cdef _Buffer buffer = _Buffer(array, "array", self.dtype, array.shape)
        cdef ptrdiff_t n = array.size
        cdef int within
        with nogil:
            within = self.row.are_within(least, most, n, buffer.view.buf)
        return bool(within)

    def squares(self, list before not None, list after not None):
        """Return sums of squares: of the items before, of those after, and of their change."""
        cdef double sums[3]
        cdef ptrdiff_t n
        cdef _Buffer old, new
        sums[0] = sums[1] = sums[2] = 0
        for array, moved in zip(before, after, strict=True):
            old = _Buffer(array, "before", self.dtype, array.shape)
            new = _Buffer(moved, "after", self.dtype, array.shape)
            n = array.size
            with nogil:
                self.row.squares(n, old.view.buf, new.view.buf, sums)
        return sums[0], sums[1], sums[2]

    def stack(self, list values not None, out):
        """Write values, C-contiguous arrays (n, 1) of float32 or float64, to the rows of out
        (m, n).  Return False if one of them is something else: then nothing is written."""
        cdef ptrdiff_t i, m = len(values), n = out.shape[1]
        cdef _Buffer buffer = _Buffer(out, "out", self.dtype, (m, n), True, True)
        dtype = _FLOAT if m and _matrix(values[0], _FLOAT, n, 1) != NULL else _DOUBLE
        cdef const void **rows = <const void **>PyMem_RawMalloc(max(m, 1) * sizeof(void *))
        if rows == NULL:
            raise MemoryError()
        for i in range(m):
            _fetch_ahead(values, i)
            rows[i] = _matrix(values[i], dtype, n, 1)
            if rows[i] == NULL:
                break
        else:
            self.row.stack(m, n, rows, dtype.itemsize, buffer.view.buf)
            i = m
        PyMem_RawFree(rows)
        return i == m

    def activate(self, str name, z):
        """Replace z, C-contiguous with a multiple of ``lanes`` items, by its activation."""
        cdef _Buffer buffer = _Buffer(z, "z", self.dtype, z.shape, True)
        _check_vectors("z", <uintptr_t>buffer.view.buf, self.row)
        cdef ptrdiff_t n = z.size, i = _place("name", name, self.activations)
        if n % self.row.lanes:
            raise ValueError(f"z must have a multiple of {self.row.lanes} items, got {n}")
        with nogil:
            self.row.activate(i, n, buffer.view.buf)

    def distort(self, images, out, *, seed, first, down, across, half_rotation, scale, shear,
                shift, displacement, n_threads=1):
        """Write images (n, height, width) to out, each distorted by draws from seed and its
        number, that of the first of them being first.

        down is (knots, which, weights): pixel i of a column is moved by the four of so many
        knots from which[i] on, int64 (height), times weights[i] of (height, 4); across is the
        same of a row.  The other numbers are the largest that is drawn: tan(angle / 2); parts
        of 1 for scale and shear; pixels, of displacement for a knot.  Sides of images are less
        than 2**14, which the caller sees to.
        """
        cdef ptrdiff_t n = images.shape[0], begin = 0, several, pixels
        cdef bp_distortion told
        cdef _Buffer images_ = _Buffer(images, "images", self.dtype, images.shape)
        cdef _Buffer out_ = _Buffer(out, "out", self.dtype, images.shape, True)
        told.height, told.width = images.shape[1:]
        pixels = told.height * told.width
        told.knots_down = down[0]
        told.knots_across = across[0]
        cdef _Buffer down_first = _knots(down, "down", told.height)
        cdef _Buffer across_first = _knots(across, "across", told.width)
        cdef _Buffer down_ = _Buffer(down[2], "down", self.dtype, (told.height, 4))
        cdef _Buffer across_ = _Buffer(across[2], "across", self.dtype, (told.width, 4))
        told.down_first = <const int64_t *>down_first.view.buf
        told.across_first = <const int64_t *>across_first.view.buf
        told.down, told.across = down_.view.buf, across_.view.buf
        told.seed, told.first = seed, first
        told.half_rotation, told.scale, told.shear = half_rotation, scale, shear
        told.shift, told.displacement = shift, displacement
        cdef ptrdiff_t threads = min(n_threads, BP_MAX_THREADS, max(n, 1))
        several = max(threads, 16 * SLICE // max(1, pixels))
        cdef void *scratch = PyMem_RawMalloc(
            bp_distort(self.row, &told, threads, 0, NULL, NULL, NULL))
        if scratch == NULL:
            raise MemoryError()
        cdef size_t place
        try:
            while begin < n:
                place = <size_t>(begin * pixels) * self.row.itemsize
                several = min(several, n - begin)
                with nogil:
                    bp_distort(self.row, &told, threads, several,
                               <const char *>images_.view.buf + place,
                               <char *>out_.view.buf + place, scratch)
                begin += several
                told.first += several
                PyErr_CheckSignals()
        finally:
            PyMem_RawFree(scratch)


cdef _Buffer _knots(given, str name, ptrdiff_t pixels):
    """Where the four knots of each pixel begin; ValueError if they are not among the knots."""
    knots, which, _ = given
    buffer = _Buffer(which, name, np.dtype("q"), (pixels,))
    if pixels and not 0 <= which.min() <= which.max() <= knots - 4:
        raise ValueError(f"{name} must be of {knots} knots, got {which.min()} to {which.max()}")
    return buffer


cdef ptrdiff_t _place(str argument, name, names) except -1:
    """Where name is in the names of a table."""
    if name not in (names := list(names)):
        raise ValueError(f"{argument} must be one of {', '.join(names)}, got {name!r}")
    return names.index(name)


cdef uintptr_t _strided(array, str name, dtype) except? 0:
    """The address of the first item of a matrix of dtype, which may have any strides."""
    cdef Py_buffer view
    cdef uintptr_t address
    if type(array) is not np.ndarray:
        raise TypeError(f"{name} must be an array of {dtype}, got {type(array).__name__}")
    if array.dtype != dtype or not array.flags.aligned:
        raise TypeError(f"{name} must be an aligned array of {dtype}, got {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"{name} must have two dimensions, got {array.ndim}")
    if any(stride % array.itemsize for stride in array.strides):
        raise ValueError(f"{name} must have strides of whole items, got {array.strides}")
    PyObject_GetBuffer(array, &view, PyBUF_STRIDED_RO)
    address = <uintptr_t>view.buf
    PyBuffer_Release(&view)  # the caller holds the array
    return address


cdef _check_vectors(str name, uintptr_t address, const bp_engine *row):
    if address % (row.lanes * row.itemsize):
        raise ValueError(f"{name} must start on a boundary of {row.lanes * row.itemsize} bytes")


def compiler():
    """Return the name and version of the compiler that built the core."""
    return bp_compiler().decode()


def engines():
    """Return the engines that this CPU and OS can run, the slowest instruction set first."""
    cdef ptrdiff_t n
    bp_engines(&n)
    return list(map(Engine, range(n)))


cdef class _Twister:
    """A copy of the state of a ``random.Random``, which shuffles in its place."""

    cdef object version, gauss_next
    cdef array words  # no typed memoryview: its code is a third of the binding's

    def __cinit__(self, generator):
        self.version, words, self.gauss_next = generator.getstate()
        self.words = _array.array("I", words)

    def shuffle(self, items):
        """Shuffle an array of int64 as the generator would shuffle a list."""
        cdef _Buffer buffer = _Buffer(items, "items", np.dtype("q"), items.shape, True)
        cdef ptrdiff_t begin, end = len(items)
        while end > 0:
            begin = end - SLICE if end > SLICE else 0
            with nogil:
                bp_shuffle(<uint32_t *>self.words.data.as_uints, <int64_t *>buffer.view.buf,
                           begin, end)
            end = begin
            if end > 0:
                PyErr_CheckSignals()

    def give_to(self, generator):
        """Let the generator go on from here."""
        generator.setstate((self.version, tuple(self.words), self.gauss_next))


def _by(shuffle):
    """Return what shuffles an array by Python code that shuffles a list."""
    def shuffle_array(array):
        items = array.tolist()
        shuffle(items)
        if sorted(items) != sorted(array.tolist()):
            raise ValueError(f"a shuffle must leave the {len(array)} items that it was given")
        array[:] = items
    return shuffle_array


# The blocks of a window: so many distant parts of the data are mixed with one another that even
# rows sorted by class train as well (bench/larger.py), and each is still read in one piece.
BLOCKS = 256


def _windows(n, window, blocks):
    """Yield the begins and the ends of the blocks of each window, rows of n."""
    block = max(1, window // BLOCKS)
    for several in (blocks[k:k + window // block]
                    for k in range(0, len(blocks), window // block)):
        yield several * block, np.minimum(several * block + block, n)


cdef class Order:
    """The order in which an epoch visits n examples; 0, 1, 2, ... at first."""

    cdef readonly ptrdiff_t n
    cdef tuple kept  # items, their _Buffer, window, blocks: replaced as one, never written to

    def __cinit__(self, n):
        self.n = n
        self.put(np.arange(n, dtype=np.int64))

    cdef put(self, items, window=None, blocks=None):
        buffer = _Buffer(items, "order", np.dtype("q"), (self.n,), True)
        with cython.critical_section(self):
            self.kept = items, buffer, window, blocks

    cdef tuple held(self):
        """What is kept now."""
        with cython.critical_section(self):
            return self.kept

    def shuffle(self, source, window=None):
        """Shuffle as source.shuffle would, and leave source in the state it would.

        With a window, a number of rows, it is not the order from before that is shuffled but
        0 to n - 1: source.shuffle shuffles the numbers of blocks of window // BLOCKS rows, at
        least one, the last perhaps short; then, in turn, the rows of as many blocks as make a
        window.

        source is the module ``random`` or a ``random.Random``; where its ``shuffle`` is not
        CPython's own on the Mersenne Twister, it is called.  If a signal's handler raises,
        both are as they were.
        """
        cdef _Twister twister
        generator = getattr(source.shuffle, "__self__", None)
        if (type(generator) is not _random.Random or self.n >= 2**32
                or getattr(source.shuffle, "__func__", None) is not _SHUFFLE):
            self.shuffle_by(source.shuffle, window)
        elif window is not None:
            twister = _Twister(generator)
            items, blocks = self.in_blocks(window, twister.shuffle)
            twister.give_to(generator)
            self.put(items, window, blocks)  # which cannot fail: both have changed, or neither
        elif self.n < FEW:
            self.shuffle_few(generator.getrandbits)
        else:
            twister = _Twister(generator)
            items = self.toarray()
            twister.shuffle(items)
            twister.give_to(generator)
            self.put(items)

    cdef in_blocks(self, window, shuffle):
        """Return rows in an order of blocks, and the blocks in theirs."""
        block, begin = max(1, window // BLOCKS), 0
        blocks, items = np.arange(-(-self.n // block)), np.empty(self.n, np.int64)
        shuffle(blocks)
        for begins, ends in _windows(self.n, window, blocks):
            rows = (begins[:, None] + np.arange(block)).ravel()
            rows = rows[rows < self.n]  # the last block may be short
            shuffle(rows)
            items[begin:begin + len(rows)] = rows
            begin += len(rows)
        return items, blocks

    cdef shuffle_few(self, getrandbits):
        """Draw each index from the generator, as CPython's shuffle does."""
        cdef int64_t *items
        cdef ptrdiff_t i, j
        shuffled = self.toarray()
        cdef _Buffer buffer = _Buffer(shuffled, "items", shuffled.dtype, shuffled.shape, True)
        items = <int64_t *>buffer.view.buf
        bits = self.n.bit_length()
        for i in range(self.n - 1, 0, -1):
            if (i + 1) >> (bits - 1) == 0:  # one bit less from here on
                bits -= 1
            j = getrandbits(bits)
            while j > i:
                j = getrandbits(bits)
            items[i], items[j] = items[j], items[i]
        self.put(shuffled)

    cdef shuffle_by(self, shuffle, window):
        """Let Python code shuffle; what it leaves must be n indices of examples."""
        if window is not None:
            items, blocks = self.in_blocks(window, _by(shuffle))
            self.put(items, window, blocks)
            return
        items = self.tolist()
        shuffle(items)
        self.assign(np.array(items))

    def assign(self, items):
        """Visit the examples in the order of items, n indices in [0, n)."""
        if items.dtype.kind in "iu":
            items = np.array(items, np.int64)  # what is checked is what is used
        if (items.dtype != np.int64 or items.shape != (self.n,)
                or self.n and not 0 <= items.min() <= items.max() < self.n):
            raise ValueError(f"a shuffle must leave {self.n} indices in [0, {self.n})")
        self.put(items)

    def windows(self):
        """Iterate over the windows of the last shuffle: rows [begin, end) of their blocks, as
        arrays of begins and of ends."""
        _, _, window, blocks = self.held()
        return iter(()) if window is None else _windows(self.n, window, blocks)

    def toarray(self):
        """Return a copy of the order, an array of int64."""
        return self.held()[0].copy()

    def tolist(self):
        """Return the order as a list of Python ints."""
        return self.held()[0].tolist()


# Lists of arrays.  None changes from a look at an item until it is read: the GIL is held, and
# where there is none, these are lists that only the caller has.

# How far ahead what is next is asked for.
cdef enum:
    NEAR = 8
    FAR = 16


cdef ptrdiff_t _n_engines
cdef const bp_engine *_ANY = bp_engines(&_n_engines)[0]


cdef inline void _fetch_ahead(list values, ptrdiff_t i):
    """Ask for the arrays that come after values[i], and for what those nearer point to."""
    cdef ptrdiff_t n = len(values)
    if i + FAR < n:
        _ANY.ask_for(PyList_GET_ITEM(values, i + FAR), sizeof(bp_array))
    if i + NEAR < n and type(<object>PyList_GET_ITEM(values, i + NEAR)) is _ARRAY:
        _ANY.ask_for((<bp_array *>PyList_GET_ITEM(values, i + NEAR)).shape, 1)


def are_parameters(sizes, biases, weights, dtype):
    """Whether these are lists of C-contiguous arrays of dtype, biases (n_out, 1) and weights
    (n_out, n_in), of layers of these sizes."""
    cdef ptrdiff_t l, n_out, n_in = sizes[0]
    if (type(biases) is not list or type(weights) is not list
            or not len(<list>biases) == len(<list>weights) == len(sizes) - 1):
        return False
    for l in range(len(<list>biases)):
        n_out = sizes[l + 1]
        if (_matrix((<list>biases)[l], dtype, n_out, 1) == NULL
                or _matrix((<list>weights)[l], dtype, n_out, n_in) == NULL):
            return False
        n_in = n_out
    return True


def are_columns(list values not None, ptrdiff_t n, dtype):
    """Whether all values are C-contiguous arrays (n, 1) of this dtype."""
    cdef ptrdiff_t i
    for i in range(len(values)):
        _fetch_ahead(values, i)
        if _matrix(values[i], dtype, n, 1) == NULL:
            return False
    return True


def split(list pairs not None):
    """Return the lists of first and of second items; None if one is no tuple of two."""
    cdef ptrdiff_t i, n = len(pairs)
    firsts, seconds = [], []
    for i in range(n):
        if i + FAR < n:
            _ANY.ask_for(PyList_GET_ITEM(pairs, i + FAR), 1)
        if i + NEAR < n and type(<object>PyList_GET_ITEM(pairs, i + NEAR)) is tuple:
            ahead = <tuple>PyList_GET_ITEM(pairs, i + NEAR)
            if len(ahead) == 2:
                _ANY.ask_for(PyTuple_GET_ITEM(ahead, 0), 1)
                _ANY.ask_for(PyTuple_GET_ITEM(ahead, 1), 1)
        pair = pairs[i]
        if type(pair) is not tuple or len(<tuple>pair) != 2:
            return None
        firsts.append((<tuple>pair)[0])
        seconds.append((<tuple>pair)[1])
    return firsts, seconds


# The most inputs in CSR form; the most with columns of 16 bits, which alone are packed from
# rows and may have codes; and the values that codes tell apart.
MAX_CSR_INPUTS, NARROW_CSR_INPUTS = BP_MAX_CSR_INPUTS, BP_NARROW_CSR_INPUTS
MAX_CODES = BP_CODES

# What dense inputs may be, in the order of the core's types.
INPUTS = tuple(map(np.dtype, "f4 f8 f2 i1 i2 i4 i8 u1 u2 u4 u8".split()))

_OFFSETS, _CODES = np.dtype(np.int64), np.dtype(np.uint8)
_NARROW, _WIDE = np.dtype(np.uint16), np.dtype(np.uint32)


def columns_dtype(n_in):
    """Return the dtype of the columns of a CSR form of n_in inputs."""
    return _NARROW if n_in <= BP_NARROW_CSR_INPUTS else _WIDE


cdef class Encoder(_Serving):
    """Writes rows of n_in inputs in CSR form, a block at a time, to arrays of the caller.

    offsets has room for all rows; columns and codes for limit + n_in items.  So has values,
    without codes; with them it has room for the rows of a block, and table
    for MAX_CODES different ones.  It serves one call at a time, and nobody may write to the
    arrays or resize them while it lives.
    """

    cdef Engine engine
    cdef ptrdiff_t n_in, n, rows, room  # rows of n are written; room is that of values
    cdef int64_t limit
    cdef readonly int64_t items         # of the rows that are written
    cdef _Buffer offsets, columns, values, codes, table, places

    def __cinit__(self, Engine engine not None, n_in, limit, offsets, columns, values, *,
                  codes=None, table=None):
        self.engine, self.n_in, self.limit = engine, n_in, limit
        self.n, self.room = offsets.size - 1, values.size
        if n_in > BP_NARROW_CSR_INPUTS:
            raise ValueError(f"rows to pack must have at most {BP_NARROW_CSR_INPUTS} inputs, "
                             f"got {n_in}")
        if min(limit, n_in) < 0:
            raise ValueError(f"limit and n_in must be at least 0, got {limit} and {n_in}")
        room = limit + n_in
        self.offsets = _Buffer(offsets, "offsets", _OFFSETS, (offsets.size,), True)
        self.columns = _Buffer(columns, "columns", _NARROW, (room,), True)
        self.values = _Buffer(values, "values", engine.dtype,
                              (room if codes is None else values.size,), True)
        if codes is not None:
            self.codes = _Buffer(codes, "codes", _CODES, (room,), True)
            self.table = _Buffer(table, "table", engine.dtype, (BP_CODES,), True)
            places = np.zeros(sizeof(bp_codes), np.uint8)
            self.places = _Buffer(places, "places", places.dtype, places.shape, True)

    @property
    def used(self):
        """The number of values in the table."""
        return 0 if self.codes is None else (<bp_codes *>self.places.view.buf).used

    def append(self, x):
        """Append rows; return how many items have no code because the table is full.

        Once there are more items than limit, nothing else is right.
        """
        cdef ptrdiff_t m = len(x)
        cdef _Buffer x_ = _Buffer(x, "x", self.engine.dtype, (m, self.n_in))
        self.take()
        try:
            if m > self.n - self.rows or self.codes is not None and m * self.n_in > self.room:
                raise ValueError(f"x must have no more rows than there is room for, got {m}")
            return self.write(m, x_.view.buf)
        finally:
            self.give()

    cdef int64_t write(self, ptrdiff_t m, const void *x) except -1:
        """Append m rows, for which there is room; return as append does."""
        cdef bint coded = self.codes is not None
        cdef int64_t *ends = <int64_t *>self.offsets.view.buf + self.rows
        cdef int64_t first = min(self.items, self.limit), missing = 0  # no item is past it
        cdef uint16_t *columns = <uint16_t *>self.columns.view.buf + first
        cdef char *values = <char *>self.values.view.buf
        if not coded:
            values += first * self.engine.row.itemsize
        with nogil:
            ends[0] = self.items
            self.engine.row.csr_append(m, self.n_in, x, self.limit, ends, columns, values)
            self.rows, self.items = self.rows + m, ends[m]
            if coded and self.items <= self.limit:
                missing = self.items - first
                missing -= self.engine.row.csr_encode(
                    missing, values, <bp_codes *>self.places.view.buf, self.table.view.buf,
                    <uint8_t *>self.codes.view.buf + first)
        return missing


cdef class Data:
    """Examples in the core's form: inputs dense or CSR, desired outputs vectors or labels.

    x is an array (n, n_in) of one of the dtypes INPUTS, each row of which is C-contiguous and
    is converted to the engine's dtype whenever it is visited; or a CSR form, a tuple (n_in,
    offsets, columns, values, codes); or another Data, whose inputs are shared.  Row i of a CSR
    form is the items [offsets[i], offsets[i + 1]), int64: ascending columns, of the dtype that
    columns_dtype says, and their values; or, with columns of 16 bits, codes, uint8, that say
    which of the values, or None.  y (n, n_out) is of the engine's dtype, labels (n) of int64 in
    [0, n_out), or 0 and 1 for one output; weights (n), a factor of each example's error and
    cost, are at least 0 and not all 0.
    The arrays are kept, not copied, and must not change while this lives.
    """

    cdef Engine engine
    cdef bp_data data
    cdef list buffers
    cdef readonly object inputs  # an array, or the tuple of a CSR form
    cdef readonly object y

    def __cinit__(self, Engine engine not None, x, n_out, *, y=None, labels=None, weights=None):
        self.engine = engine
        self.buffers = []
        if isinstance(x, Data):
            self.share(x)
        elif isinstance(x, tuple):
            self.hold_csr(x)
        else:
            self.hold_rows(x)
        n, n_out = self.data.n, _index(n_out)
        self.data.n_out = n_out
        self.y = y
        if y is not None:
            self.data.y = self.hold(y, "y", engine.dtype, (n, n_out))
        if labels is not None:
            self.data.labels = <const int64_t *>self.hold(labels, "labels", np.dtype("q"), (n,))
            most = 2 if n_out == 1 else n_out
            if n and not 0 <= labels.min() <= labels.max() < most:
                raise ValueError(f"labels must be in [0, {most}), got {labels.min()} to "
                                 f"{labels.max()}")
        if weights is not None:
            self.data.weights = self.hold(weights, "weights", engine.dtype, (n,))
            if n and not (np.isfinite(weights).all() and weights.min() >= 0 < weights.max()):
                raise ValueError("weights must be finite, at least 0 and not all 0")

    cdef void *hold(self, array, str name, dtype, tuple shape) except? NULL:
        cdef _Buffer buffer = _Buffer(array, name, dtype, shape)
        self.buffers.append(buffer)
        return buffer.view.buf

    cdef hold_rows(self, x):
        given = getattr(x, "dtype", None)
        dtype = given if given in INPUTS else self.engine.dtype
        self.data.n, self.data.n_in = x.shape
        cdef _Buffer buffer = _Buffer(x, "x", dtype, self.shape, rows=True)
        self.buffers.append(buffer)
        self.data.x, self.data.x_item = buffer.view.buf, buffer.view.itemsize
        self.data.x_row, self.data.x_type = buffer.view.strides[0], INPUTS.index(dtype)
        self.inputs = x

    cdef share(self, Data other):
        """Use the inputs of other, which are never written."""
        if other.engine.row != self.engine.row:
            raise ValueError("data that share inputs must be of the same engine")
        self.data.n, self.data.n_in = other.data.n, other.data.n_in
        self.data.x, self.data.x_item = other.data.x, other.data.x_item
        self.data.x_row, self.data.x_type = other.data.x_row, other.data.x_type
        self.data.offsets = other.data.offsets
        self.data.columns, self.data.values = other.data.columns, other.data.values
        self.data.codes = other.data.codes
        self.inputs = other.inputs
        self.buffers.append(other)

    cdef hold_csr(self, form):
        """Use a CSR form, of which nothing is trusted."""
        n_in, offsets, columns, values, codes = form
        cdef int64_t items = columns.size, n_values = values.size
        self.data.n, self.data.n_in = offsets.size - 1, n_in
        if self.data.n_in > BP_MAX_CSR_INPUTS:
            raise ValueError(f"a CSR form must have at most {BP_MAX_CSR_INPUTS} inputs, "
                             f"got {n_in}")
        self.data.offsets = <const int64_t *>self.hold(
            offsets, "offsets", _OFFSETS, (offsets.size,))
        self.data.columns = self.hold(
            columns, "columns", columns_dtype(self.data.n_in), (columns.size,))
        self.data.values = self.hold(values, "values", self.engine.dtype, (values.size,))
        if codes is not None:
            self.data.codes = <const uint8_t *>self.hold(
                codes, "codes", _CODES, (columns.size,))
        cdef ptrdiff_t end = 0, rows = SLICE * self.data.n // max(items, 1) + 1, begin
        cdef const char *wrong = NULL
        while wrong == NULL:
            begin, end = end, min(end + rows, self.data.n)
            with nogil:
                wrong = bp_csr_fault(&self.data, items, n_values, begin, end)
            if end >= self.data.n:
                break
            PyErr_CheckSignals()
        if wrong != NULL:
            raise ValueError(wrong.decode())
        self.inputs = n_in, offsets, columns, values, codes

    def __len__(self):
        return self.data.n

    @property
    def shape(self):
        """The number of examples and of inputs."""
        return self.data.n, self.data.n_in

    @property
    def sparse(self):
        """Whether the inputs are in CSR form."""
        return self.data.offsets != NULL

    @property
    def coded(self):
        """Whether the CSR form has codes in place of values."""
        return self.data.codes != NULL

    @property
    def nonzeros(self):
        """The number of inputs that are not zero."""
        return self.inputs[2].size if self.sparse else np.count_nonzero(self.inputs)

    @property
    def nbytes(self):
        """Bytes that the inputs take."""
        arrays = self.inputs[1:] if self.sparse else (self.inputs,)
        return sum(array.nbytes for array in arrays if array is not None)

    def rows(self, begin, end):
        """Return inputs [begin, end) as a fresh array of rows; -0.0 may have become 0.0."""
        begin, end, _ = slice(begin, end).indices(self.data.n)
        if not self.sparse:
            given, dtype = self.inputs[begin:end], self.engine.dtype
            if given.dtype == dtype:
                return given.copy()
            with np.errstate(over="ignore", under="ignore"):
                return given.astype(dtype, order="C")
        n_in, offsets, columns, _, _ = self.inputs
        ends = offsets[begin:end + 1] if begin < end else offsets[:1]
        out = np.zeros((len(ends) - 1, n_in), self.engine.dtype)
        row = np.repeat(np.arange(len(out)), np.diff(ends))
        # As indices: where memory runs out, NumPy's own conversion of others crashes.
        out[row, columns[ends[0]:ends[-1]].astype(np.intp)] = self.values(ends[0], ends[-1])
        return out

    cdef values(self, begin, end):
        """The values of the items [begin, end) of a CSR form."""
        values, codes = self.inputs[3:]
        if codes is None:
            return values[begin:end]
        return values[codes[begin:end].astype(np.intp)]

    def held(self, i):
        """Return the inputs of example i that are kept: of CSR those that are not zero."""
        if not self.sparse:
            return self.inputs[i]
        offsets = self.inputs[1]
        return self.values(offsets[i], offsets[i + 1])


cdef class _Look:
    """What a call does now and then: handle signals and tell of progress.  One that raises ends
    the call."""

    cdef object progress, error

    def __cinit__(self, progress=None):
        self.progress = progress

    cdef int after(self, ptrdiff_t done) noexcept:
        try:
            PyErr_CheckSignals()
            if self.progress is not None:
                self.progress(done)
        except BaseException as error:
            self.error = error
        return self.error is not None

    cdef finish(self):
        if self.error is not None:
            raise self.error


cdef int _look(void *look, ptrdiff_t done) noexcept with gil:
    return (<_Look>look).after(done)


cdef class Net(_Serving):
    """A network's parameters in the core's layout, with scratch for ``rows`` examples.

    All parameters are zero at first.  hidden, output and rule are names of the engine's tables.
    It serves one call at a time: another meanwhile, from a callback or from another thread, is
    a RuntimeError.  sgd, backprop and evaluate share their work among up to n_threads threads,
    which live for one call, and whose number does not change a bit of the results.  Python
    handles signals about every 20 milliseconds of a call.
    """

    cdef Engine engine
    cdef tuple sizes
    cdef readonly ptrdiff_t n_threads
    cdef str rule
    cdef void *block
    cdef void *inputs  # of the same, what dense inputs are gathered in; NULL until they come
    cdef size_t size
    cdef bp_net *nets

    def __cinit__(self, Engine engine not None, sizes, rows, n_threads=1, *,
                  hidden="sigmoid", output="quadratic", rule="plain"):
        cdef array numbers
        cdef bp_shape shape
        try:
            numbers, rows = _array.array("q", sizes), _index(rows)
        except OverflowError:
            raise MemoryError(
                f"a network of sizes {list(sizes)} does not fit in memory") from None
        shape.sizes = <ptrdiff_t *>numbers.data.as_longlongs
        shape.num_layers, shape.rows = len(numbers) - 1, min(rows, BP_MOST_ROWS)
        shape.itemsize = engine.row.itemsize
        if shape.num_layers < 1 or min(numbers) < 1 or shape.rows < 1:
            raise ValueError(f"sizes must be two or more positive numbers and rows positive, "
                             f"got {tuple(sizes)} and {rows}")
        if n_threads < 1:
            raise ValueError(f"n_threads must be positive, got {n_threads}")
        shape.kind.hidden = _place("hidden", hidden, engine.activations)
        shape.kind.output = _place("output", output, engine.outputs)
        shape.kind.rule = _place("rule", rule, engine.rules)
        shape.kind.slots = engine.rules[rule][1]
        if numbers[-1] < engine.outputs[output]:
            raise ValueError(f"output {output} needs {engine.outputs[output]} neurons or more, "
                             f"got sizes {list(numbers)}: of one, use cross-entropy")
        self.engine, self.sizes, self.rule = engine, tuple(numbers), rule
        self.n_threads = shape.threads = min(
            n_threads, BP_MAX_THREADS, -(-max(numbers[1:]) * shape.itemsize // BP_ALIGN))
        self.size = bp_lay_out(NULL, &shape, &self.nets) + BP_ALIGN
        # The system's pages are zero: to write zeros to many would be a long wait.
        shape.zeroed = self.size > ZEROED
        self.block = (PyMem_RawCalloc(1, self.size) if shape.zeroed
                      else PyMem_RawMalloc(self.size))
        if self.block == NULL:
            raise MemoryError(
                f"a network of sizes {list(sizes)} takes {self.size - BP_ALIGN:,} bytes")
        bp_lay_out(<void *>_aligned(<uintptr_t>self.block), &shape, &self.nets)

    def __dealloc__(self):
        PyMem_RawFree(self.block)
        PyMem_RawFree(self.inputs)

    @property
    def dtype(self):
        """The item type of the parameters."""
        return self.engine.dtype

    cdef list held(self, biases, weights, bint writable=False, bint ours=False):
        """The book's lists, layer by layer: biases (n_out, 1), weights (n_out, n_in) and
        whether these lie by input, in Fortran's order."""
        buffers, dtype = [], self.engine.dtype
        for l, (n_in, n_out) in enumerate(zip(self.sizes, self.sizes[1:])):
            w, shape, by_input = weights[l], (n_out, n_in), False
            if type(w) is np.ndarray and w.shape == shape and w.T.flags.c_contiguous:
                w, shape, by_input = w.T, shape[::-1], True
            buffers.append((
                _Buffer(biases[l], f"biases[{l}]", dtype, (n_out, 1), writable, ours),
                _Buffer(w, f"weights[{l}]", dtype, shape, writable, ours), by_input))
        return buffers

    cdef exchange(self, int first, list places, bint out=False):
        """Copy places in or out, ``first`` and those that follow it, as one call."""
        self.take()
        try:
            self.copy(first, places, out)
        finally:
            self.give()

    cdef copy(self, int place, list places, bint out=False):
        """Copy places, each of all layers, in slices between which signals are handled.

        The caller has the network, and all is checked: a handler that raises is the only
        failure.
        """
        cdef _Buffer b, w
        cdef ptrdiff_t l, begin, end, n_in, n_out
        cdef bint by_input
        for buffers in places:
            for l, (b, w, by_input) in enumerate(<list>buffers):
                end, n_in, n_out = 0, self.sizes[l], self.sizes[l + 1]
                while end < n_in:
                    if end > 0:
                        PyErr_CheckSignals()
                    begin, end = end, min(n_in, end + SLICE // n_out // BP_ALIGN * BP_ALIGN
                                          + BP_ALIGN)
                    with nogil:
                        if out:
                            self.engine.row.store(self.nets, l, place, begin, end, by_input,
                                                  w.view.buf, b.view.buf)
                        else:
                            self.engine.row.load(self.nets, l, place, begin, end, by_input,
                                                 w.view.buf, b.view.buf)
            place += 1

    cdef fresh(self):
        """Return lists (biases, weights) in the book's shapes, not yet filled."""
        biases, weights = [], []
        for n_in, n_out in zip(self.sizes, self.sizes[1:]):
            biases.append(np.empty((n_out, 1), self.engine.dtype))
            weights.append(np.empty((n_out, n_in), self.engine.dtype))
        return biases, weights

    def load(self, biases, weights):
        """Copy in the book's lists: biases[l] (n_out, 1) and weights[l] (n_out, n_in).

        Here and where such lists are given elsewhere, weights[l] are C- or F-contiguous.
        """
        self.exchange(0, [self.held(biases, weights)])

    def store(self):
        """Return fresh lists (biases, weights) in the book's shapes."""
        biases, weights = self.fresh()
        self.exchange(0, [self.held(biases, weights, True, True)], True)
        return biases, weights

    def store_into(self, biases, weights, slots=()):
        """Copy out the parameters, and what the rule keeps of them, into the caller's lists.

        slots has as many pairs (biases, weights) as the rule, or none.
        """
        places = []
        if slots:
            self.check_slots(slots)
        for pair in [(biases, weights), *slots]:
            places.append(self.held(pair[0], pair[1], True))
        self.exchange(0, places, True)

    @property
    def steps(self):
        """Mini-batches so far."""
        return self.nets.steps

    def state(self):
        """Return (steps, slots): mini-batches so far, and what the rule keeps of each weight.

        slots is a list of pairs (biases, weights), as store returns them.
        """
        slots, places = [], []
        for _ in range(self.nets.kind.slots):
            biases, weights = self.fresh()
            slots.append((biases, weights))
            places.append(self.held(biases, weights, True, True))
        self.take()
        try:
            self.copy(1, places, True)
            return self.nets.steps, slots
        finally:
            self.give()

    cdef check_slots(self, slots):
        if len(slots) != self.nets.kind.slots:
            raise ValueError(f"slots must be {self.nets.kind.slots} for the rule {self.rule}, "
                             f"got {len(slots)}")

    def restore(self, steps, slots):
        """Put back what state returned."""
        cdef int64_t begun = steps
        self.check_slots(slots)
        places = []
        for biases, weights in slots:
            places.append(self.held(biases, weights))
        self.take()
        try:
            self.copy(1, places)
            self.nets.steps = begun
        finally:
            self.give()

    def feedforward(self, Data data not None):
        """Return the output (n, n_out) for every example of data."""
        self.check(data)
        out = np.empty((data.data.n, self.sizes[-1]), self.engine.dtype)
        cdef _Buffer buffer = _Buffer(out, "out", out.dtype, out.shape, True)
        cdef bp_questions asked = bp_questions(buffer.view.buf, NULL, NULL)
        self.ask(data, &asked)
        return out

    def evaluate(self, Data data not None, costs=None, count=True):
        """Return how many examples have their label as the answer: the most active output, or,
        of one output, whether it is above 1/2.  Without count, 0.

        costs, an array (n,) of the engine's dtype, gets each example's cost times its weight.
        """
        cdef _Buffer buffer = None
        cdef int64_t correct = 0
        cdef bp_questions asked = bp_questions(NULL, NULL, NULL)
        self.check(data, targets=costs is not None)
        if count:
            if data.data.labels == NULL:
                raise ValueError("data must have labels")
            asked.correct = &correct
        if costs is not None:
            buffer = _Buffer(costs, "costs", self.engine.dtype, (data.data.n,), True)
            asked.costs = buffer.view.buf
        self.ask(data, &asked)
        return correct

    cdef ask(self, Data data, const bp_questions *asked):
        look = _Look()
        self.take()
        try:
            self.make_room(data)
            with nogil:
                bp_evaluate(self.engine.row, self.nets, self.n_threads, &data.data, asked,
                            _look, <void *>look)
        finally:
            self.give()
        look.finish()

    def backprop(self, Data data not None, rows=None, out=None):
        """Return (nabla_b, nabla_w), the gradient of the cost summed over rows of data, or all.

        rows is an array of indices of examples, in any order and any number.  out, lists as
        load takes, gets the gradient and is returned.
        """
        self.check(data, targets=True)
        n, place = data.data.n, self.nets.kind.slots + 1
        order = np.arange(n, dtype=np.int64)
        if rows is not None:
            order = rows.astype(np.int64)  # what is checked is what is used
            if order.size and not 0 <= order.min() <= order.max() < n:
                raise ValueError(f"rows must be indices in [0, {n}), got {order.min()} to "
                                 f"{order.max()}")
        cdef _Buffer visited = _Buffer(order[None], "rows", order.dtype, (1, order.size))
        cdef ptrdiff_t visits = order.size
        cdef bint ours = out is None
        if ours:
            out = self.fresh()
        places = [self.held(out[0], out[1], True, ours)]
        look = _Look()
        self.take()
        try:
            self.make_room(data)
            with nogil:
                bp_backprop(self.engine.row, self.nets, self.n_threads, &data.data,
                            <const int64_t *>visited.view.buf, visits, _look, <void *>look)
            look.finish()
            self.copy(place, places, True)
        finally:
            self.give()
        return out

    def sgd(self, Data data not None, Order order not None, mini_batch_size, eta, *,
            l2=0.0, l1=0.0, l2_by_batch=False, parameters=(), losses=None,
            clip=0.0, progress=None):
        """Descend over all of data, in this order and in mini-batches, by the net's rule.

        The gradient is of a mini-batch's mean cost (over the sum of the examples' weights) plus
        l2 w + l1 sgn(w) for weights; with l2_by_batch, l2 is divided by that sum.  parameters
        are the rule's, in its order.  losses, float64 (mini-batches, 2), gets what a
        mini-batch's mean cost and its penalty were before its step; with clip, the cost is that
        of probabilities which are rounded, and kept in [clip, 1 - clip], as by scikit-learn.
        progress(examples) is called with
        the number that are done since it was last called.  If it or a signal's handler raises,
        the parameters are those after a whole number of mini-batches.
        """
        cdef _Buffer buffer = None
        cdef bp_descent told
        cdef int i
        self.check(data, targets=True)
        cdef ptrdiff_t m = _index(mini_batch_size), n = data.data.n
        if order.n != n:
            raise ValueError(f"order must have {len(data)} items, got {order.n}")
        cdef ptrdiff_t rows = self.nets.scratch.rows
        if m < 1 or m > rows and m < BP_WHOLE:
            raise ValueError(f"mini_batch_size must be in [1, {rows}], got {m}")
        names = self.engine.rules[self.rule][0]
        if len(parameters) != len(names):
            raise ValueError(f"parameters must be {', '.join(names) or 'none'} for the rule "
                             f"{self.rule}, got {parameters}")
        cdef _Buffer visited = order.held()[1]  # lives on where it is shuffled meanwhile
        told.data, told.order, told.begin, told.mini_batch_size = (
            &data.data, <const int64_t *>visited.view.buf, 0, m)
        told.eta, told.l2, told.l1, told.l2_by_batch = eta, l2, l1, l2_by_batch
        for i in range(BP_PARAMETERS):
            told.parameters[i] = parameters[i] if i < len(parameters) else 0
        told.losses, told.clip = NULL, clip
        if losses is not None:
            buffer = _Buffer(losses, "losses", np.dtype("d"), (-(-n // m), 2), True)
            told.losses = <double *>buffer.view.buf
        look = _Look(progress)
        self.take()
        try:
            self.make_room(data)
            with nogil:
                bp_sgd(self.engine.row, self.nets, self.n_threads, &told, _look, <void *>look)
        finally:
            self.give()
        look.finish()

    cdef check(self, Data data, bint targets=False):
        if data.engine.row != self.engine.row:
            raise ValueError("data and network must be of the same engine")
        if data.data.n_in != self.sizes[0] or data.data.n_out != self.sizes[-1]:
            raise ValueError(f"data must have {self.sizes[0]} inputs and {self.sizes[-1]} "
                             f"outputs, got {data.data.n_in} and {data.data.n_out}")
        if targets and data.data.y == NULL and data.data.labels == NULL:
            raise ValueError("data must have desired outputs")

    cdef make_room(self, Data data):
        """Make room for dense inputs, of which large ones would be a lot for a net of CSR.  The
        caller has the network."""
        if data.data.x == NULL or self.inputs != NULL:
            return
        cdef size_t itemsize = self.engine.row.itemsize
        cdef size_t size = bp_lay_out_inputs(NULL, self.nets, itemsize) + BP_ALIGN
        self.inputs = PyMem_RawMalloc(size)
        if self.inputs == NULL:
            raise MemoryError(f"dense inputs of a network of sizes {list(self.sizes)} take "
                              f"{size - BP_ALIGN:,} bytes")
        bp_lay_out_inputs(<void *>_aligned(<uintptr_t>self.inputs), self.nets, itemsize)


cdef class Column(_Serving):
    """One example on its way through a network: the book's arrays are read where they are.

    ``ready`` says whether it can go: not if anything is other than the core has it, x
    (sizes[0], 1), biases and weights lists of C-contiguous arrays of the engine's dtype, and
    sizes a list or a tuple of ints.  Then a Net is the way, and its caller says what is wrong.
    It serves one call at a time.
    """

    cdef Engine engine
    cdef bp_column of
    cdef list sizes, held  # held: the arrays, and what keeps their memory where it is
    cdef void *block
    cdef readonly bint ready

    def __cinit__(self, Engine engine not None, hidden, output, sizes, biases, weights, x):
        self.engine = engine
        self.of.kind.hidden = engine.hiddens.get(hidden, -1)
        self.of.kind.output = engine.lasts.get(output, -1)
        if (type(sizes) not in (list, tuple) or len(sizes) < 2
                or self.of.kind.hidden < 0 or self.of.kind.output < 0):
            return
        self.sizes = list(sizes)
        self.ready = (type(biases) is list and type(weights) is list and self.lay_out()
                      and self.hold(biases, weights)
                      and self.copy_in(x, self.of.sizes[0], self.of.a[0]))

    def __dealloc__(self):
        PyMem_RawFree(self.block)

    cdef bint lay_out(self) except -1:
        """Take memory; False if the sizes are not the core's."""
        cdef array numbers
        cdef size_t itemsize = self.engine.row.itemsize
        for size in self.sizes:
            if type(size) is not int or not 0 < size < 1 << 31:
                return False
        if size < self.engine.row.row(BP_OUTPUTS, self.of.kind.output).classifies:
            return False
        numbers = _array.array("q", self.sizes)
        cdef const int64_t *layers = <int64_t *>numbers.data.as_longlongs
        cdef ptrdiff_t last = len(numbers) - 1
        self.block = PyMem_RawMalloc(
            bp_lay_out_column(NULL, layers, last, itemsize, &self.of) + BP_ALIGN)
        if self.block == NULL:
            raise MemoryError(f"sizes {self.sizes} do not fit in memory")
        bp_lay_out_column(<void *>_aligned(<uintptr_t>self.block), layers, last, itemsize,
                          &self.of)
        return True

    cdef bint hold(self, list biases, list weights) except -1:
        """Take pointers to parameters, and hold their memory; False if they do not fit."""
        cdef ptrdiff_t l, n_in, n_out, last = self.of.num_layers
        self.held = []
        if not len(biases) == len(weights) == last:
            return False
        for l in range(last):
            n_in, n_out = self.of.sizes[l], self.of.sizes[l + 1]
            w, b = weights[l], biases[l]
            self.of.weights[l] = _matrix(w, self.engine.dtype, n_out, n_in)
            self.of.biases[l] = _matrix(b, self.engine.dtype, n_out, 1)
            if self.of.weights[l] == NULL or self.of.biases[l] == NULL:
                return False
            self.held.append((w, b, _holder(w), _holder(b)))
        return True

    cdef bint copy_in(self, array, ptrdiff_t n, void *to):
        """Copy a column of n items, if it is one."""
        cdef const void *items = _matrix(array, self.engine.dtype, n, 1)
        if items != NULL:
            memcpy(to, items, n * self.engine.row.itemsize)
        return items != NULL

    def forward(self):
        """Go to the last layer; return whether x is finite, without which nothing is done."""
        cdef int finite
        self.take()
        with nogil:
            finite = self.engine.row.forward_column(&self.of)
        self.give()
        return bool(finite)

    @property
    def a(self):
        """The activations of the last layer, (n_out, 1)."""
        return self.fresh(self.of.a[self.of.num_layers])

    @property
    def z(self):
        """Its weighted inputs."""
        return self.fresh(self.of.z)

    cdef fresh(self, const void *items):
        out = np.empty((self.sizes[-1], 1), self.engine.dtype)
        self.take()
        memcpy(_writable(out), items, self.sizes[-1] * self.engine.row.itemsize)
        self.give()
        return out

    def backward(self, y, bint is_error=False):
        """Return (nabla_b, nabla_w), the gradient of the cost where y, (n_out, 1), is desired,
        or, if y is dC/dz of the last layer, of that C; None if y is not as x must be."""
        return self.finish(y, is_error, None)

    def descend(self, y, double eta):
        """Return (biases, weights) after a step on this one example; None if y or x is not
        finite, or y out of the output's range, or not as x must be."""
        return self.finish(y, False, eta)

    cdef finish(self, y, bint is_error, eta):
        cdef ptrdiff_t l, last = self.of.num_layers
        cdef double rate = eta or 0.0
        cdef bint descends = eta is not None, done
        biases, weights = [], []
        self.take()
        try:
            if not self.copy_in(y, self.of.sizes[last], self.of.delta[last]):
                return None
            for l in range(last):
                biases.append(np.empty((self.sizes[l + 1], 1), self.engine.dtype))
                weights.append(np.empty((self.sizes[l + 1], self.sizes[l]), self.engine.dtype))
                self.of.new_biases[l] = _writable(biases[l])
                self.of.new_weights[l] = _writable(weights[l])
            with nogil:
                if descends:
                    done = self.engine.row.descend_column(&self.of, rate)
                else:
                    done = self.engine.row.backward_column(&self.of, is_error)
        finally:
            self.give()
        return (biases, weights) if done else None


cdef void *_writable(array) except NULL:
    """The memory of an array that nobody else has yet."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_WRITABLE)
    PyBuffer_Release(&view)
    return view.buf


cdef uintptr_t _aligned(uintptr_t n):
    """n rounded up to a multiple of BP_ALIGN."""
    return (n + BP_ALIGN - 1) // BP_ALIGN * BP_ALIGN
