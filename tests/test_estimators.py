"""The scikit-learn face: the same numbers as scikit-learn's own, and what it adds."""

import copy
import json
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.7")

from engines import same_bits  # noqa: E402
from scipy import sparse  # noqa: E402
from sklearn import neural_network  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler, scale  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from bpnet import estimators  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning"),
]

N = 250


def digits():
    x, y = load_digits(return_X_y=True)
    return x[:N] / 16, y[:N]


def multilabel():
    x, y = digits()
    return x, np.stack([y % 2, y > 4, y == 3], axis=1).astype(int)


def binary():
    x, y = load_breast_cancer(return_X_y=True)
    return scale(x)[:N], np.array(["benign", "malignant"])[y[:N]]


def unscaled():
    x, y = load_breast_cancer(return_X_y=True)
    return x[:N], y[:N]


def real():
    x, y = load_diabetes(return_X_y=True)
    return x[:N] * 20, y[:N] / 100


def reals():
    x, y = real()
    return x, np.stack([y, x[:, 2] - y], axis=1)


# What is learnt: the class, its data, more settings.
KINDS = {
    "multiclass": ("MLPClassifier", digits, {}),
    "binary": ("MLPClassifier", binary, {}),
    "unscaled": ("MLPClassifier", unscaled, {}),
    "multilabel": ("MLPClassifier", multilabel, {}),
    "regression": ("MLPRegressor", real, {}),
    "regressions": ("MLPRegressor", reals, {}),
    "poisson": ("MLPRegressor", real, {"loss": "poisson"}),
}
SOLVERS = {
    "adam": {"solver": "adam", "learning_rate_init": 0.005},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.01},
    "momentum": {"solver": "sgd", "learning_rate_init": 0.01, "nesterovs_momentum": False},
    "plain": {"solver": "sgd", "learning_rate_init": 0.01, "momentum": 0},
}
VARIANTS = {
    "whole batches": {"batch_size": 50},
    "a short last batch": {"batch_size": 64},
    "one batch": {"batch_size": N},
    "in order": {"batch_size": 64, "shuffle": False},
    "strong alpha": {"batch_size": 64, "alpha": 0.5},
    "two layers": {"batch_size": 32, "hidden_layer_sizes": (17, 5)},
    "no layer": {"batch_size": 32, "hidden_layer_sizes": ()},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 3, "max_iter": 40},
    "invscaling": {"batch_size": 64, "learning_rate": "invscaling", "power_t": 0.3},
    "adaptive": {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 2},
    "until tol": {"tol": 0.1, "n_iter_no_change": 2, "max_iter": 60},
}
ACTIVATIONS = ["relu", "tanh", "logistic", "identity"]
WAYS = ["weights", "warm_start", "partial_fit", "sparse"]


def pair(kind, **settings):
    """Return scikit-learn's estimator, ours with the same settings, and the data."""
    name, data, more = KINDS[kind]
    settings = {"max_iter": 20, "random_state": 3, **more, **settings}
    ours = getattr(estimators, name)(**settings)
    return getattr(neural_network, name)(**settings), ours, *data()


def run(model, x, y, way=""):
    """Train in one of the ways."""
    weights = None
    if way == "weights":
        weights = np.random.RandomState(0).exponential(size=len(x))
        weights[::7] = 0
    if way == "sparse":
        x = sparse.csc_array(np.where(abs(x) > 0.3, x, 0))
    if way == "partial_fit":
        is_classifier = isinstance(model, neural_network.MLPClassifier)
        model.partial_fit(x, y, **({"classes": np.unique(y)} if is_classifier else {}))
        for _ in range(5):
            model.partial_fit(x[::2], y[::2])
        return model
    model.fit(x, y, sample_weight=weights)
    if way == "warm_start":
        model.set_params(warm_start=True).fit(x[::-1], y[::-1])
    return model


def assert_same(ours, theirs, x):
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-10)
    for mine, other in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, atol=1e-8, rtol=0)
    for name in ["loss_", "best_loss_", "validation_scores_", "best_validation_score_", "t_"]:
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert (mine is None) == (other is None), name
        if mine is not None:
            np.testing.assert_allclose(mine, other, rtol=1e-9, err_msg=name)
    assert ours._no_improvement_count == theirs._no_improvement_count
    for name, other in vars(theirs._optimizer).items():
        mine = getattr(ours._optimizer, name)
        if not isinstance(other, list):
            is_rate = name == "learning_rate"
            assert mine == (pytest.approx(other, rel=1e-12) if is_rate else other), name
        elif name != "velocities" or theirs._optimizer.momentum:  # without, they say nothing
            for one, two in zip(mine, other):
                np.testing.assert_allclose(one, two, atol=1e-8, rtol=0, err_msg=name)
    if isinstance(ours, neural_network.MLPClassifier):
        np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
        np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-8)
    else:
        np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-7)


GRID = [
    *((k, s, "a short last batch", a, "") for k in KINDS for s in SOLVERS for a in ACTIVATIONS),
    *((k, s, v, "relu", "") for k in KINDS for s in ("adam", "nesterov") for v in VARIANTS),
    *((k, s, "whole batches", "relu", w) for k in KINDS for s in SOLVERS for w in WAYS),
]


def is_fair(kind, solver, variant, activation, way):
    if kind == "unscaled" and activation in ("tanh", "logistic"):
        return False  # neurons are saturated, and their slopes, 1 - a^2, all rounding
    # scikit-learn cannot be told which labels there are.
    return (kind, way) != ("multilabel", "partial_fit")


@pytest.mark.parametrize(
    ("kind", "solver", "variant", "activation", "way"),
    [pytest.param(*g, id="-".join(filter(None, g))) for g in sorted({*GRID}) if is_fair(*g)],
)
def test_the_same_seed_gives_the_same_numbers(kind, solver, variant, activation, way):
    settings = {**SOLVERS[solver], **VARIANTS[variant], "activation": activation}
    if kind == "unscaled" and solver != "adam":
        settings["learning_rate_init"] = 1e-6  # lest the weights run away
    theirs, ours, x, y = pair(kind, **settings)
    assert_same(run(ours, x, y, way), run(theirs, x, y, way), x)
