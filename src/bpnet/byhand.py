"""The slow path: a script's own steps are called, around the book's text.

A script may replace the steps that its class lists, on a subclass, on the network, or as its
module's ``sigmoid``.  Which of them it did is asked once, when a call starts.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bpnet import check, reference
from bpnet.trainer import Figures, Monitor, Trainer, checked, copies

if TYPE_CHECKING:
    import bpcore
    from bpnet.ahead import Progress
    from bpnet.data import Examples
    from bpnet.rules import Step
    from bpnet.trainer import Parameters

C = TypeVar("C", bound="type[Any]")

# What makes the gradient another than the core's, and what the answers.
GRADIENT = frozenset({"sigmoid", "cost", "backprop"})
ANSWERS = frozenset({"sigmoid", "feedforward"})

SIGMOIDS = (reference.sigmoid, reference.sigmoid_prime)  # which scripts assign to


def steps(*names: str) -> Callable[[C], C]:
    """Return a decorator for a class whose methods of these names scripts may replace."""

    def record(cls: C) -> C:
        own: Any = cls
        own._steps = {name: getattr(cls, name) for name in names}
        own._module = sys.modules[cls.__module__]
        return cls

    return record


def own_steps(net: Any) -> frozenset[str]:
    """Return which steps are the script's own: names of methods, "sigmoid" and "cost".

    "cost" is a derivative of the cost that the core does not have.
    """
    own = {name for name, function in net._steps.items() if _replaced(net, name, function)}
    return frozenset(own | own_error(net))


def own_error(net: Any) -> set[str]:
    """Return which of "sigmoid" and "cost" are the script's own: the error is then another."""
    own = {"sigmoid"} if sigmoid_replaced(net) else set()
    derivative = net._steps.get("cost_derivative")
    if net.output is None or (derivative and _replaced(net, "cost_derivative", derivative)):
        own.add("cost")
    return own


def sigmoid_replaced(net: Any) -> bool:
    """Whether a script has assigned to the sigmoid of net's module, or to its derivative.

    Whoever asks wants to compute: ValueError if the functions that a file's network answered
    by are not there.
    """
    if net._saved_own and (lost := missing(net)):
        raise ValueError(_put_back(net, lost))
    module, (sigmoid, prime) = net._module, SIGMOIDS
    return not (
        module.sigmoid is module.sigmoid_vec is sigmoid
        and module.sigmoid_prime is module.sigmoid_prime_vec is prime
    )


def assigned(module: Any, name: str) -> Any:
    """Return a module's sigmoid, or its derivative, under either of the book's names.

    The book's derivative asks the module for the sigmoid, so it is that of a replaced one.
    """
    function = getattr(module, name)
    if function in SIGMOIDS:
        function = getattr(module, f"{name}_vec")
    if function is not SIGMOIDS[1]:
        return function
    sigmoid = assigned(module, "sigmoid")
    return function if sigmoid is SIGMOIDS[0] else lambda z: sigmoid(z) * (1 - sigmoid(z))


def own_answers(net: Any) -> dict[str, str]:
    """Return the names of the script's functions that answer in the core's place, by step."""
    found, sigmoid = {}, assigned(net._module, "sigmoid")
    rows: list[Any] = [reference.OUTPUTS.get(net.output or "quadratic")]
    rows += [reference.ACTIVATIONS.get(net.hidden)] * (len(net.sizes) > 2)
    if sigmoid is not SIGMOIDS[0] and any(row and row[0] is SIGMOIDS[0] for row in rows):
        found["sigmoid"] = _name(sigmoid)
    if _replaced(net, "feedforward", net._steps["feedforward"]):
        found["feedforward"] = _name(net.feedforward)
    return found


def missing(net: Any) -> dict[str, str]:
    """Return those functions of a file's network in whose place bpnet's own stand."""
    now = own_answers(net)
    return {step: name for step, name in net._saved_own.items() if step not in now}


def take_saved(net: Any, own: dict[str, str] | None) -> None:
    """Note by whose functions a file's network answered, None if it does not say.

    A warning says which of them are not those that are there now.
    """
    if own is None:
        return
    now = own_answers(net)
    if own:
        net._saved_own = own
    if lost := missing(net):
        check.warn(_put_back(net, lost))
    for step, name in now.items():
        if own.get(step) != name:
            check.warn(
                f"the network was saved with {_shown(step, own)}, and answers by "
                f"{_shown(step, now)} now: assign the one that is meant"
            )


def _put_back(net: Any, lost: dict[str, str]) -> str:
    places = {
        "sigmoid": f"{net._module.__name__}.sigmoid, and its derivative to sigmoid_prime",
        "feedforward": "the network's feedforward, or its class to the network's __class__",
    }
    which = " and ".join(_shown(step, lost) for step in lost)
    where = " and ".join(places[step] for step in lost)
    return (
        f"the network was saved with {which}, which a file cannot hold: before it is used, "
        f"assign the function to {where}"
    )


def _shown(step: str, own: dict[str, str]) -> str:
    if step not in own:
        return f"bpnet's {step}"
    return f"the script's {step} {check.printable(own[step])}"


def _name(function: Any) -> str:
    """Return what a function is called where it was defined."""
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    shown = name if isinstance(name, str) else type(function).__name__
    return shown.rpartition("<locals>.")[2]


def _replaced(net: Any, name: str, function: Any) -> bool:
    method = getattr(net, name)
    return getattr(method, "__func__", None) is not function or method.__self__ is not net


@dataclass(frozen=True)
class Calls:
    """How a class of the book's calls its own steps: what they take is not the same."""

    update: Callable[[list[Any], float, int], object]  # (mini_batch, eta, training examples)
    count: Callable[[Any, bool], Any]  # (examples, y are vectors)
    cost: Callable[[Any, bool], Any]  # (examples, y are labels): the mean, with L2


class HandTrainer(Trainer):
    """One pass over the examples at a time, by the script's own steps.

    What the script leaves alone is the core's, as far as that can be: it may count.
    """

    def __init__(
        self,
        net: Any,
        examples: Examples,
        packed: bpcore.Data,
        mini_batch_size: int,
        step: Step,
        n_threads: int,
        shuffle_rows: int | None,
        *,
        calls: Calls,
        own: frozenset[str],
    ):
        self.own, self.calls = own, calls
        self.own_update = "update_mini_batch" in own
        self.by_hand = self.own_update or bool(own & GRADIENT)
        super().__init__(net, examples, packed, mini_batch_size, step, n_threads, shuffle_rows)
        self.steps, self.slots = 0, reference.empty_slots(net, step.rule.name)

    def take(self, examples: Examples, packed: bpcore.Data) -> None:
        """Train on these from now on, which are as many as before."""
        super().take(examples, packed)
        self.pairs = examples.pairs(self.net.sizes[-1]) if self.by_hand else []
        self.weights = examples.weights
        if self.own_update and self.weights is not None:
            raise ValueError(
                "training_data must have no weights where update_mini_batch is overridden"
            )

    def epoch(
        self, eta: float, progress: Progress | None = None
    ) -> tuple[Parameters, Parameters]:
        """Shuffle, and train the network on every example once; see Trainer."""
        if not self.by_hand:
            return super().epoch(eta, progress)
        before = self._parameters()
        with self._shuffled(progress) as progress:
            order = self.order.toarray()
            for k in range(0, self.n, self.m):
                self._update(order[k : k + self.m].tolist(), eta)
                if progress is not None:
                    progress(min(self.m, self.n - k))
        return before, self._parameters()

    def _update(self, picked: list[int], eta: float) -> None:
        mini_batch = [self.pairs[i] for i in picked]
        self.steps += 1
        if self.own_update:
            self.calls.update(mini_batch, eta, self.n)
            return
        weights = None if self.weights is None else self.weights[picked].tolist()
        step_by_hand(
            self.net, mini_batch, eta, self.step, self.n, self.slots, self.steps, weights
        )

    def _parameters(self) -> Parameters:
        """Return copies of the network's parameters: a script's step may write to its own."""
        return copies(self.net._parameters())

    @np.errstate(under="ignore")
    def figures(self, monitor: Monitor) -> Figures:
        """Return what is asked; of a script's own method it is whatever that returns."""
        own, net, training = self.own, self.net, monitor.kind == "training"
        own_cost = bool(own & {"total_cost", "cost", *ANSWERS})
        own_count = bool(own & {"evaluate", "accuracy", *ANSWERS})
        rest = monitor._replace(
            costs=monitor.costs and not own_cost, counts=monitor.counts and not own_count
        )
        if self.by_hand and (rest.costs or rest.counts):
            self.core.load(*self.net._parameters())
        cost, count, penalty = super().figures(rest)
        if monitor.costs and own_cost:
            cost = self.calls.cost(monitor.examples.original, not training)
            n = len(monitor.packed)
            l1 = self.step._replace(lmbda=0.0).penalty(net.weights, n)
            if l1 and check.real(cost) is not None:
                cost = cost + l1
            known = "total_cost" not in own
            penalty = self.step.penalty(net.weights, n) if known else None
        if monitor.counts and own & {"evaluate", "accuracy"}:
            count = self.calls.count(monitor.examples.original, training)
        elif monitor.counts and own_count:
            count = count_by_hand(net, monitor.examples)
        return Figures(cost, count, penalty)

    def _rule_state(self) -> tuple[int, list[Parameters]]:
        if not self.by_hand:
            return super()._rule_state()
        depth = len(self.net.biases)
        kept = [[slot[q] for slot in self.slots] for q in range(self.step.rule.slots)]
        return self.steps, [checked(self.net, (k[:depth], k[depth:])) for k in kept]

    def _restore_rule(self, steps: int, slots: list[Parameters]) -> None:
        if not self.by_hand:
            return super()._restore_rule(steps, slots)
        self.steps = steps
        if slots:
            self.slots = [list(each) for each in zip(*([*b, *w] for b, w in slots))]


def trainer(net: Any, step: Step, calls: Calls, own: frozenset[str]) -> Any:
    """Return what makes the trainer of a run: None, which is the core's, if nothing is own."""
    if not own:
        return None
    if "update_mini_batch" in own and step.rule.name != "plain":
        raise ValueError("rule must be plain where update_mini_batch is overridden")
    if net.output is None:
        _ = net.cost.delta  # an error where a file's cost is not known here

    return functools.partial(HandTrainer, net, calls=calls, own=own)


@np.errstate(under="ignore")
def step_by_hand(
    net: Any,
    mini_batch: list[Any],
    eta: float,
    step: Step,
    n: int,
    slots: list[Any],
    t: int,
    weights: list[float] | None,
) -> None:
    """Take the t-th step around net's own backprop: all of it, or nothing."""
    before = net.biases, net.weights, [list(slot) for slot in slots]
    terms = {"l2": step.lmbda / n, "l1": step.l1 / n, "weights": weights}
    terms |= step.rule.parameters
    try:
        reference.descend(net, mini_batch, eta, step.rule.name, slots, t, **terms)
        net.biases, net.weights = net._parameters()
        for slot in slots:
            slot[:] = [kept.astype(net.dtype, copy=False) for kept in slot]
    except BaseException:
        net.biases, net.weights, slots[:] = before
        raise


@np.errstate(under="ignore")
def count_by_hand(net: Any, examples: Examples) -> int:
    """Return how many examples net's own feedforward classifies rightly.

    One output is a 1 where it is above 1/2; of several, the most active is the answer.
    """
    n_out = net.sizes[-1]
    labels = examples.labels("data", n_out)
    outputs = [net.feedforward(x) for x, _ in examples.pairs(n_out)]
    answers = [float(np.ravel(a)[0]) > 0.5 if n_out == 1 else np.argmax(a) for a in outputs]
    return int(np.count_nonzero(np.array(answers, np.int64) == labels)) if answers else 0
