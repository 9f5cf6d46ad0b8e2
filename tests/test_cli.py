"""The command ``bpnet``: what it prints, where it says no, and its exit codes."""

import contextlib
import gzip
import io
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import zlib

import numpy as np
import pytest

import bpnet
from bpnet import cli, mnist_loader, network2, pictures, table
from bpnet.cli import usage

DEADLINE = 60  # seconds for a child process, which needs one or two

# Of a child process: its output is buffered, as it is for most people.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}


def idx(array):
    return (
        struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of IDX files with easy digits: digit d is a bright block at row 2 d."""
    folder = tmp_path_factory.mktemp("mnist")
    rng = np.random.RandomState(0)
    for name, n in (("train", 120), ("t10k", 50)):
        labels = rng.randint(10, size=n).astype(np.uint8)
        images = np.zeros((n, 28, 28), np.uint8)
        for image, label in zip(images, labels):
            image[2 * label + 3 : 2 * label + 6, 4:24] = rng.randint(200, 256)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    return str(folder)


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("model") / "digits.npz")
    assert cli.main(["train", "--data", data, "--seed", "1", "--save", path]) == 0
    return path


def run(*argv, **options):
    return subprocess.run(
        [sys.executable, "-m", "bpnet", *argv],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        **{"env": ENVIRONMENT, **options},
    )


def fails(capsys, *argv, words, status=1):
    """Assert that the command ends with a status, and one line that matches words."""
    assert cli.main([*argv]) == status
    output = capsys.readouterr()
    assert re.fullmatch(rf"bpnet: error: .*({words}).*\n", output.err), output.err
    return output.out


# train


def test_train_prints_a_line_an_epoch_then_time_and_accuracy(data, tmp_path, capsys):
    path = str(tmp_path / "net.npz")
    arguments = ["--data", data, "--epochs", "2", "--seed", "3", "--save", path]
    assert cli.main(["train", *arguments]) == 0
    *begin, first, second, time, saved, accuracy = capsys.readouterr().out.splitlines()
    assert begin == [
        "Data: 100 digits to train on, 20 to validate, 50 to test",
        "Network: 784 inputs, 30 hidden neurons, 10 outputs; float64, seed 3",
        "Epochs: 2, mini-batches of 10, learning rate 3",
        "Cost: quadratic",
    ]
    assert re.fullmatch(r"Epoch 0: [ \d]\d of 20 validation digits right", first)
    assert re.fullmatch(r"Epoch 1: [ \d]\d of 20 validation digits right", second)
    ended = r"2 epochs in \d+\.\d\d s, validation included; ended by --epochs 2"
    assert re.fullmatch(ended, time)
    assert saved == f"saved {path}"
    correct = bpnet.load(path).evaluate(mnist_loader.load_data(data)[2])
    assert accuracy == f"accuracy {2 * correct:.2f} %: {correct} of 50 test digits right"


def test_train_is_the_network_that_the_api_trains(data, tmp_path, capsys):
    path = str(tmp_path / "net.npz")
    options = (
        "--sizes 784,12,10 --epochs 2 --mini-batch-size 7 --eta 0.5 --dtype float32 "
        "--initial-weights large"
    ).split()
    assert cli.main(["train", "--data", data, "--seed", "3", "--save", path, *options]) == 0
    training, _, _ = mnist_loader.load_data(data)
    net = network2.Network([784, 12, 10], network2.QuadraticCost, dtype="float32", seed=3)
    net.large_weight_initializer()
    net.SGD(training, 2, 7, 0.5)
    loaded = bpnet.load(path)
    assert type(loaded) is network2.Network and loaded.cost is network2.QuadraticCost
    assert loaded.dtype == np.float32
    assert all(map(np.array_equal, loaded.weights, net.weights))


def test_the_defaults_are_the_tutorials_job():
    arguments = cli._parser().parse_args(["train"])
    settings = cli.train._settings(arguments)
    assert settings["sizes"] == [784, 30, 10]
    assert [settings[name] for name in ("epochs", "mini_batch_size", "eta")] == [30, 10, 3.0]
    assert (settings["dtype"], settings["threads"]) == ("float64", 1)
    assert not (settings["decay"] or settings["lmbda"] or settings["mu"])
    assert arguments.save is arguments.data is arguments.resume is None


def test_a_pipe_sees_each_line_when_it_is_printed(data, monkeypatch):
    pipe = io.TextIOWrapper(io.BytesIO())  # buffers as stdout does where it is no terminal
    monkeypatch.setattr(sys, "stdout", pipe)
    assert cli.main(["train", "--data", data, "--epochs", "1"]) == 0
    assert pipe.line_buffering
    assert b"Epoch 0: " in pipe.buffer.getvalue()


def test_a_run_without_a_seed_can_be_repeated(data, capsys):
    cli.main(["train", "--data", data, "--epochs", "1"])
    first = capsys.readouterr().out.splitlines()
    seed = re.search(r"seed (\d+)\n", "\n".join(first))[1]
    cli.main(["train", "--data", data, "--epochs", "1", "--seed", seed])
    assert capsys.readouterr().out.splitlines()[:5] == first[:5]
    cli.main(["train", "--data", data, "--epochs", "1"])
    assert f"seed {seed}\n" not in capsys.readouterr().out  # one chance in 2 ** 32


def test_train_refuses_before_it_trains(data, tmp_path, capsys):
    train = ["train", "--data", data]
    fails(
        capsys,
        *train,
        "--sizes",
        "784,30,9",
        words="begin with 784, .* end with 10, .* 784,30,9",
    )
    fails(capsys, *train, "--sizes", "783,10", words="begin with 784")
    fails(capsys, *train, "--sizes", "784,1000000000000,10", words="do not fit in memory")
    fails(capsys, "train", "--data", str(tmp_path / "absent"), words="absent does not exist")
    (tmp_path / "file").touch()
    for path in ("", tmp_path, tmp_path / "absent" / "net", tmp_path / "file" / "net"):
        out = fails(capsys, *train, "--save", str(path), words="--save must name a file")
        assert out == ""


@pytest.mark.skipif(os.name != "posix", reason="pipes and links of POSIX")
def test_train_refuses_a_target_that_saving_would_refuse(data, tmp_path, capsys, monkeypatch):
    train = ["train", "--data", data, "--save"]
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "absent" / "net")
    for name in ("pipe", "link"):
        out = fails(capsys, *train, str(tmp_path / name), words="--save must name a file")
        assert out == ""

    def read_only(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    fails(capsys, *train, str(tmp_path / "net"), words="in a folder that can be written")


def test_data_without_digits_to_test_is_refused(data, model, tmp_path, capsys):
    for name in os.listdir(data):
        (tmp_path / name).symlink_to(os.path.join(data, name))
    for kind, shape in (("images-idx3", (0, 28, 28)), ("labels-idx1", (0,))):
        path = tmp_path / f"t10k-{kind}-ubyte.gz"
        path.unlink()
        path.write_bytes(gzip.compress(idx(np.zeros(shape, np.uint8))))
    for argv in (["train"], ["evaluate", model]):
        out = fails(capsys, *argv, "--data", str(tmp_path), words="digits to test, got none")
        assert out == ""


def test_a_refusal_leaves_the_saved_network(data, tmp_path, capsys):
    path = tmp_path / "net.npz"
    path.write_bytes(b"precious")
    words = "--eta must be finite"
    argv = ["train", "--data", data, "--save", str(path), "--eta", "inf"]
    fails(capsys, *argv, words=words, status=2)
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["train", "--sizes", "784,abc,10"], "--sizes must be an integer, got 'abc'"),
        (["train", "--sizes", "784"], "--sizes must list two layers or more, got [784]"),
        (["train", "--sizes", "784,0,10"], "--sizes must be at least 1, got 0"),
        (["train", "--hidden", "30,0"], "--hidden must be at least 1, got 0"),
        (["train", "--dtype", "int8"], "--dtype must be one of float64, float32, got 'int8'"),
        (["train", "--cost", "mse"], "got 'mse': did you mean quadratic?"),
        (["train", "--preset", "bst"], "got 'bst': did you mean best?"),
        (["train", "--rule", "adam", "--mu", "0.5"], "--mu must be 0 where --rule is 'adam'"),
        (["train", "--epochs"], "--epochs: expected one argument"),
        (["train", "a.csv", "b.csv"], "unrecognized arguments: b.csv"),
        (["predict", "model"], "required: IMAGE"),
        # Contradictions
        (["train", "--hidden", "30", "--sizes", "784,30,10"], "--hidden and --sizes both list"),
        (["train", "a.csv", "--data", "mnist"], "--data and TABLE are two sets of data"),
        (["train", "--target", "y"], "--target is for a CSV table, got none"),
        (["train", "--patience", "0"], "--patience must be at least 1, got 0"),
        (["train", "--max-error", "1.5"], "--max-error must be at most 1, all examples"),
        (["search", "a.csv", "--data", "mnist"], "--data and TABLE are two sets of data"),
        (["search", "--hidden", "2:9", "--hidden", "3"], "--hidden must be given once"),
        (["pack", "--data", "mnist", "a", "b", "c"], "--data gives 2 files to write, got 3"),
    ],
)
def test_wrong_usage_ends_with_2(argv, words, capsys, nothing_is_read):
    assert cli.main(argv) == 2
    output = capsys.readouterr()
    assert output.err.startswith("bpnet: error: ") and words in output.err
    assert output.err.count("\n") <= 3 and output.out == ""


@pytest.fixture
def nothing_is_read(monkeypatch):
    """Let whatever opens a file of a user's raise."""

    def read(*_):
        raise AssertionError("this is read")

    for module in (mnist_loader, bpnet, table, cli.examples):
        for name in ("load_data", "load", "open", "open_file", "read", "is_packed"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, read)


PARSERS = cli._parser().commands
NUMBERS = [
    (command, action)
    for command, parser in PARSERS.items()
    for action in parser.declared
    if action.option_strings and re.fullmatch("N|X|(N,)+...|X,...", action.metavar or "")
]


def test_the_options_of_numbers_are_those_of_settings():
    """So that the law below is about all of them."""
    settings = cli.train.PRESETS["tutorial"]
    numbers = {name for name, value in settings.items() if type(value) in (int, float, list)}
    found = {command: {a.dest for c, a in NUMBERS if c == command} for command in PARSERS}
    stops = {"seed", "patience", "max_error", "min_update", "max_seconds", "hidden"}
    assert found["train"] == numbers | stops
    assert found["search"] >= {"hidden", "eta", "mini_batch_size", "lmbda", "epochs", "seeds"}


@pytest.mark.parametrize(
    "text", ["x", "-1", "-1e-3", "nan", "-inf", "inf", "1e400", "1,nan", ""]
)
@pytest.mark.parametrize(
    ("command", "action"), NUMBERS, ids=[f"{c}{a.option_strings[0]}" for c, a in NUMBERS]
)
def test_a_number_that_cannot_be_is_refused_by_the_name_of_its_option(
    command, action, text, capsys, nothing_is_read
):
    option = action.option_strings[0]
    assert cli.main([command, option, text]) == 2
    output = capsys.readouterr()
    assert re.match(rf"bpnet: error: {option} must (be|list) ", output.err), output.err
    assert output.err.count("\n") <= 2 and output.out == ""


MEANT = [(name, word) for name, words in usage.SYNONYMS.items() for word in words.split()]
KNOWN = {
    command: {(a.option_strings or [a.metavar])[0] for a in parser.declared}
    for command, parser in PARSERS.items()
}
VALUES = {v for each in cli.train._CHOICES.values() for v in each} | {*cli.train.PRESETS}


def test_every_synonym_is_one_of_something():
    known = {"--version", *PARSERS, *VALUES}.union(*KNOWN.values())
    assert usage.SYNONYMS.keys() <= known
    for names in KNOWN.values():  # and is no name of its own where it would be one
        assert not [each for each in MEANT if {each[0], f"--{each[1]}"} <= names]


@pytest.mark.parametrize(
    ("command", "word", "meant"),
    [
        ("train", "--lr", "--eta"),
        ("train", "--learning_rate", "--eta"),
        ("train", "--batch-size", "--mini-batch-size"),
        ("train", "--mini_batch_size", "--mini-batch-size"),
        ("train", "--momentum", "--mu"),
        ("train", "--layers", "--sizes"),
        ("train", "--hidden-layers", "--hidden"),
        ("train", "--l2", "--lmbda"),
        ("train", "--lambda", "--lmbda"),
        ("train", "--weight-decay", "--lmbda"),
        ("train", "--optimizer", "--rule"),
        ("train", "--loss", "--cost"),
        ("train", "--epoch", "--epochs"),
        ("train", "--epcohs", "--epochs"),
        ("train", "-e", "--epochs"),
        ("train", "--output", "--save"),
        ("train", "--model", "--save"),
        ("train", "--file", "TABLE"),
        ("train", "--no-decya", "--decay"),
        ("search", "--lr", "--eta"),
        ("evaluate", "--model", "MODEL"),
        ("predict", "--image", "IMAGE"),
        ("export", "--output", "FILE.onnx"),
        ("pack", "--output", "FILE"),
        ("info", "--zzz", None),
    ],
)
@pytest.mark.parametrize("form", ["{} 3", "{}=3"])
def test_an_option_that_there_is_not_is_said_with_the_one_that_was_meant(
    command, word, meant, form, capsys, nothing_is_read
):
    assert cli.main([command, *form.format(word).split()]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"bpnet: error: there is no option {word}")
    assert second == f"bpnet: see bpnet {command} --help"
    hint = first.removeprefix(f"bpnet: error: there is no option {word}")
    if meant is None:
        assert hint == ""
    elif meant.startswith("-"):
        assert hint.startswith(f": did you mean {meant}, ")
    else:
        assert hint.startswith(f": {meant} is given without one, ")


@pytest.mark.parametrize("command", PARSERS)
def test_no_option_has_a_short_form_that_happens_to_work(command, capsys, nothing_is_read):
    for action in PARSERS[command].declared:
        for option in {*action.option_strings} - {"--seeds"}:  # as --seed is another
            assert cli.main([command, option[:-1]]) == 2
            assert f"there is no option {option[:-1]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "meant"),
    [("trian", "train"), ("fit", "train"), ("test", "evaluate"), ("Predict", "predict")],
)
def test_a_command_that_there_is_not_is_said_with_the_one_that_was_meant(word, meant, capsys):
    assert cli.main([word, "--epochs", "3"]) == 2
    said = f"bpnet: error: there is no command {word}: did you mean {meant}?"
    assert capsys.readouterr().err.splitlines() == [said, "bpnet: see bpnet --help"]
    assert cli.main(["qwxyz"]) == 2
    assert f"there are {', '.join(cli.COMMANDS)}" in capsys.readouterr().err


MISSING = {  # every argument that names a file to read, missing
    "train TABLE": ["train", "{}"],
    "train --resume": ["train", "--resume", "{}"],
    "search TABLE": ["search", "{}"],
    "evaluate MODEL": ["evaluate", "{}"],
    "evaluate TABLE": ["evaluate", "MODEL", "{}"],
    "predict MODEL": ["predict", "{}", "x.png"],
    "predict IMAGE": ["predict", "MODEL", "{}"],
    "export MODEL": ["export", "{}", "net.onnx"],
    "pack FILE": ["pack", "{}", "out.bpd"],
    "pack two FILEs": ["pack", "{}", "{}", "out.bpd"],
}


@pytest.mark.parametrize("name", ["nofile.npz", "./a folder/x\n.csv"])
@pytest.mark.parametrize("argv", MISSING.values(), ids=MISSING)
def test_a_missing_file_is_a_sentence_with_the_name_that_was_typed(
    argv, name, model, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    given = [word.format(name).replace("MODEL", model) for word in argv]
    assert cli.main(given) == 1
    said = capsys.readouterr()
    typed = name.replace("\n", "\\n")
    assert said == ("", f"bpnet: error: there is no file {typed}\n")


def test_help_fits_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for argv in (["--help"], *([command, "--help"] for command in PARSERS)):
        with pytest.raises(SystemExit):
            cli.main(argv)
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80 and lines[0].startswith("usage: bpnet")


def test_the_examples_of_help_are_commands():
    for text in (cli._EXAMPLES, cli.train.EXAMPLES):
        found = re.findall(r"^  bpnet (\w.*?)  ", text, re.M)
        assert len(found) == 3
        for line in found:
            cli._parser().parse_args(line.split())


# evaluate


def test_evaluate_counts_what_train_counted(data, model, capsys):
    assert cli.main(["evaluate", model, "--data", data]) == 0
    net = bpnet.load(model)
    correct = net.evaluate(mnist_loader.load_data(data)[2])
    assert (
        capsys.readouterr().out
        == f"accuracy {2 * correct:.2f} %: {correct} of 50 test digits right\n"
    )


def test_evaluate_refuses_what_is_no_model_of_digits(data, tmp_path, capsys):
    fails(
        capsys, "evaluate", str(tmp_path / "absent"), "--data", data, words="there is no file "
    )
    (tmp_path / "text").write_text("text")
    fails(
        capsys, "evaluate", str(tmp_path / "text"), "--data", data, words="a model that bpnet"
    )
    bpnet.Network([4, 2]).save(tmp_path / "small")
    fails(capsys, "evaluate", str(tmp_path / "small"), "--data", data, words="begin with 784")


# predict


def digit(data, label):
    images, labels = mnist_loader.load_data(data)[2]
    return images[np.flatnonzero(labels == label)[0]]


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def predictions(capsys, *argv):
    assert cli.main(["predict", *argv]) == 0
    found = []
    for line in capsys.readouterr().out.splitlines():
        name, label, activation = re.fullmatch(r"(.*): (\d)  \((\d\.\d{3})\)", line).groups()
        assert 0 <= float(activation) <= 1
        found.append((name, int(label)))
    return found


def test_what_the_library_warns_of_is_a_line(data, tmp_path, monkeypatch):
    net = network2.Network([784, 8, 10], seed=1)
    monkeypatch.setattr(net, "feedforward", lambda a: a, raising=False)
    with pytest.warns(UserWarning, match="the script's own feedforward"):
        net.save(tmp_path / "own.npz")
    lines = run("evaluate", tmp_path / "own.npz", "--data", data).stderr.splitlines()
    assert [line.split(" the network")[0] for line in lines] == [
        "bpnet: warning:",
        "bpnet: error:",
    ]


def test_predict_reads_real_digits_from_pngs_of_either_colour(tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    training, _, (images, _) = mnist_loader._sample()
    net = bpnet.Network([784, 30, 10], seed=1)
    net.SGD(training, 3, 10, 3.0)
    net.save(tmp_path / "model")
    expected = []
    for x in images[:20]:
        grey = image.fromarray((x.reshape(28, 28) * 256).astype(np.uint8))
        label = int(np.argmax(net.feedforward(x[:, None])))
        for paper in (grey, image.eval(grey, lambda byte: 255 - byte)):
            name = str(tmp_path / f"{len(expected)}.png")
            paper.save(name)
            expected.append((name, label))
    capsys.readouterr()
    names = [name for name, _ in expected]
    assert predictions(capsys, str(tmp_path / "model"), *names) == expected
    assert len({label for _, label in expected}) > 5


@pytest.fixture
def seven(tmp_path):
    """Return the path of a picture of a 7."""
    image = pytest.importorskip("PIL.Image")
    draw = pytest.importorskip("PIL.ImageDraw")
    picture = image.new("L", (60, 50), 230)
    draw.Draw(picture).line(((12, 8), (33, 9), (20, 40)), fill=30, width=4)
    picture.save(tmp_path / "seven.png")
    return tmp_path / "seven.png"


@pytest.mark.parametrize("kind", [bpnet.Network, network2.Network, bpnet.MLP])
def test_predict_gives_every_network_the_prepared_picture(kind, seven, tmp_path, capsys):
    net = kind([784, 10], seed=2)
    net.save(tmp_path / "model")
    x = pictures.digit(seven).ravel()
    output = net.predict(x[None])[0] if kind is bpnet.MLP else net.feedforward(x[:, None])
    assert predictions(capsys, str(tmp_path / "model"), str(seven)) == [
        (str(seven), int(np.argmax(output)))
    ]


def test_predict_gives_rows_of_numbers_as_they_are(seven, tmp_path, capsys):
    rows = tmp_path / "rows.txt"
    x = pictures.digit(seven).ravel()
    moved = np.roll(x.reshape(28, 28), 5).ravel()  # which a picture would not stay
    rows.write_text(" ".join(map(str, moved)))
    bpnet.Network([784, 10], seed=2).save(tmp_path / "model")
    capsys.readouterr()
    assert cli.main(["predict", str(tmp_path / "model"), str(rows), "--show"]) == 0
    *lines, _ = capsys.readouterr().out.split("\n")
    assert "\n".join(lines[:28]) == pictures.drawing(moved.reshape(28, 28))


def test_predict_shows_what_the_network_is_given(model, seven, capsys):
    assert cli.main(["predict", "--show", model, str(seven), str(seven)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:28] == pictures.drawing(pictures.digit(seven)).split("\n")
    assert lines[28].startswith(f"{seven}: ")
    assert lines[29:] == lines[:29]


def test_predict_shows_squares_only(tmp_path, capsys):
    bpnet.Network([5, 10]).save(tmp_path / "five")
    words = "--show needs a network with a square of inputs, got 5"
    fails(capsys, "predict", "--show", str(tmp_path / "five"), "rows.txt", words=words)


@pytest.mark.parametrize("form", ["BMP", "GIF", "JPEG", "TIFF"])
def test_predict_reads_other_pictures(model, seven, form, capsys):
    image = pytest.importorskip("PIL.Image")
    other = seven.with_suffix(f".{form}")
    image.open(seven).save(other)
    found = predictions(capsys, model, str(seven), str(other))
    assert [name for name, _ in found] == [str(seven), str(other)]
    assert found[0][1] == found[1][1]


def test_predict_refuses_what_it_cannot_read(model, tmp_path, capsys, monkeypatch):
    fails(capsys, "predict", model, str(tmp_path), words=r"must be a file, got a folder")
    monkeypatch.setattr(sys, "stdin", None)
    words = "- must be a picture or rows of numbers from stdin, got none"
    fails(capsys, "predict", model, "-", words=words)
    monkeypatch.setattr(cli.predict, "_MOST", 1 << 20)
    (tmp_path / "long").write_bytes(b"1 " * (1 << 20))
    fails(capsys, "predict", model, str(tmp_path / "long"), words="at most 1 MiB, got more")
    with (tmp_path / "long").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        fails(capsys, "predict", model, "-", words="- must have at most 1 MiB, got more")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="/dev/zero of POSIX")
def test_predict_ends_where_a_file_does_not(model, capsys):
    fails(capsys, "predict", model, "/dev/zero", words="/dev/zero must have at most 64 MiB")


def test_a_blank_picture_is_one_line(model, tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    image.new("L", (50, 40), 200).save(tmp_path / "blank.png")
    words = r"blank\.png must show a digit, got a blank picture"
    fails(capsys, "predict", model, str(tmp_path / "blank.png"), words=words)


def test_predict_reads_rows_of_numbers(data, model, tmp_path, capsys, monkeypatch):
    rows = tmp_path / "rows.txt"
    digits = [2, 8, 5]
    text = [",".join(map(str, digit(data, d))) for d in digits[:2]]
    text.append("\n" + " ".join(map(str, digit(data, digits[2]))))
    rows.write_text("\n".join(text) + "\n")
    expected = [(str(rows), d) for d in digits]
    assert predictions(capsys, model, str(rows)) == expected
    with rows.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert predictions(capsys, model, "-") == [("-", d) for d in digits]
    rows.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(text).encode())  # as a spreadsheet saves it
    assert predictions(capsys, model, str(rows)) == expected


def test_predict_reads_stdin_once_whatever_it_holds(model, seven, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(seven.read_bytes())))
    ((_, label),) = predictions(capsys, model, str(seven))
    assert predictions(capsys, model, "-") == [("-", label)]


@pytest.mark.skipif(not os.path.exists("/dev/stdin"), reason="/dev/stdin of POSIX")
def test_predict_reads_a_pipe_by_its_name(data, model):
    rows = "\n".join(",".join(map(str, digit(data, d))) for d in (2, 8, 5))
    done = run("predict", model, "/dev/stdin", input=rows)
    assert re.findall(r"/dev/stdin: (\d)", done.stdout) == ["2", "8", "5"]


def test_predict_refuses_what_is_no_digit(data, model, tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    rows = tmp_path / "rows.txt"
    for text, words in (
        ("1 2 3", "must have 784 numbers in each row, got 3"),
        ("", "got none"),
        ("a b c", "must be a PNG, .* or TIFF picture, or rows of numbers"),
        (",".join(["nan"] * 784), r"rows\.txt must have finite numbers"),
    ):
        rows.write_text(text)
        fails(capsys, "predict", model, str(rows), words=words)
    rows.write_bytes(b"\xff\xd8\xff\xe0")  # as a JPEG begins
    fails(
        capsys, "predict", model, str(rows), words=r"rows\.txt must be a whole PNG, JPEG, BMP"
    )
    rows.write_bytes(b"\0\0\0\x18ftypheic\xff")  # another
    fails(capsys, "predict", model, str(rows), words=r"rows\.txt must be a PNG, JPEG, BMP")
    path = tmp_path / "digit.png"
    image.new("L", (28, 28)).save(path)
    whole = path.read_bytes()
    for damaged in (whole[:40], whole[:-25], whole[:50] + b"\0\0\0\0" + whole[54:]):
        path.write_bytes(damaged)
        fails(capsys, "predict", model, str(path), words="must be a whole PNG")
    for side in (10000, 60000):  # Pillow warns of the first and refuses the second
        header = struct.pack(">4s2I5B", b"IHDR", side, side, 8, 0, 0, 0, 0)
        header = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        path.write_bytes(whole[:8] + header + whole[33:])
        fails(capsys, "predict", model, str(path), words="whole PNG.* picture: .*bomb")
    fails(capsys, "predict", model, str(tmp_path / "absent.png"), words="there is no file ")
    bpnet.Network([5, 10]).save(tmp_path / "five")
    image.new("L", (28, 28)).save(path)
    fails(capsys, "predict", str(tmp_path / "five"), str(path), words="square of inputs, got 5")


def test_without_pillow_the_extra_is_named(model, tmp_path, capsys, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "PIL", None)
    words = re.escape('pip install "bpnet[image]"')
    fails(capsys, "predict", model, str(tmp_path / "a.png"), words=words)


# The rest


@pytest.mark.parametrize("kind", [OSError, ValueError, TypeError, ImportError, MemoryError])
def test_a_failure_is_one_line(kind, capsys, monkeypatch):
    for error, words in ((kind("two\nlines"), r"two\\nlines"), (kind(), kind.__name__)):

        def load(_, error=error):
            raise error

        monkeypatch.setattr(bpnet, "load", load)
        fails(capsys, "predict", "model", "image", words=words)


def test_info_version_and_help(capsys):
    assert cli.main(["info"]) == 0
    info = capsys.readouterr().out
    assert f"bpnet      {bpnet.__version__}" in info
    assert "engine " in info
    assert cli.main([]) == 0
    assert "train a network, on MNIST" in capsys.readouterr().out
    for argv, words in ((["--version"], bpnet.__version__), (["train", "-h"], "784,30,10")):
        with pytest.raises(SystemExit) as ended:
            cli.main(argv)
        assert ended.value.code == 0
        assert words in capsys.readouterr().out


def test_the_module_is_the_command(data, tmp_path):
    done = run("train", "--data", data, "--epochs", "1", "--seed", "1")
    assert done.returncode == 0
    assert "Epoch 0: " in done.stdout
    assert done.stderr == ""


def test_an_unknown_engine_is_one_line(data):
    done = run("train", "--data", data, env={**ENVIRONMENT, "BPNET_ISA": "mmx"})
    assert done.returncode == 1
    assert re.fullmatch(r"bpnet: error: BPNET_ISA must be one of .*, got 'mmx'\n", done.stderr)


@contextlib.contextmanager
def start(data, *argv):
    """Train for as long as nobody stops it, but not beyond the deadline."""
    with subprocess.Popen(
        [sys.executable, "-m", "bpnet", "train", "--data", data, "--epochs", "10000000", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as child:
        deadline = threading.Timer(DEADLINE, child.kill)
        deadline.start()
        try:
            yield child
        finally:
            child.kill()
            deadline.cancel()


INTERRUPTED = (
    r"bpnet: interrupted after \d+ of \d+ epochs; --checkpoint FILE lets a run go on\n"
)


def interrupt(child):
    """Send Ctrl-C after the second epoch; return what is printed from then on."""
    for line in child.stdout:
        if re.match("Epoch +1:", line):
            child.send_signal(signal.SIGINT)
            break
    return child.stdout.read(), child.stderr.read()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_saves_what_was_trained(data, tmp_path):
    path = tmp_path / "net.npz"
    with start(data, "--save", str(path)) as child:
        out, err = interrupt(child)
        assert child.wait() == 130
    assert re.fullmatch(INTERRUPTED, err)
    assert out.endswith(f"saved {path}\n")
    assert bpnet.load(path).sizes == [784, 30, 10]
    with start(data) as child:
        out, err = interrupt(child)
        assert child.wait() == 130
    assert re.fullmatch(INTERRUPTED, err)
    assert "saved" not in out


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_closed_pipe_ends_quietly(data):
    with start(data) as child:
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == ""
        assert child.wait() == 1
