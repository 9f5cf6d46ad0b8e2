"""What the book's two Network classes share: parameters in Python, steps in the compiled core.

Each method runs in the core unless one of the steps it is made of has been overridden, on a
subclass, on the instance or as its module's ``sigmoid``; then it runs the book's own code,
inherited from ``bpnet.reference``, which calls that step.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import bpcore
from bpnet import data, reference, serialize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import DTypeLike

    from bpnet.data import Array
    from bpnet.stopping import Record

    Parameters = tuple[list[Array], list[Array]]

# Scratch rows for running a network forward over many examples.
ROWS = 32


class Rule(NamedTuple):
    """What a step is made of beside eta and the gradient: chapter 3's terms.

    lmbda and l1 are the coefficients of the L2 and the L1 regularisation, mu is the momentum;
    n is the number of examples to train on.
    """

    lmbda: float = 0.0
    l1: float = 0.0
    mu: float = 0.0
    n: int = 1

    @classmethod
    def checked(cls, lmbda: Any, l1: Any, mu: Any, dtype: np.dtype[Any], n: Any = 1) -> Rule:
        """Return the rule of these arguments; ValueError if one of them cannot be."""
        mu = data.positive("mu", mu)
        if mu >= 1:
            raise ValueError(f"mu must be less than 1, got {mu}")
        data.real("lmbda", lmbda, dtype), data.real("l1", l1, dtype)
        return cls(
            data.positive("lmbda", lmbda), data.positive("l1", l1), mu, data.integer("n", n, 1)
        )

    def penalty(self, weights: Iterable[Array], n: int) -> float:
        """Return what regularisation adds to the mean cost of n examples."""
        total = 0.0
        for w in weights:
            if self.lmbda:
                total += 0.5 * self.lmbda * float(np.sum(np.square(w, dtype=np.float64)))
            if self.l1:
                total += self.l1 * float(np.sum(np.abs(w), dtype=np.float64))
        return total / n


class BaseNetwork(reference.Network):
    """Sigmoid neurons in layers, whose parameters may be looked at and changed between calls.

    A subclass says which of its methods are steps that scripts may override (``_own``), where
    they may assign a sigmoid (``_module``), and how its own methods count and cost examples.
    """

    dtype: np.dtype[Any] = np.dtype(np.float64)
    history: list[Record] = []  # noqa: RUF012 - of a network that was never trained
    stopped_by: str | None = None
    notes: dict[str, Any] | None = None
    _rng: random.Random | None = None  # of a seeded network; None: the global generator

    num_layers: int
    sizes: Any
    biases: list[Array]
    weights: list[Array]

    _module: Any
    _own: dict[str, Any]
    _counters: tuple[str, ...]  # the methods that count examples or sum their costs

    def _prepare(self, sizes: Any, dtype: DTypeLike, seed: int | None) -> Any:
        """Set all but the parameters; return where these are drawn from."""
        layers = data.layers(sizes)
        dtype = data.floating(dtype)
        if seed is not None:
            seed = data.integer("seed", seed, 0, 2**32 - 1)
        data.check_memory(layers)  # before anything is drawn
        self.num_layers = len(layers)
        self.sizes = sizes
        self.biases, self.weights = [], []  # their place among the attributes
        if dtype != BaseNetwork.dtype:
            self.dtype = dtype
        if seed is None:
            return np.random
        self._rng = random.Random(seed)
        return np.random.RandomState(seed)

    def _draw(self, source: Any, scaled: bool) -> None:
        """Draw all biases, then all weights, N(0, 1); scaled: weights of N(0, 1 / n_in)."""
        layers, dtype = data.layers(self.sizes), self.dtype
        biases = [source.randn(n_out, 1).astype(dtype, copy=False) for n_out in layers[1:]]
        weights = []
        for n_in, n_out in zip(layers, layers[1:]):
            w = source.randn(n_out, n_in)
            if scaled:
                w /= np.sqrt(n_in)
            weights.append(w.astype(dtype, copy=False))
        self.biases, self.weights = biases, weights

    def feedforward(self, a: Any) -> Array:
        """Return the network's output (sizes[-1], 1) for the input a, (sizes[0], 1).

        Several inputs may be the columns of a; the outputs are columns then, too.
        """
        layers = data.layers(self.sizes)
        x = data.as_rows("x", a, layers[0], self.dtype)
        net = self._load(layers, min(len(x), ROWS))
        if self._sigmoid_replaced():
            return super().feedforward(x.T)
        return net.feedforward(self._inputs(x, layers)).T

    def backprop(self, x: Any, y: Any) -> Parameters:
        """Return the gradient of the cost of one example.

        x has shape (sizes[0], 1) and y (sizes[-1], 1); both are converted to the network's
        dtype.  The result (nabla_b, nabla_w) mirrors ``biases`` and ``weights``.  Raises
        ValueError if a shape does not match ``sizes``.

        Equations BP1-BP4, Nielsen, Neural Networks and Deep Learning, ch. 2.
        """
        layers = data.layers(self.sizes)
        row = data.as_row("x", x, layers[0], self.dtype)
        target = data.as_row("y", y, layers[-1], self.dtype)
        net = self._load(layers, 1)
        if self._sigmoid_replaced() or self._cost_replaced():
            return super().backprop(row.T, target.T)
        return net.backprop(self._inputs(row, layers, target))

    def evaluate(self, test_data: Iterable[Any]) -> int:
        """Return how many examples have their label as the most active output.

        test_data holds tuples (x, label), or is a pair of arrays (X, labels) or a Dataset.
        """
        return self._evaluate("test_data", test_data)

    def _evaluate(self, name: str, given: Any) -> int:
        """Return how many examples have their label as the most active output."""
        examples = data.accept(name, given)
        layers = data.layers(self.sizes)
        if self._sigmoid_replaced() or self._overrides("feedforward"):
            labels = examples.labels(name, layers[-1], by_argmax=True)
            pairs = examples.pairs(layers[-1])
            return super().evaluate([(x, label) for (x, _), label in zip(pairs, labels)])
        if layers[-1] == 1:  # whatever the output, its argmax is 0
            examples.pack(name, layers, bpcore.engine(self.dtype))
            self._load(layers, ROWS)
            return int(np.count_nonzero(examples.labels(name, 1, by_argmax=True) == 0))
        packed = examples.pack(name, layers, bpcore.engine(self.dtype), labels=True)
        return self._load(layers, ROWS).evaluate(packed)

    def _mean_cost(
        self, name: str, given: Any, fn: Callable[[Any, Any], Any] | None
    ) -> tuple[float, int]:
        """Return the mean of fn(a, y) over n examples, labels being unit vectors, and n.

        Without fn it is the cost that the core knows, computed there.
        """
        examples = data.accept(name, given)
        layers, n = data.layers(self.sizes), len(examples)
        engine = bpcore.engine(self.dtype)
        packed = examples.pack(name, layers, engine, outputs=True, labels=True)
        if fn is not None:
            pairs = examples.pairs(layers[-1])
            return sum(float(fn(self.feedforward(x), y)) for x, y in pairs) / n, n
        costs = np.empty(n, self.dtype)
        self._load(layers, ROWS).evaluate(packed, costs)
        return float(costs.sum(dtype=np.float64)) / n, n

    def _step(
        self,
        mini_batch: Iterable[Any],
        eta: float,
        rule: Rule,
        velocity: Parameters | None = None,
    ) -> None:
        """Take one step of gradient descent on mini_batch: all of it, or nothing."""
        layers, engine = data.layers(self.sizes), bpcore.engine(self.dtype)
        rate = data.real("eta", eta, self.dtype)
        examples = data.accept("mini_batch", mini_batch)
        packed = examples.pack("mini_batch", layers, engine, outputs=True, sparse=False)
        net = self._load(layers, len(packed))
        if self._gradient_by_hand() or velocity:
            before = self.biases, self.weights
            try:
                slots = [[v] for v in (*velocity[0], *velocity[1])] if velocity else None
                reference.descend(
                    self,
                    examples.pairs(layers[-1]),
                    eta,
                    "momentum" if velocity else "plain",
                    slots or reference.empty_slots(self, "plain"),
                    1,
                    l2=rule.lmbda / rule.n,
                    l1=rule.l1 / rule.n,
                    **({"mu": rule.mu} if velocity else {}),
                )
                self.biases, self.weights = data.parameters(
                    layers, self.biases, self.weights, self.dtype
                )
                if velocity and slots:  # what a checkpoint keeps of it
                    moved, depth = [slot for [slot] in slots], len(layers) - 1
                    velocity[0][:], velocity[1][:] = data.parameters(
                        layers, moved[:depth], moved[depth:], self.dtype
                    )
            except BaseException:  # all of the step, or nothing of it
                self.biases, self.weights = before
                raise
            return
        order = bpcore.Order(len(packed))
        l2, l1 = rule.lmbda / rule.n, rule.l1 / rule.n
        net.sgd(packed, order, len(packed), rate, l2=l2, l1=l1)
        self.biases, self.weights = net.store()

    def _model(self, run: serialize.Run | None = None) -> serialize.Model:
        """Return what a file holds of the network."""
        layers = data.layers(self.sizes)
        biases, weights = data.parameters(layers, self.biases, self.weights, self.dtype)
        return serialize.Model(layers, biases, weights, self._saved_cost(), self.notes, run)

    def _load(self, layers: list[int], rows: int, n_threads: int = 1) -> bpcore.Net:
        """Return the parameters in the core, as they are now."""
        cost = self._cost_name() or "quadratic"
        net = bpcore.Net(bpcore.engine(self.dtype), layers, max(rows, 1), n_threads, cost)
        net.load(*data.parameters(layers, self.biases, self.weights, self.dtype))
        return net

    def _inputs(self, x: Array, layers: list[int], y: Array | None = None) -> bpcore.Data:
        return bpcore.Data(bpcore.engine(self.dtype), x, layers[-1], y=y)

    # Which steps are the scripts' own

    def _overrides(self, *steps: str) -> bool:
        """Whether any of these methods is not the class's own, of this network."""
        methods = [(getattr(self, step), self._own[step]) for step in steps]
        return any(
            getattr(method, "__func__", None) is not own or method.__self__ is not self
            for method, own in methods
        )

    def _gradient_by_hand(self) -> bool:
        return self._sigmoid_replaced() or self._cost_replaced() or self._overrides("backprop")

    def _counts_by_hand(self) -> bool:
        return self._sigmoid_replaced() or self._overrides("feedforward", *self._counters)

    def _sigmoid_replaced(self) -> bool:
        module = self._module
        return (
            module.sigmoid is not reference.sigmoid
            or module.sigmoid_prime is not reference.sigmoid_prime
        )

    # Looked up when called: scripts assign to the module's sigmoid.
    def _hidden(self, z: Array) -> Array:
        return self._module.sigmoid(z)

    def _hidden_prime(self, z: Array) -> Array:
        return self._module.sigmoid_prime(z)

    _output, _output_prime = _hidden, _hidden_prime

    # What the two classes do in their own ways

    def _cost_name(self) -> str | None:
        """Return the core's name of the cost; None if it is a cost of the script's own."""
        raise NotImplementedError

    def _saved_cost(self) -> str | None:
        """Return the name of the cost in a file; None for chapter 1's network."""
        raise NotImplementedError

    def _cost_replaced(self) -> bool:
        """Whether the derivative of the cost is the script's own."""
        raise NotImplementedError

    def _update(self, mini_batch: list[Any], eta: float, rule: Rule) -> None:
        """Call ``update_mini_batch``, which is the script's own, with what it takes."""
        raise NotImplementedError

    def _count(self, examples: Any, convert: bool) -> int:
        """Count examples by the class's own method; convert: y are vectors, not labels."""
        raise NotImplementedError

    def _total_cost(self, examples: Any, rule: Rule, convert: bool) -> float:
        """Return the cost by the class's own method; convert: y are labels, not vectors."""
        raise NotImplementedError

    def _lines(self, record: Record, counts: dict[str, tuple[int, int]]) -> list[str]:
        """Return the book's lines on an epoch; counts: (right, of) for each kind of data."""
        raise NotImplementedError


def empty(cls: type[BaseNetwork], model: serialize.Model) -> Any:
    """Return a network of cls with the parameters of a file, the best that patience kept."""
    net = cls.__new__(cls)
    net.num_layers, net.sizes = len(model.sizes), model.sizes
    net.biases, net.weights = (model.run and model.run.best) or (model.biases, model.weights)
    if model.weights[0].dtype != BaseNetwork.dtype:
        net.dtype = model.weights[0].dtype
    if model.notes is not None:
        net.notes = model.notes
    return net
