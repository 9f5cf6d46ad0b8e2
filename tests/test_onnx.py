"""ONNX files answer as the models that they were written of, in onnxruntime."""

import contextlib
import importlib
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from nets import CLASSES, SIZES, make, own_cost, passing
from test_paths import FORMS

import bpcore
import bpnet
from bpnet import cli, network, network2, onnx, reference

ROWS = (1, 7)


def inputs(n, n_in=SIZES[0], dtype="float32", seed=3):
    """Return rows that float32 holds, in dtype."""
    return np.random.RandomState(seed).randn(n, n_in).astype("float32").astype(dtype)


def answers(path, X):
    """Return the outputs of an ONNX file by name."""
    runtime = pytest.importorskip("onnxruntime")
    content = path if isinstance(path, bytes) else Path(path).read_bytes()
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: X})))


FUNCTION = 16  # units in the last place that exp, sigmoid and tanh may be off, both together
SLOPES = {"sigmoid": 1 / 4, "tanh": 1, "relu": 1, "identity": 1}
# What bpnet calls scikit-learn's.
TWINS = {"logistic": "sigmoid", "softmax": "log-likelihood", "exp": "poisson"}


def bound(layers, hidden, output, X, da=0.0):
    """Return how far apart two ways to compute a network may be that round differently.

    layers lists (weights, biases) of bpnet's shapes.  Both ways err by at most (k + 1) eps of
    the sum of the sizes of k products and a bias, and one of them has rounded weights and
    biases; X may be off by da.
    """
    eps, a = np.finfo(X.dtype).eps, X.astype(float)
    for l, (w, b) in enumerate(layers):
        w, b = np.abs(w.astype(float)), b.astype(float).reshape(1, -1)
        z = a @ layers[l][0].T.astype(float) + b
        sums = (np.abs(a) + da) @ w.T + np.abs(b)
        dz = 2 * (w.shape[1] + 2) * eps * sums + (da + np.zeros_like(a)) @ w.T
        if l < len(layers) - 1:
            a, da = reference.ACTIVATIONS[hidden][0](z), SLOPES[hidden] * dz
        elif output == "log-likelihood":  # the Jacobian's rows sum to 1/2 at most
            a = np.exp(z - z.max(axis=1, keepdims=True))
            a, da = a / a.sum(axis=1, keepdims=True), dz.max(axis=1, keepdims=True) / 2
        elif output == "poisson":
            a, da = np.exp(z), np.exp(z) * np.expm1(dz)
        else:
            a = reference.OUTPUTS[output][0](z)
            da = dz if output == "squared" else dz / 4
        da = da + FUNCTION * eps * np.abs(a)
    return da


def bound_of(model, X, da=0.0):
    """Return the bound of a network, or of an estimator."""
    if hasattr(model, "coefs_"):
        layers = [(w.T, b) for w, b in zip(model.coefs_, model.intercepts_)]
        hidden, output = (TWINS.get(n, n) for n in (model.activation, model.out_activation_))
        output = {"sigmoid": "quadratic", "identity": "squared"}.get(output, output)
    else:
        layers = list(zip(model.weights, model.biases))
        hidden, output = model.hidden, model.output or "quadratic"
    return bound(layers, hidden, output, X, da)


def alike(got, wanted, most):
    """Whether outputs are of the same shape, and no farther apart than most."""
    return got.shape == wanted.shape and (np.abs(got - wanted) <= most).all()


@pytest.fixture
def path(tmp_path):
    pytest.importorskip("onnx")
    return tmp_path / "model.onnx"


# Networks


def networks():
    """Return (name, function of sizes) of each face with each row that it takes."""
    found = {}
    for hidden in reference.ACTIVATIONS:
        found[f"network {hidden}"] = network.Network, {"hidden": hidden}
        for cost in (name for name in vars(network2) if re.fullmatch(r"[A-Z]\w+Cost", name)):
            options = {"cost": getattr(network2, cost), "hidden": hidden}
            found[f"network2 {hidden} {cost}"] = network2.Network, options
        found[f"network2 {hidden} own cost"] = own_cost, {"hidden": hidden}
        for output in reference.OUTPUTS:
            options = {"hidden": hidden, "output": output}
            found[f"MLP {hidden} {output}"] = bpnet.MLP, options
    return found


NETWORKS = networks()
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def outputs_of(net, X):
    return net.predict(X) if isinstance(net, bpnet.MLP) else net.feedforward(X.T).T


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_row_of_the_tables_has_its_operator(dtype):
    engine, advice = bpcore.engine(dtype), "add a row to the tables of bpnet.onnx"
    assert set(onnx.ACTIVATIONS) == set(engine.activations) == {*reference.ACTIVATIONS}, advice
    classifying = {name: bool(kind) for name, kind in engine.outputs.items()}
    assert {name: kind for name, (_, kind) in onnx.OUTPUTS.items()} == classifying, advice


@each_dtype
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("sizes", [SIZES, [6, 3], [6, 5, 4, 1], [6, 9, 8, 2]], ids=str)
def test_a_network_answers_the_same(name, sizes, dtype, path, nothing_changes):
    kind, options = NETWORKS[name]
    if sizes[-1] == 1 and ("LogLikelihood" in name or "log-likelihood" in name):
        return  # which takes two outputs or more
    net = kind(sizes, **options, dtype=dtype, seed=1)
    net.biases = [b + np.linspace(-0.5, 0.5, len(b), dtype=dtype)[:, None] for b in net.biases]
    with nothing_changes(net):
        onnx.export(net, path)
    for n in ROWS:
        X = inputs(n)
        wanted, got = outputs_of(net, X.astype(dtype)), answers(path, X)
        most = bound_of(net, X)
        if net.output in ("squared", "poisson"):
            assert list(got) == ["variable"] and got["variable"].dtype == np.float32
            assert alike(got["variable"], wanted, most)
            continue
        if sizes[-1] == 1:
            wanted, most = np.hstack([1 - wanted, wanted]), most + np.finfo("float32").eps
        assert list(got) == ["label", "probabilities"]
        assert alike(got["probabilities"], wanted, most)
        assert got["label"].dtype == np.int64 and got["label"].shape == (n,)
        assert (got["label"] == got["probabilities"].argmax(axis=1)).all()
        clear = np.ptp(np.sort(wanted)[:, -2:], axis=1) > 2 * most.max(axis=1)  # of a tie
        assert (got["label"] == wanted.argmax(axis=1))[clear].all()


@each_dtype
@pytest.mark.parametrize("hidden", reference.ACTIVATIONS)
@pytest.mark.parametrize(
    "output", [o for o, (_, classifies) in onnx.OUTPUTS.items() if classifies]
)
def test_probabilities_for_digits_are_within_a_millionth(output, hidden, dtype, path):
    net = bpnet.MLP([784, 30, 10], hidden=hidden, output=output, dtype=dtype, seed=1)
    onnx.export(net, path)
    ink = np.random.RandomState(1).rand(100, 784) < 0.2  # of a digit's pixels
    X = np.where(ink, np.random.RandomState(0).rand(100, 784), 0).astype(np.float32)
    assert np.abs(answers(path, X)["probabilities"] - net.predict(X)).max() <= 1e-6


@pytest.mark.parametrize("kind", CLASSES)
def test_a_saved_network_gives_the_same_bytes_each_time(kind, path, tmp_path):
    net = make(kind)
    onnx.export(net, path)
    content = path.read_bytes()
    assert len(content) < sum(4 * p.size for p in (*net.biases, *net.weights)) + 2000
    net.save(tmp_path / "net.npz")
    for again in (net, bpnet.load(tmp_path / "net.npz")):
        onnx.export(again, path)
        assert path.read_bytes() == content


def test_the_file_says_what_it_needs_and_who_wrote_it(path):
    import onnx as package

    returned = onnx.export(make("MLP"), path)
    proto = package.load(path)
    assert returned == proto
    package.checker.check_model(proto, full_check=True)
    assert (proto.producer_name, proto.producer_version) == ("bpnet", bpnet.__version__)
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", 13)]
    assert proto.ir_version == 7
    assert {node.domain for node in proto.graph.node} == {""}
    (x,) = proto.graph.input
    assert x.name == "X" and x.type.tensor_type.elem_type == package.TensorProto.FLOAT
    assert [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim] == ["N", SIZES[0]]


# Estimators


def labels(kind, n=60):
    """Return what an estimator learns to say."""
    draw = np.random.RandomState(4)
    classes = draw.randint(3, size=n)
    return {
        "multiclass": classes,
        "binary": classes % 2,
        "multilabel": draw.randint(2, size=(n, 3)),
        "strings": np.array(["één", "two", "three"])[classes],
        "objects": np.array(["a", "b", "c"], dtype=object)[classes],
        "two strings": np.array(["no", "yes"])[classes % 2],
        "not from 0": np.array([-5, 2**40, 7])[classes],
        "floats": np.array([1.0, -2.0, 3.0])[classes],
        "truth": classes == 1,
        "bytes of a small type": classes.astype(np.uint8),
        "one class": np.full(n, 6),
    }[kind]


LABELS = (
    *("multiclass", "binary", "multilabel", "strings", "objects", "two strings", "not from 0"),
    *("floats", "truth", "bytes of a small type", "one class"),
)


def fitted(estimator, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it did not converge
        return estimator.fit(X, y)


def perceptron(module, name, dtype, y, **options):
    cls = getattr(pytest.importorskip(module), name)
    options = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 1, **options}
    return fitted(cls(**options), inputs(len(y), dtype=dtype), y)


def check_classifier(model, got, X, kind, most):
    assert list(got) == ["label", "probabilities"]
    label, wanted = got["label"], model.predict(X)
    text = kind in ("strings", "objects", "two strings")
    assert label.dtype == (object if text else np.int64)
    probabilities = model.predict_proba(X)
    most = most + np.finfo(got["probabilities"].dtype).eps  # of 1 - a
    assert alike(got["probabilities"], probabilities, most)
    clear = np.ptp(np.sort(probabilities)[:, -2:], axis=1) > 2 * most.max(axis=1)
    if kind == "multilabel":
        clear = (np.abs(probabilities - 0.5) > most).all(axis=1)
    assert clear.any() and (label == wanted)[clear].all() and label.shape == wanted.shape


@each_dtype
@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_a_classifier_answers_the_same(kind, activation, dtype, path):
    y = labels(kind)
    model = perceptron(
        "sklearn.neural_network", "MLPClassifier", dtype, y, activation=activation
    )
    onnx.export(model, path)
    for n in ROWS:
        X = inputs(n, seed=5)
        check_classifier(model, answers(path, X), X.astype(dtype), kind, bound_of(model, X))


@each_dtype
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("n_out", [1, 2])
@pytest.mark.parametrize("hidden", [(), (8,), (7, 5)], ids=str)
def test_a_regressor_answers_the_same(hidden, n_out, loss, dtype, path):
    y = np.abs(inputs(60, n_out, seed=6))
    model = perceptron(
        "sklearn.neural_network",
        "MLPRegressor",
        dtype,
        y.ravel() if n_out == 1 else y,
        hidden_layer_sizes=hidden,
        loss=loss,
    )
    onnx.export(model, path)
    for n in ROWS:
        X = inputs(n, seed=5)
        got = answers(path, X)
        assert list(got) == ["variable"]
        wanted = model.predict(X.astype(dtype)).reshape(n, n_out)
        assert alike(got["variable"], wanted, bound_of(model, X))


# In a Pipeline, by skl2onnx


def pipeline(dtype, y, name):
    """Return a fitted Pipeline of a scaler and one of bpnet's estimators, and its ONNX."""
    skl2onnx = pytest.importorskip("skl2onnx")
    sklearn = pytest.importorskip("sklearn.pipeline")
    scaler = importlib.import_module("sklearn.preprocessing").StandardScaler()
    cls = getattr(pytest.importorskip("bpnet.estimators"), name)
    onnx.register_onnx()
    onnx.register_onnx()
    X = 3 + 2 * inputs(len(y), dtype=dtype)
    estimator = cls(hidden_layer_sizes=(8,), max_iter=5, random_state=1)
    model = fitted(sklearn.make_pipeline(scaler, estimator), X, y)
    options = {"zipmap": False} if name == "MLPClassifier" else None
    return model, skl2onnx.to_onnx(model, X[:1], options=options).SerializeToString()


def bound_of_pipeline(model, X):
    """Return the bound where both ways have scaled X, by a difference and a product."""
    scaler, estimator = (step for _, step in model.steps)
    da = 4 * np.finfo(X.dtype).eps * (np.abs(X) + np.abs(scaler.mean_)) / scaler.scale_
    return bound_of(estimator, scaler.transform(X), da)


@each_dtype
@pytest.mark.parametrize("kind", LABELS)
def test_a_pipeline_with_a_classifier_answers_the_same(kind, dtype):
    model, content = pipeline(dtype, labels(kind), "MLPClassifier")
    for n in ROWS:
        X = 3 + 2 * inputs(n, seed=5, dtype=dtype)
        check_classifier(model, answers(content, X), X, kind, bound_of_pipeline(model, X))


@each_dtype
@pytest.mark.parametrize("n_out", [1, 2])
def test_a_pipeline_with_a_regressor_answers_the_same(n_out, dtype):
    y = inputs(60, n_out, seed=6)
    model, content = pipeline(dtype, y.ravel() if n_out == 1 else y, "MLPRegressor")
    for n in ROWS:
        X = 3 + 2 * inputs(n, seed=5, dtype=dtype)
        wanted = model.predict(X).reshape(n, n_out)
        assert alike(answers(content, X)["variable"], wanted, bound_of_pipeline(model, X))


def test_skl2onnx_makes_its_dicts_where_nobody_says_no():
    model, _ = pipeline("float32", labels("strings"), "MLPClassifier")
    X = 3 + 2 * inputs(1)
    content = sys.modules["skl2onnx"].to_onnx(model, X).SerializeToString()
    (probabilities,) = answers(content, X)["output_probability"]
    assert set(probabilities) == set(labels("strings"))


# What is refused


def untouched(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@contextlib.contextmanager
def refuses(path, kind, words):
    """Assert that export says so in one sentence, and leaves the folder as it was."""
    path.write_bytes(b"the old file")
    before = untouched(path.parent)
    with pytest.raises(kind) as raised:
        yield
    assert type(raised.value) is kind and re.fullmatch(words, str(raised.value))
    assert untouched(path.parent) == before


@pytest.mark.parametrize(
    "other",
    [None, 3, "net.npz", bpnet.MLP, reference.Network([2, 1]), np.zeros(3)],
    ids=lambda other: type(other).__name__,
)
def test_what_is_no_model_is_named(other, path):
    wanted = "model must be a network of bpnet's, or a fitted MLPClassifier or MLPRegressor"
    with refuses(path, TypeError, rf"{wanted}, got {type(other).__name__}"):
        onnx.export(other, path)


def test_a_pipeline_is_sent_to_skl2onnx(path):
    model = pytest.importorskip("sklearn.pipeline").Pipeline([])
    with refuses(path, TypeError, r".*got Pipeline: use skl2onnx, after register_onnx\(\)"):
        onnx.export(model, path)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_an_estimator_must_be_fitted(name, path):
    model = getattr(pytest.importorskip("sklearn.neural_network"), name)()
    words = f"model must be fitted, got {name} without coefs_: call fit first"
    with refuses(path, ValueError, words):
        onnx.export(model, path)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_row_without_an_operator_is_named(kind, path, monkeypatch):
    net = make(kind, hidden="relu")
    monkeypatch.delitem(onnx.ACTIVATIONS, "relu")
    words = "hidden must be one of sigmoid, tanh, identity for ONNX, got 'relu'"
    with refuses(path, ValueError, words):
        onnx.export(net, path)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(("which", "value"), [("weights", 1e300), ("biases", np.nan)])
def test_what_float32_cannot_hold_is_named(kind, which, value, path):
    net = make(kind)
    getattr(net, which)[1][2, 0] = value
    words = re.escape(f"{which}[1] must be finite in float32, got {value}")
    with refuses(path, ValueError, words):
        onnx.export(net, path)


@pytest.mark.parametrize("kind", CLASSES)
def test_parameters_that_do_not_fit_sizes_are_named(kind, path):
    net = make(kind)
    net.weights[0] = net.weights[0].T
    with refuses(path, ValueError, r"weights\[0\] has shape \(6, 20\), expected \(20, 6\) .*"):
        onnx.export(net, path)


def test_more_than_protobuf_can_hold_is_refused_before_it_is_copied(path):
    y = labels("binary")
    model = perceptron("sklearn.neural_network", "MLPRegressor", "float32", y)
    model.coefs_ = [np.broadcast_to(np.float32(0), (30_000, 30_000))]
    model.intercepts_ = [np.zeros(30_000, np.float32)]
    words = r"model must have parameters of less than 2 GiB .*, got 3,600,120,000 bytes: .*"
    with refuses(path, ValueError, words):
        onnx.export(model, path)


@pytest.mark.parametrize("odd", [0.5, np.nan, np.inf, b"a", None, 2**63], ids=repr)
def test_classes_must_be_integers_or_strings(odd, path):
    model = perceptron(
        "sklearn.neural_network", "MLPClassifier", "float32", labels("multiclass")
    )
    model.classes_ = np.array([0, 1, odd], dtype=object)
    words = re.escape(f"classes_ must be integers or strings, got {odd!r}")
    with refuses(path, ValueError, words):
        onnx.export(model, path)


@pytest.mark.parametrize("kind", ["network", "network2"])
@pytest.mark.parametrize("step", ["feedforward", "sigmoid"])
def test_an_answer_of_the_scripts_own_is_not_lost_silently(kind, step, path, monkeypatch):
    face = CLASSES[kind]
    if step == "sigmoid":
        net = make(kind)
        monkeypatch.setattr(face.module, "sigmoid", np.tanh)
    else:
        net = passing(face.cls, "feedforward")(SIZES)
    words = f"model must answer by bpnet's own {step}, got the script's"
    with refuses(path, ValueError, words):
        onnx.export(net, path)


@pytest.mark.parametrize("kind", ["network", "network2"])
def test_a_step_that_only_trains_may_be_the_scripts_own(kind, path):
    net = passing(CLASSES[kind].cls, "backprop", "update_mini_batch")(SIZES, seed=1)
    onnx.export(net, path)
    X = inputs(7)
    assert alike(answers(path, X)["probabilities"], net.feedforward(X.T).T, bound_of(net, X))


@pytest.mark.parametrize("form", FORMS)
def test_a_path_may_have_any_form(form, path, tmp_path):
    onnx.export(make("MLP"), FORMS[form](str(path)))
    assert os.listdir(tmp_path) == [path.name]


def test_a_path_that_is_none_is_named(path):
    with pytest.raises(TypeError, match=r"^path must be a path, got 3$"):
        onnx.export(make("MLP"), 3)
    with pytest.raises(OSError, match="absent"):
        onnx.export(make("MLP"), path.parent / "absent" / "a.onnx")


def test_a_write_that_fails_leaves_the_old_file(path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with refuses(path, OSError, ".*No space left on device"):
        onnx.export(make("MLP"), path)


# Without the packages


def test_without_onnx_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    words = re.escape('an ONNX file needs onnx: pip install "bpnet[onnx]"')
    with refuses(tmp_path / "a.onnx", ImportError, words):
        onnx.export(make("MLP"), tmp_path / "a.onnx")


def test_without_skl2onnx_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError) as raised:
        onnx.register_onnx()
    assert str(raised.value) == "register_onnx needs skl2onnx: pip install skl2onnx"


def test_importing_the_package_and_the_command_imports_no_onnx():
    script = (
        "import sys, bpnet; from bpnet import cli, onnx\n"
        "assert not {'onnx', 'skl2onnx', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


# The command, and the page


@pytest.mark.parametrize("kind", CLASSES)
def test_the_command_writes_what_export_does_and_says_it(kind, path, capsys):
    net = make(kind)
    net.save(path.parent / "net.npz")
    assert cli.main(["export", str(path.parent / "net.npz"), str(path)]) == 0
    assert capsys.readouterr().out == (
        f"saved {path}: X float32 (N, 6) -> label int64 (N), probabilities float32 (N, 3); "
        f"opset 13\n"
    )
    content = path.read_bytes()
    onnx.export(net, path)
    assert path.read_bytes() == content


def test_the_command_says_in_one_line_why_it_wrote_nothing(path, capsys, monkeypatch):
    model = path.parent / "net.npz"
    make("MLP").save(model)

    def fails(words, *arguments):
        before = untouched(path.parent)
        assert cli.main(["export", *map(str, arguments)]) == 1
        output = capsys.readouterr()
        assert output.out == ""
        assert re.fullmatch(rf"bpnet: error: .*{words}.*\n", output.err), output.err
        assert untouched(path.parent) == before

    fails("FILE.onnx must be another file than MODEL", model, model)
    fails("absent.npz", path.parent / "absent.npz", path)
    fails("absent", model, path.parent / "absent" / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    fails(re.escape('pip install "bpnet[onnx]"'), model, path)
