"""The systems that more than one benchmark trains, all on the same arrays from the same start.

A contestant is a pair of functions: train(order) runs one epoch over the examples in that
order, feedforward(x) returns the outputs (n, n_out) for the rows of x.
"""

import ctypes
import time

import native
import numpy as np
from harness import printed

from bpnet import Network


class Job:
    """What is trained: arrays x (n, n_in) and y (n, n_out) of one dtype, and a test set.

    The start is that of Network(sizes, seed=1), divided by sqrt(n_in) if scaled: networks of
    many inputs that are not zero are saturated, otherwise, and nothing is left to learn.
    """

    def __init__(self, sizes, mini_batch_size, eta, x, y, test=None, scaled=False):
        self.sizes, self.mini_batch_size, self.eta = sizes, mini_batch_size, eta
        self.x, self.y, self.test, self.dtype = x, y, test, x.dtype
        self.net = Network(sizes, seed=1, dtype=x.dtype)
        if scaled:
            self.net.weights = [
                (w / np.sqrt(w.shape[1])).astype(x.dtype) for w in self.net.weights
            ]

    def start(self):
        """Return fresh (weights, biases) of shapes (n_out, n_in) and (n_out)."""
        weights, biases = self.net.weights, self.net.biases
        return [w.copy() for w in weights], [b.ravel().copy() for b in biases]

    def correct(self, feedforward):
        """Return how many of the test set a feedforward gets right."""
        x, labels = self.test
        return int((feedforward(x).argmax(axis=1) == labels).sum())


def bpnet_turns(job, epochs, n_threads=1):
    """Return a function that trains for some epochs and returns the seconds of each."""
    net = Network(job.sizes, seed=1, dtype=job.dtype)
    net.weights, net.biases = list(job.net.weights), list(job.net.biases)

    def turn():
        _, seconds = printed(
            lambda: net.SGD(
                (job.x, job.y),
                epochs,
                job.mini_batch_size,
                job.eta,
                test_data=job.test,
                n_threads=n_threads,
            )
        )
        return np.diff(seconds, prepend=0).tolist()

    return turn, lambda x: net.feedforward(x.T).T


def turns(job, epochs, contestant):
    """Return a function that trains a contestant as bpnet_turns does, and its feedforward."""
    train, feedforward = contestant
    rng = np.random.default_rng(1)

    def epoch():
        train(rng.permutation(len(job.x)))
        if job.test:
            job.correct(feedforward)

    return timed(epoch, epochs), feedforward


def timed(epoch, epochs):
    """Return a function that calls epoch some times and returns the seconds of each."""

    def turn():
        seconds = []
        for _ in range(epochs):
            start = time.perf_counter()
            epoch()
            seconds.append(time.perf_counter() - start)
        return seconds

    return turn


def numpy_batches(job):
    """NumPy, a whole mini-batch at a time, in buffers that are allocated once."""
    m, sizes = job.mini_batch_size, job.sizes
    weights, biases = job.start()
    a = [np.empty((m, n), job.dtype) for n in sizes]
    delta = [np.empty((m, n), job.dtype) for n in sizes]
    y = np.empty((m, sizes[-1]), job.dtype)
    nabla_w = [np.empty_like(w) for w in weights]
    nabla_b = [np.empty_like(b) for b in biases]

    def sigmoid(z):
        np.negative(z, out=z)
        np.exp(z, out=z)
        np.add(z, 1, out=z)
        np.reciprocal(z, out=z)

    def forward(l, x, out):
        np.dot(x, weights[l].T, out=out)
        np.add(out, biases[l], out=out)
        sigmoid(out)

    def sigmoid_prime_mul(a, delta):
        np.multiply(delta, a, out=delta)
        np.subtract(1, a, out=a)
        np.multiply(delta, a, out=delta)

    def update_mini_batch(rows):
        np.take(job.x, rows, axis=0, out=a[0], mode="clip")  # "raise" would copy twice
        np.take(job.y, rows, axis=0, out=y, mode="clip")
        for l in range(len(weights)):
            forward(l, a[l], a[l + 1])
        np.subtract(a[-1], y, out=delta[-1])
        np.multiply(delta[-1], job.eta / m, out=delta[-1])
        sigmoid_prime_mul(a[-1], delta[-1])
        for l in range(len(weights) - 1, -1, -1):
            np.dot(delta[l + 1].T, a[l], out=nabla_w[l])
            np.add.reduce(delta[l + 1], axis=0, out=nabla_b[l])
            if l:
                np.dot(delta[l + 1], weights[l], out=delta[l])
                sigmoid_prime_mul(a[l], delta[l])
            np.subtract(weights[l], nabla_w[l], out=weights[l])
            np.subtract(biases[l], nabla_b[l], out=biases[l])

    def train(order):
        with np.errstate(over="ignore"):
            for k in range(0, len(order) - m + 1, m):
                update_mini_batch(order[k : k + m])

    def feedforward(x):
        with np.errstate(over="ignore"):
            for l in range(len(weights)):
                out = np.empty((len(x), sizes[l + 1]), job.dtype)
                forward(l, x, out)
                x = out
        return x

    return train, feedforward


def openblas_loop(job):
    """A C loop over the OpenBLAS that NumPy brings along; None without it or a compiler."""
    openblas = native.openblas()
    loop = native.compiled("openblas_loop.c", job.dtype)
    if openblas is None or loop is None:
        return None
    real, letter = (ctypes.c_float, "s") if job.dtype == np.float32 else (ctypes.c_double, "d")
    blas = (ctypes.c_void_p * 3)(
        *[
            ctypes.cast(getattr(openblas, f"scipy_cblas_{letter}{name}64_"), ctypes.c_void_p)
            for name in ("gemm", "gemv", "ger")
        ]
    )
    rows = max(job.mini_batch_size, 128)
    weights, biases = job.start()
    a, delta = ([np.empty((rows, n), job.dtype) for n in job.sizes] for _ in range(2))
    sizes = np.array(job.sizes, np.int64)
    y = np.empty((rows, job.sizes[-1]), job.dtype)
    lists = [native.pointers(arrays) for arrays in (weights, biases, a, delta)]

    class Net(ctypes.Structure):
        _fields_ = (
            ("num_layers", ctypes.c_int64),
            *[(name, ctypes.c_void_p) for name in ("sizes", "weights", "biases")],
            *[(name, ctypes.c_void_p) for name in ("a", "delta", "y")],
        )

    net = Net(
        len(weights),
        native.pointer(sizes),
        *[ctypes.cast(each, ctypes.c_void_p) for each in lists],
        native.pointer(y),
    )
    net.kept = weights, biases, a, delta, sizes, y, lists  # it has their addresses only
    m = ctypes.c_int64(job.mini_batch_size)

    def train(order):
        examples = map(native.pointer, (job.x, job.y, order))
        n = ctypes.c_int64(len(job.x))
        loop.train(blas, ctypes.byref(net), n, *examples, m, real(job.eta))

    def feedforward(x):
        out = np.empty((len(x), job.sizes[-1]), job.dtype)
        n = ctypes.c_int64(len(x))
        where = native.pointer(x), ctypes.c_int64(rows), native.pointer(out)
        loop.feedforward(blas, ctypes.byref(net), n, *where)
        return out

    return train, feedforward
