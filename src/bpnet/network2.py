"""The book's network2 of chapter 3, on the compiled core.

The cross-entropy cost, regularisation, better initial weights, costs and accuracies to watch.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from bpnet import reference, serialize
from bpnet.base import BaseNetwork, Rule, empty
from bpnet.data import accept
from bpnet.mnist_loader import vectorized_result
from bpnet.reference import sigmoid, sigmoid_prime
from bpnet.stopping import Record, Stopping
from bpnet.training import Run

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


__all__ = [
    "CrossEntropyCost",
    "Network",
    "QuadraticCost",
    "load",
    "np",
    "random",
    "sigmoid",
    "sigmoid_prime",
    "sys",
    "vectorized_result",
]


class QuadraticCost(reference.QuadraticCost):
    """C = |a - y|^2 / 2 for one example."""

    @staticmethod
    def delta(z: Any, a: Any, y: Any) -> Any:
        """Return the error dC/dz of the output layer (BP1)."""
        return (a - y) * sigmoid_prime(z)


class CrossEntropyCost(reference.CrossEntropyCost):
    """C = -sum(y ln a + (1 - y) ln(1 - a)) for one example."""


class Network(BaseNetwork):
    """A feedforward network of sigmoid neurons, with a choice of cost and initial weights.

    sizes, biases, weights, dtype, seed, history, stopped_by and notes are those of
    ``bpnet.Network``, but for the initial weights: see ``default_weight_initializer``.  cost,
    a class or an object, has ``fn(a, y)``, the cost of an example, and ``delta(z, a, y)``, its
    derivative with respect to the weighted inputs z of the output layer, for columns a and y.
    The two of this module are computed in the core; another is called for each example, and
    training then runs in NumPy.

    Raises TypeError or ValueError if sizes or cost is not as described.
    """

    _module = sys.modules[__name__]
    _counters = ("accuracy", "total_cost")
    _numpy_rng: np.random.RandomState | None = None  # of a seeded network

    def __init__(
        self,
        sizes: Any,
        cost: Any = CrossEntropyCost,
        *,
        dtype: DTypeLike = np.float64,
        seed: int | None = None,
    ):
        if not (callable(getattr(cost, "fn", None)) and callable(getattr(cost, "delta", None))):
            raise TypeError(f"cost must have functions fn and delta, got {cost!r}")
        source = self._prepare(sizes, dtype, seed)
        self.cost = cost
        if seed is not None:
            self._numpy_rng = source
        self.default_weight_initializer()

    def default_weight_initializer(self) -> None:
        """Draw biases from N(0, 1), weights from N(0, 1 / n_in), n_in inputs to the neuron."""
        self._draw(self._numpy_rng or np.random, scaled=True)

    def large_weight_initializer(self) -> None:
        """Draw biases and weights from N(0, 1), as chapters 1 and 2 do."""
        self._draw(self._numpy_rng or np.random, scaled=False)

    def SGD(
        self,
        training_data: Iterable[Any],
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
        l1: float = 0.0,
        mu: float = 0.0,
        min_update: float | None = None,
        max_error: float | None = None,
        patience: int | None = None,
        min_delta: float = 0.0,
        max_seconds: float | None = None,
        callback: Callable[[Any, int], object] | None = None,
        verbose: bool | str = True,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 0.0,
        resume: str | os.PathLike[str] | None = None,
        n_threads: int = 1,
    ) -> tuple[list[float], list[int], list[float], list[int]]:
        """Train, and return the costs and accuracies that are monitored, after each epoch.

        The result is (evaluation_cost, evaluation_accuracy, training_cost, training_accuracy):
        lists of mean costs per example, regularisation included, and of counts of examples
        that are classified rightly.  A list that was not asked for is empty.

        early_stopping_n ends training, if it is not 0, after so many epochs in a row without a
        better accuracy on evaluation_data, and leaves the last weights; patience brings back
        those of the best epoch.  The other arguments, the errors and what becomes of
        ``history`` and ``stopped_by`` are as ``bpnet.Network.SGD`` says, with evaluation_data
        in the place of its validation_data.
        """
        held_out = {} if evaluation_data is None else {"evaluation": evaluation_data}
        if early_stopping_n and patience is not None:
            raise ValueError("early_stopping_n must be 0 where patience is given")
        stopping = Stopping(
            epochs,
            min_update=min_update,
            max_error=max_error,
            patience=early_stopping_n or patience,
            patience_name="early_stopping_n" if early_stopping_n else "patience",
            min_delta=min_delta,
            max_seconds=max_seconds,
            callback=callback,
            restore=not early_stopping_n,
            held_out="evaluation",
        )
        wanted = {
            "evaluation_cost": monitor_evaluation_cost,
            "evaluation_accuracy": monitor_evaluation_accuracy,
            "training_cost": monitor_training_cost,
            "training_accuracy": monitor_training_accuracy,
        }
        keys = [key for key, asked in wanted.items() if asked]
        needs = {
            "max_error": max_error is not None,
            stopping.patience_name: stopping.patience is not None,
            "monitor_evaluation_cost": monitor_evaluation_cost,
            "monitor_evaluation_accuracy": monitor_evaluation_accuracy,
        }
        for name, asked in needs.items():
            if asked and not held_out:
                raise ValueError(f"{name} needs evaluation_data, got None")
        rule = Rule.checked(lmbda, l1, mu, self.dtype)
        if self._overrides("update_mini_batch") and (l1 or mu):
            raise ValueError("l1 and mu must be 0 where update_mini_batch is overridden")
        run = Run(
            self,
            training_data,
            mini_batch_size,
            eta,
            rule,
            stopping,
            held_out=held_out,
            wanted=keys,
            verbose=verbose,
            checkpoint=checkpoint,
            checkpoint_seconds=checkpoint_seconds,
            resume=resume,
            n_threads=n_threads,
        )
        run.go()
        figures = [run.column(key) if asked else [] for key, asked in wanted.items()]
        return figures[0], figures[1], figures[2], figures[3]

    def update_mini_batch(  # type: ignore[override]
        self, mini_batch: Iterable[Any], eta: float, lmbda: float, n: int
    ) -> None:
        """Take one step of gradient descent on mini_batch, tuples (x, y).

        lmbda is the coefficient of the L2 regularisation for n examples of training data.
        """
        self._step(mini_batch, eta, Rule.checked(lmbda, 0.0, 0.0, self.dtype, n))

    def accuracy(self, data: Iterable[Any], convert: bool = False) -> int:
        """Return how many examples have their label as the most active output.

        data holds tuples (x, label) or (x, y), or is a pair of arrays or a Dataset.  The form
        is found out: convert, which the book needs for y, changes nothing.
        """
        return self._evaluate("data", data)

    def total_cost(self, data: Iterable[Any], lmbda: float, convert: bool = False) -> float:
        """Return the mean cost of the examples, plus lmbda / (2 n) times the squared weights.

        data holds n tuples (x, y) or (x, label), or is a pair of arrays or a Dataset.  The
        form is found out: convert, which the book needs for labels, changes nothing.
        """
        rule = Rule.checked(lmbda, 0.0, 0.0, self.dtype)
        mean, n = self._mean_cost("data", data, None if self._core_costs() else self.cost.fn)
        return mean + rule.penalty(self.weights, n)

    def save(self, filename: str | os.PathLike[str]) -> None:
        """Write the network in the book's JSON, or as npz if filename ends so; both are exact.

        The file is replaced in one step, or kept as it was: ValueError if the parameters do
        not fit ``sizes``, OSError if filename cannot be written.
        """
        if os.fspath(filename).endswith(".npz"):
            serialize.save(filename, self._model())
        else:
            serialize.save_json(filename, self._model())

    def _cost_name(self) -> str | None:
        return next((name for name, own in _CORE_COSTS if _is_own(self.cost, own)), None)

    def _saved_cost(self) -> str:
        return (self.cost if isinstance(self.cost, type) else type(self.cost)).__name__

    def _cost_replaced(self) -> bool:
        return self._cost_name() is None

    def _core_costs(self) -> bool:
        by_hand = self._sigmoid_replaced() or self._overrides("feedforward")
        return not by_hand and self._cost_name() is not None

    def _output_error(self, z: Any, a: Any, y: Any) -> Any:
        return self.cost.delta(z, a, y)

    def _update(self, mini_batch: list[Any], eta: float, rule: Rule) -> None:
        self.update_mini_batch(mini_batch, eta, rule.lmbda, rule.n)

    def _count(self, examples: Any, convert: bool) -> int:
        if convert:
            return self.accuracy(examples, convert=True)
        return self.accuracy(examples)  # as the book: an override may know no more

    def _total_cost(self, examples: Any, rule: Rule, convert: bool) -> float:
        if convert:
            cost = self.total_cost(examples, rule.lmbda, convert=True)
        else:
            cost = self.total_cost(examples, rule.lmbda)
        return float(cost) + rule._replace(lmbda=0.0).penalty(
            self.weights, len(accept("data", examples))
        )

    def _lines(self, record: Record, counts: dict[str, tuple[int, int]]) -> list[str]:
        lines = [f"Epoch {record['epoch']} training complete"]
        for kind in ("training", "evaluation"):
            if f"{kind}_cost" in record:
                lines.append(f"Cost on {kind} data: {record[f'{kind}_cost']}")
            if kind in counts:
                correct, n = counts[kind]
                lines.append(f"Accuracy on {kind} data: {correct} / {n}")
        return [*lines, ""]


def load(filename: str | os.PathLike[str]) -> Network:
    """Return the network in a file that ``save``, or the book's own, wrote.

    A cost of one's own is found under its name in this module: assign it first.  Nothing in
    the file is run and no random number is drawn.  Raises FileNotFoundError if there is no
    file, ValueError if it is not a whole model.
    """
    return from_model(serialize.load(filename))


def from_model(model: serialize.Model) -> Network:
    """Return the network of a file's content."""
    name = model.cost or "QuadraticCost"
    cost = globals().get(name)
    if not (isinstance(cost, type) and hasattr(cost, "fn") and hasattr(cost, "delta")):
        raise ValueError(
            f"cost must be the name of a cost in bpnet.network2, got {name!r}: assign "
            f"bpnet.network2.{name} before loading"
        )
    net: Network = empty(Network, model)
    net.cost = cost
    return net


def _is_own(cost: Any, own: tuple[Any, Any, Any]) -> bool:
    """Whether this is the class or an object of it, with its functions as they were."""
    cls, fn, delta = own
    return (cost is cls or type(cost) is cls) and cost.fn is fn and cost.delta is delta


# As they are before anybody assigns to the classes.
_CORE_COSTS = [
    ("quadratic", (QuadraticCost, QuadraticCost.fn, QuadraticCost.delta)),
    ("cross-entropy", (CrossEntropyCost, CrossEntropyCost.fn, CrossEntropyCost.delta)),
]
_STEPS = ("backprop", "update_mini_batch", "feedforward", "accuracy", "total_cost")
Network._own = {step: getattr(Network, step) for step in _STEPS}
