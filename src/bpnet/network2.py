"""The book's network2 of chapter 3, on the compiled core.

The cross-entropy cost, regularisation, better initial weights, costs and accuracies to watch.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from bpnet import byhand, check, mlp, reference, serialize
from bpnet.book import Book
from bpnet.mnist_loader import vectorized_result
from bpnet.reference import sigmoid, sigmoid_prime
from bpnet.rules import Rule, Step
from bpnet.training import Run, history_keys

if TYPE_CHECKING:
    from numpy.typing import DTypeLike
    from typing_extensions import Unpack

    from bpnet.stopping import Record
    from bpnet.training import Options


__all__ = [
    "CrossEntropyCost",
    "LogLikelihoodCost",
    "Network",
    "QuadraticCost",
    "load",
    "np",
    "random",
    "sigmoid",
    "sigmoid_prime",
    "sigmoid_prime_vec",
    "sigmoid_vec",
    "sys",
    "vectorized_result",
]

sigmoid_vec, sigmoid_prime_vec = sigmoid, sigmoid_prime  # the book's names until 2015


class QuadraticCost(reference.QuadraticCost):
    """C = |a - y|^2 / 2 for one example."""

    @staticmethod
    def delta(z: Any, a: Any, y: Any) -> Any:
        """Return the error dC/dz of the output layer (BP1)."""
        return (a - y) * byhand.assigned(sys.modules[__name__], "sigmoid_prime")(z)


class CrossEntropyCost(reference.CrossEntropyCost):
    """C = -sum(y ln a + (1 - y) ln(1 - a)) for one example."""


class LogLikelihoodCost(reference.LogLikelihoodCost):
    """C = -sum(y ln a) for one example; the last layer is then a softmax."""


class _Unknown:
    """The cost of a file, where this module has none of its name: the network is for use."""

    def __init__(self, name: str | None):
        self.name = name

    @property
    def fn(self) -> Any:
        raise ValueError(
            f"cost must be known to train, the file's is {self.name!r}: assign a cost to the "
            f"network, or to its name in bpnet.network2 before loading"
        )

    delta = fn


@byhand.steps("backprop", "update_mini_batch", "feedforward", "accuracy", "total_cost")
class Network(Book):
    """A feedforward network of sigmoid neurons, with a choice of cost and initial weights.

    sizes, biases, weights, hidden, dtype, seed, history, stopped_by and notes are those of
    ``bpnet.Network``, but for the initial weights: see ``default_weight_initializer``.  cost,
    a class or an object, has ``fn(a, y)``, the cost of an example, and ``delta(z, a, y)``, its
    derivative with respect to the weighted inputs z of the output layer, for columns a and y.
    Those of this module are computed in the core; another is called for each example, and
    training then runs in NumPy.

    Raises TypeError or ValueError if sizes or cost is not as described.
    """

    _kind = "Network2"
    _numpy_rng: np.random.RandomState | None = None  # of a seeded network

    def __init__(
        self,
        sizes: Any,
        cost: Any = CrossEntropyCost,
        *,
        hidden: str = "sigmoid",
        dtype: DTypeLike = np.float64,
        seed: int | None = None,
    ):
        if not _has_functions(cost):
            raise TypeError(f"cost must have functions fn and delta, got {cost!r}")
        source = self._prepare(sizes, dtype, seed, hidden)
        self.cost = cost
        if check.layers(sizes)[-1] == 1:
            self._core(1)  # an error, if the cost is not for one output
        if seed is not None:
            self._numpy_rng = source
        self.default_weight_initializer()

    @property
    def output(self) -> str | None:  # type: ignore[override]
        """The core's name of the cost; None if it is a cost of the script's own."""
        return next((row for row, own in _CORE_COSTS.items() if _is_own(self.cost, *own)), None)

    def default_weight_initializer(self) -> None:
        """Draw biases from N(0, 1), weights from N(0, 1 / n_in), n_in inputs to the neuron."""
        self._draw(self._numpy_rng or np.random, np.sqrt)

    def large_weight_initializer(self) -> None:
        """Draw biases and weights from N(0, 1), as chapters 1 and 2 do."""
        self._draw(self._numpy_rng or np.random, None)

    def SGD(
        self,
        training_data: Iterable[Any] | Callable[[int], Any],
        epochs: int,
        mini_batch_size: int,
        eta: float | Callable[[int], float],
        lmbda: float = 0.0,
        evaluation_data: Iterable[Any] | None = None,
        monitor_evaluation_cost: bool = False,
        monitor_evaluation_accuracy: bool = False,
        monitor_training_cost: bool = False,
        monitor_training_accuracy: bool = False,
        early_stopping_n: int = 0,
        *,
        rule: str | Rule = "plain",
        mu: float = 0.0,
        l1: float = 0.0,
        validation_data: Iterable[Any] | None = None,
        monitor: Collection[str] = (),
        **options: Unpack[Options],
    ) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
        """Train, and return the costs and accuracies that are monitored, after each epoch.

        The result is (evaluation_cost, evaluation_accuracy, training_cost, training_accuracy):
        lists of mean costs per example, regularisation included, and of counts of examples
        that are classified rightly.  A list that was not asked for is empty, and ``history``
        has no such key; beside a cost it has what regularisation adds to it, as
        "training_penalty", unless that cost is a script's own total_cost.  What a script's own
        ``accuracy`` or ``total_cost`` returns is in its list as it is.  A single output is
        taken for 1 where it is above 1/2, else for 0; ``accuracy``, called by hand, is the
        book's argmax.

        validation_data may be given in the place of evaluation_data, and monitor in that of the
        flags, as to ``bpnet.Network.SGD``: ``history`` then has "validation_accuracy", which is
        always looked at, in the place of "evaluation_accuracy".  The lists are the same.

        lmbda is the coefficient of the L2 regularisation.  early_stopping_n, if above 0,
        ends training after that many epochs in a row without a better accuracy on
        evaluation_data, and leaves the last weights; patience brings back those of the best
        epoch.  The other arguments, options among them, the errors and what becomes of
        ``history`` and ``stopped_by`` are as ``bpnet.Network.SGD`` says, without test_data.
        """
        if evaluation_data is not None and validation_data is not None:
            raise ValueError("validation_data must be None where evaluation_data is given")
        kind = "evaluation" if validation_data is None else "validation"
        given = evaluation_data if validation_data is None else validation_data
        held_out = {} if given is None else {kind: given}
        flags = {
            f"{kind}_cost": monitor_evaluation_cost,
            f"{kind}_accuracy": monitor_evaluation_accuracy,
            "training_cost": monitor_training_cost,
            "training_accuracy": monitor_training_accuracy,
        }
        wanted = {key for key, asked in flags.items() if asked}
        for key in (f"{kind}_cost", f"{kind}_accuracy"):
            if key in wanted and not held_out:
                raise ValueError(f"monitor_{key} needs evaluation_data, got None")
        wanted |= history_keys(self, monitor, held_out)
        own, step = byhand.own_steps(self), Step.checked(rule, lmbda, l1, self.dtype, mu)
        if "update_mini_batch" in own and (l1 or mu):
            raise ValueError("l1 and mu must be 0 where update_mini_batch is overridden")
        run = Run(
            self,
            training_data,
            epochs,
            mini_batch_size,
            eta,
            step,
            held_out=held_out,
            judged_by=kind,
            wanted=wanted,
            options=options,
            early_stopping_n=early_stopping_n,
            trainer=byhand.trainer(self, step, self._calls(step), own),
        )
        run.go()
        figures = [run.figures.get(key, []) if key in wanted else [] for key in flags]
        return figures[0], figures[1], figures[2], figures[3]

    def update_mini_batch(
        self, mini_batch: Iterable[Any], eta: float, lmbda: float, n: int
    ) -> None:
        """Take one step of gradient descent on mini_batch, tuples (x, y).

        lmbda is the coefficient of the L2 regularisation for n examples of training data.
        """
        step = Step.checked("plain", lmbda, 0.0, self.dtype)
        self._update(mini_batch, eta, step, check.integer("n", n, 1))

    def total_cost(self, data: Iterable[Any], lmbda: float, convert: bool = False) -> float:
        """Return the mean cost of the examples, plus lmbda / (2 n) times the squared weights.

        data holds n tuples (x, y) or (x, label), or is a pair of arrays or a Dataset.  The
        form is found out: convert, which the book needs for labels, changes nothing.
        """
        step = Step.checked("plain", lmbda, 0.0, self.dtype)
        own = byhand.own_steps(self) & {"cost", *byhand.ANSWERS}
        mean, n = self._mean_cost("data", data, self.cost.fn if own else None)
        return mean + step.penalty(self.weights, n)

    def save(self, filename: check.AnyFile) -> None:
        """Write the network in the book's JSON, or as npz if filename ends so; both are exact.

        filename may be a binary file that is open, as ``io.BytesIO``: it becomes an npz.
        The file is replaced in one step, or kept as it was: ValueError if the parameters do
        not fit ``sizes``, OSError if filename cannot be written.
        """
        path = check.file("filename", filename)
        in_json = isinstance(path, str) and not path.endswith(".npz")
        (serialize.save_json if in_json else serialize.save)(path, self._model())

    def _cost_class(self) -> str | None:
        cost = self.cost if isinstance(self.cost, type) else type(self.cost)
        return self.cost.name if cost is _Unknown else cost.__name__

    def _output_error(self, z: Any, a: Any, y: Any) -> Any:
        return self.cost.delta(z, a, y)

    def _cost_fn(self) -> Any:
        return self.cost.fn

    def _calls(self, step: Step) -> byhand.Calls:
        """Return the calls as the book makes them: an override may know no more."""

        def update(mini_batch: list[Any], eta: float, n: int) -> None:
            self.update_mini_batch(mini_batch, eta, step.lmbda, n)

        def count(examples: Any, vectors: bool) -> Any:
            return self.accuracy(examples, convert=True) if vectors else self.accuracy(examples)

        def cost(examples: Any, labels: bool) -> Any:
            if labels:
                return self.total_cost(examples, step.lmbda, convert=True)
            return self.total_cost(examples, step.lmbda)

        return byhand.Calls(update, count, cost)

    def _lines(
        self, record: Record, counts: dict[str, tuple[Any, int]], costs: dict[str, Any]
    ) -> list[str]:
        lines = [f"Epoch {record['epoch']} training complete"]
        for kind in ("training", "evaluation", "validation"):
            if kind in costs:
                lines.append(f"Cost on {kind} data: {costs[kind]}")
            if kind in counts:
                correct, n = counts[kind]
                lines.append(f"Accuracy on {kind} data: {correct} / {n}")
        return [*lines, ""]


def load(filename: check.AnyFile) -> Network:
    """Return the network in a file that ``save``, or the book's own, wrote.

    A cost of one's own is found under its name in this module: assign it first.  A sigmoid or
    a feedforward of one's own is warned of, as by ``bpnet.load``.  Nothing in the file is run
    and no random number is drawn.  Raises FileNotFoundError if there is no file, ValueError if
    it is not a whole model.
    """
    return from_model(serialize.load(check.file("filename", filename)))


def from_model(model: serialize.Model) -> Network:
    """Return the network of a file's content."""
    name = model.cost
    if name is None and model.output in _CORE_COSTS:
        name = _CORE_COSTS[model.output][0].__name__
    elif name is None and model.output is not None:
        raise ValueError(f"a Network2 has no output {model.output}: use bpnet.load")
    cost = globals().get(name or "")
    known = isinstance(cost, type) and _has_functions(cost)
    net: Network = mlp.from_model(model, Network)
    net.cost = cost if known else _Unknown(name)
    if known and model.output not in (None, net.output):
        raise ValueError(f"output must be {net.output} for the cost {name}, got {model.output}")
    byhand.take_saved(net, model.own)
    return net


def _has_functions(cost: Any) -> bool:
    return all(callable(getattr(cost, name, None)) for name in ("fn", "delta"))


def _is_own(cost: Any, cls: Any, fn: Any, delta: Any) -> bool:
    """Whether this is the class or an object of it, with its functions as they were."""
    return (cost is cls or type(cost) is cls) and cost.fn is fn and cost.delta is delta


# The costs of this module that the core has, with the functions that a script may replace.
_CORE_COSTS = {
    name: (own, own.fn, own.delta)
    for name, (_, cost) in reference.OUTPUTS.items()
    if (own := globals().get(cost.__name__)) is not None
}
