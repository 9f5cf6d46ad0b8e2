"""Gradients of a network over parts of its examples, which are packed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import bpcore
from bpnet import check

if TYPE_CHECKING:
    from bpnet.check import Array
    from bpnet.trainer import Parameters

# Scratch rows: as many examples as the core sums at a time.
ROWS = 128


class Gradients:
    """The gradient of a network's cost, summed over any of the examples it was made with.

    ``MLP.gradients`` makes it.  The examples and the parameters are kept in the core's form,
    so that a call costs what it computes: a loop of one's own calls it for each mini-batch, or
    for a part of one.

        gradients = net.gradients((X, Y))
        nabla_b, nabla_w = gradients(order[:100])  # of examples order[0], order[1], ...
        gradients.load(biases, weights)            # after a step

    Nothing but ``load`` changes the parameters: a network that is trained meanwhile is not
    looked at.  It serves one call at a time; threads of one's own have one each.
    """

    def __init__(
        self, net: bpcore.Net, packed: bpcore.Data, sizes: list[int], parameters: Parameters
    ):
        self._free = [net]
        self._packed, self._sizes, self._dtype = packed, sizes, net.dtype
        net.load(*parameters)

    def __call__(self, rows: Any = None, *, out: Parameters | None = None) -> Parameters:
        """Return (nabla_b, nabla_w), summed over the examples in rows, or over all.

        They mirror ``biases`` and ``weights``.  rows are indices of examples, any number in any
        order; of an example with a weight, the gradient counts times that.  out, such a pair
        of lists of arrays, is filled and returned: arrays of the network's dtype, contiguous in
        C's order or, which is faster, in Fortran's.  The sum of some rows is the same bits for
        any n_threads.

        Raises IndexError if there is no such example, RuntimeError if another call is under
        way.
        """
        if rows is not None:
            rows = self._indices(rows)
        if out is not None:
            self._check_out(out)
        return self._call(lambda net: net.backprop(self._packed, rows, out))

    def load(self, biases: Any, weights: Any) -> None:
        """Take other parameters, as lists that mirror the network's; they are copied.

        Contiguous arrays of the network's dtype, in C's order or, which is faster, in
        Fortran's, are not converted.  Raises TypeError or ValueError if they do not fit.
        """
        if self._fault(biases, weights):
            biases, weights = check.parameters(self._sizes, biases, weights, self._dtype)
        self._call(lambda net: net.load(biases, weights))

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._packed)

    def __reduce__(self) -> Any:
        """Refuse: the core's memory stays where it is."""
        raise TypeError(
            "Gradients cannot be copied or pickled: make them where they are used, by "
            "net.gradients(examples)"
        )

    def __repr__(self) -> str:
        """Say what the network is, and how many examples there are."""
        sizes = "-".join(map(str, self._sizes))
        return f"<bpnet.Gradients {sizes} {self._dtype}, {len(self)} examples>"

    def _call(self, job: Any) -> Any:
        """Return what job does with the core's network, which nobody else has meanwhile."""
        try:
            net = self._free.pop()
        except IndexError:
            raise RuntimeError(
                "Gradients serve one call at a time, and another is under way: make one for "
                "each thread"
            ) from None
        try:
            return job(net)
        finally:
            self._free.append(net)

    def _check_out(self, out: Any) -> None:
        if not isinstance(out, (list, tuple)) or len(out) != 2:
            raise TypeError(f"out must be a pair (nabla_b, nabla_w), got {out!r:.80}")
        if fault := self._fault(out[0], out[1], writable=True):
            raise ValueError(
                f"out must be lists of writable, contiguous arrays of {self._dtype} in the "
                f"shapes of biases and weights, got {fault}"
            )

    def _indices(self, rows: Any) -> Array:
        found = check.array("rows", rows)
        if found.ndim != 1:
            raise ValueError(f"rows must be a list of indices, got shape {found.shape}")
        if found.dtype.kind not in "iu" and found.size:
            remedy = ": use np.flatnonzero(rows)" if found.dtype.kind == "b" else ""
            raise TypeError(f"rows must be indices of examples, got {found.dtype}{remedy}")
        if found.size and not 0 <= found.min() <= found.max() < len(self):
            wrong = found[(found < 0) | (found >= len(self))][0]
            raise IndexError(f"rows must be indices in [0, {len(self)}), got {wrong}")
        return found

    def _fault(self, biases: Any, weights: Any, writable: bool = False) -> str | None:
        """Return what is wrong with lists that the core is to take as they are, or None."""
        sizes = self._sizes
        wanted = [(n, 1) for n in sizes[1:]], list(zip(sizes[1:], sizes))
        for name, given, shapes in zip(("biases", "weights"), (biases, weights), wanted):
            if not isinstance(given, (list, tuple)) or len(given) != len(shapes):
                return f"{name} that are no list of {len(shapes)}"
            for l, (array, shape) in enumerate(zip(given, shapes)):
                if type(array) is not np.ndarray:
                    return f"{type(array).__name__} as {name}[{l}]"
                flags = array.flags
                if array.dtype != self._dtype or array.shape != shape:
                    return f"{array.dtype} {array.shape} as {name}[{l}]"
                if not (flags.aligned and (flags.c_contiguous or flags.f_contiguous)):
                    return f"a {name}[{l}] that is not contiguous"
                if writable and not flags.writeable:
                    return f"a {name}[{l}] that is read-only"
        return None
