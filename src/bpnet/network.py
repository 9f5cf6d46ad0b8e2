"""The book's Network on the compiled core.

Each method runs in the core unless one of the steps it is made of has been overridden, on a
subclass, on the instance or as this module's ``sigmoid``; then it runs the book's own code,
inherited from ``bpnet.reference``, which calls that step.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

import bpcore
from bpnet import data, reference
from bpnet.reference import sigmoid, sigmoid_prime

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from bpnet.data import Array

__all__ = ["Network", "load", "sigmoid", "sigmoid_prime"]

# Scratch rows for running a network forward over many examples.
_ROWS = 32


class Network(reference.Network):
    """A feedforward network of sigmoid neurons, trained by stochastic gradient descent.

    sizes lists the neurons of each layer, input layer first; the object itself becomes the
    attribute ``sizes``.  The attributes biases[l], of shape (sizes[l + 1], 1), and weights[l],
    (sizes[l + 1], sizes[l]), are lists of arrays of dtype, float32 or float64, drawn from the
    standard normal distribution: all biases first, then the weights.  They may be assigned or
    written to between calls; training replaces them by new arrays and never writes to old ones.

    Without a seed, initial values come from the global ``numpy.random`` and shuffles from the
    global ``random``.  With one, the network draws what it would draw after
    ``numpy.random.seed(seed)`` and ``random.seed(seed)``, and leaves the globals alone.

    Raises TypeError or ValueError if sizes does not list two or more positive integers, and
    MemoryError if the parameters do not fit.
    """

    dtype: np.dtype[Any] = np.dtype(np.float64)
    _rng: random.Random | None = None  # of a seeded network; None: the global generator

    num_layers: int
    sizes: Any
    biases: list[Array]
    weights: list[Array]

    def __init__(self, sizes: Any, *, dtype: DTypeLike = np.float64, seed: int | None = None):
        layers = data.layers(sizes)
        dtype = data.floating(dtype)
        if seed is not None:
            seed = data.integer("seed", seed, 0, 2**32 - 1)
        data.check_memory(layers)  # before anything is drawn
        draw: Any = np.random if seed is None else np.random.RandomState(seed)
        self.num_layers = len(layers)
        self.sizes = sizes
        self.biases = [draw.randn(n_out, 1).astype(dtype, copy=False) for n_out in layers[1:]]
        self.weights = [
            draw.randn(n_out, n_in).astype(dtype, copy=False)
            for n_in, n_out in zip(layers, layers[1:])
        ]
        if dtype != Network.dtype:
            self.dtype = dtype
        if seed is not None:
            self._rng = random.Random(seed)

    def feedforward(self, a: Any) -> Array:
        """Return the network's output (sizes[-1], 1) for the input a, (sizes[0], 1).

        Several inputs may be the columns of a; the outputs are columns then, too.
        """
        layers = data.layers(self.sizes)
        x = data.columns("x", a, layers[0], self.dtype)
        net = self._load(layers, min(len(x), _ROWS))
        if _sigmoid_replaced():
            return super().feedforward(x.T)
        return net.feedforward(self._inputs(x, layers)).T

    def SGD(
        self,
        training_data: Iterable[Any],
        epochs: int,
        mini_batch_size: int,
        eta: float,
        test_data: Iterable[Any] | None = None,
        *,
        n_threads: int = 1,
    ) -> None:
        """Train by mini-batch stochastic gradient descent.

        training_data holds tuples (x, y) of shapes (sizes[0], 1) and (sizes[-1], 1), or is a
        pair of arrays (X, Y) of n rows, Y being (n, sizes[-1]) or n integer labels.  It is
        visited in a new random order each epoch; a list ends up in the last order, as
        ``random.shuffle`` leaves it.  eta is the learning rate.  With test_data, tuples
        (x, label) or a pair (X, labels), each epoch prints how many are classified rightly.
        Either may be a ``Dataset``: its examples are not converted again, nor reordered.
        n_threads is the most threads to use, of which there are no more than processors;
        results are the same bits for any number.

        Ctrl-C leaves the weights as they are after a whole number of mini-batches.  Raises
        TypeError or ValueError, with nothing changed, if an argument is not as described.
        """
        epochs = data.integer("epochs", epochs, 0)
        mini_batch_size = data.integer("mini_batch_size", mini_batch_size, 1)
        n_threads = data.integer("n_threads", n_threads, 1)
        rate = data.real("eta", eta, self.dtype)
        layers, engine = data.layers(self.sizes), bpcore.engine(self.dtype)
        examples = data.materialise("training_data", training_data)
        if test_data is training_data:  # which may be an iterator, spent by now
            test_examples = examples
        else:
            test_examples = data.materialise(
                "test_data", () if test_data is None else test_data
            )
        training = data.training("training_data", examples, layers, engine)
        test = data.labelled("test_data", test_examples, layers, engine)

        n, m = len(training), min(mini_batch_size, len(training))
        train_by_hand = _sigmoid_replaced() or self._overrides(
            "cost_derivative", "backprop", "update_mini_batch"
        )
        evaluate_by_hand = _sigmoid_replaced() or self._overrides("feedforward", "evaluate")
        pairs = data.as_list(examples, layers[-1]) if train_by_hand else []
        source = self._rng or random
        order = bpcore.Order(n)
        rows, threads = max(m, _ROWS), min(n_threads, os.cpu_count() or 1)
        self._load(layers, rows)  # refuses parameters that do not fit, before anything changes
        try:
            for epoch in range(epochs):
                net = None
                if train_by_hand:
                    source.shuffle(pairs)
                    for k in range(0, n, m):
                        self.update_mini_batch(pairs[k : k + m], eta)
                else:
                    order.shuffle(source)
                    net = self._load(layers, rows, threads)
                    try:
                        net.sgd(training, order, m, rate)
                    finally:  # whatever looks next finds the trained parameters
                        self.biases, self.weights = net.store()
                if not len(test):
                    print(f"Epoch {epoch} complete")
                    continue
                if evaluate_by_hand:
                    correct = self.evaluate(test_examples)
                else:
                    correct = (net or self._load(layers, rows, threads)).evaluate(test)
                print(f"Epoch {epoch}: {correct} / {len(test)}")
        finally:
            if isinstance(training_data, list):
                shuffled = pairs if train_by_hand else [examples[i] for i in order.tolist()]
                training_data[:n] = shuffled  # what was appended meanwhile stays

    def update_mini_batch(self, mini_batch: Iterable[Any], eta: float) -> None:
        """Take one step of gradient descent on the mean cost of mini_batch, tuples (x, y)."""
        layers, engine = data.layers(self.sizes), bpcore.engine(self.dtype)
        rate = data.real("eta", eta, self.dtype)
        examples = data.materialise("mini_batch", mini_batch)
        packed = data.training("mini_batch", examples, layers, engine, sparse=False)
        net = self._load(layers, len(packed))
        if _sigmoid_replaced() or self._overrides("cost_derivative", "backprop"):
            before = self.biases, self.weights
            try:
                super().update_mini_batch(data.as_list(examples, layers[-1]), eta)
                self.biases, self.weights = data.parameters(
                    layers, self.biases, self.weights, self.dtype
                )
            except BaseException:  # all of the step, or nothing of it
                self.biases, self.weights = before
                raise
            return
        net.sgd(packed, bpcore.Order(len(packed)), len(packed), rate)
        self.biases, self.weights = net.store()

    def backprop(self, x: Any, y: Any) -> tuple[list[Array], list[Array]]:
        """Return the gradient of the cost of one example.

        x has shape (sizes[0], 1) and y (sizes[-1], 1); both are converted to the network's
        dtype.  The result (nabla_b, nabla_w) mirrors ``biases`` and ``weights``.  Raises
        ValueError if a shape does not match ``sizes``.

        Equations BP1-BP4, Nielsen, Neural Networks and Deep Learning, ch. 2.
        """
        layers = data.layers(self.sizes)
        row = data.column("x", x, layers[0], self.dtype)
        target = data.column("y", y, layers[-1], self.dtype)
        net = self._load(layers, 1)
        if _sigmoid_replaced() or self._overrides("cost_derivative"):
            return super().backprop(row.T, target.T)
        return net.backprop(self._inputs(row, layers, target))

    def evaluate(self, test_data: Iterable[Any]) -> int:
        """Return how many examples have their label as the most active output.

        test_data holds tuples (x, label), or is a pair of arrays (X, labels) or a Dataset.
        """
        examples = data.materialise("test_data", test_data)
        if _sigmoid_replaced() or self._overrides("feedforward"):
            n_out = data.layers(self.sizes)[-1]
            pairs = data.as_list(examples, n_out)
            labels = data.labels("test_data", examples, n_out)
            return super().evaluate([(x, label) for (x, _), label in zip(pairs, labels)])
        layers = data.layers(self.sizes)
        packed = data.labelled("test_data", examples, layers, bpcore.engine(self.dtype))
        return self._load(layers, _ROWS).evaluate(packed)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file that ``bpnet.load`` reads, exactly.

        The file is replaced in one step, or kept as it was: ValueError if the parameters do
        not fit ``sizes``, OSError if path cannot be written.
        """
        from bpnet import serialize

        layers = data.layers(self.sizes)
        biases, weights = data.parameters(layers, self.biases, self.weights, self.dtype)
        serialize.save(path, layers, biases, weights)

    def _load(self, layers: list[int], rows: int, n_threads: int = 1) -> bpcore.Net:
        """Return the parameters in the core, as they are now."""
        net = bpcore.Net(bpcore.engine(self.dtype), layers, max(rows, 1), n_threads)
        net.load(*data.parameters(layers, self.biases, self.weights, self.dtype))
        return net

    def _inputs(self, x: Array, layers: list[int], y: Array | None = None) -> bpcore.Data:
        return bpcore.Data(bpcore.engine(self.dtype), x, layers[-1], y=y, sparse=False)

    def _overrides(self, *steps: str) -> bool:
        """Whether any of these methods is not this module's own, of this network."""
        methods = [(getattr(self, step), _OWN[step]) for step in steps]
        return any(
            getattr(method, "__func__", None) is not own or method.__self__ is not self
            for method, own in methods
        )

    # Looked up when called: scripts assign to this module's sigmoid.
    @staticmethod
    def _sigmoid(z: Array) -> Array:
        return sigmoid(z)

    @staticmethod
    def _sigmoid_prime(z: Array) -> Array:
        return sigmoid_prime(z)


def load(path: str | os.PathLike[str]) -> Network:
    """Return the network that ``Network.save`` wrote to path.

    Nothing in the file is run and no random number is drawn.  Raises FileNotFoundError if
    there is no file, ValueError if it is not a whole model of a version that is known.
    """
    from bpnet import serialize

    sizes, biases, weights = serialize.load(path)
    net = Network.__new__(Network)
    net.num_layers = len(sizes)
    net.sizes = sizes
    net.biases, net.weights = biases, weights
    if weights[0].dtype != Network.dtype:
        net.dtype = weights[0].dtype
    return net


def _sigmoid_replaced() -> bool:
    return sigmoid is not reference.sigmoid or sigmoid_prime is not reference.sigmoid_prime


# As they are before anybody assigns to the class.
_STEPS = ("cost_derivative", "backprop", "update_mini_batch", "feedforward", "evaluate")
_OWN = {step: getattr(Network, step) for step in _STEPS}
