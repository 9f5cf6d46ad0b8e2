# cython: language_level=3, embedsignature=True
"""The binding: check, take pointers, release the GIL, call, look for signals, return."""

import array as _array
import random as _random
from operator import index as _index

import numpy as np

from cpython.array cimport array
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uintptr_t
from libc.string cimport memset, strcmp


cdef extern from "core.h" nogil:
    enum:
        BP_ALIGN
        BP_CODES
        BP_GEMM_SCRATCH
        BP_MAX_CSR_INPUTS
        BP_MAX_THREADS
        BP_PARAMETERS
        BP_ROWS
        BP_WHOLE
        BP_ACTIVATIONS
        BP_OUTPUTS
        BP_RULES

    ctypedef struct bp_row:
        const char *name
        const char **parameters
        int slots
        int classifies

    ctypedef struct bp_net:
        ptrdiff_t num_layers, rows
        int slots
        int64_t steps

    ctypedef struct bp_shape:
        const ptrdiff_t *sizes
        ptrdiff_t num_layers, rows, threads
        int hidden, output, rule, slots
        size_t itemsize

    ctypedef struct bp_data:
        ptrdiff_t n, n_in, n_out
        const void *x
        const int64_t *offsets
        const uint16_t *columns
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

    ctypedef struct bp_questions:
        void *outputs
        void *costs
        int64_t *correct

    ctypedef struct bp_codes:
        int used

    ctypedef int bp_look(void *, ptrdiff_t) noexcept nogil

    ctypedef struct bp_engine:
        const char *isa
        size_t itemsize
        ptrdiff_t lanes
        const bp_row *(*row)(int, ptrdiff_t) noexcept nogil
        void (*load)(bp_net *, ptrdiff_t, int, const void *, const void *) noexcept nogil
        void (*store)(const bp_net *, ptrdiff_t, int, void *, void *) noexcept nogil
        void (*csr_append)(ptrdiff_t, ptrdiff_t, const void *, int64_t, int64_t *, uint16_t *,
                           void *) noexcept nogil
        int64_t (*csr_encode)(int64_t, const void *, bp_codes *, void *,
                              uint8_t *) noexcept nogil
        void (*gemm)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t,
                     const void *, ptrdiff_t, ptrdiff_t, void *, ptrdiff_t,
                     void *) noexcept nogil
        void (*activate)(ptrdiff_t, ptrdiff_t, void *) noexcept nogil

    const char *bp_compiler()
    const bp_engine *const *bp_engines(ptrdiff_t *)
    void bp_shuffle(uint32_t *, int64_t *, ptrdiff_t)
    size_t bp_lay_out(void *, const bp_shape *, bp_net **)
    void bp_sgd(const bp_engine *, bp_net *, ptrdiff_t, const bp_descent *, bp_look *, void *)
    void bp_evaluate(const bp_engine *, bp_net *, ptrdiff_t, const bp_data *,
                     const bp_questions *, bp_look *, void *)
    void bp_backprop(const bp_engine *, bp_net *, const bp_data *, bp_look *, void *)


# As it is before anybody replaces it.
_SHUFFLE = _random.Random.shuffle

# Below this share of nonzeros the CSR form of the inputs is the faster one (bench/sparsity.py).
CSR_MAX_DENSITY = 0.3

# Inputs are read this many bytes at a time, which stay in cache until they are compressed.
_BLOCK_BYTES = 2**18


cdef class _Buffer:
    """The memory of a C-contiguous array of a known dtype and shape, held while this lives."""

    cdef Py_buffer view

    def __cinit__(self, array, str name, dtype, tuple shape, bint writable=False):
        if type(array) is not np.ndarray:  # a subclass may hide what is in its memory
            raise TypeError(f"{name} must be an array of {dtype}, got {type(array).__name__}")
        if array.dtype != dtype:
            raise TypeError(f"{name} must be an array of {dtype}, got {array.dtype}")
        if array.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
        if not (array.flags.c_contiguous and array.flags.aligned):
            raise ValueError(f"{name} must be C-contiguous and aligned")
        PyObject_GetBuffer(array, &self.view, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)

    def __dealloc__(self):
        PyBuffer_Release(&self.view)


cdef class Engine:
    """Row ``index`` of the core's table: an instruction set and an item type."""

    cdef const bp_engine *row
    cdef readonly str isa
    cdef readonly object dtype
    cdef readonly tuple activations  # names of what hidden layers may do
    cdef readonly dict outputs       # names of last layers: whether they classify
    cdef readonly dict rules         # names of steps: (names of parameters, slots)

    def __cinit__(self, size_t index):
        cdef ptrdiff_t n
        cdef const bp_engine *const *rows = bp_engines(&n)
        if index >= <size_t>n:
            raise IndexError(f"index must be less than the {n} engines, got {index}")
        self.row = rows[index]
        self.isa = self.row.isa.decode()
        self.dtype = np.dtype(f"float{8 * self.row.itemsize}")
        self.activations = tuple(name for name, _, _, _ in self.table(BP_ACTIVATIONS))
        self.outputs = {name: bool(row[2]) for name, *row in self.table(BP_OUTPUTS)}
        self.rules = {name: tuple(row[:2]) for name, *row in self.table(BP_RULES)}

    cdef list table(self, int which):
        """The rows (name, parameters, slots, classifies) of one of the core's tables."""
        cdef const bp_row *row
        cdef int i
        found = []
        while (row := self.row.row(which, len(found))) != NULL:
            parameters = tuple(row.parameters[i].decode() for i in range(BP_PARAMETERS)
                               if row.parameters[i] != NULL)
            found.append((row.name.decode(), parameters, row.slots, row.classifies))
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
        with nogil:
            self.row.gemm(m, n, k, <const void *>a_address, a_row, a_column,
                          <const void *>b_address, b_row, b_column, c_buffer.view.buf, ldc,
                          scratch)
            PyMem_RawFree(block)

    def activate(self, str name, z):
        """Replace z, C-contiguous with a multiple of ``lanes`` items, by an activation of it."""
        cdef _Buffer buffer = _Buffer(z, "z", self.dtype, z.shape, True)
        _check_vectors("z", <uintptr_t>buffer.view.buf, self.row)
        cdef ptrdiff_t n = z.size, i = _place("name", name, self.activations)
        if n % self.row.lanes:
            raise ValueError(f"z must have a multiple of {self.row.lanes} items, got {n}")
        with nogil:
            self.row.activate(i, n, buffer.view.buf)


cdef ptrdiff_t _place(str argument, name, names) except -1:
    """Where name is in the names of a table."""
    if name not in (names := list(names)):
        raise ValueError(f"{argument} must be one of {', '.join(names)}, got {name!r}")
    return names.index(name)


cdef uintptr_t _strided(array, str name, dtype) except? 0:
    """The address of the first item of a matrix of dtype, which may have any strides."""
    if type(array) is not np.ndarray:
        raise TypeError(f"{name} must be an array of {dtype}, got {type(array).__name__}")
    if array.dtype != dtype or not array.flags.aligned:
        raise TypeError(f"{name} must be an aligned array of {dtype}, got {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"{name} must have two dimensions, got {array.ndim}")
    if any(stride % array.itemsize for stride in array.strides):
        raise ValueError(f"{name} must have strides of whole items, got {array.strides}")
    return array.__array_interface__["data"][0]


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
    return [Engine(i) for i in range(n)]


cdef const bp_engine *_row(const char *isa, size_t itemsize):
    """The engine of this instruction set and item size."""
    cdef ptrdiff_t n
    cdef const bp_engine *const *row = bp_engines(&n)
    while strcmp(row[0].isa, isa) or row[0].itemsize != itemsize:
        row += 1
    return row[0]


cdef class Order:
    """The order in which an epoch visits n examples; 0, 1, 2, ... at first."""

    cdef readonly ptrdiff_t n
    cdef object items
    cdef _Buffer buffer
    cdef const int64_t *pointer

    def __cinit__(self, n):
        self.items = np.arange(n, dtype=np.int64)
        self.buffer = _Buffer(self.items, "order", self.items.dtype, (n,), True)
        self.pointer = <const int64_t *>self.buffer.view.buf
        self.n = n

    def shuffle(self, source):
        """Shuffle as source.shuffle would, and leave source in the state it would.

        source is the module ``random`` or a ``random.Random``; where its ``shuffle`` is not
        CPython's own on the Mersenne Twister, it is called.
        """
        cdef uint32_t[::1] state
        generator = getattr(source.shuffle, "__self__", None)
        if (type(generator) is not _random.Random or self.n >= 2**32
                or getattr(source.shuffle, "__func__", None) is not _SHUFFLE):
            self.shuffle_by(source.shuffle)
            return
        version, words, gauss_next = generator.getstate()
        state = _array.array("I", words)
        with nogil:
            bp_shuffle(&state[0], <int64_t *>self.buffer.view.buf, self.n)
        generator.setstate((version, tuple(state), gauss_next))

    cdef shuffle_by(self, shuffle):
        """Let Python code shuffle; what it leaves must be n indices of examples."""
        items = self.items.tolist()
        shuffle(items)
        self.assign(np.array(items))

    def assign(self, items):
        """Visit the examples in the order of items, n indices in [0, n)."""
        if (items.shape != (self.n,) or items.dtype.kind not in "iu"
                or self.n and not 0 <= items.min() <= items.max() < self.n):
            raise ValueError(f"a shuffle must leave {self.n} indices in [0, {self.n})")
        self.items[:] = items

    def tolist(self):
        """Return the order as a list of Python ints."""
        return self.items.tolist()


cdef class Data:
    """Examples in the core's form: inputs dense or CSR, desired outputs vectors or labels.

    x (n, n_in) and y (n, n_out) are C-contiguous arrays of the engine's dtype, labels (n) of
    int64 in [0, n_out), or -1 for none of them.  They are kept, not copied, and labels must not
    change while this lives.  In place of an array, x may be another Data, whose inputs are
    shared, or any object with ``shape``; ``read(begin, out)``, which writes the rows from begin
    on to an array of dtype; ``check(begin, rows)``, which may refuse such rows where items are
    not finite; and ``dense()``, which returns an array of all of them, checked.
    sparse says whether the CSR form is built; None: if few enough of x are nonzero.  Its values
    are a table and a code for each item, where that is allowed (coded) and few values occur.
    """

    cdef Engine engine
    cdef bp_data data
    cdef list buffers
    cdef tuple inputs
    cdef int64_t least_label

    def __cinit__(self, Engine engine not None, x, n_out, *, y=None, labels=None, sparse=None,
                  coded=True, weights=None):
        n, n_in = x.shape
        n_out = _index(n_out)
        self.engine = engine
        self.buffers = []
        self.data.n, self.data.n_in, self.data.n_out = n, n_in, n_out
        if y is not None:
            self.data.y = self.hold(y, "y", engine.dtype, (n, n_out))
        if weights is not None:
            self.data.weights = self.hold(weights, "weights", engine.dtype, (n,))
        if labels is not None:
            self.data.labels = <const int64_t *>self.hold(labels, "labels", np.dtype("q"), (n,))
            self.least_label = labels.min() if n else 0
            if n and not -1 <= self.least_label <= labels.max() < (2 if n_out == 1 else n_out):
                raise ValueError(f"labels must be in [0, {n_out}), or -1 for none of them")
        if isinstance(x, Data):
            self.share(x)
            return
        if sparse is None:
            sparse = 0 < n_in <= BP_MAX_CSR_INPUTS and n > 0
            wanted = CSR_MAX_DENSITY
        elif sparse and n_in > BP_MAX_CSR_INPUTS:
            raise ValueError(f"sparse data must have at most {BP_MAX_CSR_INPUTS} inputs, "
                             f"got {n_in}")
        else:
            wanted = 1.0
        if sparse:
            limit = int(wanted * (n * n_in))
            packed = self.compress(x, limit, True) if coded else None
            if packed is None:
                packed = self.compress(x, limit, False)
            if packed:
                return
        dense = x.dense() if hasattr(x, "dense") else x
        self.data.x = self.hold(dense, "x", engine.dtype, (n, n_in))
        self.inputs = (dense,)

    cdef void *hold(self, array, str name, dtype, tuple shape) except? NULL:
        cdef _Buffer buffer = _Buffer(array, name, dtype, shape)
        self.buffers.append(buffer)
        return buffer.view.buf

    cdef share(self, Data other):
        """Use the inputs of other, which are never written."""
        if other.engine.row != self.engine.row:
            raise ValueError("data that share inputs must be of the same engine")
        self.data.x, self.data.offsets = other.data.x, other.data.offsets
        self.data.columns, self.data.values = other.data.columns, other.data.values
        self.data.codes = other.data.codes
        self.inputs = other.inputs
        self.buffers.append(other)

    cdef compress(self, x, limit, bint coded):
        """Build the CSR form and return True; False if more than limit items are nonzero.

        coded: of a table of values and a code for every item; None if the table is too small.
        No other thread sees the arrays, and what they hold is in range whatever x does.
        """
        dtype = self.engine.dtype
        given = getattr(x, "narrow", dtype) if coded else dtype  # converts the table alone
        cdef const bp_engine *row = _row(self.engine.row.isa, given.itemsize)
        cdef ptrdiff_t n = self.data.n, n_in = self.data.n_in, item = row.itemsize, begin, m
        cdef ptrdiff_t rows = max(1, min(n, _BLOCK_BYTES // (n_in * item)))
        cdef int64_t most = limit, first, count
        cdef bint whole = type(x) is np.ndarray
        cdef bp_codes places
        memset(&places, 0, sizeof(places))
        room = limit + n_in
        offsets, columns = np.zeros(n + 1, np.int64), np.empty(room, np.uint16)
        codes = np.empty(room if coded else 0, np.uint8)
        values = np.zeros(BP_CODES, given) if coded else np.empty(room, given)
        items = np.empty(rows * n_in if coded else 0, given)
        block = x if whole else np.empty((rows, n_in), given)
        cdef _Buffer offsets_ = _Buffer(offsets, "offsets", offsets.dtype, offsets.shape, True)
        cdef _Buffer columns_ = _Buffer(columns, "columns", columns.dtype, columns.shape, True)
        cdef _Buffer codes_ = _Buffer(codes, "codes", codes.dtype, codes.shape, True)
        cdef _Buffer values_ = _Buffer(values, "values", given, values.shape, True)
        cdef _Buffer items_ = _Buffer(items, "items", given, items.shape, True)
        cdef _Buffer x_ = _Buffer(block, "x", given, (n if whole else rows, n_in))
        cdef int64_t *ends = <int64_t *>offsets_.view.buf
        for begin in range(0, n, rows):
            m, first = min(rows, n - begin), ends[begin]
            if not whole:
                x.read(begin, block[:m])
            with nogil:
                row.csr_append(
                    m, n_in, <char *>x_.view.buf + (begin * n_in * item if whole else 0), most,
                    ends + begin, <uint16_t *>columns_.view.buf + first,
                    items_.view.buf if coded else <char *>values_.view.buf + first * item)
                count = ends[begin + m] - first
                if coded and ends[begin + m] <= most:
                    count -= row.csr_encode(count, items_.view.buf, &places, values_.view.buf,
                                            <uint8_t *>codes_.view.buf + first)
            if ends[begin + m] > most:
                return False
            if coded and count:
                return None
        columns_ = codes_ = values_ = None  # lets go of the memory, which a resize may move
        columns.resize(ends[n], refcheck=False)
        codes.resize(ends[n] if coded else 0, refcheck=False)
        values.resize(places.used if coded else ends[n], refcheck=False)
        if not whole and not np.isfinite(values).all():  # cheaper than asking for each block
            for begin in range(0, n, rows):
                m = min(rows, n - begin)
                x.read(begin, block[:m])
                x.check(begin, block[:m])
        values = values.astype(dtype, copy=False)
        self.data.offsets = ends
        self.buffers.append(offsets_)
        self.data.columns = <const uint16_t *>self.hold(
            columns, "columns", columns.dtype, columns.shape)
        self.data.values = self.hold(values, "values", dtype, values.shape)
        self.inputs = (offsets, columns, values)
        if coded:
            self.data.codes = <const uint8_t *>self.hold(
                codes, "codes", codes.dtype, codes.shape)
            self.inputs += (codes,)
        return True

    def __len__(self):
        return self.data.n

    @property
    def shape(self):
        """The number of examples and of inputs."""
        return self.data.n, self.data.n_in

    @property
    def sparse(self):
        """Whether the inputs are in CSR form."""
        return self.data.x == NULL and self.data.offsets != NULL

    @property
    def coded(self):
        """Whether the CSR form has codes in place of values."""
        return self.data.codes != NULL

    @property
    def nonzeros(self):
        """The number of inputs that are not zero."""
        return int(self.inputs[0][-1]) if self.sparse else np.count_nonzero(self.inputs[0])

    @property
    def nbytes(self):
        """Bytes that the inputs take."""
        return sum(array.nbytes for array in self.inputs)

    def rows(self, begin, end):
        """Return inputs [begin, end) as a fresh array of rows; -0.0 may have become 0.0."""
        begin, end, _ = slice(begin, end).indices(self.data.n)
        if not self.sparse:
            return self.inputs[0][begin:end].copy()
        offsets, columns, values, *codes = self.inputs
        ends = offsets[begin:end + 1] if begin < end else offsets[:1]
        out = np.zeros((len(ends) - 1, self.data.n_in), self.engine.dtype)
        taken = slice(ends[0], ends[-1])
        row = np.repeat(np.arange(len(out)), np.diff(ends))
        out[row, columns[taken]] = values[codes[0][taken]] if codes else values[taken]
        return out


# Memory of networks that are gone: a method called by hand makes a network each time, and fresh
# pages from the system cost more than what it computes.  Two, because backprop makes another.
cdef void *_spares[2]
cdef size_t _spare_sizes[2]
cdef size_t MOST_SPARE = 2**23


cdef void *_take(size_t size) noexcept:
    """A block of at least size bytes, or NULL."""
    cdef void *block
    cdef int i
    for i in range(2):
        if _spares[i] != NULL and size <= _spare_sizes[i]:
            block = _spares[i]
            _spares[i] = NULL
            return block
    return PyMem_RawMalloc(size)


cdef void _give_back(void *block, size_t size) noexcept:
    cdef int i
    for i in range(2):
        if block != NULL and _spares[i] == NULL and size <= MOST_SPARE:
            _spares[i] = block
            _spare_sizes[i] = size
            return
    PyMem_RawFree(block)


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


cdef class Net:
    """A network's parameters in the core's layout, with scratch for ``rows`` examples.

    All parameters are zero at first.  hidden, output and rule are names of the engine's tables.
    One Python thread at a time may use it; sgd and evaluate share their work among up to
    n_threads threads, which live for one call, and whose number does not change a bit of the
    results.  Python handles signals about every 20 milliseconds of a call.
    """

    cdef Engine engine
    cdef tuple sizes
    cdef readonly ptrdiff_t n_threads
    cdef str rule
    cdef bint whole  # of its rule: mini-batches of any size are summed before they are used
    cdef void *block
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
        shape.num_layers, shape.rows = len(numbers) - 1, min(rows, BP_ROWS)
        shape.itemsize = engine.row.itemsize
        if shape.num_layers < 1 or min(numbers) < 1 or shape.rows < 1:
            raise ValueError(f"sizes must be two or more positive numbers and rows positive, "
                             f"got {tuple(sizes)} and {rows}")
        if n_threads < 1:
            raise ValueError(f"n_threads must be positive, got {n_threads}")
        shape.hidden = _place("hidden", hidden, engine.activations)
        shape.output = _place("output", output, engine.outputs)
        shape.rule = _place("rule", rule, engine.rules)
        shape.slots = engine.rules[rule][1]
        self.engine, self.sizes, self.rule = engine, tuple(numbers), rule
        self.n_threads = shape.threads = min(
            n_threads, BP_MAX_THREADS, -(-max(numbers[1:]) * shape.itemsize // BP_ALIGN))
        self.size = bp_lay_out(NULL, &shape, &self.nets) + BP_ALIGN
        self.block = _take(self.size)
        if self.block == NULL:
            raise MemoryError(
                f"a network of sizes {list(sizes)} takes {self.size - BP_ALIGN:,} bytes")
        bp_lay_out(<void *>_aligned(<uintptr_t>self.block), &shape, &self.nets)

    def __dealloc__(self):
        _give_back(self.block, self.size)

    cdef put(self, int place, biases, weights):
        """Copy in the book's lists: biases[l] (n_out, 1) and weights[l] (n_out, n_in)."""
        cdef _Buffer b, w
        cdef ptrdiff_t l
        for l in range(self.nets.num_layers):
            n_in, n_out = self.sizes[l], self.sizes[l + 1]
            b = _Buffer(biases[l], f"biases[{l}]", self.engine.dtype, (n_out, 1))
            w = _Buffer(weights[l], f"weights[{l}]", self.engine.dtype, (n_out, n_in))
            with nogil:
                self.engine.row.load(self.nets, l, place, w.view.buf, b.view.buf)

    cdef get(self, int place):
        """Return fresh lists (biases, weights) in the book's shapes."""
        cdef _Buffer b, w
        cdef ptrdiff_t l
        biases, weights = [], []
        for l in range(self.nets.num_layers):
            n_in, n_out = self.sizes[l], self.sizes[l + 1]
            biases.append(np.empty((n_out, 1), self.engine.dtype))
            weights.append(np.empty((n_out, n_in), self.engine.dtype))
            b = _Buffer(biases[l], "biases", self.engine.dtype, (n_out, 1), True)
            w = _Buffer(weights[l], "weights", self.engine.dtype, (n_out, n_in), True)
            with nogil:
                self.engine.row.store(self.nets, l, place, w.view.buf, b.view.buf)
        return biases, weights

    def load(self, biases, weights):
        """Copy in the book's lists: biases[l] (n_out, 1) and weights[l] (n_out, n_in)."""
        self.put(0, biases, weights)

    def store(self):
        """Return fresh lists (biases, weights) in the book's shapes."""
        return self.get(0)

    def state(self):
        """Return (steps, slots): mini-batches so far, and what the rule keeps of each weight.

        slots is a list of pairs (biases, weights), as store returns them.
        """
        return self.nets.steps, [self.get(place + 1) for place in range(self.nets.slots)]

    def restore(self, steps, slots):
        """Put back what state returned."""
        if len(slots) != self.nets.slots:
            raise ValueError(f"slots must be {self.nets.slots} for the rule {self.rule}, "
                             f"got {len(slots)}")
        for place, (biases, weights) in enumerate(slots, 1):
            self.put(place, biases, weights)
        self.nets.steps = steps

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
        with nogil:
            bp_evaluate(self.engine.row, self.nets, self.n_threads, &data.data, asked, _look,
                        <void *>look)
        look.finish()

    def backprop(self, Data data not None):
        """Return (nabla_b, nabla_w), the gradient of the cost summed over data."""
        self.check(data, targets=True)
        look = _Look()
        with nogil:
            bp_backprop(self.engine.row, self.nets, &data.data, _look, <void *>look)
        look.finish()
        return self.get(self.nets.slots + 1)

    def sgd(self, Data data not None, Order order not None, mini_batch_size, eta, *,
            l2=0.0, l1=0.0, l2_by_batch=False, parameters=(), losses=None, progress=None):
        """Descend over all of data, in this order and in mini-batches, by the net's rule.

        The gradient is of a mini-batch's mean cost (over the sum of the examples' weights) plus
        l2 w + l1 sgn(w) for weights; with l2_by_batch, l2 is divided by that sum.  parameters
        are the rule's, in its order.  losses, float64 (mini-batches), gets what a mini-batch's
        mean cost, penalty included, was before its step.  progress(examples) is called with
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
        if m < 1 or m > self.nets.rows and m < BP_WHOLE:
            raise ValueError(f"mini_batch_size must be in [1, {self.nets.rows}], got {m}")
        names = self.engine.rules[self.rule][0]
        if len(parameters) != len(names):
            raise ValueError(f"parameters must be {', '.join(names) or 'none'} for the rule "
                             f"{self.rule}, got {parameters}")
        told.data, told.order, told.begin, told.mini_batch_size = (
            &data.data, order.pointer, 0, m)
        told.eta, told.l2, told.l1, told.l2_by_batch = eta, l2, l1, l2_by_batch
        for i in range(BP_PARAMETERS):
            told.parameters[i] = parameters[i] if i < len(parameters) else 0
        told.losses = NULL
        if losses is not None:
            buffer = _Buffer(losses, "losses", np.dtype("d"), (-(-n // m),), True)
            told.losses = <double *>buffer.view.buf
        look = _Look(progress)
        with nogil:
            bp_sgd(self.engine.row, self.nets, self.n_threads, &told, _look, <void *>look)
        look.finish()

    cdef check(self, Data data, bint targets=False):
        if data.engine.row != self.engine.row:
            raise ValueError("data and network must be of the same engine")
        if data.data.n_in != self.sizes[0] or data.data.n_out != self.sizes[-1]:
            raise ValueError(f"data must have {self.sizes[0]} inputs and {self.sizes[-1]} "
                             f"outputs, got {data.data.n_in} and {data.data.n_out}")
        if not targets or data.data.y != NULL:
            return
        if data.data.labels == NULL or data.least_label < 0:
            raise ValueError("data must have desired outputs")


cdef uintptr_t _aligned(uintptr_t n):
    """n rounded up to a multiple of BP_ALIGN."""
    return (n + BP_ALIGN - 1) // BP_ALIGN * BP_ALIGN
