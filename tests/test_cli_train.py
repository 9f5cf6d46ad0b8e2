"""``bpnet train``: presets, pictures, and runs that stop, are cut and go on."""

import json
import math
import os
import re
import shlex
import signal
import sys

import numpy as np
import pytest
from test_cli import data, fails, interrupt, start  # noqa: F401 - data is a fixture

import bpnet
from bpnet import cli, mnist_loader, network2, serialize
from bpnet.trainer import Trainer

SHORT = ["--epochs", "4", "--seed", "3"]


def train(data, *argv):  # noqa: F811
    return cli.main(["train", "--data", data, *map(str, argv)])


def same(a, b):
    return all(map(np.array_equal, a.biases + a.weights, b.biases + b.weights))


def test_the_presets_settings_are_what_trains(data, tmp_path, capsys):  # noqa: F811
    path = tmp_path / "best.npz"
    assert train(data, "--preset", "best", "--epochs", 3, "--seed", 5, "--save", path) == 0
    best = cli.train.PRESETS["best"]
    net = network2.Network(best["sizes"], network2.CrossEntropyCost, dtype="float32", seed=5)
    x, labels = mnist_loader.load_data(data)[0]
    share = best["distort"]
    usual = {"rotation": 10, "scale": 0.1, "shear": 0.1, "displacement": 1.2}
    options = {name: share * value for name, value in usual.items()}
    x = x.astype("float32")
    net.SGD(
        lambda epoch: (bpnet.distort(x, seed=(5 << 32) + epoch, **options), labels),
        3,
        best["mini_batch_size"],
        lambda epoch: best["eta"] * (1 - epoch / 3),
        best["lmbda"],
        mu=best["mu"],
    )
    loaded = bpnet.load(path)
    assert same(loaded, net)
    assert loaded.notes == {**best, "epochs": 3, "seed": 5}


def test_every_preset_has_the_same_settings_and_help_names_them(capsys):
    names = [set(settings) for settings in cli.train.PRESETS.values()]
    assert all(each == names[0] for each in names)
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    text = capsys.readouterr().out
    rows = {words[0]: words[1:] for words in map(str.split, text.splitlines()) if words}
    assert rows["presets:"] == ["tutorial", "best", "minute", "table"]
    assert rows["--eta"] == ["3.0", "0.5", "0.1", "0.01"]
    assert rows["--distort"] == ["0.0", "0.7", "1.0", "0.0"]
    assert rows["hour"][:5] == ["is", "minute", "with", "--sizes", "784,1000,500,10"]
    assert {*cli.train.PRESETS} == {*rows["presets:"], "hour"}
    assert "examples in one update (default: 10; see hour)" in text


@pytest.mark.parametrize("preset", cli.train.PRESETS)
def test_what_a_run_says_fits_80_columns(preset):
    settings = {**cli.train.PRESETS[preset], "seed": 2**32 - 1}
    settings["sizes"] = [784, *settings["sizes"][1:-1], 10]
    settings["epochs"] = min(settings["epochs"], 100)
    labels = np.zeros(10**6, np.int8)
    mnist = (None, labels[:50000]), (None, labels[:10000]), (None, labels[:10000])
    words = ("pixels", "digits"), "test digits", False
    parts = cli.examples.Parts(*mnist, 784, 10, False, None, None, *words)
    lines = cli.words.beginning(cli.train.new_network(settings), settings, parts)
    line = cli.words.epochs(settings["epochs"], parts)
    record = {"epoch": 9, "validation_accuracy": 1 / 3, "validation_cost": 1 / 70}
    lines.append(line({**record, "training_cost": 1 / 70}))
    assert lines[-1].endswith(
        " 3,333 of 10,000 validation digits right, cost 0.0143, training 0.0143"
    )
    assert [line for line in lines if len(line) > 80] == []


def test_a_checkpointed_run_goes_on_to_the_same_bits(data, tmp_path, capsys):  # noqa: F811
    whole, cut, end = tmp_path / "whole.npz", tmp_path / "cut.npz", tmp_path / "end.npz"
    options = ["--preset", "best", "--sizes", "784,12,10", "--mu", 0.5, "--seed", 3]
    assert train(data, *options, "--epochs", 4, "--no-decay", "--save", whole) == 0
    assert train(data, *options, "--epochs", 2, "--no-decay", "--checkpoint", cut) == 0
    capsys.readouterr()
    assert train(data, "--resume", cut, "--epochs", 4, "--save", end) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "Network: 784 inputs, 12 hidden neurons, 10 outputs; float32, seed 3"
    assert [line.split(":")[0] for line in lines[4:6]] == ["Epoch 2", "Epoch 3"]
    assert same(bpnet.load(whole), bpnet.load(end))
    assert bpnet.load(whole).notes == bpnet.load(end).notes
    # A run that is over has nothing to add; its file is a model, too.
    assert train(data, "--resume", cut) == 0
    assert cli.main(["evaluate", str(cut), "--data", data]) == 0
    last = capsys.readouterr().out.splitlines()
    assert last[-1] == last[-2]


def test_a_run_goes_on_with_the_distortions_that_it_began_with(data, tmp_path, capsys):  # noqa: F811
    path = tmp_path / "run.npz"
    options = ["--preset", "best", "--hidden", 5, "--epochs", 1]
    assert train(data, *options, "--checkpoint", path) == 0
    for other in (0, 1):
        words = f"--distort must be 0.7, as in the run to resume, got {other}"
        fails(
            capsys,
            *("train", "--data", data, "--resume", str(path), "--distort", str(other)),
            words=words,
        )


@pytest.mark.parametrize("activation", cli.train._CHOICES["activation"])
def test_a_plot_has_training_figures_whatever_the_neurons_do(activation, data, tmp_path):  # noqa: F811
    pytest.importorskip("matplotlib")
    net, picture = tmp_path / "net.npz", tmp_path / "curve.png"
    options = ["--preset", "best", "--hidden", 5, "--epochs", 1, "--activation", activation]
    assert train(data, *options, "--save", net, "--plot", picture) == 0
    assert {"training_cost", "training_accuracy"} <= bpnet.load(net).history[0].keys()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_killed_run_can_be_resumed(data, tmp_path):  # noqa: F811
    path = tmp_path / "run.npz"
    with start(data, "--checkpoint", str(path)) as child:
        for line in child.stdout:
            if re.match("Epoch +1:", line):
                child.send_signal(signal.SIGKILL)
                break
        child.wait()
    with start(data, "--resume", str(path)) as child:
        first = [child.stdout.readline() for _ in range(5)][4]
        assert re.match(r"Epoch +\d+: ", first)
        child.send_signal(signal.SIGINT)
        assert child.wait() == 130


@pytest.mark.parametrize("moment", ["in the first epoch", "in an epoch", "in a line"])
def test_ctrl_c_says_how_to_go_on_and_a_run_does_to_the_same_bits(
    moment,
    data,  # noqa: F811
    tmp_path,
    monkeypatch,
    capsys,
):
    monkeypatch.chdir(tmp_path)
    options = ["--hidden", 12, "--mini-batch-size", 7, "--preset", "best", "--seed", 3]
    options += ["--epochs", 4, "--patience", 9]
    assert train(data, *options, "--save", "whole.npz") == 0
    original = {"epoch": Trainer.epoch, "epochs": cli.words.epochs}
    last = 0 if moment == "in the first epoch" else 2

    def epoch(self, *arguments):
        result = original["epoch"](self, *arguments)
        if self.net.sizes[0] > 1 and len(self.net.history) == last:
            signal.raise_signal(signal.SIGINT)
        return result

    def epochs(*arguments):
        line = original["epochs"](*arguments)
        return lambda record: line(record) if record["epoch"] < last else interrupted()

    def interrupted():
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        if moment == "in a line":
            patch.setattr(cli.words, "epochs", epochs)
        else:
            patch.setattr(Trainer, "epoch", epoch)
        assert train(data, *options, "--checkpoint", "a run.npz", "--save", "end.npz") == 130
    said, command = capsys.readouterr().err.splitlines()
    done = last + (moment == "in a line")
    assert said == (
        f"bpnet: interrupted after {done} of 4 epochs; a run.npz has the run, to go on:"
    )
    words = shlex.split(command.removeprefix("bpnet: "))
    assert words[:4] == ["bpnet", "train", "--resume", "a run.npz"]
    assert "--preset" not in words and "--epochs" not in words
    assert len(serialize.load("a run.npz").run.state["history"]) == last
    assert cli.main(words[1:]) == 0
    assert same(bpnet.load("whole.npz"), bpnet.load("end.npz"))
    assert bpnet.load("whole.npz").notes == bpnet.load("end.npz").notes


def test_on_a_terminal_it_says_what_may_come_next(
    data,  # noqa: F811
    tmp_path,
    monkeypatch,
    capsys,
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert train(data, *SHORT, "--hidden", "12,12", "--no-decay") == 0
    hint = capsys.readouterr().out.splitlines()[-1]
    words = shlex.split(hint.removeprefix("to keep it: "))
    assert words[:2] == ["bpnet", "train"] and cli.main(words[1:]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last == "to use it: bpnet predict net.npz PICTURE.png"
    net = bpnet.load("net.npz")
    assert net.sizes == [784, 12, 12, 10] and net.notes["seed"] == 3


def test_a_run_says_what_ended_it(data, tmp_path, capsys):  # noqa: F811
    assert train(data, *SHORT, "--max-error", "1") == 0
    assert (
        "1 epoch in " in (out := capsys.readouterr().out) and "ended by --max-error 1.0" in out
    )
    assert train(data, *SHORT, "--max-seconds", "0") == 0
    assert (
        "0 epochs in 0.00 s" in (out := capsys.readouterr().out)
        and "ended by --max-seconds 0.0" in out
    )
    assert train(data, "--epochs", 99, "--eta", 0, "--patience", 2) == 0
    assert "3 epochs in " in (out := capsys.readouterr().out) and "ended by --patience 2" in out
    assert train(data, "--epochs", 99, "--eta", 0, "--min-update", 0.1) == 0
    assert (
        "1 epoch in " in (out := capsys.readouterr().out) and "ended by --min-update 0.1" in out
    )


def test_a_run_that_diverges_is_one_line(data, capsys):  # noqa: F811
    fails(
        capsys,
        *("train", "--data", data, "--eta", "1e300", "--lmbda", "1e10"),
        words=r"training diverged in epoch 0 at eta 1e\+300",
    )


def test_a_learning_curve_is_drawn(data, tmp_path, capsys):  # noqa: F811
    pytest.importorskip("matplotlib")
    path = tmp_path / "curve.png"
    assert train(data, *SHORT, "--plot", path) == 0
    out = capsys.readouterr().out
    assert f"plotted {path}\n" in out
    figures = r"right, cost [\d.]+, training [\d.]+\n"
    assert re.search(f"Epoch 3: .. of 20 validation digits {figures}", out)
    assert path.read_bytes().startswith(b"\x89PNG")
    out = fails(
        capsys,
        *("train", "--data", data, "--plot", str(tmp_path / "curve.xyz")),
        words="Format 'xyz' is not supported",
    )
    assert out == ""
    out = fails(
        capsys,
        *("train", "--data", data, "--plot", str(tmp_path / "absent" / "a.png")),
        words="--plot must name a file in a folder that can be written",
    )
    assert out == ""


def test_resume_refuses_what_is_no_run_of_train(data, tmp_path, capsys):  # noqa: F811
    path = str(tmp_path / "net.npz")
    for argv in (["--resume", path], ["--resume", path, "--preset", "best"]):
        fails(capsys, "train", "--data", data, *argv, words="there is no file ")
    net = bpnet.Network([784, 30, 10], seed=1)
    net.save(path)
    words = "--resume must name a checkpoint of bpnet train"
    assert fails(capsys, "train", "--data", data, "--resume", path, words=words) == ""
    net.notes = {"note": "mine"}
    net.save(path)
    fails(capsys, "train", "--data", data, "--resume", path, words=words)
    assert train(data, *SHORT, "--save", path) == 0
    fails(capsys, "train", "--data", data, "--resume", path, words="a checkpoint, got a model")


ODD = {
    "text": "abc",
    "none": None,
    "nan": math.nan,
    "infinite": math.inf,
    "lists": [[784], [10]],
    "no list": [],
    "an object": {"a": 1},
    "huge": 10**400,
    "negative": -1,
    "true": True,
    "a half": 0.5,
    "letters": ["a", "b"],
    "no layer": [784, 0, 10],
    "a huge layer": [784, 10**400, 10],
    "a layer too many": [784, 10**12, 10],
}
SETTINGS = [*cli.train.PRESETS["tutorial"], "seed"]


@pytest.fixture(scope="module")
def begun(data, tmp_path_factory):  # noqa: F811
    """The content of a checkpoint after one epoch."""
    path = tmp_path_factory.mktemp("begun") / "run.npz"
    assert train(data, "--epochs", 1, "--decay", "--seed", 3, "--checkpoint", path) == 0
    return serialize.load(path)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("odd", ODD)
def test_a_setting_in_a_file_is_one_that_an_option_gives(
    name,
    odd,
    begun,
    data,  # noqa: F811
    tmp_path,
    capsys,
):
    path, value, usual = str(tmp_path / "run.npz"), ODD[odd], begun.notes[name]
    serialize.save(path, begun._replace(notes={**begun.notes, name: value}))
    before, status = (tmp_path / "run.npz").read_bytes(), train(data, "--resume", path)
    output = capsys.readouterr()
    number = type(value) is int and abs(value) < sys.float_info.max  # 3 is as good as 3.0
    if type(value) is type(usual) or (number and type(usual) is float):
        words = {"distort": "(distort|training examples)"}.get(name, name.replace("_", "."))
        if status == 0:  # a decay, an eta of 3
            assert "accuracy " in output.out and output.err == ""
            return
    else:
        words = f"--resume must name a checkpoint with settings of bpnet train, got {name} "
    assert status == 1
    assert re.fullmatch(rf"bpnet: error: .*{words}.*\n", output.err), output.err
    assert (tmp_path / "run.npz").read_bytes() == before


# What a run was before there were these options.
OLDER = ("rule", "activation", "distort")


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in OLDER])
def test_a_setting_that_is_missing_is_said(name, begun, data, tmp_path, capsys):  # noqa: F811
    path = str(tmp_path / "run.npz")
    notes = {key: value for key, value in begun.notes.items() if key != name}
    serialize.save(path, begun._replace(notes=notes))
    words = "--resume must name a checkpoint of bpnet train"
    fails(capsys, "train", "--data", data, "--resume", path, words=words)


def test_notes_are_json_in_either_file(data, tmp_path, capsys):  # noqa: F811
    path = tmp_path / "net.json"
    assert train(data, *SHORT, "--save", path) == 0
    assert json.loads(path.read_text())["notes"]["eta"] == 3.0
    assert bpnet.load(path).notes["seed"] == 3
