"""A run of training from its arguments to its end: epochs, what is looked at, when it stops."""

from __future__ import annotations

import functools
import math
import os
import time
import zlib
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np

import bpcore
from bpnet import check, data, serialize
from bpnet.stopping import Stopping
from bpnet.supply import Supply
from bpnet.trainer import Monitor, State, Trainer, copies, finite
from bpnet.watching import Watch

if TYPE_CHECKING:
    from bpnet.check import Array
    from bpnet.data import Examples
    from bpnet.mlp import Layers
    from bpnet.rules import Step
    from bpnet.stopping import Record
    from bpnet.trainer import Parameters
    from bpnet.wholefile import Place

    MakeTrainer = Callable[[Examples, bpcore.Data, int, Step, int, int | None], Trainer]


class Options(TypedDict, total=False):
    """What every call that trains takes, and passes on."""

    min_update: float | None  # the least relative change of the weights in an epoch
    max_error: float | None  # the share of held-out examples that may be classified wrongly
    patience: int | None  # epochs in a row without a better one; then the best comes back
    min_delta: float  # how much better it must be
    max_seconds: float | None
    shuffle_rows: int | None  # among how many rows at a time; None: among all
    ahead: bool  # make the next epoch's examples in a thread of their own, meanwhile
    callback: Callable[[Any, int], object] | None  # (net, epoch): true ends training
    # Lines; "bar": above a progress bar; a function of an epoch's record: the line it returns.
    verbose: bool | str | Callable[[Record], str]
    checkpoint: check.AnyFile | None  # a file to keep the run in
    checkpoint_seconds: float  # at most once in that time
    resume: check.AnyFile | None  # a checkpoint to go on from
    n_threads: int  # the most; results are the same bits for any number


# What an epoch's record has of numbers, beside epoch and update, if it has them.
_FIGURES = ("eta", "seconds") + tuple(
    f"{kind}_{figure}"
    for kind in ("training", "validation", "evaluation", "test")
    for figure in ("cost", "accuracy", "penalty")
)

# The runs under way, by network: in a fork's child, those of its parent are not.
# It is a table, and no attribute of the network, since a copy of that is not being trained.
_RUNS: dict[int, Run] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_RUNS.clear)

_STOPPING = ("min_update", "max_error", "patience", "min_delta", "max_seconds", "callback")


class Moment(NamedTuple):
    """What a checkpoint has, as it was between two epochs."""

    parameters: Parameters
    state: State
    history: list[Record]
    seconds: float
    best: Parameters | None


class Run:
    """One run, all of its arguments checked before anything changes.

    held_out are the other examples by the kind of data, as {"test": test_data}; judged_by is
    the kind that max_error and patience look at; wanted are keys of the history, as
    "test_cost".  trainer makes another than the core's own Trainer.  early_stopping_n is the
    book's patience.
    """

    def __init__(
        self,
        net: Layers,
        examples: Any,
        epochs: int,
        mini_batch_size: int,
        eta: float | Callable[[int], float],
        step: Step,
        *,
        held_out: dict[str, Any],
        judged_by: str,
        wanted: Collection[str],
        options: Options,
        name: str = "training_data",
        early_stopping_n: int = 0,
        trainer: MakeTrainer | None = None,
    ):
        for option in options:
            if option not in Options.__annotations__:
                raise TypeError(
                    f"there is no argument {option!r}: beside those that are listed there are "
                    f"{', '.join(Options.__annotations__)}"
                )
        self.net, self.step = net, step
        figure = "accuracy" if net._classifies() else "cost"
        self.stopping = _stopping(
            epochs, f"{judged_by}_{figure}", early_stopping_n, options, held_out
        )
        mini_batch_size = check.integer("mini_batch_size", mini_batch_size, 1)
        n_threads = check.threads(options.get("n_threads", 1))
        shuffle_rows = options.get("shuffle_rows")
        if shuffle_rows is not None:
            shuffle_rows = check.integer("shuffle_rows", shuffle_rows, 1)
        self.history: list[Record] = []
        self.figures: dict[str, list[Any]] = {}  # costs and counts, epoch by epoch
        self.seconds = 0.0  # since the run began, in this process and before
        self.reason: str | None = None  # why it ended
        self.checkpoint, resume = (
            None if options.get(name) is None else check.file(name, options.get(name))
            for name in ("checkpoint", "resume")
        )
        self.checkpoint_seconds = check.not_negative(
            "checkpoint_seconds", options.get("checkpoint_seconds", 0.0)
        )
        if not callable(eta):
            check.finite("eta", eta, net.dtype)
        self.eta = eta

        self.beyond: list[str] = []  # sentences about what the outputs cannot reach
        self.told = 0  # of these
        pack = functools.partial(
            net._pack,
            outputs=True,
            labels="training_accuracy" in wanted,
            in_file=shuffle_rows is not None,
            beyond=self.beyond.append,
        )
        self.supply = supply = Supply(name, examples, pack, options.get("ahead", False))
        self.n = len(supply.packed)
        self.m = min(mini_batch_size, self.n)
        self.monitors = list(self._monitors(held_out, wanted))
        net._parameters()  # an error, if they are one, before anything changes
        make = trainer or functools.partial(Trainer, net)
        self.trainer = make(
            supply.examples, supply.packed, self.m, step, n_threads, shuffle_rows
        )
        self.best: Parameters | None = None
        # Returns the last whole epoch, until the checkpoint has it.
        self.unwritten: Callable[[], serialize.Model] | None = None
        if self.checkpoint is not None:
            _ = self.fingerprint  # while the first epoch's examples are held
        self.saved = None if resume is None else self._checked_checkpoint(resume)
        done = 0 if self.saved is None else len(self.saved[1].state["history"])
        verbose = options.get("verbose", True)
        self.watch = Watch(verbose, self.stopping.epochs * self.n, done * self.n)
        self._tell_beyond()
        data.look_at_scale(name, supply.packed, net._saturates)

    def _monitors(self, held_out: dict[str, Any], wanted: Collection[str]) -> Iterable[Monitor]:
        """Yield what to look at: asked for, or needed to stop."""
        for kind in ("training", *held_out):
            keys = [f"{kind}_cost", f"{kind}_accuracy"]
            needed = self.stopping.judges and self.stopping.judged_by in keys
            cost, count = (
                key in wanted or (needed and key == self.stopping.judged_by) for key in keys
            )
            if not (cost or count):
                continue
            if kind == "training":
                yield Monitor(kind, self.supply.examples, self.supply.packed, count, cost)
                continue
            name = f"{kind}_data"
            again = held_out[kind] is self.supply.given and not self.supply.fresh
            if again:  # it may be an iterator, spent by now
                examples = self.supply.examples
            else:
                examples = data.accept(name, held_out[kind])
            if len(examples):
                packed = self.net._pack(
                    name, examples, outputs=cost, labels=count, beyond=self.beyond.append
                )
                yield Monitor(kind, examples, packed, count, cost)
            elif f"{kind}_cost" in wanted or needed or kind == "evaluation":
                raise ValueError(f"{name} must hold at least one example, got none")
            # else test_data of no example: the book prints "complete" then

    def go(self) -> None:
        """Train until a condition to stop holds.

        Raises RuntimeError, with nothing changed, if another call is training the network.
        """
        key = id(self.net)
        try:
            if _RUNS.setdefault(key, self) is not self:  # asked and taken in one step
                self.watch.close()
                raise RuntimeError(
                    "this network is being trained by another call: wait for it, or train a "
                    "copy"
                )
            self._go()
        finally:
            if _RUNS.get(key) is self:
                del _RUNS[key]

    def _go(self) -> None:
        net = self.net
        try:
            if self.checkpoint is not None:  # an error, if it is one, before anything changes
                self.unwritten = self._first_state
                self._write()
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
                reason = self.reason = self.stopping.reason(self.history, self.seconds)
                if self.checkpoint is not None:
                    self.unwritten = functools.partial(self._state, self._moment())
                    if reason is not None or now - written >= self.checkpoint_seconds:
                        self._write()
                        written = now
            net.stopped_by = reason
            if self.best is not None:
                net.biases, net.weights = self.best
        except BaseException:  # Ctrl-C, too: nothing of a whole epoch is lost
            self._write()
            raise
        finally:
            self.supply.close()
            self.watch.close()
            given, original = self.supply.given, self.supply.examples.original
            if isinstance(given, list) and isinstance(original, list):
                shuffled = map(original.__getitem__, self.trainer.order.tolist())
                given[: self.n] = shuffled  # what was appended meanwhile stays

    def _epoch(self, epoch: int) -> None:
        net, start = self.net, time.perf_counter()
        self._take(epoch)
        eta = self.eta(epoch) if callable(self.eta) else self.eta
        rate = check.finite("eta", eta, net.dtype)
        before, after = self.trainer.epoch(eta, self.watch.advance)
        change = _relative_change(before[1], after[1])
        if not (math.isfinite(change) and finite(after[0])) and not finite(after[0] + after[1]):
            net.biases, net.weights = before
            raise FloatingPointError(
                f"training diverged in epoch {epoch} at eta {rate:g}: there were weights or "
                f"biases that are not finite; the network is as it was before that epoch"
            )
        record: Record = {"epoch": epoch, "eta": rate, "seconds": 0.0, "update": change}
        counts: dict[str, tuple[Any, int]] = {}
        costs: dict[str, Any] = {}
        for monitor in self.monitors:
            kind, n = monitor.kind, len(monitor.packed)
            cost, count, penalty = map(_plain, self.trainer.figures(monitor))
            if monitor.costs:
                costs[kind] = cost
                self._note(record, f"{kind}_cost", cost, 1)
                if penalty is not None and f"{kind}_cost" in record:
                    record[f"{kind}_penalty"] = penalty
            if monitor.counts:
                counts[kind] = count, n
                self._note(record, f"{kind}_accuracy", count, n)
        record["seconds"] = time.perf_counter() - start
        self.history.append(record)
        self._show(record, counts, costs)
        if self.stopping.see(record) and self.stopping.restores:
            self.best = copies((net.biases, net.weights))
        self.stopping.call_back(net, epoch)

    def _tell_beyond(self) -> None:
        """Warn, once in a run, of what the outputs cannot reach."""
        for sentence in self.beyond[self.told : 1]:
            check.warn(sentence)
            self.told = 1

    def _take(self, epoch: int) -> None:
        """Let what trains and what looks at it have the epoch's examples."""
        supply = self.supply
        if not supply.take(epoch, more=epoch + 1 < self.stopping.epochs):
            return
        self._tell_beyond()
        self.trainer.take(supply.examples, supply.packed)
        for i, monitor in enumerate(self.monitors):
            if monitor.kind == "training":
                fresh = monitor._replace(examples=supply.examples, packed=supply.packed)
                self.monitors[i] = fresh

    def _note(self, record: Record, key: str, figure: Any, n: int) -> None:
        """Keep a figure as it is, and what it is of n in the history, if it is a number.

        A script's own accuracy or cost may be anything.
        """
        self.figures.setdefault(key, []).append(figure)
        number = check.real(figure)
        if number is not None:
            record[key] = number / n
        elif self.stopping.judges and self.stopping.judged_by == key:
            raise TypeError(f"{key} must be a number to stop by, got {figure!r}")

    def _show(
        self, record: Record, counts: dict[str, tuple[Any, int]], costs: dict[str, Any]
    ) -> None:
        if self.watch.line is not None:
            self.watch.show(self.watch.line(record))
            return
        if not self.watch.compact:
            for line in self.net._lines(record, counts, costs):
                self.watch.show(line)
            return
        shares = {
            kind: f"{record[f'{kind}_accuracy']:.2%}"
            for kind in counts
            if f"{kind}_accuracy" in record and not (kind == "training" and len(counts) > 1)
        }
        self.watch.show(compact_line(record, counts), **shares)

    # The state between two epochs, to a file and from it

    def _moment(self) -> Moment:
        """Return what a checkpoint has of now; what is trained on writes to none of it."""
        state = self.trainer.state()
        slots = [copies(slot) for slot in state.slots]
        parameters = copies(self.net._parameters())
        history = list(self.history)
        return Moment(parameters, state._replace(slots=slots), history, self.seconds, self.best)

    def _write(self) -> None:
        """Write the checkpoint, if there is an epoch that it lacks; what fails only once."""
        if self.checkpoint is None or self.unwritten is None:
            return
        try:
            serialize.save(self.checkpoint, self.unwritten())
        except Exception:
            self.unwritten = None
            raise
        self.unwritten = None

    def _first_state(self) -> serialize.Model:
        """Return what the checkpoint is before the first epoch: the notes are this run's."""
        if self.saved is None:
            return self._state(self._moment())
        model = self.saved[0]
        return model if self.net.notes is None else model._replace(notes=self.net.notes)

    def _state(self, moment: Moment) -> serialize.Model:
        (biases, weights), (order, generator, steps, slots) = moment[:2]
        rule = self.step.rule
        state = {
            "history": moment.history,
            "seconds": moment.seconds,
            "gauss_next": generator[2],
            "examples": self.fingerprint,
            "parameters": rule.parameters,
        }
        random_state = np.array(generator[1], np.uint32)
        run = serialize.Run(state, order, random_state, rule.name, steps, slots, moment.best)
        return self.net._model(run)._replace(
            biases=biases, weights=weights, stopped_by=self.reason
        )

    def _figures_of(self, history: list[Record]) -> dict[str, list[Any]]:
        figures = {}
        for monitor in self.monitors:
            cost, share = f"{monitor.kind}_cost", f"{monitor.kind}_accuracy"
            n = len(monitor.packed)
            figures[cost] = [record[cost] for record in history if cost in record]
            figures[share] = [_count(record[share], n) for record in history if share in record]
        return figures

    @functools.cached_property
    def fingerprint(self) -> int:
        """A checksum of some of the first epoch's examples, which others would hardly have."""
        checksum = 0
        for i in range(0, self.n, max(1, self.n // 16)):  # a row may be large
            checksum = zlib.crc32(self.supply.packed.rows(i, i + 1).tobytes(), checksum)
        return checksum

    def _checked_checkpoint(self, path: Place) -> tuple[serialize.Model, serialize.Run]:
        """Return the checkpoint in path, which must be of a run like this one.

        Like this one is what its numbers mean nothing without: the network, the examples, the
        rule and its parameters.  How to go on is the caller's: eta, the size of mini-batches,
        regularisation, what to look at and when to stop.
        """
        model, ours = serialize.load(path), self.net._model(None)
        run, name = model.run, check.printable(path)
        parameters, own = self.step.rule.parameters, sorted(ours.own or {})
        if run is None:
            raise ValueError(f"resume must name a checkpoint, got a model: {name}")
        for what, found, wanted in [
            ("sizes", model.sizes, ours.sizes),
            ("dtype", model.weights[0].dtype, self.net.dtype),
            ("hidden", model.hidden, ours.hidden),
            ("cost", model.cost, ours.cost),
            ("output", model.output, ours.output),
            ("functions of a script's", own if model.own is None else sorted(model.own), own),
            ("training examples", len(run.order), self.n),
            ("rule", run.rule, self.step.rule.name),
            ("slots", len(run.slots), self.step.rule.slots),
            ("parameters of the rule", run.state.get("parameters", parameters), parameters),
        ]:
            if found != wanted:
                raise ValueError(
                    f"resume must name a checkpoint of a run with {what} {wanted}, got "
                    f"{check.printable(found):.200}: {name}"
                )
        if not _is_state(run.state) or not _are_steps(run.steps, run.state, self.n):
            raise ValueError(f"resume must name a checkpoint that SGD wrote, got {name}")
        key = self.stopping.judged_by
        if self.stopping.judges and not all(
            type(record.get(key)) is float for record in run.state["history"]
        ):
            raise ValueError(
                f"resume must name a checkpoint of a run that recorded {key}, got {name}"
            )
        if self.stopping.restores and run.state["history"] and run.best is None:
            raise ValueError(
                f"resume must name a checkpoint of a run with patience, got none: {name}"
            )
        if run.state.get("examples") != self.fingerprint:
            order = "in this order (training leaves a list in another)"
            if self.supply.fresh:
                order = "in epoch 0"
            raise ValueError(
                f"resume must name a checkpoint of a run on these training examples {order}, "
                f"got {name}"
            )
        return model, run

    def _restore(self, model: serialize.Model, run: serialize.Run) -> None:
        state = run.state
        generator = 3, tuple(run.random_state.tolist()), state["gauss_next"]
        self.trainer.restore(State(run.order, generator, run.steps, run.slots))
        if self.net.notes is None and model.notes is not None:
            self.net.notes = model.notes
        self.net.biases, self.net.weights = model.biases, model.weights
        self.history, self.seconds = state["history"], state["seconds"]
        self.figures = self._figures_of(self.history)
        self.best = run.best if self.stopping.restores else None
        for record in self.history:
            self.stopping.see(record)


def history_keys(net: Layers, monitor: Collection[str], held_out: Collection[str]) -> set[str]:
    """Return what to record: what monitor lists, and how well all held-out data is answered.

    But for evaluation_data, which is the book's: its flags say what is looked at.
    """
    figures = ("cost", "accuracy") if net._classifies() else ("cost",)
    possible = [f"{kind}_{figure}" for kind in ("training", *held_out) for figure in figures]
    wanted = f"monitor must list some of {', '.join(possible)}"
    if not isinstance(monitor, Iterable):
        raise TypeError(f"{wanted}, got {monitor!r}")
    keys = [monitor] if isinstance(monitor, str) else list(monitor)
    for key in keys:
        if key not in possible:
            raise ValueError(f"{wanted}, got {key!r}")
    return {*keys, *(f"{kind}_{figures[-1]}" for kind in held_out if kind != "evaluation")}


def compact_line(record: Record, counts: dict[str, tuple[Any, int]]) -> str:
    """Return an epoch in one line; counts: (right, of) for each kind of data."""
    line = f"Epoch {record['epoch']}"
    for kind, (right, n) in counts.items():
        if kind != "training" or len(counts) == 1:
            line += f": {right} / {n}"
    if not counts:
        line += " complete"
    for kind in ("training", "validation", "evaluation", "test"):
        if f"{kind}_cost" in record:
            line += f", {kind} cost {record[f'{kind}_cost']:.4g}"
    return line


def _stopping(
    epochs: int,
    judged_by: str,
    early_stopping_n: int,
    options: Options,
    held_out: Collection[str],
) -> Stopping:
    """Return the conditions; ValueError if they look at data that is not given."""
    chosen: dict[str, Any] = {k: v for k, v in options.items() if k in _STOPPING}
    if early_stopping_n is not None and check.integer("early_stopping_n", early_stopping_n) > 0:
        if chosen.get("patience") is not None:
            raise ValueError("early_stopping_n must be 0 where patience is given")
        chosen |= {"patience": early_stopping_n, "patience_name": "early_stopping_n"}
        chosen["restore"] = False
    stopping = Stopping(epochs, judged_by, **chosen)
    kind = judged_by.rsplit("_", 1)[0]
    for name in ("max_error", stopping.patience_name):
        asked = getattr(stopping, "max_error" if name == "max_error" else "patience")
        if asked is not None and kind not in held_out:
            raise ValueError(f"{name} needs {kind}_data, got None")
    return stopping


def _is_state(state: dict[str, Any]) -> bool:
    """Whether this is what Run._state returns, in all that is computed with."""
    history, seconds = state.get("history"), state.get("seconds")
    return (
        isinstance(history, list)
        and all(_is_record(record, epoch) for epoch, record in enumerate(history))
        and type(seconds) is float
        and 0 <= seconds < math.inf
        and isinstance(state.get("gauss_next", ""), (float, type(None)))
    )


def _is_record(record: Any, epoch: int) -> bool:
    """Whether this is an epoch of a history, in which a script may note things of its own."""
    return (
        isinstance(record, dict)
        and type(record.get("epoch")) is int
        and record["epoch"] == epoch
        and type(record.get("update")) is float
        and all(type(record.get(key, 0.0)) is float for key in _FIGURES)
    )


def _are_steps(steps: int, state: dict[str, Any], n: int) -> bool:
    """Whether so many mini-batches may be those of a run; version 1 of the format has 0."""
    return 0 <= steps <= len(state["history"]) * n


def _count(share: float, n: int) -> float:
    """Return share * n as the int that it is; a script's own accuracy need not be one."""
    product = share * n
    counted = round(product) if math.isfinite(product) else 0
    return counted if counted / n == share else product


def _plain(figure: Any) -> Any:
    """Return a number of NumPy's as Python's, and all else as it is."""
    return figure.item() if isinstance(figure, np.generic) else figure


def _relative_change(before: list[Array], after: list[Array]) -> float:
    """Return the norm of the difference, relative to the larger of both norms.

    It is not finite if a weight is not.
    """
    engine = bpcore.engine(after[0].dtype)
    squares = engine.squares(before, after)
    if not 1e-200 < max(squares) < 1e200:  # they would overflow, or underflow
        with np.errstate(all="ignore"):
            largest = max(max(float(w.max()), -float(w.min())) for w in (*before, *after))
            if not 0 < largest < math.inf:
                return 0.0 if largest == 0 else math.nan
            before, after = ([w / largest for w in ws] for ws in (before, after))
        squares = engine.squares(before, after)
    return math.sqrt(squares[2] / max(squares[:2]))
