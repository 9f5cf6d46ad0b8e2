"""How a step is made of a gradient: a row of the core's table of rules, and regularisation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import bpcore
from bpnet import check, reference

if TYPE_CHECKING:
    from bpnet.check import Array


class Rule:
    """A rule by which the mean gradient g of a mini-batch moves a weight w, and its parameters.

    ``Rule("momentum", mu=0.5)`` stands where ``rule="momentum"`` takes the defaults:

    - "plain": w -= eta g;
    - "momentum": mu=0.9; v = mu v - eta g, w += v (Nielsen, chapter 3);
    - "nesterov": mu=0.9; v = mu v - eta g, w += mu v - eta g (Sutskever et al., 2013);
    - "adam": beta_1=0.9, beta_2=0.999, epsilon=1e-8 (Kingma and Ba, 2015).

    The text of each is a row of ``bpnet.reference.RULES``.  mu, beta_1 and beta_2 are in
    [0, 1), epsilon is at least 1e-37.  ``parameters`` is a dict of all that the rule has.

    Raises ValueError if there is no such rule or a value is not in its range, TypeError if the
    rule has no such parameter or a value is no number.
    """

    def __init__(self, name: str = "plain", **parameters: float):
        rows = bpcore.engine("float64").rules
        if not isinstance(name, str) or name not in rows:
            raise ValueError(f"rule must be one of {', '.join(rows)}, got {name!r}")
        names = rows[name][0]
        for given in parameters:
            if given not in names:
                has = f"has {', '.join(names)}" if names else "has no parameters"
                raise TypeError(f"the rule {name} {has}, got {given}")
        defaults = dict(zip(names, reference.RULES[name][0].__defaults__ or ()))
        self.name = name
        self.parameters = {
            each: _checked(each, parameters.get(each, defaults[each])) for each in names
        }

    def __repr__(self) -> str:
        """Show how the rule is made."""
        values = [f"{name}={value!r}" for name, value in self.parameters.items()]
        return f"Rule({', '.join([repr(self.name), *values])})"

    def __eq__(self, other: object) -> bool:
        """Whether this is the same rule with the same parameters."""
        return isinstance(other, Rule) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def slots(self) -> int:
        """How many numbers the rule keeps of each weight."""
        return bpcore.engine("float64").rules[self.name][1]


def as_rule(rule: Any, mu: Any = 0.0) -> Rule:
    """Return a name or a Rule as the Rule; mu, unless 0, is its momentum, or gives it one."""
    if not isinstance(rule, (str, Rule)):
        raise TypeError(f"rule must be a name or a bpnet.Rule, got {rule!r}")
    mu = _checked("mu", mu)
    if isinstance(rule, Rule):
        if mu:
            raise ValueError(f"mu must be 0 where rule is {rule}, got {mu}")
        return rule
    if not mu:
        return Rule(rule)
    found = Rule("momentum" if rule == "plain" else rule)
    if "mu" not in found.parameters:
        raise ValueError(f"mu must be 0 where rule is {rule!r}, got {mu}")
    return Rule(found.name, mu=mu)


def _checked(name: str, value: Any) -> float:
    """Return a parameter: epsilon keeps a divisor from 0, others are shares that are kept."""
    number = check.not_negative(name, value)
    if name == "epsilon":
        if number < 1e-37:  # 0 in float32, and then a weight without gradient is 0 / 0
            raise ValueError(f"epsilon must be at least 1e-37, got {value!r}")
    elif number >= 1:
        raise ValueError(f"{name} must be less than 1, got {number}")
    return number


class Step(NamedTuple):
    """What a step is made of beside eta and the gradient of the cost.

    lmbda and l1 are the coefficients of the L2 and the L1 regularisation, which are divided by
    the number of training examples (Nielsen, chapter 3).
    """

    rule: Rule
    lmbda: float = 0.0
    l1: float = 0.0

    @classmethod
    def checked(
        cls, rule: Any, lmbda: Any, l1: Any, dtype: np.dtype[Any], mu: Any = 0.0
    ) -> Step:
        """Return the step of these arguments; ValueError if one of them cannot be."""
        return cls(
            as_rule(rule, mu),
            check.not_negative("lmbda", lmbda, dtype),
            check.not_negative("l1", l1, dtype),
        )

    @property
    def is_plain(self) -> bool:
        """Whether nothing is made of the gradient but a step against it."""
        return self.rule.name == "plain" and not (self.lmbda or self.l1)

    @np.errstate(under="ignore")
    def penalty(self, weights: Iterable[Array], n: float) -> float:
        """Return what regularisation adds to the mean cost of n examples."""
        total = 0.0
        for w in weights:
            if self.lmbda:
                total += 0.5 * self.lmbda * float(np.sum(np.square(w, dtype=np.float64)))
            if self.l1:
                total += self.l1 * float(np.sum(np.abs(w), dtype=np.float64))
        return total / n
