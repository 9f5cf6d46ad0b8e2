"""A network on its way through its epochs, in the core."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import bpcore
from bpnet import ahead, check

if TYPE_CHECKING:
    from bpnet.ahead import Progress
    from bpnet.check import Array
    from bpnet.data import Examples
    from bpnet.mlp import Layers
    from bpnet.rules import Step

    Parameters = tuple[list[Array], list[Array]]

# Scratch rows for running a network forward over many examples.
ROWS = 32


class Monitor(NamedTuple):
    """Examples to look at after each epoch, and what is asked about them."""

    kind: str  # "training", "test", ...
    examples: Examples
    packed: bpcore.Data
    counts: bool  # how many are classified rightly
    costs: bool  # their mean cost


class Figures(NamedTuple):
    """What is found of a monitor's examples; None where it is not asked for.

    cost and count may be anything where a script's own method returns them.  penalty is what
    regularisation adds to the mean that cost is, or None where nobody knows: a script's own
    total_cost may add what it likes.
    """

    cost: Any
    count: Any
    penalty: float | None


class State(NamedTuple):
    """What a trainer needs beside the parameters to go on to the same bits."""

    order: Array  # int64 (n,)
    generator: tuple[Any, ...]  # of random.Random
    steps: int
    slots: list[Parameters]


class Trainer:
    """One pass over the examples at a time, by one call into the core.

    The network has the parameters whenever no epoch is under way: they may be changed then.
    shuffle_rows is how many rows are shuffled among one another; None: all.
    """

    def __init__(
        self,
        net: Layers,
        examples: Examples,
        packed: bpcore.Data,
        mini_batch_size: int,
        step: Step,
        n_threads: int,
        shuffle_rows: int | None = None,
    ):
        self.net, self.step = net, step
        self.take(examples, packed)
        self.n, self.m = len(packed), mini_batch_size
        self.order, self.source = bpcore.Order(self.n), net._rng or random
        windowed = shuffle_rows is not None and shuffle_rows < self.n
        self.window = shuffle_rows if windowed else None
        self.core = net._core(max(self.m, ROWS), n_threads, step.rule.name)

    def take(self, examples: Examples, packed: bpcore.Data) -> None:
        """Train on these from now on, which are as many as before."""
        self.packed = packed

    def epoch(
        self, eta: float, progress: Progress | None = None
    ) -> tuple[Parameters, Parameters]:
        """Shuffle, and train the network on every example once.

        Return its parameters before and after, checked; not to be written to.
        """
        net, step = self.net, self.step
        before = net._parameters()
        with self._shuffled(progress) as progress:
            self.core.load(*before)
            try:
                self.core.sgd(
                    self.packed,
                    self.order,
                    self.m,
                    eta,
                    l2=step.lmbda / self.n,
                    l1=step.l1 / self.n,
                    parameters=tuple(step.rule.parameters.values()),
                    progress=progress,
                )
            finally:  # whatever looks next finds the trained parameters
                net.biases, net.weights = after = self.core.store()
        return before, after

    @contextlib.contextmanager
    def _shuffled(self, progress: Progress | None) -> Iterator[Progress | None]:
        """Shuffle for an epoch; give what to call with its progress."""
        self.order.shuffle(self.source, self.window)
        if self.window is None:
            yield progress
        else:
            with ahead.asking(self.packed, self.order.windows(), progress) as asking:
                yield asking

    def figures(self, monitor: Monitor) -> Figures:
        """Return what is asked about a monitor's examples, as the network is after an epoch."""
        mean, count = mean_cost_and_count(self.core, monitor)
        if mean is None:
            return Figures(None, count, None)
        with np.errstate(all="ignore"):  # a cost may be infinite
            penalty = self.step.penalty(self.net.weights, len(monitor.packed))
        return Figures(mean + penalty, count, penalty)

    def state(self) -> State:
        """Return what to go on from; see State."""
        return State(self.order.toarray(), self.source.getstate(), *self._rule_state())

    def restore(self, state: State) -> None:
        """Go on from a state; its slots are those of the rule."""
        self.order.assign(state.order)
        self.source.setstate(state.generator)
        self._restore_rule(state.steps, state.slots)

    def _rule_state(self) -> tuple[int, list[Parameters]]:
        return self.core.state()

    def _restore_rule(self, steps: int, slots: list[Parameters]) -> None:
        self.core.restore(steps, slots)


def mean_cost_and_count(core: bpcore.Net, monitor: Monitor) -> tuple[float | None, int | None]:
    """Return the mean cost of examples and how many are classified rightly, as asked.

    The cost is without regularisation.
    """
    costs = np.empty(len(monitor.packed), core.dtype) if monitor.costs else None
    if costs is None and not monitor.counts:
        return None, None
    count = core.evaluate(monitor.packed, costs, count=monitor.counts)
    if costs is None:
        return None, count
    with np.errstate(all="ignore"):  # a cost may be infinite
        mean = float(costs.sum(dtype=np.float64)) / total_weight(monitor.examples)
    return mean, count if monitor.counts else None


def total_weight(examples: Examples) -> float:
    """Return the number of examples, or the sum of their weights."""
    weights = examples.weights
    return len(examples) if weights is None else float(weights.sum(dtype=np.float64))


def finite(arrays: Iterable[Array]) -> bool:
    """Whether all items of a network's parameters are finite."""
    return all([bpcore.engine(array.dtype).are_within(array) for array in arrays])


def copies(parameters: Parameters) -> Parameters:
    """Return arrays that nobody else has."""
    return [b.copy() for b in parameters[0]], [w.copy() for w in parameters[1]]


def checked(net: Any, parameters: Parameters) -> Parameters:
    """Return parameters as arrays of the network's dtype that fit its sizes."""
    return check.parameters(check.layers(net.sizes), *parameters, net.dtype)
