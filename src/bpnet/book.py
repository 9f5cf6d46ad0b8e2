"""What the book's two classes share: methods in the core, or around a script's own steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

import bpcore
from bpnet import byhand, check, data, reference, tracing
from bpnet.mlp import Layers
from bpnet.rules import Step
from bpnet.trainer import ROWS, total_weight

if TYPE_CHECKING:
    from bpnet.check import Array
    from bpnet.predictor import Predictor
    from bpnet.trainer import Parameters

# Its methods take any object that has the parameters and the steps.
_TEXT: Any = reference.Network

# Inputs, and weights, for which loading the weights costs more than to read them each time.
_FEW, _SMALL = 16, 2**15


class Book(Layers):
    """A network whose methods scripts of the book call, and replace.

    The book's text (``reference.Network``) is called with it, not inherited.
    """

    _steps: ClassVar[dict[str, Any]]
    _module: ClassVar[Any]
    _output_error: Callable[[Array, Array, Array], Any]  # BP1 of a class's own cost
    _cost_fn: Callable[[], Any]  # the cost of a and y; None where only the script knows it

    def predictor(self, n_threads: int = 1) -> Predictor:
        """Return what answers as the network does now, ready to be asked: a ``Predictor``.

        Raises ValueError if the parameters do not fit ``sizes``, or if a script's own
        feedforward or sigmoid answers in the place of the core.
        """
        if own := byhand.own_steps(self) & byhand.ANSWERS:
            raise ValueError(f"a predictor answers by bpnet's own {min(own)}, got the script's")
        return super().predictor(n_threads)

    def trace(self, x: Any, y: Any = None) -> tracing.Trace:
        """Return every z and activation of one example, and given y every delta: a ``Trace``.

        As every network's; a script's own sigmoid and cost are what it goes by.  Raises
        ValueError, too, if a script's own feedforward or backprop would answer.
        """
        if own := byhand.own_steps(self) & {"feedforward", "backprop"}:
            raise ValueError(f"trace goes by bpnet's own {min(own)}, got the script's")
        return super().trace(x, y)

    def _functions(self) -> tracing.Functions:
        return tracing.Functions(
            self._hidden, self._hidden_prime, self._output, self._output_error
        )

    def _cost_of(self, examples: Any) -> float | None:
        fn = self._cost_fn()
        if fn is None:
            return None
        if byhand.own_steps(self) & {"cost", *byhand.ANSWERS}:
            return self._mean_cost("examples", examples, fn)[0]
        return super()._cost_of(examples)

    def feedforward(self, a: Any) -> Array:
        """Return the network's output (sizes[-1], 1) for the input a, (sizes[0], 1).

        Several inputs may be the columns of a; the outputs are columns then, too.  A square a
        is read so as well, whatever its rows are: its shape cannot tell, and a warning would be
        wrong for all who do it right.
        """
        if not byhand.sigmoid_replaced(self):
            column = self._column(a)
            if column.ready and column.forward():
                return column.a
        layers = check.layers(self.sizes)
        x = data.as_rows("x", a, layers[0], self.dtype)
        if "sigmoid" in byhand.own_steps(self):
            self._parameters()
            with np.errstate(under="ignore"):
                return _TEXT.feedforward(self, x.T)
        packed = bpcore.Data(bpcore.engine(self.dtype), x, layers[-1])
        return self._in_core(min(len(x), ROWS)).feedforward(packed).T

    def backprop(self, x: Any, y: Any) -> Parameters:
        """Return the gradient of the cost of one example.

        x has shape (sizes[0], 1) and y (sizes[-1], 1); both are converted to the network's
        dtype.  The result (nabla_b, nabla_w) mirrors ``biases`` and ``weights``.  Raises
        ValueError if a shape does not match ``sizes``.

        Equations BP1-BP4, Nielsen, Neural Networks and Deep Learning, ch. 2.
        """
        own = byhand.own_error(self)
        if "sigmoid" not in own:
            column = self._column(x)
            if column.ready and column.forward():
                gradient = self._backward(column, _of(y, self.dtype), "cost" in own)
                if gradient is not None:
                    return gradient
        layers = check.layers(self.sizes)
        x = data.as_column("x", x, layers[0], self.dtype)
        y = data.as_column("y", y, layers[-1], self.dtype)
        if own:
            self._parameters()
            with np.errstate(under="ignore"):
                return _TEXT.backprop(self, x, y)
        packed = bpcore.Data(bpcore.engine(self.dtype), x.T, layers[-1], y=y.T)
        return self._in_core(1).backprop(packed)

    def _column(self, x: Any) -> bpcore.Column:
        """Return an example about to go through the network, if all is of the usual form."""
        engine = bpcore.engine(self.dtype)
        x = _of(x, engine.dtype)
        return bpcore.Column(
            engine,
            self.hidden,
            self.output or "quadratic",
            self.sizes,
            self.biases,
            self.weights,
            x,
        )

    def _backward(self, column: bpcore.Column, y: Any, own_cost: bool) -> Parameters | None:
        """Return the gradient of a column's example; None if y is not of the usual form."""
        if not own_cost:
            return column.backward(y)
        a = column.a
        if not data.is_column(y, len(a), self.dtype):
            return None
        with np.errstate(under="ignore"):
            delta = self._output_error(column.z, a, y)
        return column.backward(_of(delta, self.dtype), True)

    def evaluate(self, test_data: Iterable[Any]) -> int:
        """Return how many examples have their label as the most active output.

        test_data holds tuples (x, label), or is a pair of arrays (X, labels) or a Dataset.
        """
        return self._evaluate("test_data", test_data)

    def _own_answers(self) -> dict[str, str]:
        """Return the names of a script's functions that answer, or did when it was saved."""
        return self._saved_own | byhand.own_answers(self)

    def accuracy(self, data: Iterable[Any], convert: bool = False) -> int:
        """Return how many examples have their label as the most active output.

        data holds tuples (x, label) or (x, y), or is a pair of arrays or a Dataset.  The form
        is found out: convert, which the book needs for y, changes nothing.
        """
        return self._evaluate("data", data)

    def _pack(self, name: str, given: data.Examples, **asked: Any) -> bpcore.Data:
        if beyond := asked.get("beyond"):  # what y may be is the script's own, too
            asked["beyond"] = lambda said: self._learns_its_own_way() or beyond(said)
        return super()._pack(name, given, **asked)

    def _saturates(self) -> bool:
        return not self._learns_its_own_way() and super()._saturates()

    def _learns_its_own_way(self) -> bool:
        return bool(byhand.own_steps(self) & {"update_mini_batch", *byhand.GRADIENT})

    def _answers(self, layers: list[int], xs: list[Any]) -> list[int] | None:
        """Return the most active output for each of a few inputs, if that is the faster way."""
        if sum(n_in * n_out for n_in, n_out in zip(layers, layers[1:])) > _SMALL:
            return None
        columns = list(map(self._column, xs))
        if not all([column.ready and column.forward() for column in columns]):
            return None
        return [int(column.a.argmax()) for column in columns]

    @np.errstate(under="ignore")
    def _evaluate(self, name: str, given: Any) -> int:
        """Return how many examples have their label as the argmax of the outputs."""
        examples, layers = data.accept(name, given), check.layers(self.sizes)
        own = byhand.own_steps(self) & byhand.ANSWERS
        if not own and len(examples) <= _FEW and _are_tuples(given):
            answers = self._answers(layers, [x for x, _ in given])
            if answers is not None:
                labels = examples.labels(name, layers[-1], by_argmax=True)
                return int(np.count_nonzero(labels == answers))
        if own or layers[-1] == 1:
            labels = examples.labels(name, layers[-1], by_argmax=True)
            if not own:  # of one output it is 0, whatever the output
                self._pack(name, examples)
                self._parameters()
                return int(np.count_nonzero(labels == 0))
            pairs = zip((x for x, _ in examples.pairs(layers[-1])), labels)
            return _TEXT.evaluate(self, list(pairs))
        sparse = False if len(examples) <= _FEW else None
        packed = self._pack(name, examples, labels=True, sparse=sparse)
        return self._in_core(min(len(examples), ROWS)).evaluate(packed)

    @np.errstate(under="ignore")
    def _mean_cost(
        self, name: str, given: Any, fn: Callable[[Any, Any], Any] | None
    ) -> tuple[Any, int]:
        """Return the mean cost of n examples, labels being unit vectors, and n.

        The cost is the core's, or fn(a, y) of what feedforward returns.
        """
        examples = data.accept(name, given)
        n = len(examples)
        if fn is None:
            return self._ask(name, examples, cost=True)[0], n
        if not n:
            raise ValueError(f"{name} must hold at least one example, got none")
        self._pack(name, examples, outputs=True)
        pairs = examples.pairs(check.layers(self.sizes)[-1])
        costs = [fn(self.feedforward(x), np.reshape(y, (-1, 1))) for x, y in pairs]
        if examples.weights is not None:
            costs = [w * c for w, c in zip(examples.weights.tolist(), costs)]
        return sum(costs) / total_weight(examples), n

    def _update(self, mini_batch: Iterable[Any], eta: Any, step: Step, n: int) -> None:
        """Take one step of gradient descent on mini_batch: all of it, or nothing."""
        rate, own = check.finite("eta", eta, self.dtype), byhand.own_steps(self)
        if type(mini_batch) is list and len(mini_batch) == 1 and step.is_plain:
            found = None if own & byhand.GRADIENT else self._step_on(mini_batch[0], rate)
            if found is not None:
                self.biases, self.weights = found
                return
        layers = check.layers(self.sizes)
        examples = data.accept("mini_batch", mini_batch)
        packed = self._pack("mini_batch", examples, outputs=True, sparse=False)
        if own & byhand.GRADIENT:
            self._parameters()
            slots = reference.empty_slots(self, step.rule.name)
            pairs = examples.pairs(layers[-1])
            weights = None if examples.weights is None else examples.weights.tolist()
            byhand.step_by_hand(self, pairs, eta, step, n, slots, 1, weights)
            return
        net, m = self._in_core(len(packed)), len(packed)
        net.sgd(packed, bpcore.Order(m), m, rate, l2=step.lmbda / n, l1=step.l1 / n)
        self.biases, self.weights = net.store()

    def _step_on(self, pair: Any, eta: float) -> Parameters | None:
        """Return the parameters after a step on one example, if all is of the usual form."""
        if type(pair) is not tuple or len(pair) != 2:
            return None
        column = self._column(pair[0])
        return column.descend(_of(pair[1], self.dtype), eta) if column.ready else None

    # What the book's text asks of the network.  The sigmoid is the module's, which scripts
    # assign to.

    def _hidden(self, z: Array) -> Array:
        return self._sigmoid_or(reference.ACTIVATIONS[self.hidden][0])(z)

    def _hidden_prime(self, z: Array) -> Array:
        return self._sigmoid_or(reference.ACTIVATIONS[self.hidden][1])(z)

    def _output(self, z: Array) -> Array:
        return self._sigmoid_or(reference.OUTPUTS[self.output or "quadratic"][0])(z)

    def _output_prime(self, z: Array) -> Array:
        return byhand.assigned(self._module, "sigmoid_prime")(z)

    def _sigmoid_or(self, function: Any) -> Any:
        """Return function, in whose place the module's stands if it is a sigmoid."""
        if function in byhand.SIGMOIDS:
            return byhand.assigned(self._module, function.__name__)
        return function


def _are_tuples(given: Any) -> bool:
    """Whether this lists examples as they usually are, and is no pair of arrays."""
    return type(given) is list and all([type(pair) is tuple for pair in given])


def _of(array: Any, dtype: Any) -> Any:
    """Return an array of real numbers as the core takes it, and all else as it is."""
    if type(array) is not np.ndarray or array.dtype.kind not in check.REAL:
        return array
    return check.require(array, dtype)
