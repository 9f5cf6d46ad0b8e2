"""Whether backprop returns the slope of the cost: asked of the cost itself, step by step.

A parameter p is moved by h to either side.  The central difference D(h) = (C(p + h) - C(p - h))
/ 2h differs from the slope by two errors, for both of which there is a bound:

- what the curve bends within the step, h^2 C''' / 6.  D(2h) - D(h) is three times that.
- rounding, e / h, where e bounds the rounding error of one cost.  A weighted input of n inputs,
  in any order of additions, is the exact one of parameters that are moved by n + 1 roundings at
  most, relative to each (Higham, Accuracy and Stability, 3.1), so the cost by the sum over all
  parameters of (n + 1) eps |slope| |p|; activations, costs and their sum are some more.

h = eps^(1/3) max(1, |p|) makes the two of one order, eps^(2/3): 4e-11 in float64.  Rounding in
backprop itself, some eps, is far below.  Where D(2h) and D(h) are further apart than rounding
explains, smaller steps are taken: there is a kink, or a sharp bend, beside p, and what is wrong
is so at all of them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bpnet import byhand, check, reference, tracing
from bpnet.book import Book
from bpnet.dataset import Dataset
from bpnet.mlp import MLP, Layers

if TYPE_CHECKING:
    from bpnet.check import Array

_ROUNDINGS = 16  # of an activation, or of a cost: a few functions of 4 ulp each
_SMALLER = 1, 4, 16, 64, 256  # steps, h over these: a kink beside p is not in all of them
_CERTAIN = 8  # slopes that are found to be wrong, and at no kink: enough
_CLEARLY = 1e-5  # relative: what is a wrong formula, where one looks for the reason


class Slope(NamedTuple):
    """One parameter: what backprop returned, and what the cost says."""

    name: str  # "biases" or "weights"
    l: int  # of biases[l] or weights[l]
    at: tuple[int, int]
    backprop: float
    numeric: float  # the central difference
    tolerance: float  # their errors, at most
    size: float  # the largest slope in biases[l] or weights[l]
    kink: bool = False  # the cost has no one slope here, and backprop's is between the two

    @property
    def error(self) -> float:
        """How far the two are apart, relative to the size."""
        apart = abs(self.backprop - self.numeric)
        return apart / self.size if apart else 0.0

    @property
    def wrong(self) -> bool:
        """Whether the two are further apart than rounding and the step explain."""
        return not self.kink and not abs(self.backprop - self.numeric) <= self.tolerance

    @property
    def where(self) -> str:
        """The parameter, as one writes it."""
        j, k = self.at
        return f"{self.name}[{self.l}][{j}, {k}]"


class GradientCheck:
    """What ``gradient_check`` found.  It is true if backprop is right, and prints as a report.

    ok says the same as its truth: nothing is wrong, and something can be told from rounding.
    slopes has a ``Slope`` for each parameter that was looked at; worst is the one with the
    largest relative error, error.  kinks counts those at which the cost has no slope; they are
    left out.  reason is what is probably wrong, or None.
    """

    def __init__(self, slopes: list[Slope], n_parameters: int):
        self.slopes, self.n_parameters = slopes, n_parameters
        judged = [slope for slope in slopes if not slope.kink]
        self.kinks = len(slopes) - len(judged)
        self.wrong = [slope for slope in judged if slope.wrong]
        sharp = [slope for slope in judged if slope.tolerance < slope.size / 10]
        self.worst = max(self.wrong or sharp or judged or slopes, key=lambda each: each.error)
        self.error = self.worst.error
        self.ok = bool(sharp) and not self.wrong
        self.reason: str | None = None

    def __bool__(self) -> bool:
        """Whether backprop is right."""
        return self.ok

    def __repr__(self) -> str:
        """Say whether backprop is right, where it is least so, and what may be the reason."""
        n, worst = len(self.slopes), self.worst
        verdict = "right" if self.ok else "WRONG" if self.wrong else "not judged"
        lines = [
            f"backprop is {verdict}: {n} of {self.n_parameters} parameters looked at, "
            f"{len(self.wrong)} wrong",
            f"largest error {self.error:.1e} of the largest slope in {worst.name}[{worst.l}], "
            f"{worst.tolerance / worst.size if worst.size else 0:.1e} allowed",
            f"  {worst.where}: backprop {worst.backprop:.10g}, cost {worst.numeric:.10g}",
        ]
        if self.kinks:
            lines.append(f"{self.kinks} left out: the cost has a kink there, and no slope")
        if not self.ok and not self.wrong:
            lines.append("no slope can be told from rounding: try other examples")
        return "\n".join(lines + textwrap.wrap(self.reason or "", 88))


def gradient_check(
    net: Any,
    examples: Any,
    *,
    cost: Callable[[Any, Any], Any] | None = None,
    n_parameters: int = 500,
    seed: int = 0,
) -> GradientCheck:
    """Compare the gradient that backprop returns with the slope of the cost.

    net is a network of any of the three classes, with whatever steps a script has replaced, or
    an object with the book's biases, weights, feedforward and backprop, as those of
    ``bpnet.reference`` or the tutorial's own.  examples are in any form that training takes; a
    few are enough.  The cost is the mean over them of the class's own (``cost.fn`` of network2,
    the quadratic one of chapter 1, the output's of an MLP), of what feedforward answers;
    cost(a, y) is another in its place, which it must be where cost_derivative is the script's
    own.  A script's own update_mini_batch is not looked at: what it takes from backprop is.

    At most n_parameters are looked at, as many of each of biases and weights, drawn by seed.
    All is computed in float64, from the parameters of a float32 network as they are: what is
    compared is formulas, not rounding.  Meanwhile net has other parameters; afterwards its own,
    the same arrays.

    Return a ``GradientCheck``: true if right.  Raises TypeError or ValueError if an argument is
    not as described, and ValueError if the cost is not finite, or not the same at each call.
    """
    n_parameters = check.integer("n_parameters", n_parameters, 1)
    seed = check.integer("seed", seed, 0, 2**32 - 1)
    _check_net(net, cost)
    with _InFloat64(net):
        subject = _Subject(net, examples, cost)
        slopes = [subject.slope(*each) for each in subject.chosen(n_parameters, seed)]
        if any(slope.kink for slope in slopes):  # others may be too slight to be seen as such
            subject.kinked, subject.certain = True, 0
            slopes = [subject.slope(*each[:3]) if each.wrong else each for each in slopes]
        found = GradientCheck(slopes, sum(p.size for p in (*net.biases, *net.weights)))
        if found.wrong:
            found.reason = _reason(subject, found)
    return found


class _InFloat64:
    """A context in which a network has copies of its parameters, in float64."""

    def __init__(self, net: Any):
        self.net = net
        self.kept = {k: vars(net)[k] for k in ("biases", "weights", "dtype") if k in vars(net)}

    def __enter__(self) -> None:
        net = self.net
        parameters = net.biases, net.weights
        if isinstance(net, Layers):
            parameters = net._parameters()
            net.dtype = Layers.dtype
        net.biases, net.weights = ([np.array(p, np.float64) for p in ps] for ps in parameters)

    def __exit__(self, *error: object) -> None:
        if "dtype" not in self.kept:
            vars(self.net).pop("dtype", None)
        vars(self.net).update(self.kept)


class _Subject:
    """A network in float64: its gradient, and what it costs as it is at the moment."""

    def __init__(self, net: Any, examples: Any, fn: Callable[[Any, Any], Any] | None):
        layers = check.layers(net.sizes)
        dataset = Dataset(examples, dtype=np.float64)
        if isinstance(net, Layers):  # which says what does not fit
            net._pack("examples", dataset, outputs=True)
        weights = np.ones(len(dataset)) if dataset.weights is None else dataset.weights
        self.shares = (weights / weights.sum()).tolist()
        self.pairs = [(x, np.array(y, float)) for x, y in dataset.pairs(layers[-1])]
        self.net, self.dataset = net, dataset
        self.in_core = fn is None and _costs_in_core(net)
        self.fn: Any = fn or _fn(net)
        self.given_fn, self.certain, self.kinked = fn, 0, False
        self.base = self.cost()
        if not abs(self.base) < np.sqrt(np.finfo(float).max):  # 1.8e308 is an infinite ln, too
            raise ValueError(f"the cost of examples must be finite, got {self.base}")
        if self.base != self.cost():
            raise ValueError(
                "the cost of examples must be the same at each call, got two: nothing in "
                "feedforward and the cost may be random"
            )
        self._differentiate()
        self.noise = self._noise()

    def cost(self, examples: Any = None) -> float:
        """Return the mean cost of examples; of all, if none are given."""
        net, given = self.net, self.dataset if examples is None else examples
        if isinstance(net, MLP):
            return net.cost(given)
        if isinstance(net, Book):
            if self.given_fn is None:
                return float(net._cost_of(given) or 0.0)
            return float(net._mean_cost("examples", given, self.fn)[0])
        if examples is not None:
            return sum(float(np.sum(self.fn(net.feedforward(x), y))) for x, y in examples)
        return sum(share * self.cost([pair]) for share, pair in zip(self.shares, self.pairs))

    def _gradient(self, x: Array, y: Array) -> list[Array]:
        """Return what backprop says of an example, biases first."""
        net, depth = self.net, len(self.net.biases)
        gradient = net.gradient([(x, y)]) if isinstance(net, MLP) else net.backprop(x, y)
        try:
            nabla_b, nabla_w = gradient
            found = [*nabla_b, *nabla_w]
        except (TypeError, ValueError):
            found = []
        if len(found) != 2 * depth:
            raise TypeError(
                f"backprop must return (nabla_b, nabla_w), {depth} arrays each, got "
                f"{type(gradient).__name__}"
            )
        arrays = [check.array("backprop: a nabla", nabla) for nabla in found]
        for p, g in zip([*net.biases, *net.weights], arrays):
            if g.shape != p.shape:
                raise ValueError(
                    f"backprop must return (nabla_b, nabla_w) in the shapes of biases and "
                    f"weights, got {g.shape} for {p.shape}"
                )
        return arrays

    def _differentiate(self) -> None:
        """Set nabla, the mean gradient, and size, the mean of its absolute values."""
        parameters = [*self.net.biases, *self.net.weights]
        self.nabla, self.size = ([np.zeros(p.shape) for p in parameters] for _ in range(2))
        self.eps = float(np.finfo(np.float64).eps)
        for share, pair in zip(self.shares, self.pairs):
            for i, g in enumerate(self._gradient(*pair)):
                self.nabla[i] += share * g
                self.size[i] += share * abs(g)
                if g.dtype == np.float32:  # a step of the script's own rounds to it
                    self.eps = float(np.finfo(np.float32).eps)

    def _noise(self) -> float:
        """Return the bound e of the rounding error of a cost: see the module."""
        net, roundings = self.net, 0.0
        for p, size in zip([*net.biases, *net.weights], self.size):
            n = p.shape[1]  # of biases 1: one addition
            roundings += (n + 1 + _ROUNDINGS) * float(np.sum(size * abs(p)))
        moved = 0.0
        for share, (x, y) in zip(self.shares, self.pairs):
            a = np.asarray(net.predict(x.T).T if isinstance(net, MLP) else net.feedforward(x))
            terms = _ROUNDINGS + len(y) + len(self.pairs)
            roundings += share * terms * float(np.sum(abs(a)) + np.sum(abs(y)))
            if not self.in_core:  # the cost is computed from a, which is rounded
                moved += share * self._moved(a.astype(np.float64), y)
        return self.eps * (roundings + (_ROUNDINGS + len(self.pairs)) * abs(self.base)) + moved

    def _moved(self, a: Array, y: Array) -> float:
        """Return how far the cost of an example goes when its outputs are rounded."""
        before, total = float(np.sum(self.fn(a, y))), 0.0
        for j in range(len(a)):
            other = a.copy()
            other[j] *= 1 - _ROUNDINGS * self.eps
            total += abs(float(np.sum(self.fn(other, y))) - before)
        return total

    def chosen(self, most: int, seed: int) -> list[tuple[str, int, tuple[int, int]]]:
        """Return at most so many parameters, evenly from all arrays, as far as they go."""
        net, draw = self.net, np.random.RandomState(seed)
        found: list[tuple[str, int, tuple[int, int]]] = []
        named = [
            (n, l, p) for n in ("biases", "weights") for l, p in enumerate(getattr(net, n))
        ]
        by_size = sorted(named, key=lambda each: each[2].size)
        for i, (name, l, p) in enumerate(by_size):
            share = min(p.size, (most - len(found)) // (len(by_size) - i))
            items = range(p.size) if share == p.size else draw.choice(p.size, share, False)
            for item in sorted(map(int, items)):
                found.append((name, l, divmod(item, p.shape[1])))
        return sorted(found)

    def slope(self, name: str, l: int, at: tuple[int, int]) -> Slope:
        """Return what is found of one parameter."""
        parameters = getattr(self.net, name)[l]
        i = l + (len(self.net.biases) if name == "weights" else 0)
        p, nabla = float(parameters[at]), self.nabla[i]
        backprop = float(nabla[at])

        def cost(value: float) -> float:
            parameters[at] = value
            try:
                return self.cost()
            finally:
                parameters[at] = p

        def difference(h: float) -> float:
            return (cost(p + h) - cost(p - h)) / ((p + h) - (p - h))

        h, straight = self.eps ** (1 / 3) * max(1.0, abs(p)), []
        for s in [h / smaller for smaller in _SMALLER]:
            numeric, rounding = difference(s), self.noise / s
            bend = abs(difference(2 * s) - numeric)
            size = float(max(abs(nabla).max(), abs(numeric)))
            found = Slope(name, l, at, backprop, numeric, bend + rounding, size)
            if bend <= 3 * rounding:
                if not found.wrong:
                    return found
                straight.append(found)
            if straight and (s == h or self.certain == _CERTAIN):
                break  # no kink is near, or the rest would only take time
        found = straight[0] if straight else found
        if found.wrong and self.certain < _CERTAIN:
            kink = any(self._is_kink(parameters, i, at, h / smaller) for smaller in _SMALLER)
            self.certain += not kink
            return found._replace(kink=kink)
        return found

    def _is_kink(self, parameters: Array, i: int, at: tuple[int, int], h: float) -> bool:
        """Whether each example's slope is right but where its cost has two, and is between.

        The slopes to both sides of a bend come nearer as the step halves, those of a kink stay.
        """
        p, kinks = float(parameters[at]), 0

        def sides(pair: tuple[Array, Array], h: float) -> tuple[float, float]:
            costs = []
            for value in (p - h, p, p + h):
                parameters[at] = value
                try:
                    costs.append(self.cost([pair]))
                finally:
                    parameters[at] = p
            low, high = sorted(float(part) / h for part in np.diff(costs))
            return low, high

        for share, pair in zip(self.shares, self.pairs):
            backprop = float(self._gradient(*pair)[i][at])
            rounding = 2 * self.noise / max(share, self.eps) / h
            (low, high), (low_2, high_2) = sides(pair, h), sides(pair, 2 * h)
            if high - low > max(2 * rounding, 0.75 * (high_2 - low_2)):
                kinks += 1
            else:
                low = high = (low + high) / 2
                rounding += abs((low_2 + high_2) / 2 - low)
            if not low - rounding <= backprop <= high + rounding:
                return False
        return kinks > 0 or self.kinked


def _check_net(net: Any, cost: Any) -> None:
    methods = ("gradient",) if isinstance(net, MLP) else ("feedforward", "backprop")
    wanted = ("sizes", "biases", "weights", *methods)
    missing = [name for name in wanted if not hasattr(net, name)]
    if missing or isinstance(net, type):
        got = f"the class {net.__name__}" if isinstance(net, type) else type(net).__name__
        raise TypeError(f"net must be a network, an object with {', '.join(wanted)}, got {got}")
    if cost is None:
        return
    if isinstance(net, MLP):
        raise ValueError(f"cost must be None for an MLP: its output {net.output} has its own")
    if not callable(cost):
        raise TypeError(f"cost must be a function of (a, y), got {cost!r:.80}")


def _fn(net: Any) -> Callable[[Any, Any], Any]:
    """Return the cost of an example that a network of the book's kind learns by."""
    fn: Any = None
    if isinstance(net, MLP):
        row: Any = reference.OUTPUTS[net.output or ""]
        fn = row[1].fn
    elif isinstance(net, Book):
        fn = net._cost_fn()
    elif hasattr(net, "cost"):
        fn = net.cost.fn
    else:
        a = np.linspace(0.1, 0.9, check.layers(net.sizes)[-1])[:, None]
        ours = np.array_equal(net.cost_derivative(a, a[::-1]), a - a[::-1])
        fn = reference.QuadraticCost.fn if ours else None
    if fn is None:
        raise ValueError(
            "cost must be given, the function of (a, y) that the script's own cost_derivative "
            "is of"
        )
    return fn


def _costs_in_core(net: Any) -> bool:
    """Whether the cost is computed from weighted inputs, not from outputs that are rounded."""
    if not isinstance(net, Book):
        return isinstance(net, MLP)
    return not byhand.own_steps(net) & {"cost", *byhand.ANSWERS}


def _reason(subject: _Subject, found: GradientCheck) -> str:
    """Return what is probably wrong, in a sentence."""
    net = subject.net
    if isinstance(net, Layers):
        own = byhand.own_steps(net) if isinstance(net, Book) else frozenset()
        if "backprop" not in own and (reason := _reason_in_steps(subject, own)):
            return reason
    return _reason_in_pattern(found)


def _reason_in_steps(subject: _Subject, own: frozenset[str]) -> str | None:
    """Ask each function that bpnet's own backprop goes by."""
    net, f = subject.net, subject.net._functions()
    layers = check.layers(net.sizes)
    seen = [tracing.follow(layers, net.biases, net.weights, f, x, y) for x, y in subject.pairs]
    if "feedforward" in own and any(
        not np.allclose(net.feedforward(x), each.activations[-1])
        for (x, _), each in zip(subject.pairs, seen)
    ):
        return (
            "feedforward is the script's own and backprop is not: backprop goes through the "
            "network without it; override backprop, too"
        )
    if len(layers) > 2 and (at := _not_the_slope(f.hidden, f.hidden_prime)):
        return f"{_sigmoids(net)}: {at}"
    for (_, y), each in zip(subject.pairs, seen):
        z = each.zs[-1]
        slope = _slopes(subject.fn, f.output, z, y)
        delta = f.output_error(z, f.output(z), y)
        if np.allclose(delta, slope, rtol=_CLEARLY, atol=_CLEARLY * abs(slope).max()):
            continue
        if "sigmoid" in own and (at := _not_the_slope(f.output, net._output_prime)):
            return f"{_sigmoids(net)}: {at}"
        if net.output == "log-likelihood" and abs(y.sum() - 1) > _CLEARLY:
            return f"y must sum to 1 for log-likelihood: it sums to {y.sum():.6g}"
        j = int(np.argmax(abs(delta - slope)))
        name = "cost.delta" if hasattr(net, "cost") else "cost_derivative"
        return (
            f"{name} is not the derivative of the cost: for z = {z[j, 0]:.6g}, y = "
            f"{y[j, 0]:.6g} it makes dC/dz {delta[j, 0]:.6g}, the cost {slope[j, 0]:.6g}"
        )
    return None


def _not_the_slope(f: Any, prime: Any) -> str | None:
    """Return where prime is clearly not the slope of f, in most of some places; else None."""
    z = np.linspace(-2.03, 1.97, 9)[:, None]  # where no kink would be
    h = np.finfo(float).eps ** (1 / 3)
    slope, claimed = (f(z + h) - f(z - h)) / (2 * h), prime(z)
    apart = abs(slope - claimed) > _CLEARLY * (abs(slope) + abs(claimed))
    if np.count_nonzero(apart) <= 1:
        return None
    j = int(np.argmax(abs(slope - claimed)))
    return f"at z = {z[j, 0]:.6g} it is {claimed[j, 0]:.6g}, the slope {slope[j, 0]:.6g}"


def _slopes(fn: Any, output: Any, z: Array, y: Array) -> Array:
    """Return the central differences of the cost of output(z) in each item of the column z."""
    h, found = np.finfo(float).eps ** (1 / 3), np.zeros(z.shape)
    for j in range(len(z)):
        above, below = z.copy(), z.copy()
        above[j] += h
        below[j] -= h
        found[j] = (np.sum(fn(output(above), y)) - np.sum(fn(output(below), y))) / (2 * h)
    return found


def _sigmoids(net: Any) -> str:
    """Say which of a module's two functions the script has assigned to."""
    module = net._module
    name = module.__name__.rpartition(".")[2]
    if byhand.assigned(module, "sigmoid") is byhand.SIGMOIDS[0]:
        return f"{name}.sigmoid_prime is the script's own, and not the derivative of sigmoid"
    return (
        f"{name}.sigmoid is the script's own, and {name}.sigmoid_prime is not its derivative "
        f"(assign both)"
    )


def _reason_in_pattern(found: GradientCheck) -> str:
    """Say what the wrong slopes have in common."""
    factors = [each.backprop / each.numeric for each in found.wrong if each.numeric]
    judged = [each for each in found.slopes if not each.kink and each.numeric]
    if len(factors) > 1 and len(found.wrong) == len(judged):
        middle = float(np.median(factors))
        if np.allclose(factors, middle, rtol=_CLEARLY):
            return f"backprop is {middle:.6g} times the slope, everywhere"
    arrays = {(each.name, each.l) for each in found.slopes}
    wrong = {(each.name, each.l) for each in found.wrong}
    said = ", ".join(f"{name}[{l}]" for name, l in sorted(wrong))
    last = max(l for _, l in arrays)
    if all(l < last for _, l in wrong):
        rule = "the last layer is right: look at how the error goes back (BP2)"
    elif {name for name, _ in wrong} == {"weights"}:
        rule = "the biases are right: look at the product with the activations (BP4)"
    elif {name for name, _ in wrong} == {"biases"}:
        rule = "the weights are right: look at how biases get their error (BP3)"
    else:
        rule = "look at the last layer's error first (BP1)"
    return f"wrong in {said}; {rule}"
