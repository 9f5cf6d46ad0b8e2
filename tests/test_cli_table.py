"""``bpnet`` on tables of one's own: from a CSV file to a network, its answers, and back."""

import gzip
import io
import os
import re
import struct
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from test_cli import data, fails, idx, run  # noqa: F401 - data is a fixture

import bpnet
from bpnet import cli, network2, serialize, table

posix = pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")


def write_csv(path, names, x, y):
    lines = [",".join(names), *(",".join([*map(repr, r), str(t)]) for r, t in zip(x, y))]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def csvs(tmp_path_factory):
    """Paths: classes in three clouds of points, and a number that is nearly a sum."""
    folder, rng = tmp_path_factory.mktemp("tables"), np.random.RandomState(1)
    kind = rng.randint(3, size=90)
    x = np.stack([1e3 + 5 * kind, -0.01 * kind, kind * 0.0], 1) + rng.randn(90, 3) * [
        2,
        0.005,
        7,
    ]
    names = np.array(["ash", "birch", "cherry"])[kind]
    y = 3e4 + 20 * (x[:, 0] - 1e3) - 900 * x[:, 1] + 5 * rng.randn(90)
    return {
        "classes": write_csv(folder / "trees.csv", ["a", "b", "c", "tree"], x.tolist(), names),
        "numbers": write_csv(folder / "prices.csv", ["a", "b", "c", "price"], x.tolist(), y),
    }


KINDS = ("classes", "numbers")
each_kind = pytest.mark.parametrize("kind", KINDS)


def bp(*argv):
    assert cli.main([*map(str, argv)]) == 0


def lines(capsys, *argv):
    capsys.readouterr()
    bp(*argv)
    return capsys.readouterr().out.splitlines()


def arrays(path):
    """Return the inputs of a table, and its target as text."""
    rows = [line.split(",") for line in Path(path).read_text().splitlines()[1:]]
    return np.array([r[:-1] for r in rows], float), [r[-1] for r in rows]


def answers(net, x):
    return net.predict(x) if isinstance(net, bpnet.MLP) else net.predictor()(x)


def printed(net, x):
    """Return the lines of predict that the network's answers to rows as they are give."""
    classes = net.notes["table"]["classes"]
    outputs = answers(net, x)
    if classes is None:
        return [repr(float(output[0])) for output in outputs]
    return [f"{classes[int(a.argmax())]}  ({a.max():.3f})" for a in outputs]


def same(a, b):
    return all(map(np.array_equal, a.biases + a.weights, b.biases + b.weights))


@pytest.fixture(scope="module")
def models(csvs, tmp_path_factory):
    """Paths of a trained network, and of its checkpoint, of each kind."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for kind in KINDS:
        found[kind] = str(folder / f"{kind}.npz"), str(folder / f"{kind}-run.npz")
        saved, kept = found[kind]
        bp("train", csvs[kind], "--seed", 1, "--save", saved, "--checkpoint", kept)
    return found


# One command


def iris(tmp_path):
    found = pytest.importorskip("sklearn.datasets").load_iris()
    names = [*found.feature_names, "species"]
    species = found.target_names[found.target]
    return write_csv(tmp_path / "iris.csv", names, found.data.tolist(), species)


def diabetes(tmp_path):
    found = pytest.importorskip("sklearn.datasets").load_diabetes(scaled=False)
    names = [*found.feature_names, "progression"]
    return write_csv(tmp_path / "diabetes.csv", names, found.data.tolist(), found.target)


def test_iris_is_learnt_by_one_command(tmp_path):
    path, right = iris(tmp_path), 0
    for seed in range(1, 6):
        done = run("train", path, "--seed", str(seed), "--save", str(tmp_path / "iris.npz"))
        assert done.returncode == 0 and done.stderr == ""
        *begin, last = done.stdout.splitlines()
        assert begin[:5] == [
            "Data: 125 rows to train on, 25 held out, drawn by the seed",
            f"Network: 4 inputs, 30 hidden neurons, 3 outputs; float64, seed {seed}",
            "Epochs: 30, mini-batches of 10, learning rate 0.01 falling to 0, by adam",
            "Cost: cross-entropy, with L2 regularisation, lmbda 1",
            "Target: species: setosa, versicolor, virginica",
        ]
        assert re.fullmatch("Epoch  0: .. of 25 held-out rows right", begin[5])
        found = re.fullmatch(r"accuracy (\d+\.\d\d) %: (\d+) of 25 held-out rows right", last)
        right += int(found[2])
    # Who is right in 95 % of 125 rows, as good classifiers of iris are, is so in four standard
    # deviations less, 109, or more of them but once in 10,000 times.
    assert right >= 125 * 0.95 - 4 * (125 * 0.95 * 0.05) ** 0.5
    done = run("predict", str(tmp_path / "iris.npz"), path)
    assert len(done.stdout.splitlines()) == 150
    assert set(line.split("  ")[0] for line in done.stdout.splitlines()) == {
        "setosa",
        "versicolor",
        "virginica",
    }


def test_diabetes_is_regressed_by_one_command(tmp_path):
    path = diabetes(tmp_path)
    (x, y), ours, least_squares = arrays(path), [], []
    y = np.array(y, float)
    for seed in range(1, 6):
        done = run("train", path, "--seed", str(seed))
        assert done.returncode == 0 and done.stderr == ""
        *begin, last = done.stdout.splitlines()
        assert begin[0] == "Data: 368 rows to train on, 74 held out, drawn by the seed"
        assert begin[1].startswith("Network: 10 inputs, 30 hidden neurons, 1 output;")
        assert begin[4] == "Target: progression: numbers"
        assert re.fullmatch(r"Epoch  0: cost [\d.]+ +on 74 held-out rows", begin[5])
        found = re.fullmatch(r"RMSE ([\d.]+), R\^2 ([\d.]+): 74 held-out rows", last)
        held_out = np.zeros(len(x), bool)
        held_out[np.random.RandomState(seed).permutation(len(x))[:74]] = True
        error, variance = float(found[1]) ** 2, y[held_out].var()
        assert float(found[2]) == pytest.approx(1 - error / variance, abs=1e-4)
        ours.append(error)
        ones = np.column_stack([x, np.ones(len(x))])
        w = np.linalg.lstsq(ones[~held_out], y[~held_out], rcond=None)[0]
        least_squares.append(np.mean((ones[held_out] @ w - y[held_out]) ** 2))
    # The standard error of a mean of 74 squares of normal errors is sqrt(2 / 74) of it.
    assert np.mean(ours) <= np.mean(least_squares) * (1 + (2 / 74) ** 0.5)


# Every face answers rows as the table has them


@each_kind
def test_every_face_answers_rows_as_they_are(kind, csvs, models, tmp_path, capsys):
    x, target = arrays(csvs[kind])
    net = bpnet.load(models[kind][0])
    expected = printed(net, x)
    assert lines(capsys, "predict", models[kind][0], csvs[kind]) == expected
    assert np.array_equal(net.predictor()(x), answers(net, x))
    if kind == "classes":
        classes = net.notes["table"]["classes"]
        assert [line.split("  ")[0] for line in expected] == [
            classes[int(net.feedforward(row[:, None]).argmax())] for row in x
        ]
        right = sum(line.split("  ")[0] == t for line, t in zip(expected, target))
        last = f"accuracy {100 * right / 90:.2f} %: {right} of 90 rows right"
    else:
        y = np.array(target, float)
        error = np.mean((answers(net, x)[:, 0] - y) ** 2)
        last = f"RMSE {error**0.5:.6g}, R^2 {1 - error / y.var():.4f}: 90 rows"
    assert lines(capsys, "evaluate", models[kind][0], csvs[kind]) == [last]


@each_kind
def test_an_onnx_file_answers_rows_as_they_are(kind, csvs, models, tmp_path, capsys):
    onnx = pytest.importorskip("onnx.reference")
    x, _ = arrays(csvs[kind])
    bp("export", models[kind][1], tmp_path / "net.onnx")
    session = onnx.ReferenceEvaluator(str(tmp_path / "net.onnx"))
    answer = "probabilities" if kind == "classes" else "variable"
    found = session.run([answer], {"X": x.astype(np.float32)})[0]
    net = bpnet.load(models[kind][0])
    notes, w = net.notes["table"], [*map(np.abs, net.weights)]
    eps = np.finfo(np.float32).eps
    z = eps * 4 * (len(x.T) + 4) * (np.abs(x) @ w[0].T + np.abs(net.biases[0].T))
    bound = (z / 4 + 16 * eps) @ w[1].T + eps * 40 * (w[1].sum(1) + np.abs(net.biases[1].T))
    assert notes["folded"]
    assert (np.abs(found - answers(net, x)) <= bound).all()


@each_kind
def test_a_checkpoint_answers_as_the_network_that_was_saved(kind, csvs, models, capsys):
    saved, kept = models[kind]
    assert not bpnet.load(kept).notes["table"]["folded"]
    assert same(table.fold(bpnet.load(kept)), bpnet.load(saved))
    for argv in ("predict", "evaluate"):
        assert lines(capsys, argv, kept, csvs[kind]) == lines(capsys, argv, saved, csvs[kind])


@each_kind
def test_a_network_is_the_one_that_the_api_trains(kind, csvs, models):
    rows, settings = table.read(csvs[kind]), cli.train.PRESETS["table"]
    held_out = np.zeros(90, bool)
    held_out[np.random.RandomState(1).permutation(90)[:15]] = True
    x, y = rows.x[~held_out], rows.y[~held_out]
    standard = (x - x.mean(0)) / x.std(0)

    def rate(epoch):
        return 0.01 * (1 - epoch / 30)

    if kind == "numbers":
        net = bpnet.MLP([3, 30, 1], output="squared", seed=1)
        y = (y - y.mean()) / y.std()
        net.train((standard, y), 30, 10, rate, rule="adam", lmbda=settings["lmbda"])
    else:
        net = network2.Network([3, 30, 3], seed=1)
        net.SGD((standard, y), 30, 10, rate, settings["lmbda"], rule="adam")
    assert same(bpnet.load(models[kind][1]), net)
    notes = bpnet.load(models[kind][0]).notes
    names = {"columns": ["a", "b", "c"], "target": "price", "classes": None}
    if kind == "classes":
        names |= {"target": "tree", "classes": ["ash", "birch", "cherry"]}
    assert {key: notes["table"][key] for key in names} == names
    assert notes["table"]["mean"] == x.mean(0).tolist()
    assert notes["table"]["scale"] == x.std(0).tolist()
    assert notes["seed"] == 1 and notes["sizes"] == net.sizes


# What train offers


@each_kind
def test_a_run_goes_on_to_the_same_bits(kind, csvs, tmp_path, capsys):
    whole, cut, end = (tmp_path / f"{name}.npz" for name in ("whole", "cut", "end"))
    argv = ["train", csvs[kind], "--seed", 3, "--no-decay", "--target", "a", "--drop", "c"]
    argv = argv if kind == "numbers" else [*argv[:-4], "--drop", "c"]
    bp(*argv, "--epochs", 6, "--save", whole)
    bp(*argv, "--epochs", 2, "--checkpoint", cut)
    for again in (argv[:2], argv):  # the options of columns may be said again
        bp(
            *again,
            "--resume",
            cut,
            "--epochs",
            6,
            "--save",
            end,
            "--checkpoint",
            tmp_path / "x",
        )
        assert same(bpnet.load(whole), bpnet.load(end))
        assert bpnet.load(whole).notes == bpnet.load(end).notes
    words = "must have the network's columns"
    fails(capsys, *map(str, [*argv[:2], "--resume", cut, "--drop", "b"]), words=words)
    fails(capsys, "train", "--resume", str(cut), words="TABLE must be given, as the network")


@each_kind
def test_a_run_stops_and_plots(kind, csvs, tmp_path, capsys):
    train = ["train", csvs[kind], "--seed", "3", "--epochs", "200"]
    out = lines(capsys, *train, "--patience", "2")
    assert "ended by --patience 2" in out[-2]
    assert "ended by --max-error 0.9" in lines(capsys, *train, "--max-error", "0.9")[-2]
    assert "ended by --max-seconds 0.0" in lines(capsys, *train, "--max-seconds", "0")[-2]
    pytest.importorskip("matplotlib")
    bp(*train[:-2], "--plot", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@each_kind
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("the end")])
def test_what_is_saved_of_a_run_that_is_cut_is_folded(
    kind, error, csvs, tmp_path, capsys, monkeypatch
):
    def cut(*arguments, original=cli.train.sgd, **keywords):
        original(*arguments, **keywords)
        if arguments[0].sizes[0] > 1:  # and settings are not being tried
            raise error

    monkeypatch.setattr(cli.train, "sgd", cut)
    saved, kept = str(tmp_path / "net.npz"), str(tmp_path / "run.npz")
    argv = ["train", csvs[kind], "--seed", "1", "--save", saved, "--checkpoint", kept]
    assert cli.main(argv) == (130 if error is KeyboardInterrupt else 1)
    assert bpnet.load(saved).notes["table"]["folded"]
    assert same(table.fold(bpnet.load(kept)), bpnet.load(saved))


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("classes", ["--data", "mnist"], "--data and TABLE are two sets of data: name one"),
        ("classes", ["--hidden", "3", "--sizes", "3,3,3"], "--hidden and --sizes both list"),
        (
            "classes",
            ["--sizes", "4,3"],
            "begin with 3, the columns .* 3, the classes, as --sizes",
        ),
        (
            "classes",
            ["--distort", "1"],
            "--distort is for images, and TABLE is a table: --distort 0",
        ),
        (
            "classes",
            ["--cost", "squared"],
            "--cost must be quadratic or cross-entropy for clas",
        ),
        ("numbers", ["--cost", "quadratic"], "--cost must be squared for numbers"),
        (
            "numbers",
            ["--initial-weights", "large"],
            "--initial-weights must be default for num",
        ),
        *((kind, ["--mu", "0.5"], "--mu must be 0 where --rule is 'adam'") for kind in KINDS),
        ("numbers", ["--classify"], "classes of some rows each, got 90 in 90 rows"),
        ("classes", ["--seed", "-1"], "seed must be at least 0"),
    ],
)
def test_options_that_a_table_has_not_are_refused(kind, options, words, csvs, capsys):
    late = options[0] in ("--classify", "--initial-weights", "--distort") or "4,3" in options
    status = 1 if late or options[0] == "--cost" else 2
    out = fails(capsys, "train", csvs[kind], *options, words=words, status=status)
    assert "Epoch" not in out


def test_columns_are_no_options_of_digits(data, capsys):  # noqa: F811
    for options in (["--target", "a"], ["--classify"], ["--drop", "a"]):
        words = f"{options[0]} is for a CSV table, got none"
        fails(capsys, "train", "--data", data, *options, words=words, status=2)


@each_kind
@pytest.mark.parametrize(
    "options",
    [
        ["--preset", "best"],
        ["--rule", "plain", "--mu", "0.5", "--eta", "0.05"],
        ["--hidden", "6,5"],
        ["--dtype", "float32"],
    ],
)
def test_settings_are_what_they_are_of_digits(kind, options, csvs, tmp_path, capsys):
    bp("train", csvs[kind], *options, "--seed", 1, "--epochs", 2, "--save", tmp_path / "n.npz")
    net = bpnet.load(tmp_path / "n.npz")
    n_out = 3 if kind == "classes" else 1
    hidden = {"--preset": [200], "--hidden": [6, 5]}.get(options[0], [30])
    assert net.sizes == [3, *hidden, n_out]
    single = options[0] in ("--preset", "--dtype")
    assert net.dtype == (np.float32 if single else np.float64)
    assert net.notes["rule"] == ("adam" if options[0] in ("--hidden", "--dtype") else "plain")


# predict


@each_kind
def test_predict_finds_columns_by_name(kind, csvs, models, tmp_path, capsys, monkeypatch):
    x, _ = arrays(csvs[kind])
    expected = printed(bpnet.load(models[kind][0]), x)
    mixed = tmp_path / "new.csv"
    rows = [f"{c!r};text;{a!r};{b!r}" for a, b, c in x.tolist()]
    mixed.write_text("\n".join(["c;note;a;b", *rows]))
    assert lines(capsys, "predict", models[kind][0], mixed) == expected
    assert lines(capsys, "predict", models[kind][0], mixed, mixed) == expected * 2
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(mixed.read_bytes())))
    assert lines(capsys, "predict", models[kind][0], "-") == expected


@each_kind
def test_predict_refuses_what_is_no_table_of_its_columns(
    kind, csvs, models, tmp_path, capsys, monkeypatch
):
    path, model = tmp_path / "new.csv", models[kind][0]
    for text, words in [
        ("a,c\n1,2\n", "the network needs one column 'b', got 0: the columns are 'a', 'c'"),
        ("a,b,c,a\n1,2,3,4\n", "the network needs one column 'a', got 2"),
        ("a,b,c\n1,2,red\n", "line 2, column 'c': 'red' is no number"),
        ("a,b,c\n", "it has no rows"),
        ("1,2,3\n", "its first line must name the columns"),
    ]:
        path.write_text(text)
        fails(capsys, "predict", model, str(path), words=rf"new\.csv must be .*{words}")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        fails(capsys, "predict", model, "-", words=f"- must be .*{words}")
    fails(capsys, "predict", model, str(path), "--show", words="--show draws digits")
    fails(capsys, "evaluate", model, words="TABLE must be given, as the network is of one")
    target = {"classes": "tree", "numbers": "price"}[kind]
    path.write_text("a,b,c\n1,2,3\n")
    fails(capsys, "evaluate", model, str(path), words=f"needs one column '{target}', got 0")
    if kind == "classes":
        path.write_text("a,b,c,tree\n1,2,3,oak\n")
        words = "line 2, column 'tree': 'oak' is none of the network's classes, 'ash', 'birch'"
        fails(capsys, "evaluate", model, str(path), words=words)


def test_a_table_needs_a_network_of_one(csvs, tmp_path, capsys):
    bpnet.Network([3, 3]).save(tmp_path / "net.npz")
    words = r"MODEL must be a network of a table to answer .*trees\.csv, got another"
    fails(capsys, "evaluate", str(tmp_path / "net.npz"), csvs["classes"], words=words)


@each_kind
def test_a_file_with_other_notes_is_refused_by_every_command(
    kind, csvs, models, tmp_path, capsys
):
    path, model = str(tmp_path / "net.npz"), serialize.load(models[kind][1])
    odd = {**model.notes, "table": {**model.notes["table"], "scale": [0.0, -1.0, 1.0]}}
    serialize.save(path, model._replace(notes=odd))
    for argv in (
        ["predict", path, csvs[kind]],
        ["evaluate", path, csvs[kind]],
        ["export", path, str(tmp_path / "net.onnx")],
        ["train", csvs[kind], "--resume", path],
    ):
        fails(capsys, *argv, words="notes of a table must have the scale that bpnet train")


def test_what_float32_would_lose_is_refused_by_every_command(tmp_path, capsys):
    path = tmp_path / "times.csv"
    rows = [[1.7e9 + i, float(i % 5)] for i in range(60)]
    write_csv(path, ["time", "b", "y"], rows, [i % 7 for i in range(60)])
    bp("train", path, "--save", tmp_path / "net.npz", "--epochs", 1)
    words = "'time' has mean .* too close for float32: subtract a constant"
    fails(capsys, "export", *(str(tmp_path / n) for n in ("net.npz", "n.onnx")), words=words)
    for command in (["train", path], ["pack", path, tmp_path / "out"]):
        fails(capsys, *map(str, command), "--dtype", "float32", words=words)


# pack


@each_kind
def test_a_packed_table_is_the_table(kind, csvs, models, tmp_path, capsys):
    packed, end = tmp_path / "table.bpd", tmp_path / "net.npz"
    (said,) = lines(capsys, "pack", csvs[kind], packed)
    assert said == f"saved {packed}: {bpnet.open(packed)!r}"
    found, (x, _) = bpnet.open(packed), arrays(csvs[kind])
    assert found.dtype == np.float64 and np.array_equal(found.rows(0, 90)[0], x)
    target = {"classes": "tree", "numbers": "price"}[kind]
    assert found.notes["table"]["target"] == target
    from_csv = lines(capsys, "train", csvs[kind], "--seed", 1)
    from_pack = lines(capsys, "train", packed, "--seed", 1, "--save", end)
    assert from_csv[-1] == from_pack[-1] and from_csv[0] == from_pack[0]
    assert same(bpnet.load(end), bpnet.load(models[kind][0]))
    assert bpnet.load(end).notes == bpnet.load(models[kind][0]).notes
    of_csv = lines(capsys, "evaluate", end, csvs[kind])[0]
    assert lines(capsys, "evaluate", end, packed) == [of_csv.replace("rows", "examples")]
    for options in (["--target", "a"], ["--classify"], ["--drop", "a"]):
        words = f"{options[0]} is for a CSV table, got .*, which is packed"
        fails(capsys, "train", str(packed), *options, words=words)
    other = {"classes": "numbers", "numbers": "classes"}[kind]
    words = "must have the network's (target|classes)"
    fails(capsys, "evaluate", models[other][0], str(packed), words=words)
    found.notes = {"table": {"columns": ["a"], "target": 3, "classes": None}}
    found.save(tmp_path / "odd.bpd")
    words = "notes of a table must have columns, target and classes"
    fails(capsys, "train", str(tmp_path / "odd.bpd"), words=words)


def test_arrays_of_numpy_are_packed(tmp_path, capsys):
    rng, paths = np.random.RandomState(1), [tmp_path / n for n in ("x.npy", "y.npy", "o.bpd")]
    x, out = rng.randn(60, 4), paths[-1]
    targets = {"labels": rng.randint(3, size=60), "numbers": rng.randn(60, 2)}
    for dtype, given, (what, y) in [
        (np.float64, "float64", ("labels", targets["labels"])),
        (np.float32, "float32", ("labels", targets["labels"])),
        (np.float32, "float32", ("numbers", targets["numbers"])),
        (np.float64, "float64", ("numbers", targets["numbers"][:, 0])),
        (np.float64, "float64", ("labels", targets["labels"].astype(float))),
    ]:
        np.save(paths[0], x.astype(dtype))
        np.save(paths[1], y)
        bp("pack", *paths, *["--classify"] * (what == "labels"))
        found = bpnet.open(out)
        assert found.dtype == given and found.notes is None
        assert np.array_equal(found.rows(0, 60)[0], x.astype(dtype))
        y = y if what == "labels" else y.astype(dtype).reshape(60, -1)
        assert np.array_equal(found.rows(0, 60)[1], y)
        last = lines(capsys, "train", out, "--seed", 1, "--epochs", 2)[-1]
        begin = "accuracy " if what == "labels" else "RMSE "
        assert last.startswith(begin) and "held-out examples" in last


def test_pictures_are_packed_as_the_loader_reads_them(data, tmp_path, capsys):  # noqa: F811
    training, validation, test = bpnet.mnist_loader.load_data(data)
    names = [
        os.path.join(data, f"train-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")
    ]
    bp("pack", *names, tmp_path / "idx.bpd")
    bp("pack", "--data", data, tmp_path / "rest.bpd", tmp_path / "test.bpd")
    rest = [np.concatenate(parts) for parts in zip(training, validation)]
    for name, (x, y) in (("idx", rest), ("rest", rest), ("test", test)):
        found = bpnet.open(tmp_path / f"{name}.bpd").rows(0, len(y))
        assert found[0].dtype == np.float32
        assert np.array_equal(found[0], x) and np.array_equal(found[1], y)
    out = lines(capsys, "train", tmp_path / "rest.bpd", "--preset", "best", "--epochs", 2)
    assert out[0] == "Data: 100 examples to train on, 20 held out, drawn by the seed"
    assert out[1].startswith("Network: 784 inputs, 200 hidden neurons, 10 outputs; float32")
    net = tmp_path / "net.npz"
    once = ["--preset", "best", "--epochs", 1, "--distort", 0.5, "--save", net]
    out = lines(capsys, "train", tmp_path / "rest.bpd", *once)
    assert out[0].startswith("Data: 100 examples to train on, distorted, 20 held out")
    assert bpnet.load(net).notes["distort"] == 0.5


def test_pack_refuses_in_a_sentence(data, csvs, tmp_path, capsys):  # noqa: F811
    x, y, out = (str(tmp_path / name) for name in ("x.npy", "y.npy", "o.bpd"))
    np.save(x, np.zeros((3, 2)))
    np.save(y, np.zeros(3, int))
    before = Path(y).read_bytes()
    files = "pack needs a CSV table, two files of NumPy or two IDX files"
    for argv, words in [
        (
            [x, y],
            r"the last name is what is written, and .*y\.npy is a file that is no Dataset's",
        ),
        ([csvs["classes"]], "the last name is what is written, and .*trees.csv"),
        ([out], f"{files}, .*, got that alone"),
        ([x, out], files),
        ([x, y, x, out], files),
        ([csvs["classes"], csvs["numbers"], out], files),
        ([str(tmp_path / "absent"), out], "there is no file "),
        ([x, y, out, "--target", "a"], "--target is for a CSV table, got arrays"),
        (["--data", data, out, "--drop", "a"], "--drop is for a CSV table, got digits"),
    ]:
        fails(capsys, "pack", *argv, words=words)
    assert Path(y).read_bytes() == before and not os.path.exists(out)
    whole = Path(x).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-1])
    objects = io.BytesIO()
    np.save(objects, np.array([{}], object))
    (tmp_path / "objects.npy").write_bytes(objects.getvalue())
    np.save(tmp_path / "one.npy", 3.0)
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10**12, 10**12), }\n"
    odd = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header
    (tmp_path / "odd.npy").write_bytes(odd)
    for name in ("cut", "objects", "one", "odd"):
        path = str(tmp_path / f"{name}.npy")
        words = rf"{name}\.npy must be an array of numbers that np\.save wrote: "
        fails(capsys, "pack", path, y, out, words=words)
    np.save(tmp_path / "four.npy", np.zeros(4, int))
    four = str(tmp_path / "four.npy")
    fails(capsys, "pack", x, four, out, words="as many rows, got shapes")
    bp("pack", csvs["classes"], out)
    bp("pack", x, y, out)  # a Dataset's file may be replaced
    assert len(bpnet.open(out)) == 3
    fails(capsys, "pack", out, out, words="the last name is what is written")
    fails(capsys, "pack", out, str(tmp_path / "again.bpd"), words=files)


def test_a_gzipped_idx_file_with_a_name_of_its_own_is_found_by_its_content(tmp_path, capsys):
    images, labels = (
        np.arange(24, dtype=np.uint8).reshape(6, 2, 2),
        np.arange(6, dtype=np.uint8),
    )
    for name, array in (("pictures", images), ("answers", labels)):
        (tmp_path / name).write_bytes(gzip.compress(idx(array)))
    bp("pack", *(tmp_path / name for name in ("pictures", "answers", "out")))
    assert np.array_equal(bpnet.open(tmp_path / "out").rows(0, 6)[1], labels)


@posix
def test_no_command_waits_for_a_pipe(csvs, models, tmp_path, capsys):
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    writer = threading.Timer(5, lambda: open(pipe, "wb").close())  # if one did, it ends here
    writer.daemon = True
    for argv in (
        ["train", pipe],
        ["evaluate", models["classes"][0], pipe],
        ["pack", pipe, str(tmp_path / "o")],
        ["pack", csvs["classes"], pipe],
    ):
        fails(capsys, *argv, words="path must name a file, got .*pipe")
    for argv in (["train", str(tmp_path)], ["pack", str(tmp_path), str(tmp_path / "o")]):
        fails(capsys, *argv, words="path must name a file, got ")
