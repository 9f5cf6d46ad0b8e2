# cython: language_level=3, embedsignature=True
"""The binding: check, take pointers, release the GIL, call, look for signals, return."""

import array as _array
import random as _random
import sys
from itertools import accumulate
from operator import index as _index

import numpy as np

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport int64_t, uint16_t, uint32_t, uintptr_t


cdef extern from "core.h" nogil:
    enum:
        BP_ALIGN
        BP_GEMM_SCRATCH
        BP_MAX_CSR_INPUTS

    ctypedef struct bp_layer:
        ptrdiff_t n_in, n_out, stride
        void *weights
        void *biases
        void *a
        void *delta

    ctypedef struct bp_net:
        ptrdiff_t num_layers, rows
        bp_layer *layers
        void *x
        void *y
        int64_t *picked
        void *scratch

    ctypedef struct bp_data:
        ptrdiff_t n, n_in, n_out
        const void *x
        const int64_t *offsets
        const uint16_t *columns
        const void *values
        const void *y
        const int64_t *labels

    ctypedef struct bp_engine:
        const char *isa
        size_t itemsize
        ptrdiff_t lanes
        void (*load)(bp_net *, ptrdiff_t, const void *, const void *) noexcept nogil
        void (*store)(const bp_net *, ptrdiff_t, void *, void *) noexcept nogil
        void (*feedforward)(const bp_net *, const bp_data *, void *) noexcept nogil
        int64_t (*evaluate)(const bp_net *, const bp_data *, ptrdiff_t,
                            ptrdiff_t) noexcept nogil
        void (*backprop)(const bp_net *, const bp_data *, bp_net *) noexcept nogil
        void (*sgd)(bp_net *, const bp_data *, const int64_t *, ptrdiff_t, ptrdiff_t,
                    ptrdiff_t, double) noexcept nogil
        void (*csr_append)(ptrdiff_t, ptrdiff_t, const void *, int64_t, int64_t *, uint16_t *,
                           void *) noexcept nogil
        void (*gemm)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void *, ptrdiff_t, ptrdiff_t,
                     const void *, ptrdiff_t, ptrdiff_t, void *, ptrdiff_t,
                     void *) noexcept nogil
        void (*sigmoid)(ptrdiff_t, void *) noexcept nogil

    const char *bp_compiler()
    const bp_engine *const *bp_engines()
    void bp_shuffle(uint32_t *, int64_t *, ptrdiff_t)


# Between two looks for signals the core does about this much arithmetic: some milliseconds.
cdef double SLICE_FLOPS = 3e7

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

    def __cinit__(self, size_t index):
        n = _engine_count()
        if index >= n:
            raise IndexError(f"index must be less than the {n} engines, got {index}")
        self.row = bp_engines()[index]
        self.isa = self.row.isa.decode()
        self.dtype = np.dtype(f"float{8 * self.row.itemsize}")

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
        cdef void *scratch = _pointer(_aligned(<uintptr_t>block))
        with nogil:
            self.row.gemm(m, n, k, <const void *>a_address, a_row, a_column,
                          <const void *>b_address, b_row, b_column, c_buffer.view.buf, ldc,
                          scratch)
            PyMem_RawFree(block)

    def sigmoid(self, z):
        """Replace z, C-contiguous with a multiple of ``lanes`` items, by its sigmoid."""
        cdef _Buffer buffer = _Buffer(z, "z", self.dtype, z.shape, True)
        _check_vectors("z", <uintptr_t>buffer.view.buf, self.row)
        cdef ptrdiff_t n = z.size
        if n % self.row.lanes:
            raise ValueError(f"z must have a multiple of {self.row.lanes} items, got {n}")
        with nogil:
            self.row.sigmoid(n, buffer.view.buf)


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
    return [Engine(i) for i in range(_engine_count())]


cdef size_t _engine_count():
    cdef size_t n = 0
    while bp_engines()[n] != NULL:
        n += 1
    return n


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
        shuffled = np.array(items)
        if (shuffled.shape != (self.n,) or shuffled.dtype.kind not in "iu"
                or self.n and not 0 <= shuffled.min() <= shuffled.max() < self.n):
            raise ValueError(f"shuffle must leave {self.n} indices in [0, {self.n})")
        self.items[:] = shuffled

    def tolist(self):
        """Return the order as a list of Python ints."""
        return self.items.tolist()


cdef class Data:
    """Examples in the core's form: inputs dense or CSR, desired outputs vectors or labels.

    x (n, n_in) and y (n, n_out) are C-contiguous arrays of the engine's dtype, labels (n) of
    int64 in [0, n_out), or -1 for none of them.  They are kept, not copied, and labels must not
    change while this lives.  In place of an array, x may be another Data, whose inputs are
    shared, or any object with ``shape``, ``read(begin, out)``, which writes the rows from
    begin on to an array of dtype, and ``dense()``, which returns an array of all of them.
    sparse says whether the CSR form is built; None: if few enough of x are nonzero.
    """

    cdef Engine engine
    cdef bp_data data
    cdef list buffers
    cdef tuple inputs
    cdef int64_t least_label

    def __cinit__(self, Engine engine not None, x, n_out, *, y=None, labels=None, sparse=None):
        n, n_in = x.shape
        n_out = _index(n_out)
        self.engine = engine
        self.buffers = []
        self.data.n, self.data.n_in, self.data.n_out = n, n_in, n_out
        if y is not None:
            self.data.y = self.hold(y, "y", engine.dtype, (n, n_out))
        if labels is not None:
            self.data.labels = <const int64_t *>self.hold(labels, "labels", np.dtype("q"), (n,))
            self.least_label = labels.min() if n else 0
            if n and not -1 <= self.least_label <= labels.max() < n_out:
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
        if sparse and self.compress(x, int(wanted * (n * n_in))):
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
        self.inputs = other.inputs
        self.buffers.append(other)

    cdef bint compress(self, x, limit) except -1:
        """Build the CSR form, unless more than limit of the items are nonzero.

        No other thread sees its arrays, and what they hold is in range whatever x does.
        """
        cdef ptrdiff_t n = self.data.n, n_in = self.data.n_in, begin, m
        cdef int64_t most = limit
        room = limit + self.data.n_in
        dtype = self.engine.dtype
        offsets, columns, values = (
            np.zeros(n + 1, np.int64), np.empty(room, np.uint16), np.empty(room, dtype))
        cdef _Buffer o = _Buffer(offsets, "offsets", offsets.dtype, offsets.shape, True)
        cdef _Buffer c = _Buffer(columns, "columns", columns.dtype, columns.shape, True)
        cdef _Buffer v = _Buffer(values, "values", values.dtype, values.shape, True)
        cdef int64_t *ends = <int64_t *>o.view.buf
        whole = type(x) is np.ndarray
        rows = n if whole else min(n, max(1, _BLOCK_BYTES // max(1, n_in * dtype.itemsize)))
        block = x if whole else np.empty((rows, n_in), dtype)
        cdef _Buffer dense = _Buffer(block, "x", dtype, (rows, n_in))
        for begin in range(0, n, max(1, rows)):
            m = min(rows, n - begin)
            if not whole:
                x.read(begin, block[:m])
            with nogil:
                self.engine.row.csr_append(m, n_in, dense.view.buf, most, ends + begin,
                                           <uint16_t *>c.view.buf, v.view.buf)
            if ends[begin + m] > most:
                return False
        c = v = None  # lets go of the memory, which a resize may move
        columns.resize(ends[n], refcheck=False)
        values.resize(ends[n], refcheck=False)
        self.data.offsets = ends
        self.data.columns = <const uint16_t *>self.hold(
            columns, "columns", columns.dtype, columns.shape)
        self.data.values = self.hold(values, "values", dtype, values.shape)
        self.buffers.append(o)
        self.inputs = (offsets, columns, values)
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
    def nonzeros(self):
        """The number of inputs that are not zero."""
        inputs = self.inputs[-1]
        return inputs.size if self.sparse else np.count_nonzero(inputs)

    @property
    def nbytes(self):
        """Bytes that the inputs take."""
        return sum(array.nbytes for array in self.inputs)

    def rows(self, begin, end):
        """Return inputs [begin, end) as a fresh array of rows; -0.0 may have become 0.0."""
        begin, end, _ = slice(begin, end).indices(self.data.n)
        if not self.sparse:
            return self.inputs[0][begin:end].copy()
        offsets, columns, values = self.inputs
        ends = offsets[begin:end + 1] if begin < end else offsets[:1]
        out = np.zeros((len(ends) - 1, self.data.n_in), self.engine.dtype)
        taken = slice(ends[0], ends[-1])
        row = np.repeat(np.arange(len(out)), np.diff(ends))
        out[row, columns[taken]] = values[taken]
        return out


cdef class Net:
    """A network's parameters in the core's layout, with scratch for ``rows`` examples.

    All parameters are zero at first.  One thread at a time may use it.
    """

    cdef Engine engine
    cdef tuple sizes
    cdef bp_net net
    cdef void *block
    cdef void *scratch  # gemm's: not in the block, because nobody needs it zeroed

    def __cinit__(self, Engine engine not None, sizes, rows):
        sizes, rows = tuple(map(_index, sizes)), _index(rows)
        if len(sizes) < 2 or min(sizes) < 1 or rows < 1:
            raise ValueError(f"sizes must be two or more positive numbers and rows positive, "
                             f"got {sizes} and {rows}")
        item = <ptrdiff_t>engine.row.itemsize
        strides = [_aligned(n * item) // item for n in sizes]
        lengths = [_aligned((len(sizes) - 1) * sizeof(bp_layer)), _aligned(rows * 8),
                   _aligned(rows * sizes[0] * item), rows * strides[-1] * item]
        for i in range(1, len(sizes)):
            lengths += [sizes[i - 1] * strides[i] * item, strides[i] * item,
                        rows * strides[i] * item, rows * strides[i] * item]
        total = sum(lengths) + BP_ALIGN
        if total > sys.maxsize:
            raise MemoryError(f"a network of sizes {list(sizes)} does not fit in memory")
        self.block = PyMem_RawCalloc(1, total)
        self.scratch = PyMem_RawMalloc(BP_GEMM_SCRATCH + BP_ALIGN)
        if self.block == NULL or self.scratch == NULL:
            raise MemoryError(f"a network of sizes {list(sizes)} takes {total:,} bytes")
        self.engine, self.sizes = engine, sizes
        self.net.num_layers, self.net.rows = len(sizes) - 1, rows

        start = _aligned(<uintptr_t>self.block)
        addresses = accumulate(lengths, initial=start)
        self.net.layers = <bp_layer *>_pointer(next(addresses))
        self.net.picked = <int64_t *>_pointer(next(addresses))
        self.net.x = _pointer(next(addresses))
        self.net.y = _pointer(next(addresses))
        self.net.scratch = _pointer(_aligned(<uintptr_t>self.scratch))
        cdef ptrdiff_t l
        cdef bp_layer *layer
        for l in range(self.net.num_layers):
            layer = &self.net.layers[l]
            layer.n_in = sizes[l]
            layer.n_out = sizes[l + 1]
            layer.stride = strides[l + 1]
            layer.weights = _pointer(next(addresses))
            layer.biases = _pointer(next(addresses))
            layer.a = _pointer(next(addresses))
            layer.delta = _pointer(next(addresses))

    def __dealloc__(self):
        PyMem_RawFree(self.block)
        PyMem_RawFree(self.scratch)

    def load(self, biases, weights):
        """Copy in the book's lists: biases[l] (n_out, 1) and weights[l] (n_out, n_in)."""
        cdef _Buffer b, w
        cdef ptrdiff_t l
        for l in range(self.net.num_layers):
            n_in, n_out = self.sizes[l], self.sizes[l + 1]
            b = _Buffer(biases[l], f"biases[{l}]", self.engine.dtype, (n_out, 1))
            w = _Buffer(weights[l], f"weights[{l}]", self.engine.dtype, (n_out, n_in))
            with nogil:
                self.engine.row.load(&self.net, l, w.view.buf, b.view.buf)

    def store(self):
        """Return fresh lists (biases, weights) in the book's shapes."""
        cdef _Buffer b, w
        cdef ptrdiff_t l
        biases, weights = [], []
        for l in range(self.net.num_layers):
            n_in, n_out = self.sizes[l], self.sizes[l + 1]
            biases.append(np.empty((n_out, 1), self.engine.dtype))
            weights.append(np.empty((n_out, n_in), self.engine.dtype))
            b = _Buffer(biases[l], "biases", self.engine.dtype, (n_out, 1), True)
            w = _Buffer(weights[l], "weights", self.engine.dtype, (n_out, n_in), True)
            with nogil:
                self.engine.row.store(&self.net, l, w.view.buf, b.view.buf)
        return biases, weights

    def feedforward(self, Data data not None):
        """Return the output (n, n_out) for every example of data."""
        self.check(data)
        out = np.empty((data.data.n, self.sizes[-1]), self.engine.dtype)
        cdef _Buffer buffer = _Buffer(out, "out", out.dtype, out.shape, True)
        with nogil:
            self.engine.row.feedforward(&self.net, &data.data, buffer.view.buf)
        return out

    def backprop(self, Data data not None):
        """Return (nabla_b, nabla_w), the gradient of the cost summed over data."""
        self.check(data, targets=True)
        if data.data.n > self.net.rows:
            raise ValueError(f"data must have at most {self.net.rows} examples, "
                             f"got {len(data)}")
        cdef Net nabla = Net(self.engine, self.sizes, 1)
        with nogil:
            self.engine.row.backprop(&self.net, &data.data, &nabla.net)
        return nabla.store()

    def sgd(self, Data data not None, Order order not None, mini_batch_size, eta):
        """Descend over all of data, in this order and in mini-batches.

        Python handles signals every few milliseconds.  If a handler raises, the parameters
        are those after a whole number of mini-batches.
        """
        self.check(data, targets=True)
        mini_batch_size = _index(mini_batch_size)
        if order.n != data.data.n:
            raise ValueError(f"order must have {len(data)} items, got {order.n}")
        if not 1 <= mini_batch_size <= self.net.rows:
            raise ValueError(f"mini_batch_size must be in [1, {self.net.rows}], "
                             f"got {mini_batch_size}")
        cdef ptrdiff_t m = mini_batch_size, begin = 0, end, n = data.data.n
        cdef ptrdiff_t step = max(1, <ptrdiff_t>(self.slice_examples() / m)) * m
        cdef double rate = eta
        while begin < n:
            end = begin + min(step, n - begin)
            with nogil:
                self.engine.row.sgd(&self.net, &data.data, order.pointer, begin, end, m, rate)
            PyErr_CheckSignals()
            begin = end

    def evaluate(self, Data data not None):
        """Return how many examples have their label as the most active output."""
        self.check(data)
        if data.data.labels == NULL:
            raise ValueError("data must have labels")
        cdef ptrdiff_t begin = 0, end, n = data.data.n
        cdef ptrdiff_t step = max(1, <ptrdiff_t>(3 * self.slice_examples()))
        cdef int64_t correct = 0
        while begin < n:
            end = begin + min(step, n - begin)
            with nogil:
                correct += self.engine.row.evaluate(&self.net, &data.data, begin, end)
            PyErr_CheckSignals()
            begin = end
        return correct

    cdef double slice_examples(self):
        flops = 6 * sum(n_in * n_out for n_in, n_out in zip(self.sizes, self.sizes[1:]))
        return SLICE_FLOPS / flops

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


cdef _aligned(n):
    """n rounded up to a multiple of BP_ALIGN."""
    return (n + BP_ALIGN - 1) // BP_ALIGN * BP_ALIGN


cdef void *_pointer(address) except? NULL:
    return <void *><uintptr_t>address
