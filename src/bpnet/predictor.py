"""A network's answers, ready to be asked for from any thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import bpcore
from bpnet import check, data

if TYPE_CHECKING:
    from bpnet.check import Array

# Scratch rows: fewer make many examples slower, more do not make them faster.
ROWS = 512


class Predictor:
    """What a network answers, as it was when this was made: nothing changes it any more.

    It is called with rows and returns the outputs (n, sizes[-1]) of the network's dtype.  The
    parameters are kept in the core's form, so that a call costs what it computes; any number
    of threads may call at the same time.  It can be pickled.

        predictor = net.predictor()
        probabilities = predictor(X)

    n_threads is the most threads that share the rows of one call; the results are the same
    bits for any number, and for any rows beside a row.
    """

    def __init__(
        self,
        dtype: Any,
        sizes: list[int],
        biases: list[Array],
        weights: list[Array],
        hidden: str,
        output: str,
        n_threads: int = 1,
    ):
        n_threads = check.integer("n_threads", n_threads, 1)
        self._made_of = dtype, sizes, biases, weights, hidden, output, n_threads
        self._engine = bpcore.engine(dtype)
        # A network in the core serves one call at a time: each thread takes one that is free.
        self._free = [self._new()]

    def __call__(self, examples: Any) -> Array:
        """Return the outputs (n, sizes[-1]) for n examples.

        examples are rows (n, sizes[0]), or in any form that ``MLP.train`` takes; what is
        desired of them is not looked at.  Raises ValueError if an input is NaN.
        """
        packed = self._pack(examples)
        try:
            net = self._free.pop()
        except IndexError:
            net = self._new()
        try:
            outputs = net.feedforward(packed)
        finally:
            self._free.append(net)
        if np.isnan(outputs).any():  # which a NaN always comes to: cheaper than all inputs
            pack_inputs("examples", examples, self._made_of[1], self._engine)
        return outputs

    def _pack(self, examples: Any) -> bpcore.Data:
        """Return inputs in the core's form: an array of the network's dtype where it lies."""
        dtype, sizes, engine = self._made_of[0], self._made_of[1], self._engine
        if type(examples) is np.ndarray and examples.dtype == dtype and examples.ndim == 2:
            flags = examples.flags
            if examples.shape[1] == sizes[0] and flags.c_contiguous and flags.aligned:
                return bpcore.Data(engine, examples, sizes[-1])
        return pack_inputs("examples", examples, sizes, engine)

    def __reduce__(self) -> Any:
        """Return what makes the same again."""
        return Predictor, self._made_of

    def __repr__(self) -> str:
        """Say what the network is."""
        dtype, sizes, _, _, hidden, output, n_threads = self._made_of
        return (
            f"<bpnet.Predictor {'-'.join(map(str, sizes))} {hidden} {output} {dtype}, "
            f"n_threads={n_threads}>"
        )

    def _new(self) -> bpcore.Net:
        _, sizes, biases, weights, hidden, output, n_threads = self._made_of
        threads = check.threads(n_threads)  # that this machine has
        net = bpcore.Net(self._engine, sizes, ROWS, threads, hidden=hidden, output=output)
        net.load(biases, weights)
        return net


def pack_inputs(
    name: str, examples: Any, layers: list[int], engine: bpcore.Engine
) -> bpcore.Data:
    """Return inputs in the core's form: rows, or examples in any form that training takes."""
    if _are_rows(examples):
        x = data.as_inputs(name, examples, layers[0], engine.dtype)
        return bpcore.pack(engine, x, layers[-1], sparse=False)
    return data.accept(name, examples).pack(name, layers, engine)


def _are_rows(examples: Any) -> bool:
    """Whether this is an array, or a list whose first item is numbers, not a pair (x, y)."""
    if not isinstance(examples, list):
        return data.is_array(examples)
    first = examples[0] if examples else None
    return isinstance(first, (list, tuple, np.ndarray)) and not any(
        isinstance(part, (list, tuple, np.ndarray)) for part in first
    )
