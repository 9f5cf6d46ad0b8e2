"""The book's Network of chapters 1 and 2, on the compiled core."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from bpnet import reference, serialize
from bpnet.base import BaseNetwork, Rule, filled
from bpnet.reference import sigmoid, sigmoid_prime
from bpnet.stopping import Record, Stopping
from bpnet.training import Run

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


__all__ = ["Network", "load", "np", "random", "sigmoid", "sigmoid_prime"]


class Network(BaseNetwork):
    """A feedforward network of sigmoid neurons, trained by stochastic gradient descent.

    sizes lists the neurons of each layer, input layer first; the object itself becomes the
    attribute ``sizes``.  The attributes biases[l], of shape (sizes[l + 1], 1), and weights[l],
    (sizes[l + 1], sizes[l]), are lists of arrays of dtype, float32 or float64, drawn from the
    standard normal distribution: all biases first, then the weights.  They may be assigned or
    written to between calls; training replaces them by new arrays and never writes to old ones.
    The cost of an example is |a - y|^2 / 2.

    Without a seed, initial values come from the global ``numpy.random`` and shuffles from the
    global ``random``.  With one, the network draws what it would draw after
    ``numpy.random.seed(seed)`` and ``random.seed(seed)``, and leaves the globals alone.

    After a call of ``SGD``, ``history`` is a list of one dict an epoch and ``stopped_by`` names
    the condition that ended it.  ``notes`` may be a dict that JSON can hold: it is saved with
    the network.

    Raises TypeError or ValueError if sizes does not list two or more positive integers, and
    MemoryError if the parameters do not fit.
    """

    _module = sys.modules[__name__]
    _counters = ("evaluate",)

    def __init__(self, sizes: Any, *, dtype: DTypeLike = np.float64, seed: int | None = None):
        self._draw(self._prepare(sizes, dtype, seed), scaled=False)

    def SGD(
        self,
        training_data: Iterable[Any],
        epochs: int,
        mini_batch_size: int,
        eta: float | Callable[[int], float],
        test_data: Iterable[Any] | None = None,
        *,
        lmbda: float = 0.0,
        l1: float = 0.0,
        mu: float = 0.0,
        validation_data: Iterable[Any] | None = None,
        monitor: Collection[str] = (),
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
    ) -> None:
        """Train by mini-batch stochastic gradient descent.

        training_data holds tuples (x, y) of shapes (sizes[0], 1) and (sizes[-1], 1), or is a
        pair of arrays (X, Y) of n rows, Y being (n, sizes[-1]) or n integer labels.  It is
        visited in a new random order each epoch; a list ends up in the last order, as
        ``random.shuffle`` leaves it.  eta is the learning rate, or a function that returns it
        for epoch 0, 1, ....  With test_data, tuples (x, label) or a pair (X, labels), each
        epoch prints how many are classified rightly; validation_data has the same form.  Each
        may be a ``Dataset``: its examples are not converted again, nor reordered.

        A mini-batch of mean gradient g moves weights w of velocity v, at first 0, by
        v = mu v - eta (g + lmbda / n w + l1 / n sgn(w)) and w += v, and biases likewise without
        lmbda and l1; n is the number of training examples (Nielsen, ch. 3).

        Training ends with the first condition that holds after an epoch; ``stopped_by`` says
        which.  "epochs": all are done.  "min_update": the norm of the change of the weights in
        the epoch, relative to theirs, is less.  "max_error": the share of validation_data, or
        else of test_data, that is misclassified is less.  "patience": the best accuracy on
        validation_data is that many epochs old, none since being min_delta better; given
        patience, the network ends with the weights of its best epoch, whatever ends training.
        "max_seconds": they are over.  "callback": callback(network, epoch) returned true.

        Each epoch appends a dict to ``history``: "epoch", "eta", "seconds" (it took), "update"
        (see min_update), accuracies from 0 to 1 as "test_accuracy" and "validation_accuracy" of
        the data given, and what monitor lists beside them: "training_cost",
        "training_accuracy", "validation_cost", "test_cost", which are means over the examples,
        regularisation included.

        verbose is True for the book's lines, False for none, "bar" for lines above a progress
        bar where there is a terminal or a notebook, and tqdm.

        checkpoint names a file to keep the state of the run in, written after an epoch if
        checkpoint_seconds have passed, and at the end; at any moment it is whole.  resume names
        such a file: the run goes on to the same bits as if it had never ended, if it is given
        the same data in the same order and the same arguments.

        n_threads is the most threads to use, of which there are no more than processors;
        results are the same bits for any number.

        Ctrl-C leaves the weights as they are after a whole number of mini-batches.  Raises
        TypeError or ValueError, with nothing changed, if an argument is not as described, and
        FloatingPointError if an epoch leaves weights or biases that are not finite: the network
        is then as it was before that epoch.
        """
        held_out = {"validation": validation_data, "test": test_data}
        held_out = {kind: given for kind, given in held_out.items() if given is not None}
        judge = "validation" if validation_data is not None else "test"
        stopping = Stopping(
            epochs,
            min_update=min_update,
            max_error=max_error,
            patience=patience,
            min_delta=min_delta,
            max_seconds=max_seconds,
            callback=callback,
            held_out=judge,
        )
        if patience is not None and validation_data is None:
            raise ValueError("patience needs validation_data, got None")
        if max_error is not None and judge not in held_out:
            raise ValueError("max_error needs validation_data or test_data, got neither")
        wanted = _history_keys(monitor, held_out)
        if self._cost_replaced() and any(key.endswith("_cost") for key in wanted):
            raise ValueError("monitor must list no cost where cost_derivative is overridden")
        rule = Rule.checked(lmbda, l1, mu, self.dtype)
        if self._overrides("update_mini_batch") and rule != Rule():
            raise ValueError("lmbda, l1 and mu must be 0 where update_mini_batch is overridden")
        Run(
            self,
            training_data,
            mini_batch_size,
            eta,
            rule,
            stopping,
            held_out=held_out,
            wanted=wanted,
            verbose=verbose,
            checkpoint=checkpoint,
            checkpoint_seconds=checkpoint_seconds,
            resume=resume,
            n_threads=n_threads,
        ).go()

    def update_mini_batch(self, mini_batch: Iterable[Any], eta: float) -> None:
        """Take one step of gradient descent on the mean cost of mini_batch, tuples (x, y)."""
        self._step(mini_batch, eta, Rule())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file that ``bpnet.load`` reads, exactly.

        The file is replaced in one step, or kept as it was: ValueError if the parameters do
        not fit ``sizes``, OSError if path cannot be written.
        """
        serialize.save(path, self._model())

    def _cost_name(self) -> str | None:
        return None if self._overrides("cost_derivative") else "quadratic"

    def _saved_names(self) -> dict[str, Any]:
        return {"kind": "Network", "output": "quadratic"}

    def _cost_replaced(self) -> bool:
        return self._overrides("cost_derivative")

    def _update(self, mini_batch: list[Any], eta: float, rule: Rule) -> None:
        self.update_mini_batch(mini_batch, eta)

    def _count(self, examples: Any, convert: bool) -> int:
        if convert and isinstance(examples, list):
            examples = [(x, int(np.argmax(y))) for x, y in examples]
        return self.evaluate(examples)

    def _total_cost(self, examples: Any, rule: Rule, convert: bool) -> float:
        mean, n = self._mean_cost("data", examples, reference.QuadraticCost.fn)
        return mean + rule.penalty(self.weights, n)

    def _lines(self, record: Record, counts: dict[str, tuple[int, int]]) -> list[str]:
        epoch = record["epoch"]
        for kind in ("test", "validation"):
            if kind in counts:
                correct, n = counts[kind]
                return [f"Epoch {epoch}: {correct} / {n}"]
        return [f"Epoch {epoch} complete"]


def load(path: str | os.PathLike[str]) -> Any:
    """Return the network in a file that ``save`` of either Network, or a checkpoint, wrote.

    Of a run with patience it is the best network so far.  Nothing in the file is run and no
    random number is drawn.  Raises FileNotFoundError if there is no file, ValueError if it is
    not a whole model of a version that is known.
    """
    model = serialize.load(path)
    if model.kind == "Network":
        return filled(Network, model)
    from bpnet import network2

    return network2.from_model(model)


def _history_keys(monitor: Collection[str], held_out: Collection[str]) -> set[str]:
    """Return what to record: what monitor lists, and the accuracy on all held-out data."""
    possible = [f"{kind}_{figure}" for kind in ("training", *held_out) for figure in _FIGURES]
    keys = [monitor] if isinstance(monitor, str) else list(monitor)
    for key in keys:
        if key not in possible:
            raise ValueError(f"monitor must list some of {', '.join(possible)}, got {key!r}")
    return {*keys, *(f"{kind}_accuracy" for kind in held_out)}


_FIGURES = ("cost", "accuracy")

# As they are before anybody assigns to the class.
_STEPS = ("cost_derivative", "backprop", "update_mini_batch", "feedforward", "evaluate")
Network._own = {step: getattr(Network, step) for step in _STEPS}
