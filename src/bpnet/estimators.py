"""scikit-learn's MLPClassifier and MLPRegressor, trained by the core.

They are subclasses of scikit-learn's own, which checks, draws the first weights, splits, scores
and predicts; what is replaced is the loop over epochs and mini-batches.  The same random_state
gives the same weights but for rounding.
"""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import bpcore
from bpnet import check, data

try:
    from scipy.sparse import issparse
    from sklearn import neural_network
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.utils import compute_sample_weight
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.validation import check_array, validate_data
except ImportError as error:
    raise ImportError(
        "bpnet.estimators needs scikit-learn 1.7 or later: "
        f'pip install "bpnet[sklearn]" ({error})'
    ) from None
try:  # what is private there
    from sklearn.neural_network import _multilayer_perceptron as theirs
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer
except ImportError:
    theirs = AdamOptimizer = SGDOptimizer = None
try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nobody is called."""


if TYPE_CHECKING:
    from bpnet.check import Array

    Parameters = tuple[list[Array], list[Array]]

__all__ = ["MLPClassifier", "MLPRegressor"]

# scikit-learn's names in the core's tables.
_HIDDEN = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
_OUTPUT = {
    "softmax": "log-likelihood",
    "logistic": "cross-entropy",
    "identity": "squared",
    "exp": "poisson",
}

# What is overridden or called of scikit-learn's private methods, as it is known.
_METHODS = {
    "_fit": "self X y sample_weight incremental",
    "_fit_stochastic": "self X y sample_weight activations deltas coef_grads intercept_grads "
    "layer_units incremental",
    "_update_no_improvement_count": "self early_stopping X y sample_weight",
    "_forward_pass_fast": "self X check_input",
    "_score": "self X y sample_weight",
}

# Scratch rows at least.
ROWS = 32
# What predictions are left to the core: of so many products, and of few weights, or, where most
# of the work is not a product of matrices, of many rows.
MANY_PRODUCTS, FEW_WEIGHTS, MANY_ROWS = 2**20, 2**15, 1000

# Attributes that scikit-learn's own do not have.
_ADDED = {"n_threads", "class_weight", "validation_loss_curve_", "_skl_callbacks"}


def _is_known() -> bool:
    """Whether scikit-learn's private methods are those that this was written for."""
    base = getattr(theirs, "MLPClassifier", None)
    return hasattr(theirs, "LOSS_FUNCTIONS") and all(
        " ".join(inspect.signature(getattr(base, name, list)).parameters) == known
        for name, known in _METHODS.items()
    )


_KNOWN = _is_known()
if not _KNOWN:
    check.warn(
        "bpnet.estimators does not know this version of scikit-learn, whose own fit is used: "
        "right, but slow; look for a newer bpnet"
    )


def _signature(parent: type, **added: Any) -> inspect.Signature:
    """Return that of parent's __init__ with more keyword-only parameters and their defaults."""
    given = inspect.signature(parent.__init__)  # type: ignore[misc]
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    more = [inspect.Parameter(name, keyword_only, default=added[name]) for name in added]
    return given.replace(parameters=[*given.parameters.values(), *more])


class _Validation:
    """Examples that are not trained on, and what a network's outputs for them are worth."""

    outputs: Array  # of the network as it is

    def __init__(self, model: Any, X: Any, targets: Array, weights: Array | None):
        self.packed = _packed(X, model.n_outputs_)
        self.targets, self.weights = targets, weights
        self.classifies, self.softmax = model._is_classifier, model.out_activation_ == "softmax"
        name = "binary_log_loss" if model.out_activation_ == "logistic" else model.loss
        self._loss: Callable[[Array, Array, Array | None], Any] = theirs.LOSS_FUNCTIONS[name]

    def loss(self) -> float:
        """Return the mean loss, without regularisation."""
        with np.errstate(all="ignore"):  # outputs may be infinite
            return float(self._loss(self.targets, self.outputs, self.weights))

    def score(self) -> float:
        """Return what the model's ``score`` would, of outputs that are known already."""
        y, outputs, weights = self.targets, self.outputs, self.weights
        if self.classifies:
            if self.softmax:
                right = outputs.argmax(axis=1) == y.argmax(axis=1)
            else:
                right = ((outputs > 0.5) == y).all(axis=1)
            return float(np.average(right, weights=weights))
        if not np.isfinite(outputs).all():
            return float("nan")
        factor = 1 if weights is None else weights[:, None]
        rest = (factor * (y - outputs) ** 2).sum(axis=0)
        total = (factor * (y - np.average(y, axis=0, weights=weights)) ** 2).sum(axis=0)
        explained = 1 - rest / np.where(total > 0, total, 1)
        return float(np.where(total > 0, explained, rest == 0).mean())


class _Descent:
    """A network in the core that goes on from a model's parameters and its optimizer's."""

    def __init__(self, model: Any, X: Any, y: Array, weights: Array | None):
        self.model, self.weights, self.n = model, weights, len(y)
        self.m = _mini_batch_size(model, self.n)
        rule, self.parameters = _rule(model._optimizer)
        sizes = [X.shape[1], *map(len, model.intercepts_)]
        self.net = _net(model, sizes, X.dtype, max(self.m, ROWS), rule)
        if weights is not None:
            weights = np.ascontiguousarray(weights, X.dtype)
        targets = _targets(model, y, X.dtype)
        self.packed = _packed(X, y.shape[1], weights=weights, **targets)
        self.order, self.visited = bpcore.Order(self.n), np.arange(self.n)
        self.losses = np.empty((-(-self.n // self.m), 2))
        self.rows = np.minimum(self.m, self.n - self.m * np.arange(len(self.losses)))
        # What scikit-learn's losses take probabilities to be at least.
        self.clip = float(np.finfo(X.dtype).eps) if model.loss == "log_loss" else 0.0
        self.net.load(*self._parameters())
        self.net.restore(getattr(model._optimizer, "t", 0), self._slots())

    def epoch(self) -> float:
        """Visit every example once; return the mean loss of all mini-batches before a step."""
        model, optimizer = self.model, self.model._optimizer
        if model.shuffle:
            shuffled = np.arange(self.n)
            model._random_state.shuffle(shuffled)
            self.visited = self.visited[shuffled]
            self.order.assign(self.visited)
        self._check_weights()
        is_adam = isinstance(optimizer, AdamOptimizer)
        self.net.sgd(
            self.packed,
            self.order,
            self.m,
            optimizer.learning_rate_init if is_adam else optimizer.learning_rate,
            l2=model.alpha,
            l2_by_batch=True,
            parameters=self.parameters,
            losses=self.losses,
            clip=self.clip,
        )
        if model.loss == "squared_error":  # a mean over outputs, where its gradient is a sum
            self.losses[:, 0] /= model.n_outputs_
        return float(self.rows @ self.losses.sum(axis=1)) / self.n

    def store(self) -> None:
        """Write to the model's arrays, and to its optimizer's."""
        self.net.store_into(*self._parameters(), self._slots())
        optimizer, t = self.model._optimizer, self.net.steps
        if isinstance(optimizer, AdamOptimizer) and t:
            corrected = np.sqrt(1 - optimizer.beta_2**t) / (1 - optimizer.beta_1**t)
            optimizer.t, optimizer.learning_rate = t, optimizer.learning_rate_init * corrected

    def _parameters(self) -> Parameters:
        return _by_layer(self.model.coefs_ + self.model.intercepts_)

    def _slots(self) -> list[Parameters]:
        return list(map(_by_layer, _kept(self.model._optimizer)))

    def _check_weights(self) -> None:
        """Raise as scikit-learn does, but before the epoch."""
        if self.weights is None or self.weights.all():
            return
        sums = np.add.reduceat(self.weights[self.visited], np.arange(0, self.n, self.m))
        if not sums.all():
            raise ZeroDivisionError(
                "Weights sum to zero, can't be normalized: sample_weight is 0 for all examples "
                f"of {np.count_nonzero(sums == 0)} of {len(sums)} mini-batches; drop examples "
                "of weight 0, or use a larger batch_size"
            )


def _net(
    model: Any, sizes: list[int], dtype: np.dtype[Any], rows: int, rule: str = "plain"
) -> bpcore.Net:
    """Return a network in the core of a model's kind; its parameters are 0."""
    n_threads = (
        model.n_threads if model.n_threads == 1 else min(model.n_threads, os.cpu_count() or 1)
    )
    return bpcore.Net(
        bpcore.engine(dtype),
        sizes,
        rows,
        n_threads,
        hidden=_HIDDEN[model.activation],
        output=_OUTPUT[model.out_activation_],
        rule=rule,
    )


def _predicts(model: Any, X: Any) -> bool:
    """Whether the core would answer for the rows of X, and sooner (bench/estimators.py)."""
    weights = sum(w.size for w in model.coefs_)
    if type(X) is not np.ndarray or len(X) * weights < MANY_PRODUCTS:
        return False
    if weights > FEW_WEIGHTS and (
        len(X) < MANY_ROWS or model.activation in ("relu", "identity")
    ):
        return False
    return _are_plain([*model.coefs_, *model.intercepts_], X.dtype)


def _are_plain(arrays: list[Array], dtype: np.dtype[Any]) -> bool:
    """Whether the core can read and write these where they are."""
    return all(a.dtype == dtype and a.flags.carray for a in arrays)


def _mini_batch_size(model: Any, n: int) -> int:
    if model.batch_size == "auto":
        return min(200, n)
    if model.batch_size > n:
        check.warn(f"batch_size is clipped to the {n} samples, got {model.batch_size}")
    return min(model.batch_size, n)


def _packed(X: Any, n_outputs: int, **targets: Any) -> bpcore.Data:
    """Return inputs that scikit-learn has checked, and targets, in the core's form."""
    inputs = data.as_inputs("X", X, X.shape[1], X.dtype)
    return bpcore.pack(bpcore.engine(X.dtype), inputs, n_outputs, **targets)


def _targets(model: Any, y: Array, dtype: np.dtype[Any]) -> dict[str, Array]:
    """Return labels, where each example has one, or what is desired of the outputs."""
    if model.out_activation_ == "softmax" and (np.count_nonzero(y, axis=1) == 1).all():
        return {"labels": y.argmax(axis=1).astype(np.int64)}
    if model.out_activation_ == "logistic" and y.shape[1] == 1:
        return {"labels": y[:, 0].astype(np.int64)}
    return {"y": np.ascontiguousarray(y, dtype)}


def _optimizer(model: Any) -> Any:
    """Return a fresh one."""
    parameters, eta = model.coefs_ + model.intercepts_, model.learning_rate_init
    if model.solver == "adam":
        return AdamOptimizer(parameters, eta, model.beta_1, model.beta_2, model.epsilon)
    return SGDOptimizer(
        parameters,
        eta,
        model.learning_rate,
        model.momentum,
        model.nesterovs_momentum,
        model.power_t,
    )


def _rule(optimizer: Any) -> tuple[str, tuple[float, ...]]:
    """Return the core's name of an optimizer, and its parameters."""
    if isinstance(optimizer, AdamOptimizer):
        return "adam", (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
    if optimizer.momentum == 0:
        return "plain", ()
    return "nesterov" if optimizer.nesterov else "momentum", (optimizer.momentum,)


def _kept(optimizer: Any) -> list[list[Array]]:
    """Return what an optimizer keeps of each parameter, in the order of the core's slots."""
    if isinstance(optimizer, AdamOptimizer):
        return [optimizer.ms, optimizer.vs]
    return [optimizer.velocities] if optimizer.momentum else []


def _by_layer(arrays: list[Array]) -> Parameters:
    """Return scikit-learn's list, weights before biases, as the core's, in the same memory."""
    half = len(arrays) // 2
    return [b[:, None] for b in arrays[half:]], [w.T for w in arrays[:half]]


def _why_not(model: Any, X: Any, y: Any, weights: Array | None) -> str:
    """Return what the core cannot train, or nothing."""
    if issparse(y):
        return "y is sparse"
    if weights is not None and weights.min() < 0:
        return "a sample_weight is negative"
    if model.loss == "poisson" and y.min() < 0:
        return "y is negative"
    with np.errstate(over="ignore"):
        if y.dtype != X.dtype and not np.isfinite(y.astype(X.dtype, copy=False)).all():
            return f"y is beyond {X.dtype}"
    arrays = sum(_kept(model._optimizer), model.coefs_ + model.intercepts_)
    if not _are_plain(arrays, X.dtype):
        return f"coefs_ are not plain arrays of {X.dtype}, as X is"
    return ""


class _InCore(CallbackSupportMixin):
    """What is overridden for both estimators."""

    _given: Any = None  # X_val and y_val, while fit runs

    def fit(
        self: Any,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Any:
        """Fit the model to data matrix X and target(s) y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or real numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each sample counts.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Data to watch: ``validation_loss_curve_`` gets their loss after each epoch, and
            with ``early_stopping`` they are what is scored, and nothing is split off X.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Their targets.

        Returns
        -------
        self : object
        """
        if (X_val is None) != (y_val is None):
            absent = "X_val" if X_val is None else "y_val"
            raise ValueError(f"X_val and y_val must be given together, got no {absent}")
        if X_val is not None and (self.solver == "lbfgs" or not _KNOWN):
            raise ValueError(
                "X_val and y_val are looked at after each epoch: they need solver 'adam' or "
                f"'sgd', got {self.solver!r}, and a scikit-learn that bpnet knows"
            )
        if X_val is not None:
            self._given = X_val, y_val
        try:
            return super().fit(X, y, sample_weight=sample_weight)
        finally:
            self.__dict__.pop("_given", None)

    def to_sklearn(self: Any) -> Any:
        """Return a copy that is scikit-learn's own, to be used where there is no bpnet."""
        plain = self._plain.__new__(self._plain)
        kept = {name: self.__dict__[name] for name in self.__dict__ if name not in _ADDED}
        plain.__dict__.update(copy.deepcopy(kept))
        return plain

    def _fit(self: Any, X: Any, y: Any, *args: Any, **options: Any) -> Any:
        """Call callbacks before and after; whoever calls this tears them down."""
        check.integer("n_threads", self.n_threads, 1)
        if options.get("incremental") or not hasattr(self, "_init_callback_context"):
            return super()._fit(X, y, *args, **options)
        told = {"estimator": self, "X": X, "y": y}
        told["metadata"] = {"sample_weight": options.get("sample_weight")}
        epochs = 0 if self.solver == "lbfgs" else self.max_iter
        context = self._init_callback_context(max_subtasks=epochs)
        context.call_on_fit_task_begin(**told)
        super()._fit(X, y, *args, **options)
        context.call_on_fit_task_end(**told, reconstruction_attributes={})
        return self

    def _fit_stochastic(self: Any, X: Any, y: Any, sample_weight: Any, *args: Any) -> None:
        incremental = args[-1]
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = _optimizer(self)
        reason = _why_not(self, X, y, sample_weight)
        if reason and self._given is not None:
            raise ValueError(f"X_val and y_val cannot be looked at, because {reason}")
        if reason:
            super()._fit_stochastic(X, y, sample_weight, *args)
            return
        train, validation = (X, y, sample_weight), None
        if self._given is not None:
            validation = self._given_validation(X.dtype)
        elif self.early_stopping:
            train, validation = self._split(*train)
        if self.t_ == 0:
            self.__dict__.pop("validation_loss_curve_", None)
        descent = _Descent(self, *train)
        self.n_iter_ = 0
        try:
            while not self._epoch(descent, train, validation) and not incremental:
                if self.n_iter_ == self.max_iter:
                    check.warn(
                        f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached "
                        "and the optimization hasn't converged yet.",
                        ConvergenceWarning,
                    )
                    break
        except KeyboardInterrupt:
            check.warn("Training interrupted by user.")
        finally:
            descent.store()
        if self.early_stopping:
            self.coefs_, self.intercepts_ = self._best_coefs, self._best_intercepts

    def _epoch(
        self: Any, descent: _Descent, train: Any, validation: _Validation | None
    ) -> bool:
        """Train once on every example; return whether that was the last time."""
        context = None
        if getattr(self, "_skl_callbacks", None) and hasattr(self, "_callback_fit_ctx"):
            context = self._callback_fit_ctx.subcontext("epoch")
            context.call_on_fit_task_begin(**self._told(descent, train))
        self.loss_ = descent.epoch()
        self.n_iter_ += 1
        self.t_ += descent.n
        self.loss_curve_.append(self.loss_)
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
        if validation is not None:
            validation.outputs = descent.net.feedforward(validation.packed)
            curve = self.__dict__.setdefault("validation_loss_curve_", [])
            curve.append(validation.loss())
        if self.early_stopping:  # which keeps a copy of the best
            descent.store()
        self._update_no_improvement_count(self.early_stopping, validation, None, None)
        self._optimizer.iteration_ends(self.t_)
        stops = self._no_improvement_count > self.n_iter_no_change and self._optimizer_stops()
        if context is not None:
            stops |= context.call_on_fit_task_end(**self._told(descent, train))
        return stops

    def _optimizer_stops(self: Any) -> bool:
        """Return whether the optimizer ends the run, for lack of improvement, or goes on."""
        what = "Training loss did not improve"
        if self.early_stopping:
            what = "Validation score did not improve"
        stops = self._optimizer.trigger_stopping(
            f"{what} more than tol={self.tol:f} for {self.n_iter_no_change} consecutive "
            "epochs.",
            self.verbose,
        )
        if not stops:
            self._no_improvement_count = 0
        return bool(stops)

    def _told(self: Any, descent: _Descent, train: Any) -> dict[str, Any]:
        """Return what callbacks may ask for at either end of an epoch, made when they do."""
        X, y, sample_weight = train

        def fitted() -> dict[str, Any]:
            biases, weights = descent.net.store()
            return {
                "coefs_": [np.ascontiguousarray(w.T) for w in weights],
                "intercepts_": [b[:, 0] for b in biases],
            }

        return {
            "estimator": self,
            "X": X,
            "y": lambda: self._as_given(y),
            "metadata": {"sample_weight": sample_weight},
            "reconstruction_attributes": fitted,
        }

    def _split(self: Any, X: Any, y: Array, sample_weight: Any) -> tuple[Any, _Validation]:
        """Return what scikit-learn would train on, and what it would score."""
        # Two classes are stratified, more are not.
        stratify = y if self._is_classifier and self.n_outputs_ == 1 else None
        arrays = [X, y] if sample_weight is None else [X, y, sample_weight]
        parts = train_test_split(
            *arrays,
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=stratify,
        )
        train, (X_val, targets, *weights) = parts[::2], parts[1::2]
        if len(targets) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size "
                f"of your dataset: validation_fraction={self.validation_fraction} of "
                f"{len(y)} samples are {len(targets)}"
            )
        weights = weights[0] if weights else None
        validation = _Validation(self, X_val, targets, weights)
        return (*train, *[None] * (3 - len(train))), validation

    def _given_validation(self: Any, dtype: np.dtype[Any]) -> _Validation:
        """Return what fit was given, checked as X and y are."""
        X, y = self._given
        X = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=dtype, reset=False)
        y = check_array(
            y,
            ensure_2d=False,
            dtype=None if self._is_classifier else dtype,
            input_name="y_val",
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if len(y) != X.shape[0]:
            raise ValueError(f"y_val must have the {X.shape[0]} rows of X_val, got {len(y)}")
        return _Validation(self, X, self._targets_of(y), None)

    def _score(self: Any, X: Any, y: Any, sample_weight: Any = None) -> Any:
        if isinstance(X, _Validation):
            return X.score()
        return super()._score(X, y, sample_weight)

    def _forward_pass_fast(self: Any, X: Any, check_input: bool = True) -> Array:
        if check_input:
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        if _predicts(self, X):
            x, sizes = np.ascontiguousarray(X), [X.shape[1], *map(len, self.intercepts_)]
            net = _net(self, sizes, X.dtype, min(ROWS, len(x)))
            net.load(*_by_layer(self.coefs_ + self.intercepts_))
            return net.feedforward(bpcore.Data(bpcore.engine(X.dtype), x, sizes[-1]))
        return super()._forward_pass_fast(X, check_input=False)


if not _KNOWN:
    for name in _METHODS:
        if name in vars(_InCore):
            delattr(_InCore, name)


class MLPClassifier(_InCore, neural_network.MLPClassifier):
    """scikit-learn's multi-layer perceptron classifier, trained by a compiled core.

    Its parameters, attributes and methods are those of `sklearn.neural_network.MLPClassifier`,
    and so are its numbers for the same random_state, but for rounding.  There are more:

    Parameters
    ----------
    n_threads : int, default=1
        Threads that share the work of a mini-batch.  They change no bit of the result.
    class_weight : dict, list of dicts, "balanced" or None, default=None
        A factor of sample_weight for each class: of a dict, 1 where the class is not named;
        "balanced" makes all classes weigh the same.  For several labels, a list of dicts.

    Attributes
    ----------
    validation_loss_curve_ : list of float
        The loss after each epoch, without regularisation, of X_val, or of what early stopping
        split off.  Not there without either.
    """

    _plain = neural_network.MLPClassifier
    _is_classifier = True

    def __init__(
        self, *args: Any, n_threads: int = 1, class_weight: Any = None, **parameters: Any
    ) -> None:
        super().__init__(*args, **parameters)
        self.n_threads = n_threads
        self.class_weight = class_weight

    __init__.__signature__ = _signature(  # type: ignore[attr-defined]
        _plain, n_threads=1, class_weight=None
    )

    def fit(  # noqa: D102
        self: Any,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Any:
        sample_weight = self._weighted(y, sample_weight)
        return super().fit(X, y, sample_weight, X_val=X_val, y_val=y_val)

    fit.__doc__ = _InCore.fit.__doc__

    @available_if(lambda self: self._check_solver())
    def partial_fit(
        self: Any, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> Any:
        """Go over the given data once, as one epoch; the first call needs all classes."""
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight must be a dict for partial_fit, which sees a part of the data, "
                'got "balanced": use '
                'sklearn.utils.class_weight.compute_class_weight("balanced", ...)'
            )
        return super().partial_fit(X, y, self._weighted(y, sample_weight), classes)

    def _weighted(self: Any, y: Any, sample_weight: Any) -> Any:
        """Return sample_weight times the weights of y's classes."""
        factors = self.class_weight
        if factors is None or y is None:
            return sample_weight
        y = y if issparse(y) else np.asarray(y)
        ones = np.ones(y.shape[0])
        weights = ones if sample_weight is None else np.asarray(sample_weight) * ones
        if factors == "balanced" and y.ndim == 1:
            inverse = np.unique(y, return_inverse=True)[1]
            totals = np.bincount(inverse, weights)
            mean = totals.sum() / max(np.count_nonzero(totals), 1)
            return weights * (mean / np.where(totals > 0, totals, 1))[inverse]
        if isinstance(factors, dict):  # a class may be absent here
            factors = {c: factors.get(c, 1) for c in np.unique(y).tolist()}
        return weights * compute_sample_weight(factors, y)

    def _as_given(self: Any, targets: Array) -> Array:
        return self._label_binarizer.inverse_transform(targets)

    def _targets_of(self: Any, y: Array) -> Array:
        labels = np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y_val must have classes of y, {self.classes_.tolist()}, got {unknown[0]!r}"
            )
        return self._label_binarizer.transform(y).astype(bool)


class MLPRegressor(_InCore, neural_network.MLPRegressor):
    """scikit-learn's multi-layer perceptron regressor, trained by a compiled core.

    Its parameters, attributes and methods are those of `sklearn.neural_network.MLPRegressor`,
    and so are its numbers for the same random_state, but for rounding.  There are more:

    Parameters
    ----------
    n_threads : int, default=1
        Threads that share the work of a mini-batch.  They change no bit of the result.

    Attributes
    ----------
    validation_loss_curve_ : list of float
        The loss after each epoch, without regularisation, of X_val, or of what early stopping
        split off.  Not there without either.
    """

    _plain = neural_network.MLPRegressor
    _is_classifier = False

    def __init__(self, *args: Any, n_threads: int = 1, **parameters: Any) -> None:
        super().__init__(*args, **parameters)
        self.n_threads = n_threads

    __init__.__signature__ = _signature(  # type: ignore[attr-defined]
        _plain, n_threads=1
    )

    def _as_given(self: Any, targets: Array) -> Array:
        return targets

    def _targets_of(self: Any, y: Array) -> Array:
        targets = y.reshape(len(y), -1)
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y_val must have {self.n_outputs_} columns, as y, got {targets.shape[1]}"
            )
        return targets
