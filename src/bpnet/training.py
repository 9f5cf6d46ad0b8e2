"""A call of SGD from its arguments to its end: epochs, what is looked at, when it stops.

The arithmetic of an epoch is one call into the core, or the book's own code where a step has
been overridden.
"""

from __future__ import annotations

import math
import os
import random
import time
import zlib
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import bpcore
from bpnet import data, serialize
from bpnet.base import ROWS, Rule
from bpnet.watching import Watch

if TYPE_CHECKING:
    from bpnet.base import BaseNetwork, Parameters
    from bpnet.data import Array, Examples
    from bpnet.stopping import Record, Stopping


class _Monitor(NamedTuple):
    """Examples to look at after each epoch, and what is asked about them."""

    kind: str  # "training", "test", ...
    examples: Examples
    packed: bpcore.Data
    accuracy: bool
    cost: bool
    costs: Array  # room for those of the examples, or for none


class Run:
    """One call of SGD, all of its arguments checked before anything changes.

    held_out are the other examples by the kind of data, as {"test": test_data}; wanted are keys
    of the history, as "test_cost".  Where checkpoint is a path, the run is written there after
    an epoch, at most once in checkpoint_seconds, and at its end; resume is such a path to go on
    from.
    """

    def __init__(
        self,
        net: BaseNetwork,
        training_data: Any,
        mini_batch_size: int,
        eta: float | Callable[[int], float],
        rule: Rule,
        stopping: Stopping,
        *,
        held_out: dict[str, Any],
        wanted: Collection[str],
        verbose: Any,
        checkpoint: str | os.PathLike[str] | None,
        checkpoint_seconds: float,
        resume: str | os.PathLike[str] | None,
        n_threads: int,
    ):
        self.net, self.stopping, self.given = net, stopping, training_data
        mini_batch_size = data.integer("mini_batch_size", mini_batch_size, 1)
        n_threads = data.integer("n_threads", n_threads, 1)
        self.history: list[Record] = []
        self.seconds = 0.0  # since the run began, in this process and before
        self.checkpoint = checkpoint
        self.checkpoint_seconds = data.positive("checkpoint_seconds", checkpoint_seconds)
        if not callable(eta):
            data.real("eta", eta, net.dtype)
        self.eta = eta
        self.layers, engine = data.layers(net.sizes), bpcore.engine(net.dtype)

        self.examples = data.accept("training_data", training_data)
        looked_at = {"training_cost", "training_accuracy"} & set(wanted)
        self.training = self.examples.pack(
            "training_data", self.layers, engine, outputs=True, labels=bool(looked_at)
        )
        self.n = len(self.training)
        self.m = min(mini_batch_size, self.n)
        self.rule = rule._replace(n=self.n)
        self.monitors = list(self._monitors(held_out, wanted, engine))

        # Which steps are overridden is looked up once.
        self.own_update = net._overrides("update_mini_batch")
        self.by_hand = self.own_update or net._gradient_by_hand()
        self.count_by_hand = net._counts_by_hand()
        self.cost_by_hand = self.count_by_hand or net._cost_name() is None
        self.pairs = self.examples.pairs(self.layers[-1]) if self.by_hand else []

        threads = min(n_threads, os.cpu_count() or 1)
        self.core = net._load(self.layers, max(self.m, ROWS), threads)
        self.order, self.source = bpcore.Order(self.n), net._rng or random
        self.velocity: bpcore.Net | None = None
        self.hand_velocity: Parameters | None = None
        if rule.mu and self.by_hand:
            self.hand_velocity = _zeros(net.biases), _zeros(net.weights)
        elif rule.mu:
            self.velocity = bpcore.Net(engine, self.layers, 1, threads)
        self.best: Parameters | None = None
        self.saved = None if resume is None else self._read(resume)
        done = 0 if self.saved is None else len(self.saved[1].state["history"])
        self.watch = Watch(verbose, stopping.epochs * self.n, done * self.n)

    def _monitors(
        self, held_out: dict[str, Any], wanted: Collection[str], engine: bpcore.Engine
    ) -> Any:
        """Yield what to look at: asked for, counted anyway, or needed to stop."""
        for kind in ("training", *held_out):
            cost, accuracy = f"{kind}_cost" in wanted, f"{kind}_accuracy" in wanted
            needed = kind == self.stopping.held_out and self.stopping.needs_accuracy
            if not (cost or accuracy or needed):
                continue
            if kind == "training":
                costs = np.empty(self.n if cost else 0, self.net.dtype)
                yield _Monitor(kind, self.examples, self.training, accuracy, cost, costs)
                continue
            name = f"{kind}_data"
            if held_out[kind] is self.given:  # which may be an iterator, spent by now
                examples = self.examples
            else:
                examples = data.accept(name, held_out[kind])
            packed = examples.pack(name, self.layers, engine, outputs=cost, labels=True)
            if len(packed):
                costs = np.empty(len(packed) if cost else 0, self.net.dtype)
                yield _Monitor(kind, examples, packed, accuracy or needed, cost, costs)
            elif cost or needed or kind == "evaluation":
                raise ValueError(f"{name} must hold at least one example, got none")
            # else test_data of no example: the book prints "complete" then

    def go(self) -> None:
        """Train until a condition to stop holds."""
        net = self.net
        try:
            if self.checkpoint is not None:  # an error, if it is one, before anything changes
                serialize.remove_leftovers(self.checkpoint)
                serialize.save(self.checkpoint, self.saved[0] if self.saved else self._state())
            if self.saved is not None:
                self._restore(*self.saved)
            net.history, net.stopped_by = self.history, None
            written = time.perf_counter()
            start = written - self.seconds
            reason = self.stopping.reason(self.history, self.seconds)
            while reason is None:
                self._epoch(len(self.history))
                now = time.perf_counter()
                self.seconds = now - start
                reason = self.stopping.reason(self.history, self.seconds)
                if self.checkpoint is not None and (
                    reason is not None or now - written >= self.checkpoint_seconds
                ):
                    serialize.save(self.checkpoint, self._state())
                    written = now
            net.stopped_by = reason
            if self.best is not None:
                net.biases, net.weights = self.best
        finally:
            self.watch.close()
            if isinstance(self.given, list):
                shuffled = [self.examples.original[i] for i in self.order.tolist()]
                self.given[: self.n] = shuffled  # what was appended meanwhile stays

    def _epoch(self, epoch: int) -> None:
        net, start = self.net, time.perf_counter()
        eta = self.eta(epoch) if callable(self.eta) else self.eta
        rate = data.real("eta", eta, net.dtype)
        before = data.parameters(self.layers, net.biases, net.weights, net.dtype)
        self.order.shuffle(self.source)
        if self.by_hand:
            before = _copies(before)  # a hook may write into the network's own
            self._train_by_hand(eta)
        else:
            self._train(before, rate)
        after = data.parameters(self.layers, net.biases, net.weights, net.dtype)
        if not all(np.isfinite(array).all() for array in (*after[0], *after[1])):
            net.biases, net.weights = before
            raise FloatingPointError(
                f"training diverged in epoch {epoch} at eta {rate:g}: there were weights or "
                f"biases that are not finite; the network is as it was before that epoch"
            )
        update = _update(before[1], after[1])
        record: Record = {"epoch": epoch, "eta": rate, "seconds": 0.0, "update": update}
        counts: dict[str, tuple[int, int]] = {}
        if self.monitors and self.by_hand:
            self.core.load(*after)
        for monitor in self.monitors:
            self._look(monitor, record, counts)
        record["seconds"] = time.perf_counter() - start
        self.history.append(record)
        self._show(record, counts)
        if self.stopping.see(record) and self.stopping.restores:
            self.best = _copies((net.biases, net.weights))
        self.stopping.call_back(net, epoch)

    def _train(self, before: Parameters, rate: float) -> None:
        self.core.load(*before)
        try:
            self.core.sgd(
                self.training,
                self.order,
                self.m,
                rate,
                l2=self.rule.lmbda / self.n,
                l1=self.rule.l1 / self.n,
                mu=self.rule.mu,
                velocity=self.velocity,
                progress=self.watch.advance,
            )
        finally:  # whatever looks next finds the trained parameters
            self.net.biases, self.net.weights = self.core.store()

    def _train_by_hand(self, eta: float) -> None:
        net, order = self.net, self.order.tolist()
        for k in range(0, self.n, self.m):
            mini_batch = [self.pairs[i] for i in order[k : k + self.m]]
            if self.own_update:
                net._update(mini_batch, eta, self.rule)
            else:
                net._step(mini_batch, eta, self.rule, self.hand_velocity)
            if self.watch.advance is not None:
                self.watch.advance(len(mini_batch))

    def _look(
        self, monitor: _Monitor, record: Record, counts: dict[str, tuple[int, int]]
    ) -> None:
        """Add what is asked about some examples to the record of an epoch."""
        net, kind, n = self.net, monitor.kind, len(monitor.packed)
        is_training = kind == "training"
        costs, correct = None, 0
        if monitor.cost and not self.cost_by_hand:
            costs = monitor.costs
        if costs is not None or (monitor.accuracy and not self.count_by_hand):
            correct = self.core.evaluate(monitor.packed, costs)
        if costs is not None:
            mean = float(costs.sum(dtype=np.float64)) / n
            record[f"{kind}_cost"] = mean + self.rule.penalty(net.weights, n)
        elif monitor.cost:
            cost = net._total_cost(
                monitor.examples.original, self.rule, convert=not is_training
            )
            record[f"{kind}_cost"] = cost
        if monitor.accuracy:
            if self.count_by_hand:
                correct = net._count(monitor.examples.original, convert=is_training)
            counts[kind] = correct, n
            record[f"{kind}_accuracy"] = correct / n

    def column(self, key: str) -> list[Any]:
        """Return a figure of each epoch that recorded it, an accuracy as a count."""
        sizes = {monitor.kind: len(monitor.packed) for monitor in self.monitors}
        kind, figure = key.split("_")
        values = [record[key] for record in self.history if key in record]
        if figure == "cost":
            return values
        return [_count(value, sizes[kind]) for value in values]

    def _show(self, record: Record, counts: dict[str, tuple[int, int]]) -> None:
        if not self.watch.compact:
            for line in self.net._lines(record, counts):
                self.watch.show(line)
            return
        shown = f"Epoch {record['epoch']}"
        figures = {}
        for kind, (correct, n) in counts.items():
            if kind == "training" and len(counts) > 1:
                continue
            shown += f": {correct} / {n}"
            figures[kind] = f"{correct / n:.2%}"
        if not counts:
            shown += " complete"
        for kind in ("training", "validation", "evaluation", "test"):
            if f"{kind}_cost" in record:
                shown += f", {kind} cost {record[f'{kind}_cost']:.4g}"
        self.watch.show(shown, **figures)

    # The state between two epochs, to a file and from it

    def _state(self) -> serialize.Model:
        _, words, gauss_next = self.source.getstate()
        state = {
            "history": self.history,
            "seconds": self.seconds,
            "gauss_next": gauss_next,
            "examples": self._fingerprint(),
        }
        velocity = self.hand_velocity
        if self.velocity is not None:
            velocity = self.velocity.store()
        order = np.array(self.order.tolist(), np.int64)
        run = serialize.Run(state, order, np.array(words, np.uint32), velocity, self.best)
        return self.net._model(run)

    def _fingerprint(self) -> int:
        """Return a checksum of some examples, which another order would hardly have."""
        some = range(0, self.n, max(1, self.n // 16))
        return zlib.crc32(b"".join(self.training.rows(i, i + 1).tobytes() for i in some))

    def _read(self, path: str | os.PathLike[str]) -> tuple[serialize.Model, serialize.Run]:
        """Return the checkpoint in path, which must be of a run like this one."""
        model, ours = serialize.load(path), self.net._model(None)
        run, name = model.run, os.fspath(path)
        if run is None:
            raise ValueError(f"resume must name a checkpoint, got a model: {name}")
        for what, found, wanted in [
            ("sizes", model.sizes, ours.sizes),
            ("dtype", model.weights[0].dtype, self.net.dtype),
            ("cost", model.cost, ours.cost),
            ("training examples", len(run.order), self.n),
            ("momentum", run.velocity is not None, bool(self.rule.mu)),
        ]:
            if found != wanted:
                raise ValueError(
                    f"resume must name a checkpoint of a run with {what} {wanted}, got {found}"
                    f": {name}"
                )
        if not _is_state(run.state):
            raise ValueError(f"resume must name a checkpoint that SGD wrote, got {name}")
        if self.stopping.needs_accuracy:
            key = f"{self.stopping.held_out}_accuracy"
            if not all(type(record.get(key)) is float for record in run.state["history"]):
                raise ValueError(
                    f"resume must name a checkpoint of a run that recorded {key}, got {name}"
                )
        if self.stopping.restores and run.state["history"] and run.best is None:
            raise ValueError(
                f"resume must name a checkpoint of a run with patience, got none: {name}"
            )
        if run.state.get("examples") != self._fingerprint():
            raise ValueError(
                f"resume must name a checkpoint of a run on these training examples in this "
                f"order (training leaves a list in another), got {name}"
            )
        return model, run

    def _restore(self, model: serialize.Model, run: serialize.Run) -> None:
        state = run.state
        if self.net.notes is None and model.notes is not None:
            self.net.notes = model.notes
        self.net.biases, self.net.weights = model.biases, model.weights
        self.history, self.seconds = state["history"], state["seconds"]
        self.best = run.best if self.stopping.restores else None
        self.order.assign(run.order)
        self.source.setstate((3, tuple(run.random_state.tolist()), state["gauss_next"]))
        if self.velocity is not None and run.velocity is not None:
            self.velocity.load(*run.velocity)
        self.hand_velocity = self.hand_velocity and run.velocity
        for record in self.history:
            self.stopping.see(record)


def _is_state(state: dict[str, Any]) -> bool:
    """Whether this is what Run._state returns, in all that is computed with."""
    history = state.get("history")
    return (
        isinstance(history, list)
        and all(
            isinstance(record, dict)
            and record.get("epoch") == epoch
            and type(record.get("update")) is float
            for epoch, record in enumerate(history)
        )
        and type(state.get("seconds")) is float
        and state["seconds"] >= 0
        and isinstance(state.get("gauss_next"), (float, type(None)))
    )


def _count(share: float, n: int) -> float:
    """Return share * n as the int that it is; a script's own accuracy need not be one."""
    counted = round(share * n)
    return counted if counted / n == share else share * n


def _zeros(arrays: list[Array]) -> list[Array]:
    return [np.zeros_like(array) for array in arrays]


def _copies(parameters: Parameters) -> Parameters:
    return [b.copy() for b in parameters[0]], [w.copy() for w in parameters[1]]


def _update(before: list[Array], after: list[Array]) -> float:
    """Return the norm of the difference, relative to the larger of both norms."""
    largest = max(max(float(w.max()), -float(w.min())) for w in (*before, *after))
    if not largest:
        return 0.0
    if not 1e-100 < largest < 1e100:  # squares would overflow, or all of them underflow
        before, after = ([w / largest for w in ws] for ws in (before, after))
    moved = _norm(np.subtract(new, old, dtype=np.float64) for old, new in zip(before, after))
    return moved / max(_norm(before), _norm(after))


def _norm(arrays: Iterable[Array]) -> float:
    return math.sqrt(sum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays))
