"""How much sooner is bpnet.estimators done than scikit-learn, and is it ever later?

Whole fits at settings that people use, one epoch of mini-batches by partial_fit, predictions of
all test rows and of one; one thread each, the same seed, contestants in turn.  The two large
tables are made up, in the shapes of California housing and of forest cover types.
"""

import functools
import statistics
import warnings

import numpy as np
from harness import alternate, one_thread, options, report, summary

from bpnet import estimators, mnist_loader


def main():
    parser = options(__doc__, turns=5)
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS), metavar="JOB")
    arguments = parser.parse_args()
    one_thread()
    warnings.simplefilter("ignore")  # that a few epochs do not converge
    rows = []
    for name in arguments.jobs:
        for dtype in ("float64", "float32"):
            data, settings = JOBS[name](arguments.data)
            rows += measured(name, dtype, settings, arguments.turns, *data)
    import sklearn

    report(
        "scikit-learn's estimators and bpnet's, the same settings, one thread each",
        rows,
        arguments.save,
        scikit_learn=sklearn.__version__,
        turns=arguments.turns,
    )


def measured(name, dtype, settings, turns, x, y, x_test, y_test):
    """Return the rows of a job."""
    from sklearn import neural_network

    x, x_test = np.ascontiguousarray(x, dtype), np.ascontiguousarray(x_test, dtype)
    kind = "MLPRegressor" if y.dtype.kind == "f" else "MLPClassifier"
    y = y.astype(dtype) if kind == "MLPRegressor" else y
    modules = {"scikit-learn": neural_network, "bpnet": estimators}
    models = {
        who: getattr(module, kind)(random_state=1, **settings)
        for who, module in modules.items()
    }
    first = {"classes": np.unique(y)} if kind == "MLPClassifier" else {}
    parts = [slice(i, i + 200) for i in range(0, min(len(x), 2000), 200)]

    def visit(model):
        for part in parts:
            model.partial_fit(x[part], y[part])

    rows = []
    fresh = {who: type(models[who])(random_state=1, **settings) for who in models}
    for model in fresh.values():
        model.set_params(early_stopping=False).partial_fit(x, y, **first)
    actions = {
        "fit": (models, lambda model: model.fit(x, y)),
        "partial_fit": (fresh, visit),
        "predict all": (models, lambda model: model.predict(x_test)),
        "predict one": (models, lambda model: [model.predict(x_test[:1]) for _ in range(20)]),
    }
    for action, (acting, act) in actions.items():
        calls = {who: functools.partial(silently, act, acting[who]) for who in models}
        # Short ones, more often: what else runs on a machine meets both alike.
        seconds = alternate(calls, turns if action == "fit" else 10 * turns)
        theirs = statistics.median(seconds["scikit-learn"])
        for who in models:
            rows.append(
                {
                    "job": f"{name}, {len(x)} x {x.shape[1]}",
                    "what": action,
                    "dtype": dtype,
                    "system": who,
                    **summary(seconds[who], "s"),
                    "times faster": theirs / statistics.median(seconds[who]),
                    "epochs": models[who].n_iter_,
                    "score": models[who].score(x_test, y_test),
                }
            )
    return rows


def silently(act, model):
    act(model)


def split(x, y, scaled=True):
    """Return three quarters of the data, standardised, and the rest."""
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    x, x_test, y, y_test = train_test_split(x, y, random_state=0)
    if scaled:
        scaler = StandardScaler().fit(x)
        x, x_test = scaler.transform(x), scaler.transform(x_test)
    return x, y, x_test, y_test


def carried(name, **settings):
    """Return the job of a data set that scikit-learn carries."""

    def job(_):
        from sklearn import datasets

        return split(*getattr(datasets, f"load_{name}")(return_X_y=True)), settings

    return job


def made_up(n, n_in, classes, **settings):
    """Return the job of a table of n rows that a network of its own labels, with noise."""

    def job(_):
        rng = np.random.RandomState(0)
        x = rng.randn(n, n_in)
        hidden = np.tanh(x @ rng.randn(n_in, 20) / n_in**0.5)
        z = hidden @ rng.randn(20, max(classes, 1)) + 0.3 * rng.randn(n, max(classes, 1))
        return split(x, z.argmax(axis=1) if classes else z[:, 0], False), settings

    return job


def digits_of_mnist(path):
    """Return the job of MNIST."""
    (x, y), _, (x_test, y_test) = mnist_loader.load_data(path)
    return (x, y, x_test, y_test), {"max_iter": 10}


JOBS = {
    "breast_cancer": carried("breast_cancer"),
    "breast_cancer, stopped early": carried("breast_cancer", early_stopping=True),
    "digits": carried("digits"),
    "wine": carried("wine", hidden_layer_sizes=(50, 25), max_iter=500),
    "diabetes": carried("diabetes", max_iter=500),
    "digits, sgd": carried("digits", solver="sgd", learning_rate_init=0.01, max_iter=100),
    "regression": made_up(20000, 8, 0, max_iter=20),
    "7 classes": made_up(160000, 54, 7, max_iter=3),
    "MNIST": digits_of_mnist,
}

if __name__ == "__main__":
    main()
