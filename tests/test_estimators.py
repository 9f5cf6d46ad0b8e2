"""The scikit-learn face: the same numbers as scikit-learn's own, and what it adds."""

import pickle
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", minversion="1.7")

from scipy import sparse  # noqa: E402
from sklearn import neural_network  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler, scale  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from bpnet import estimators  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:scipy.optimize:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning"),
]

N = 250

# Before, scikit-learn cannot stop early on classes that have names.
NAMES = sklearn.__version__ >= "1.9"


def digits():
    x, y = load_digits(return_X_y=True)
    return x[:N] / 16, y[:N]


def multilabel():
    x, y = digits()
    return x, np.stack([y % 2, y > 4, y == 3], axis=1).astype(int)


def binary():
    x, y = load_breast_cancer(return_X_y=True)
    return scale(x)[:N], np.array(["benign", "malignant"] if NAMES else [2, 5])[y[:N]]


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


# What scikit-learn's own fail as well, with these settings.
WITHOUT_PARTIAL_FIT = {
    name: "partial_fit is refused, as by scikit-learn"
    for name in (
        "check_estimators_partial_fit_n_features",
        "check_fit_score_takes_y",
        "check_n_features_in_after_fitting",
    )
}
FEW_ROWS = {
    name: "a validation set is split off few rows, as by scikit-learn"
    for name in (
        "check_class_weight_classifiers",
        "check_classifiers_one_label",
        "check_estimators_nan_inf",
        "check_fit2d_1feature",
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    )
}


def expected_failures(estimator):
    failures = {}
    if estimator.early_stopping or getattr(estimator, "class_weight", None) == "balanced":
        failures |= WITHOUT_PARTIAL_FIT
    return failures | FEW_ROWS if estimator.early_stopping else failures


CHECKS = parametrize_with_checks(
    [
        estimators.MLPClassifier(),
        estimators.MLPRegressor(),
        estimators.MLPClassifier(solver="sgd", activation="tanh"),
        estimators.MLPRegressor(solver="sgd", activation="tanh"),
        estimators.MLPClassifier(n_threads=2),
        estimators.MLPRegressor(n_threads=2),
        estimators.MLPClassifier(activation="logistic", class_weight="balanced"),
        estimators.MLPRegressor(activation="identity", alpha=0.1),
        estimators.MLPClassifier(early_stopping=True),
    ],
    expected_failed_checks=expected_failures,
).mark


@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def bits(model):
    arrays = model.coefs_ + model.intercepts_
    return b"".join(a.tobytes() for a in arrays), list(model.loss_curve_)


def fitted(kind="multiclass", **settings):
    own = {name: settings.pop(name) for name in ("n_threads",) if name in settings}
    _, ours, x, y = pair(kind, **settings)
    return ours.set_params(**own).fit(x, y), x, y


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["adam", "nesterov"])
def test_float32_strays_no_farther_than_scikit_learns_own(kind, solver):
    settings = {**SOLVERS[solver], "batch_size": 64, "learning_rate_init": 1e-5}
    theirs, ours, x, y = pair(kind, **settings)
    exact = clone(theirs).fit(x.astype("f").astype(float), y)
    ours.fit(x.astype("f"), y)
    theirs.fit(x.astype("f"), y)

    def strays(model):
        arrays = zip(model.coefs_ + model.intercepts_, exact.coefs_ + exact.intercepts_)
        return max(abs(a - b).max() for a, b in arrays)

    assert {a.dtype for a in ours.coefs_ + ours.intercepts_} == {np.dtype("f")}
    # Both round a weight, once a step, by half an ulp of 1/2 at most.
    steps = ours.n_iter_ * 4
    assert strays(ours) <= strays(theirs) + steps * np.finfo("f").eps / 4
    # A mean of N costs, added in an order of one's own.
    rounding = N * float(np.finfo("f").eps)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=rounding)


@pytest.mark.parametrize("kind", ["multiclass", "regressions"])
def test_threads_change_no_bit(kind):
    settings = {"hidden_layer_sizes": (90, 70), "batch_size": 33, "max_iter": 5}
    one, *_ = fitted(kind, **settings)
    for n_threads in (2, 3):
        more, *_ = fitted(kind, n_threads=n_threads, **settings)
        assert bits(more) == bits(one)


def test_a_short_mini_batch_has_a_stronger_alpha():
    # alpha is divided by the rows of each mini-batch: of one row by 1.
    theirs, ours, x, y = pair("multiclass", batch_size=N - 1, alpha=10, max_iter=3)
    assert_same(ours.fit(x, y), theirs.fit(x, y), x)


def test_the_squared_loss_is_a_mean_over_outputs_and_its_gradient_a_sum():
    _, ours, x, y = pair("regressions", solver="sgd", alpha=0, batch_size=N, max_iter=2)
    one = clone(ours).set_params(max_iter=1).fit(x, y)
    first = clone(ours).set_params(max_iter=1, learning_rate_init=1e-300).fit(x, y)
    assert one.loss_ == pytest.approx(((first.predict(x) - y) ** 2).mean() / 2)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_a_mini_batch_of_no_weight_is_an_error_before_its_epoch(kind):
    _, ours, x, y = pair(kind, batch_size=10, shuffle=False)
    weights = np.ones(len(x))
    weights[30:40] = 0
    with pytest.raises(ZeroDivisionError, match="Weights sum to zero, can't be normalized"):
        ours.fit(x, y, sample_weight=weights)
    with pytest.raises((ValueError, ZeroDivisionError), match=r"(?i)weight.*(zero|0)"):
        ours.fit(x, y, sample_weight=weights * 0)


def test_an_int_seed_shuffles_alike_at_each_call_of_partial_fit():
    _, ours, x, y = pair("binary", batch_size=10)
    ours.partial_fit(x, y, classes=np.unique(y))
    seen = []
    for _ in range(3):
        ours.partial_fit(x, y)
        seen.append(ours._random_state.get_state()[2])
    assert len({*seen}) == 1


def test_warm_start_goes_on_with_some_and_begins_others_anew():
    ours, x, y = fitted(warm_start=True, max_iter=3)
    optimizer = ours._optimizer
    ours.fit(x, y)
    assert (ours.n_iter_, len(ours.loss_curve_), ours.t_) == (3, 6, 6 * N)
    assert ours._optimizer is not optimizer
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same"):
        ours.fit(x, y % 3)


def test_partial_fit_is_there_where_it_is_in_scikit_learn():
    for name in ("MLPClassifier", "MLPRegressor"):
        for solver in ("adam", "sgd", "lbfgs"):
            ours, theirs = (
                getattr(m, name)(solver=solver) for m in (estimators, neural_network)
            )
            assert hasattr(ours, "partial_fit") == hasattr(theirs, "partial_fit")


def test_partial_fit_has_no_early_stopping():
    _, ours, x, y = pair("regression", early_stopping=True)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        ours.partial_fit(x, y)


def test_zeros_of_either_sign_have_no_slope_and_nan_passes_on():
    x = np.array([[0.0], [-0.0], [1.0], [-1.0]] * 5)
    y = [0, 1, 1, 0] * 5
    for shuffle in (True, False):
        both = [
            m.MLPClassifier((3,), random_state=0, shuffle=shuffle, max_iter=20)
            for m in (estimators, neural_network)
        ]
        assert_same(*[model.fit(x, y) for model in both], x)
    y = np.full(20, 1e200)
    for m in (estimators, neural_network):
        model = m.MLPRegressor(
            hidden_layer_sizes=3, solver="sgd", learning_rate_init=1e200, random_state=0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match="non-finite parameter weights"):
                model.fit(x, y)


def test_a_float32_net_predicts_float64_from_float64():
    ours, x, _ = fitted()
    ours = clone(ours).fit(x.astype("f"), digits()[1])
    assert ours.predict_proba(x).dtype == np.float64
    assert ours.predict_proba(x.astype("f")).dtype == np.float32


def test_one_class_is_one_neuron_and_two_columns():
    theirs, ours, x, _ = pair("multiclass", max_iter=3)
    assert_same(ours.fit(x, ["a"] * N), theirs.fit(x, ["a"] * N), x)
    assert ours.predict_proba(x).shape == (N, 2)
    assert ours.out_activation_ == "logistic"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"solver": "lbfgs"}, ""),
        (
            {"sample_weight": np.where(np.arange(N) == 3, -0.5, 1)},
            "a sample_weight is negative",
        ),
        ({"kind": "poisson", "y": np.linspace(-1, 3, N)}, "y is negative"),
    ],
)
def test_what_the_core_does_not_train_scikit_learn_does(change, reason):
    settings = {key: value for key, value in change.items() if key == "solver"}
    theirs, ours, x, y = pair(change.get("kind", "regression"), **settings)
    y, weights = change.get("y", y), change.get("sample_weight")
    with np.errstate(all="ignore"):
        ours.fit(x, y, sample_weight=weights)
        theirs.fit(x, y, sample_weight=weights)
    for mine, other in zip(ours.coefs_, theirs.coefs_):
        assert mine.tobytes() == other.tobytes()
    with pytest.raises(ValueError, match=reason or "they need solver 'adam' or 'sgd'"):
        ours.fit(x, y, sample_weight=weights, X_val=x, y_val=y)


@pytest.mark.parametrize("gone", ["signature", "method", "module"])
def test_an_unknown_scikit_learn_is_slow_and_says_so(gone):
    make = {
        "signature": "base._fit_stochastic = lambda self, X, y, more, *a: None",
        "method": "del base._update_no_improvement_count",
        "module": "sys.modules['sklearn.neural_network._stochastic_optimizers'] = None",
    }
    code = f"""
import sys, warnings
import sklearn.neural_network._multilayer_perceptron as m
base = m.BaseMultilayerPerceptron
{make[gone]}
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    from bpnet.estimators import MLPClassifier
    model = MLPClassifier(max_iter=2)
print([str(w.message)[:60] for w in seen])
m.BaseMultilayerPerceptron._fit_stochastic = lambda *a: print("theirs")
model.fit([[0.0], [1.0]], [0, 1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "['bpnet.estimators does not know this version of scikit-learn,']",
        "theirs",
    ], done.stderr


def test_bpnet_does_not_import_scikit_learn_and_says_what_needs_it():
    code = """
import sys
import bpnet
assert not {name.split(".")[0] for name in sys.modules} & {"sklearn", "scipy"}
sys.modules["sklearn"] = None
try:
    import bpnet.estimators
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'needs scikit-learn 1.7 or later: pip install "bpnet[sklearn]"' in done.stdout


def test_nothing_of_the_core_stays_on_the_estimator():
    ours, x, y = fitted()
    theirs = pair("multiclass")[0].fit(x, y)
    added = {"n_threads", "class_weight"}
    assert {*vars(ours)} - added == {*vars(theirs)}
    text = pickle.dumps(ours)
    assert b"bpcore" not in text
    again = pickle.loads(text)
    assert bits(again) == bits(ours)
    # It goes on as if it had never been away, in scikit-learn, too.
    plain = ours.to_sklearn()
    assert type(plain) is neural_network.MLPClassifier
    assert_same(again.partial_fit(x, y), plain.partial_fit(x, y), x)
    assert bits(ours) != bits(again)  # they share nothing


def test_to_sklearn_is_scikit_learns_own():
    for kind in KINDS:
        ours, x, _ = fitted(kind, early_stopping=True)
        plain = ours.to_sklearn()
        ask = "predict_proba" if hasattr(ours, "predict_proba") else "predict"
        mine, other = getattr(ours, ask)(x), getattr(plain, ask)(x)
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)
        assert repr(plain) == repr(ours)
        assert clone(plain).get_params().items() <= ours.get_params().items()
        assert b"bpnet" not in pickle.dumps(plain)


def test_class_weight_is_a_factor_of_sample_weight():
    _, ours, x, y = pair("binary")
    given = np.random.RandomState(1).rand(N)
    rare = y == y[0]
    factors = {y[0]: 5}
    weighted = clone(ours).set_params(class_weight=factors).fit(x, y, given)
    assert bits(weighted) == bits(clone(ours).fit(x, y, given * np.where(rare, 5, 1)))
    balanced = clone(ours).set_params(class_weight="balanced").fit(x, y, given)
    each = np.where(rare, given[rare].sum(), given[~rare].sum())
    expected = given * given.sum() / (2 * each)
    assert_same(balanced, clone(ours).fit(x, y, expected), x)
    in_parts = clone(ours).set_params(class_weight=factors)
    in_parts.partial_fit(x, y, given, classes=np.unique(y))
    in_parts.partial_fit(x[~rare], y[~rare])  # a class that is named may be absent
    ours.partial_fit(x, y, given * np.where(rare, 5, 1), classes=np.unique(y))
    assert bits(in_parts) == bits(ours.partial_fit(x[~rare], y[~rare]))
    with pytest.raises(ValueError, match="class_weight must be a dict for partial_fit"):
        in_parts.set_params(class_weight="balanced").partial_fit(x, y)
    with pytest.raises(ValueError, match="class_weight"):
        in_parts.set_params(class_weight="unbalanced").fit(x, y)
    x, y = multilabel()
    per_label = [{0: 1, 1: 2}, {0: 1, 1: 3}, {0: 2, 1: 1}]
    weights = np.prod(
        [np.where(column, d[1], d[0]) for column, d in zip(y.T, per_label)], axis=0
    )
    several = clone(ours).set_params(class_weight=per_label).fit(x, y)
    assert_same(several, clone(ours).fit(x, y, weights), x)


@pytest.mark.parametrize("kind", KINDS)
def test_a_validation_set_of_ones_own_is_watched_and_stops(kind):
    _, ours, x, y = pair(kind, early_stopping=True, max_iter=15, n_iter_no_change=3)
    x_val, y_val, x, y = x[:60], y[:60], x[60:], y[60:]
    ours.fit(x, y, X_val=x_val, y_val=y_val)
    assert len(ours.validation_loss_curve_) == len(ours.validation_scores_) == ours.n_iter_
    assert ours.best_validation_score_ == pytest.approx(ours.score(x_val, y_val))
    # Nothing is split off, and a network that is only looked at is trained as if it were not.
    watched = clone(ours).set_params(early_stopping=False)
    watched.fit(x, y, X_val=sparse.csr_array(x_val), y_val=y_val)
    assert bits(watched) == bits(clone(watched).fit(x, y))
    assert not hasattr(clone(watched).fit(x, y), "validation_loss_curve_")
    assert watched.validation_loss_curve_[: ours.n_iter_] == pytest.approx(
        ours.validation_loss_curve_
    )
    # The curve ends on the loss of what was trained.
    targets = watched._targets_of(np.asarray(y_val))
    name = "binary_log_loss" if watched.out_activation_ == "logistic" else watched.loss
    loss = estimators.theirs.LOSS_FUNCTIONS[name]
    outputs = watched._forward_pass_fast(x_val)
    assert watched.validation_loss_curve_[-1] == pytest.approx(loss(targets, outputs))
    assert len(watched.validation_loss_curve_) == watched.n_iter_
    seen = list(watched.validation_loss_curve_)
    assert watched.set_params(warm_start=True).fit(x, y).validation_loss_curve_ == seen


def test_early_stopping_has_a_validation_loss_curve_whatever_classes_are_called():
    for weights in (None, np.linspace(0.1, 2, N)):
        _, ours, x, y = pair("binary", early_stopping=True)
        y = np.array(["a", "b"])[np.unique(y, return_inverse=True)[1]]
        ours.fit(x, y, sample_weight=weights)
        assert len(ours.validation_loss_curve_) == len(ours.validation_scores_)
        assert ours.validation_loss_curve_[-1] < ours.validation_loss_curve_[0]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"y_val": [1]}, ValueError, "must be given together, got no X_val"),
        ({"X_val": [[1.0]]}, ValueError, "must be given together, got no y_val"),
        ({"X_val": [[1.0]], "y_val": [1]}, ValueError, "has 1 features.*expecting 64"),
        ({"X_val": digits()[0][:3], "y_val": [1]}, ValueError, "the 3 rows of X_val, got 1"),
        ({"X_val": digits()[0][:1], "y_val": [77]}, ValueError, "y_val must have classes of y"),
        ({"X_val": digits()[0][:1], "y_val": [np.nan]}, ValueError, "contains NaN"),
    ],
)
def test_wrong_validation_data_are_refused(given, error, message):
    _, ours, x, y = pair("multiclass")
    with pytest.raises(error, match=message):
        ours.fit(x, y, **given)
    assert not hasattr(ours.fit(x, y), "validation_loss_curve_")


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, "2"])
def test_a_wrong_number_of_threads_is_refused(n_threads):
    with pytest.raises((TypeError, ValueError), match="n_threads must be"):
        fitted(n_threads=n_threads)


class Watcher:
    """A callback that notes what it sees."""

    def __init__(self, stop_after=None):
        self.seen, self.stop_after = [], stop_after

    def setup(self, estimator, context):
        self.seen.append(("setup", context.max_subtasks))

    def teardown(self, estimator, context):
        self.seen.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        scores = fitted_estimator.score(X, y) if context.parent else None
        self.seen.append((context.task_name, context.task_id, scores))
        return context.task_id + 1 == self.stop_after and context.parent is not None


@pytest.mark.parametrize("kind", ["binary", "regressions"])
def test_callbacks_see_every_epoch_and_may_stop(kind):
    pytest.importorskip("sklearn.callback")
    _, ours, x, y = pair(kind, max_iter=9)
    watcher = Watcher(stop_after=4)
    ours.set_callbacks(watcher).fit(x, y)
    assert ours.n_iter_ == 4
    assert watcher.seen[0] == ("setup", 9)
    assert [task[:2] for task in watcher.seen[1:-1]] == [
        *(("epoch", i) for i in range(4)),
        ("fit", 0),
    ]
    assert watcher.seen[-1] == "teardown"
    assert watcher.seen[4][2] == pytest.approx(ours.score(x, y))
    assert watcher.seen[1][2] != watcher.seen[4][2]
    plain = clone(ours).set_callbacks().set_params(max_iter=4)
    assert bits(plain.fit(x, y)) == bits(ours)


def test_scikit_learns_progress_bar_and_monitor_run():
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    _, ours, x, y = pair("binary", max_iter=3)
    monitor = callback.ScoringMonitor(scoring="accuracy")
    ours.set_callbacks(callback.ProgressBar(), monitor).fit(x, y)
    search = GridSearchCV(clone(ours).set_callbacks(), {"alpha": [0.1, 1]}, cv=2)
    search.set_callbacks(callback.ProgressBar()).fit(x, y)


def test_ctrl_c_ends_the_training_with_a_warning(monkeypatch):
    _, ours, x, y = pair("multiclass", max_iter=50)
    epochs = []

    def iteration_ends(self, t):
        epochs.append(t)
        if len(epochs) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(estimators.AdamOptimizer, "iteration_ends", iteration_ends)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        ours.fit(x, y)
    assert ours.n_iter_ == 3
    monkeypatch.undo()
    _, again, x, y = pair("multiclass", max_iter=3)
    assert bits(again.fit(x, y)) == bits(ours)


def test_warnings_are_of_the_users_line():
    _, ours, x, y = pair("multiclass", max_iter=2, batch_size=N + 1)
    with pytest.warns(UserWarning, match="batch_size is clipped") as seen:
        ours.fit(x, y)
    assert {str(w.category.__name__) for w in seen} == {"UserWarning", "ConvergenceWarning"}
    assert {w.filename for w in seen} == {__file__}


def test_what_is_printed_is_what_scikit_learn_prints(capsys):
    for settings in (
        {"early_stopping": True, "n_iter_no_change": 2},
        {"tol": 0.1, "n_iter_no_change": 1},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.1, "n_iter_no_change": 1},
    ):
        texts = []
        for model in pair("multiclass", verbose=True, **settings)[:2]:
            model.fit(*digits())
            texts.append(capsys.readouterr().out)
        assert texts[0] == texts[1]
        assert "Iteration 2, loss = " in texts[1]


def test_a_search_a_pipeline_and_routing_take_it_for_scikit_learns_own():
    x, y = binary()
    model = make_pipeline(
        StandardScaler(), estimators.MLPClassifier(max_iter=20, random_state=0)
    )
    grid = {
        "mlpclassifier__alpha": [1e-4, 1.0],
        "mlpclassifier__hidden_layer_sizes": [5, (5, 5)],
    }
    found = []
    for module in (estimators, neural_network):
        step = module.MLPClassifier(max_iter=20, random_state=0)
        search = GridSearchCV(make_pipeline(StandardScaler(), step), grid, cv=3).fit(x, y)
        found.append(search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*found)
    with sklearn.config_context(enable_metadata_routing=True):
        watching = estimators.MLPClassifier(max_iter=5, random_state=0)
        watching.set_fit_request(X_val=True, y_val=True)
        model = make_pipeline(StandardScaler(), watching, transform_input=["X_val"])
        model.fit(x, y, X_val=x[:50] + 100, y_val=y[:50])
        alone = StandardScaler().fit(x)
        watching = clone(watching).fit(
            alone.transform(x), y, X_val=alone.transform(x[:50] + 100), y_val=y[:50]
        )
        assert model[-1].validation_loss_curve_ == watching.validation_loss_curve_


def test_names_of_features_are_remembered():
    pandas = pytest.importorskip("pandas")
    x, y = binary()
    frame = pandas.DataFrame(x, columns=[f"f{i}" for i in range(x.shape[1])])
    ours = estimators.MLPClassifier(max_iter=5, random_state=0, early_stopping=True)
    ours.fit(frame, pandas.Series(y))
    assert list(ours.feature_names_in_) == list(frame.columns)
    assert bits(ours) == bits(clone(ours).fit(x, y))
    with pytest.raises(ValueError, match="feature names"):
        ours.fit(frame, y, X_val=frame.rename(columns={"f0": "g0"}), y_val=y)


def test_more_columns_than_16_bits_train_as_they_are():
    rng = np.random.RandomState(0)
    x = sparse.random(60, 70000, 2e-4, "csr", random_state=rng)
    y = np.arange(60) % 3
    settings = {"hidden_layer_sizes": (4,), "max_iter": 5, "random_state": 0, "batch_size": 25}
    for solver in ("adam", "sgd"):
        theirs = neural_network.MLPClassifier(solver=solver, **settings).fit(x, y)
        assert_same(estimators.MLPClassifier(solver=solver, **settings).fit(x, y), theirs, x)


@pytest.mark.parametrize("form", ["dense", "csr"])
def test_the_core_trains_on_x_where_it_lies(form):
    x = np.random.RandomState(0).rand(4000, 500)
    y = x[:, 0]
    if form == "csr":
        x[:, 50:] = 0
        x = sparse.csr_array(np.where(x < 0.5, 0, x))
    size = 8 * 4000 * 500
    model = estimators.MLPRegressor(hidden_layer_sizes=2, max_iter=2, random_state=0)
    model.fit(x[:300], y[:300])
    tracemalloc.start()
    model.fit(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 4
