"""Layers of neurons: their parameters in Python, their arithmetic in the compiled core."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import bpcore
from bpnet import check, data, reference, serialize, summary
from bpnet.gradients import ROWS as GRADIENT_ROWS
from bpnet.gradients import Gradients
from bpnet.predictor import Predictor, pack_inputs
from bpnet.rules import Rule, Step
from bpnet.tracing import Functions, Trace, follow
from bpnet.trainer import ROWS, Monitor, copies, mean_cost_and_count, total_weight
from bpnet.training import Run, compact_line, history_keys

if TYPE_CHECKING:
    from numpy.typing import DTypeLike
    from typing_extensions import Unpack

    from bpnet.check import Array
    from bpnet.stopping import Record
    from bpnet.trainer import Parameters
    from bpnet.training import Options


class Layers:
    """What every network is: parameters that may be looked at and changed between calls."""

    dtype: np.dtype[Any] = np.dtype(np.float64)
    hidden: str = "sigmoid"
    output: str | None = "cross-entropy"  # None: of a cost that the core does not have
    history: list[Record] = []  # noqa: RUF012 - where there was no training yet
    stopped_by: str | None = None
    notes: dict[str, Any] | None = None
    _saved_own: dict[str, str] = {}  # noqa: RUF012 - of a file: a script's functions, by step
    _rng: random.Random | None = None  # shuffles a seeded network; None: the global generator
    _kind: ClassVar[str] = "MLP"  # in a file

    num_layers: int
    sizes: Any
    biases: list[Array]
    weights: list[Array]

    def __repr__(self) -> str:
        """Return what the network is and what it was trained to, in a line."""
        return summary.line(self)

    def summary(self) -> str:
        """Return a table of the layers, and how training ended, as print shows it.

        The text need not be printed at a prompt or at the end of a notebook's cell.  Raises
        ValueError if the parameters do not fit ``sizes``.
        """
        return summary.table(self)

    def save(self, path: check.AnyFile) -> None:
        """Write the network to a file that ``bpnet.load`` reads, exactly.

        path may be a binary file that is open, as ``io.BytesIO``: it is then written to.

        What a file cannot hold is warned of, and the rest saved: a script's own sigmoid or
        feedforward, whose name it keeps, and what of ``history`` is no JSON.

        The file is replaced in one step, or kept as it was: ValueError if the parameters do
        not fit ``sizes``, OSError if path cannot be written.
        """
        serialize.save(check.file("path", path), self._model())

    def predictor(self, n_threads: int = 1) -> Predictor:
        """Return what answers as the network does now, ready to be asked: a ``Predictor``.

        Raises ValueError if the parameters do not fit ``sizes``.
        """
        biases, weights = copies(self._parameters())
        return Predictor(
            self.dtype,
            check.layers(self.sizes),
            biases,
            weights,
            self.hidden,
            self.output or "quadratic",
            n_threads,
        )

    def trace(self, x: Any, y: Any = None) -> Trace:
        """Return every z and activation of one example, and given y every delta: a ``Trace``.

        x has shape (sizes[0], 1) and y (sizes[-1], 1); both are converted to the network's
        dtype.  Given y there are also the cost and its gradient, nabla_b and nabla_w.  What is
        returned prints as a page to look at.  Computed in NumPy, one step after the other, as
        in ``bpnet.reference``: the same as the core to rounding.  Raises ValueError if a shape
        does not match ``sizes``.
        """
        layers = check.layers(self.sizes)
        x = data.as_column("x", x, layers[0], self.dtype).copy()
        if y is not None:
            y = data.as_column("y", y, layers[-1], self.dtype).copy()
        seen = follow(layers, *self._parameters(), self._functions(), x, y)
        if y is not None:
            seen.cost = self._cost_of([(x, y)])
        return seen

    def _functions(self) -> Functions:
        """Return what ``trace`` computes with."""
        hidden: Any = reference.ACTIVATIONS[self.hidden]
        output: Any = reference.OUTPUTS[self.output or "quadratic"]
        return Functions(hidden[0], hidden[1], output[0], output[1].delta)

    def _cost_of(self, examples: Any) -> float | None:
        """Return the mean cost of examples; None if nobody knows what it is."""
        return self._ask("examples", examples, cost=True, beyond=None)[0]

    def _prepare(self, sizes: Any, dtype: DTypeLike, seed: int | None, hidden: str) -> Any:
        """Set all but the parameters; return where these are drawn from."""
        layers, dtype = check.layers(sizes), check.floating(dtype)
        hidden = _row("hidden", hidden, bpcore.engine("float64").activations)
        if seed is not None:
            seed = check.integer("seed", seed, 0, 2**32 - 1)
        check.check_memory(layers)  # before anything is drawn
        self.num_layers = len(layers)
        self.sizes = sizes
        self.biases, self.weights = (
            [],
            [],
        )  # in the order of the book's attributes
        if dtype != Layers.dtype:
            self.dtype = dtype
        if hidden != Layers.hidden:
            self.hidden = hidden
        if seed is None:
            return np.random
        self._rng = random.Random(seed)
        return np.random.RandomState(seed)

    def _draw(
        self, source: Any, divisor: Callable[[int], float] | None, biases: bool = True
    ) -> None:
        """Draw all biases, or leave them 0, then all weights: N(0, 1) over divisor(inputs)."""
        layers, dtype = check.layers(self.sizes), self.dtype
        drawn = [
            (source.randn(n, 1) if biases else np.zeros((n, 1))).astype(dtype, copy=False)
            for n in layers[1:]
        ]
        weights = []
        for n_in, n_out in zip(layers, layers[1:]):
            w = np.empty((n_out, n_in))
            for _, rows in bpcore.blocks(w):  # the same numbers, and Ctrl-C is heard
                rows[...] = source.randn(*rows.shape)
            if divisor is not None:
                w /= divisor(n_in)
            weights.append(w.astype(dtype, copy=False))
        self.biases, self.weights = drawn, weights

    def _classifies(self) -> bool:
        """Whether the answer is the most active output, and there is an accuracy."""
        return self.output is None or bpcore.engine(self.dtype).outputs[self.output] > 0

    def _parameters(self) -> Parameters:
        """Return the parameters as arrays that the core can take; they are checked."""
        layers, biases, weights = check.layers(self.sizes), self.biases, self.weights
        if bpcore.are_parameters(layers, biases, weights, self.dtype):
            return biases[:], weights[:]
        return check.parameters(layers, biases, weights, self.dtype)

    def _core(self, rows: int, n_threads: int = 1, rule: str = "plain") -> bpcore.Net:
        """Return a network of this kind in the core, its parameters zero."""
        return bpcore.Net(
            bpcore.engine(self.dtype),
            check.layers(self.sizes),
            max(rows, 1),
            n_threads,
            hidden=self.hidden,
            output=self.output or "quadratic",
            rule=rule,
        )

    def _in_core(self, rows: int) -> bpcore.Net:
        """Return the network in the core, with the parameters as they are now."""
        net = self._core(rows)
        net.load(*self._parameters())
        return net

    def _pack(self, name: str, given: data.Examples, **asked: Any) -> bpcore.Data:
        layers, engine = check.layers(self.sizes), bpcore.engine(self.dtype)
        return given.pack(name, layers, engine, output=self.output, **asked)

    def _saturates(self) -> bool:
        """Whether large inputs leave the first neurons, as they began, nothing to learn by."""
        if len(check.layers(self.sizes)) == 2:
            reach = bpcore.engine(self.dtype).targets[self.output or "quadratic"]
            return bool(np.isfinite(reach).all())
        slope: Any = reference.ACTIVATIONS[self.hidden][1]
        return bool(np.max(slope(np.array([-30.0, 30.0]))) < 1e-6)

    def _ask(
        self,
        name: str,
        examples: Any,
        *,
        count: bool = False,
        cost: bool = False,
        beyond: Callable[[str], object] | None = check.warn,
    ) -> tuple[float | None, int | None]:
        """Return the mean cost of examples and how many are classified rightly, as asked."""
        given = data.accept(name, examples)
        if cost and not len(given):
            raise ValueError(f"{name} must hold at least one example, got none")
        packed = self._pack(name, given, outputs=cost, labels=count, beyond=beyond)
        monitor = Monitor(name, given, packed, count, cost)
        return mean_cost_and_count(self._in_core(ROWS), monitor)

    def _model(self, run: serialize.Run | None = None) -> serialize.Model:
        """Return what a file holds of the network."""
        layers, (biases, weights) = check.layers(self.sizes), self._parameters()
        return serialize.Model(
            layers,
            biases,
            weights,
            self._kind,
            self.hidden,
            self.output,
            self._cost_class(),
            self.notes,
            self._own_answers(),
            None if run else self.history,  # which is in the run's state
            None if run else self.stopped_by,
            run,
        )

    def _own_answers(self) -> dict[str, str]:
        """Return the names of a script's functions that answer in the place of the core's."""
        return {}

    def _cost_class(self) -> str | None:
        """Return the name of the cost's class in a file; None where the output is enough."""
        return None

    def _lines(
        self, record: Record, counts: dict[str, tuple[Any, int]], costs: dict[str, Any]
    ) -> list[str]:
        """Return what is shown of an epoch; counts: (right, of) for each kind of data."""
        return [compact_line(record, counts)]


class MLP(Layers):
    """A fully connected network: rows of inputs in, rows of outputs out.

    sizes lists the neurons of each layer, input layer first.  hidden is the activation of all
    hidden layers: "sigmoid", "tanh", "relu" or "identity".  output is the last layer, its
    activation and the cost of an example in one:

    - "quadratic": sigmoid, |a - y|^2 / 2, y in [0, 1] (Nielsen, chapter 1);
    - "cross-entropy": sigmoid, -sum(y ln a + (1 - y) ln(1 - a)), y in [0, 1] (chapter 3);
    - "log-likelihood": softmax of two or more, -sum(y ln a), y of sum 1 (chapter 3);
    - "squared": identity, |a - y|^2 / 2, for regression;
    - "poisson": exp, sum(y ln(y / a) - y + a), y at least 0, for counts.

    The first three classify: the most active output is the answer; a single output answers 1
    where it is above 1/2, else 0.  A y outside the range is a ValueError.  ``bpnet.reference``
    has the text of each row.

    The attributes biases[l], of shape (sizes[l + 1], 1), and weights[l], (sizes[l + 1],
    sizes[l]), are lists of arrays of dtype, float32 or float64.  They may be assigned or
    written to between calls; training replaces them by new arrays.  Biases begin at 0, weights
    are drawn from N(0, 1 / inputs), for "relu" N(0, 2 / inputs) (He et al., 2015): from
    ``numpy.random.RandomState(seed)`` where there is a seed, which then also shuffles
    (``random.Random(seed)``), else from the global generators.

    After training, ``history`` is a list of one dict an epoch and ``stopped_by`` names the
    condition that ended it.  ``notes`` may be a dict that JSON can hold.  All three are saved
    with the network.

    Raises TypeError or ValueError if an argument is not as described, MemoryError if the
    parameters do not fit.
    """

    def __init__(
        self,
        sizes: Any,
        *,
        hidden: str = "sigmoid",
        output: str = "cross-entropy",
        dtype: DTypeLike = np.float64,
        seed: int | None = None,
    ):
        self.output = _row("output", output, bpcore.engine("float64").outputs)
        source = self._prepare(sizes, dtype, seed, hidden)
        self._core(1)  # an error, if the output is not for that many neurons
        gain = 2.0 if hidden == "relu" else 1.0
        self._draw(source, lambda n_in: np.sqrt(n_in / gain), biases=False)

    @property
    def classifies(self) -> bool:
        """Whether the output does: there is then an accuracy, not a cost alone."""
        return self._classifies()

    def train(
        self,
        examples: Any,
        epochs: int,
        mini_batch_size: int,
        eta: float | Callable[[int], float],
        *,
        rule: str | Rule = "plain",
        lmbda: float = 0.0,
        l1: float = 0.0,
        validation_data: Any = None,
        monitor: Collection[str] = (),
        **options: Unpack[Options],
    ) -> None:
        """Train by mini-batch gradient descent, in silence unless ``verbose`` is given.

        examples are a pair (X, Y) of n rows, Y being (n, sizes[-1]), or n labels from 0 on, or,
        of one output, n numbers; a ``Dataset``, which may have weights; or a list of tuples (x,
        y) of columns.  X and Y are arrays or what NumPy makes arrays of, as DataFrames and
        lists of rows; X may be a sparse matrix of scipy's.  A y that the output cannot reach is
        a ValueError; inputs so large that no neuron can learn are warned of.  Examples are
        visited in a new random order each epoch.  validation_data has the same form.  eta is
        the learning rate, or a function that returns it for epoch 0, 1, ....

        rule is "plain", "momentum", "nesterov", "adam" or a ``bpnet.Rule``; what it keeps of
        each weight begins at 0 with each call.  lmbda and l1 are the coefficients of the L2 and
        the L1 regularisation: lmbda / n w + l1 / n sgn(w) is added to the gradient of weights.

        Each epoch appends a dict to ``history``: "epoch", "eta", "seconds", "update" (the
        change of the weights, relative to their norm), for validation_data
        "validation_accuracy" (or "validation_cost", where the output does not classify), and
        what monitor lists: "training_cost", "validation_cost", "training_accuracy".  Costs
        include regularisation, and how much it is stands beside each: "training_penalty",
        "validation_penalty"; accuracies, from 0 to 1, do not look at weights of examples.

        options are those of ``bpnet.Network.SGD``: min_update, max_error, patience, min_delta,
        max_seconds, shuffle_rows, ahead, callback, verbose, checkpoint, checkpoint_seconds,
        resume, n_threads; as there, examples may be a function of the epoch.  max_error and
        patience need validation_data; of a network that does not classify they look at its
        cost.  Raises as ``bpnet.Network.SGD`` does.
        """
        held_out = {} if validation_data is None else {"validation": validation_data}
        Run(
            self,
            examples,
            epochs,
            mini_batch_size,
            eta,
            Step.checked(rule, lmbda, l1, self.dtype),
            held_out=held_out,
            judged_by="validation",
            wanted=history_keys(self, monitor, held_out),
            name="examples",
            options={"verbose": False, **options},
        ).go()

    def predict(self, examples: Any) -> Array:
        """Return the outputs (n, sizes[-1]) for n examples.

        examples are rows (n, sizes[0]), or in any form that ``train`` takes; what is desired of
        them is not looked at.
        """
        layers = check.layers(self.sizes)
        packed = pack_inputs("examples", examples, layers, bpcore.engine(self.dtype))
        return self._in_core(ROWS).feedforward(packed)

    def cost(self, examples: Any) -> float:
        """Return the mean cost of examples, over the sum of their weights; no regularisation.

        examples are in any form that ``train`` takes.
        """
        cost, _ = self._ask("examples", examples, cost=True)
        return float(cost or 0.0)

    def count(self, examples: Any) -> int:
        """Return how many examples are classified rightly, whatever their weights.

        Desired outputs in the place of labels stand for their largest; one for whether it is
        above 1/2.  Raises ValueError if the output does not classify.
        """
        if not self._classifies():
            raise ValueError(f"count needs outputs that classify, got {self.output}")
        _, count = self._ask("examples", examples, count=True)
        return int(count or 0)

    def accuracy(self, examples: Any) -> int:
        """Return ``count`` of the examples: as of the book's classes it is no share."""
        return self.count(examples)

    def _pack(self, name: str, given: data.Examples, **asked: Any) -> bpcore.Data:
        return super()._pack(name, given, **asked | {"beyond": _refuse})

    @np.errstate(under="ignore")
    def gradient(self, examples: Any) -> Parameters:
        """Return (nabla_b, nabla_w), the gradient of ``cost`` of the same examples.

        They mirror ``biases`` and ``weights``.  Equations BP1-BP4, Nielsen, ch. 2.
        """
        given = data.accept("examples", examples)
        nabla_b, nabla_w = self._gradients(given, 1)()
        n = self.dtype.type(total_weight(given))
        return [b / n for b in nabla_b], [w / n for w in nabla_w]

    def gradients(self, examples: Any, n_threads: int = 1) -> Gradients:
        """Return what sums gradients over any of the examples, call by call: ``Gradients``.

        examples are in any form that ``train`` takes.  n_threads is the most threads that
        share a call; no bit depends on it.
        """
        n_threads = check.integer("n_threads", n_threads, 1)
        return self._gradients(data.accept("examples", examples), n_threads)

    def _gradients(self, given: data.Examples, n_threads: int) -> Gradients:
        packed = self._pack("examples", given, outputs=True)
        core = self._core(min(len(packed), GRADIENT_ROWS), check.threads(n_threads))
        return Gradients(core, packed, check.layers(self.sizes), self._parameters())


def from_model(model: serialize.Model, cls: type[Layers] = MLP) -> Any:
    """Return the network of a file's content, the best that patience kept."""
    net = cls.__new__(cls)
    net.num_layers, net.sizes = len(model.sizes), model.sizes
    net.biases, net.weights = (model.run and model.run.best) or (model.biases, model.weights)
    engine = bpcore.engine(model.weights[0].dtype)
    if engine.dtype != Layers.dtype:
        net.dtype = engine.dtype
    if model.hidden != Layers.hidden:
        net.hidden = _row("hidden", model.hidden, engine.activations)
    if cls is MLP:
        net.output = _row("output", model.output, engine.outputs)
    if model.notes is not None:
        net.notes = model.notes
    history = model.run.state.get("history") if model.run else model.history
    if history:
        net.history = history
    if model.stopped_by is not None:
        net.stopped_by = model.stopped_by
    return net


def _refuse(sentence: str) -> None:
    raise ValueError(sentence)


def _row(name: str, value: Any, names: Iterable[str]) -> str:
    """Return the name of a table's row; ValueError if there is none."""
    known = list(names)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    return value
