"""The book's Network of chapters 1 and 2, on the compiled core."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from bpnet import byhand, check, mlp, reference, serialize
from bpnet.book import Book
from bpnet.reference import sigmoid, sigmoid_prime
from bpnet.rules import Rule, Step
from bpnet.training import Run, history_keys

if TYPE_CHECKING:
    from numpy.typing import DTypeLike
    from typing_extensions import Unpack

    from bpnet.check import Array
    from bpnet.stopping import Record
    from bpnet.training import Options


__all__ = [
    "Network",
    "load",
    "np",
    "random",
    "sigmoid",
    "sigmoid_prime",
    "sigmoid_prime_vec",
    "sigmoid_vec",
]

sigmoid_vec, sigmoid_prime_vec = sigmoid, sigmoid_prime  # the book's names until 2015


@byhand.steps("cost_derivative", "backprop", "update_mini_batch", "feedforward", "evaluate")
class Network(Book):
    """A feedforward network of sigmoid neurons, trained by stochastic gradient descent.

    sizes lists the neurons of each layer, input layer first; the object itself becomes the
    attribute ``sizes``.  The attributes biases[l], of shape (sizes[l + 1], 1), and weights[l],
    (sizes[l + 1], sizes[l]), are lists of arrays of dtype, float32 or float64, drawn from the
    standard normal distribution: all biases first, then the weights.  They may be assigned or
    written to between calls; training replaces them by new arrays and never writes to old ones.
    The cost of an example is |a - y|^2 / 2.  hidden may be another activation of the hidden
    layers than the sigmoid: "tanh", "relu" or "identity".

    Without a seed, initial values come from the global ``numpy.random`` and shuffles from the
    global ``random``.  With one, the network draws what it would draw after
    ``numpy.random.seed(seed)`` and ``random.seed(seed)``, and leaves the globals alone.

    After a call of ``SGD``, ``history`` is a list of one dict an epoch and ``stopped_by`` names
    the condition that ended it.  ``notes`` may be a dict that JSON can hold.  All three are
    saved with the network.

    Raises TypeError or ValueError if sizes does not list two or more positive integers, and
    MemoryError if the parameters do not fit.
    """

    output = "quadratic"
    _kind = "Network"

    def __init__(
        self,
        sizes: Any,
        *,
        hidden: str = "sigmoid",
        dtype: DTypeLike = np.float64,
        seed: int | None = None,
    ):
        self._draw(self._prepare(sizes, dtype, seed, hidden), None)

    def SGD(
        self,
        training_data: Iterable[Any] | Callable[[int], Any],
        epochs: int,
        mini_batch_size: int,
        eta: float | Callable[[int], float],
        test_data: Iterable[Any] | None = None,
        *,
        rule: str | Rule = "plain",
        mu: float = 0.0,
        lmbda: float = 0.0,
        l1: float = 0.0,
        validation_data: Iterable[Any] | None = None,
        monitor: Collection[str] = (),
        **options: Unpack[Options],
    ) -> None:
        """Train by mini-batch stochastic gradient descent.

        training_data holds tuples (x, y) of shapes (sizes[0], 1) and (sizes[-1], 1), or is a
        pair (X, Y) of n rows, Y being (n, sizes[-1]) or n labels: arrays, or what NumPy makes
        arrays of, as DataFrames and lists of rows; X may be a sparse matrix of scipy's.  A y
        that the outputs cannot reach, and inputs so large that neurons saturate, are warned of,
        once a call.  The data is visited in a new random order each epoch; a list ends up in
        the last order, as ``random.shuffle`` leaves it.  eta is the learning rate, or a
        function that returns it for epoch 0, 1, ....  With test_data, tuples (x, label) or a
        pair (X, labels), each epoch prints how many are classified rightly; validation_data has
        the same form, and is what is printed where there is no test_data.  Each may be a
        ``Dataset``: its examples are not converted again, nor reordered.

        What is printed, recorded and stopped by takes a single output for 1 where it is above
        1/2, else for 0; ``evaluate``, called by hand, is the book's argmax.

        rule is "plain", "momentum", "nesterov", "adam" or a ``bpnet.Rule``.  It moves weights w
        by eta and g, which is the mean gradient of a mini-batch plus lmbda / n w +
        l1 / n sgn(w), and biases by the mean gradient alone; n is the number of training
        examples.  mu, unless 0, makes "plain" chapter 3's momentum, v = mu v - eta g, w += v,
        and is the mu of "momentum" and "nesterov".  v begins at 0 with each call.

        options are what every call of training takes: min_update, max_error, patience,
        min_delta, max_seconds, shuffle_rows, ahead, callback, verbose, checkpoint,
        checkpoint_seconds, resume and n_threads.

        training_data may be a function: called with epoch 0, 1, ..., it returns what that epoch
        trains on, in any of these forms and always as many examples, as fresh distortions of
        images (``bpnet.distort``).  With ahead it is called, and what it returns packed, in a
        thread of its own while the epoch before is trained on; the bits are the same if they
        depend on the epoch alone, and on no generator that shuffles.  A run that is resumed
        begins with a call for epoch 0, to see that it is on the same examples, and goes on to
        the same bits where each epoch's are again the same.

        Training ends with the first condition that holds after an epoch; ``stopped_by`` says
        which.  "epochs": all are done.  "min_update": the norm of the change of the weights in
        the epoch, relative to theirs, is less.  "max_error": the share of validation_data, or
        else of test_data, that is misclassified is less.  "patience": the best accuracy on
        validation_data is that many epochs old, none since being min_delta better; given
        patience, the network ends with the weights of its best epoch, whatever ends training.
        "max_seconds": they are over.  "callback": callback(net, epoch) returned true.

        Each epoch appends a dict to ``history``: "epoch", "eta", "seconds" (it took), "update"
        (see min_update), accuracies from 0 to 1 as "test_accuracy" and "validation_accuracy" of
        the data given, and what monitor lists beside them: "training_cost",
        "training_accuracy", "validation_cost", "test_cost".  Costs are means over the examples,
        regularisation included; how much that is stands beside each, as "training_penalty".

        verbose is True for the book's lines, False for none, "bar" for lines above a progress
        bar where there is a terminal or a notebook, and tqdm; or a function, which returns such
        a line for an epoch's dict of history.

        checkpoint names a file to keep the state of the run in, written after each epoch, or
        after one that ends checkpoint_seconds or more after the last was written, and at the
        end, whatever ends the run; at any moment it is whole.  resume names such a file: the
        run goes on to the same bits as if it had never ended, if it is given the same data in
        the same order and the same arguments.  Either may be a binary file that is open, as
        ``io.BytesIO``.

        shuffle_rows, for data larger than memory in a mapped file, is a number of rows of which
        five times as many fit in memory, a window: each epoch shuffles blocks of consecutive
        rows, 256 of which make a window, and then the rows of each window, beginning from their
        own order.  The file is read where it is, and asked for a window ahead.  A number that
        is no less than that of the examples is as None, which shuffles all rows.

        n_threads is the most threads to use, and no more than processors are; results are the
        same bits for any number.

        Ctrl-C leaves the weights as they are after a whole number of mini-batches.  Raises
        TypeError or ValueError, with nothing changed, if an argument is not as described,
        RuntimeError if another call is training the network, also one that calls this, and
        FloatingPointError if an epoch leaves weights or biases that are not finite: the network
        is then as it was before that epoch.
        """
        held_out = {"validation": validation_data, "test": test_data}
        held_out = {kind: given for kind, given in held_out.items() if given is not None}
        judge = "validation" if validation_data is not None else "test"
        if options.get("patience") is not None and validation_data is None:
            raise ValueError("patience needs validation_data, got None")
        if options.get("max_error") is not None and judge not in held_out:
            raise ValueError("max_error needs validation_data or test_data, got neither")
        own, wanted = byhand.own_steps(self), history_keys(self, monitor, held_out)
        if "cost" in own and any(key.endswith("_cost") for key in wanted):
            raise ValueError("monitor must list no cost where cost_derivative is overridden")
        step = Step.checked(rule, lmbda, l1, self.dtype, mu)
        if "update_mini_batch" in own and (lmbda or l1 or mu):
            raise ValueError("lmbda, l1 and mu must be 0 where update_mini_batch is overridden")
        calls = byhand.Calls(
            lambda mini_batch, eta, _: self.update_mini_batch(mini_batch, eta),
            self._call_evaluate,
            lambda examples, _: self._quadratic_cost(examples, step),
        )
        Run(
            self,
            training_data,
            epochs,
            mini_batch_size,
            eta,
            step,
            held_out=held_out,
            judged_by=judge,
            wanted=wanted,
            options=options,
            trainer=byhand.trainer(self, step, calls, own),
        ).go()

    def update_mini_batch(self, mini_batch: Iterable[Any], eta: float) -> None:
        """Take one step of gradient descent on the mean cost of mini_batch, tuples (x, y)."""
        self._update(mini_batch, eta, Step(Rule()), 1)

    def cost_derivative(self, output_activations: Any, y: Any) -> Array:
        """Return dC/da of the output layer, for the quadratic cost |a - y|^2 / 2."""
        return output_activations - y

    def _output_error(self, z: Array, a: Array, y: Array) -> Array:
        slope = self._output_prime(z) if byhand.sigmoid_replaced(self) else a * (1 - a)
        return self.cost_derivative(a, y) * slope  # BP1

    def _cost_fn(self) -> Any:
        return None if "cost" in byhand.own_error(self) else reference.QuadraticCost.fn

    def _call_evaluate(self, examples: Any, vectors: bool) -> Any:
        if vectors and isinstance(examples, list):
            one = self.sizes[-1] == 1  # which is a 1 where it is above 1/2
            examples = [(x, int(np.sum(y) > 0.5 if one else np.argmax(y))) for x, y in examples]
        return self.evaluate(examples)

    def _quadratic_cost(self, examples: Any, step: Step) -> Any:
        """Return the mean cost, with L2 as chapter 3's total_cost."""
        mean, n = self._mean_cost("data", examples, reference.QuadraticCost.fn)
        return mean + step._replace(l1=0.0).penalty(self.weights, n)

    def _lines(
        self, record: Record, counts: dict[str, tuple[Any, int]], costs: dict[str, Any]
    ) -> list[str]:
        epoch = record["epoch"]
        for kind in ("test", "validation"):
            if kind in counts:
                correct, n = counts[kind]
                return [f"Epoch {epoch}: {correct} / {n}"]
        return [f"Epoch {epoch} complete"]


def load(path: check.AnyFile) -> Any:
    """Return the network in a file that ``save`` of any class, or a checkpoint, wrote.

    Of a run with patience it is the best network so far.  Nothing in the file is run and no
    random number is drawn.  A network that answered by a script's own sigmoid or feedforward is
    warned of, and refuses to answer until the function is there again.

    Raises FileNotFoundError if there is no file, ValueError if it is not a whole model of a
    version that is known.
    """
    model = serialize.load(check.file("path", path))
    if model.kind == "Network2":
        from bpnet import network2

        return network2.from_model(model)
    if model.kind != "Network":
        return mlp.from_model(model)
    net = mlp.from_model(model, Network)
    byhand.take_saved(net, model.own)
    return net
