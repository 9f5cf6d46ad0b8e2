"""What cannot be printed loses nothing: lines, bars, file names, on any stdout and stderr."""

# ruff: noqa: F811 - data is a fixture

import contextlib
import errno
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading

import numpy as np
import pytest
from conftest import parameters_of
from engines import same_bits
from nets import each_trained, held_out, make, timeless, train
from test_cli import DEADLINE, ENVIRONMENT, INTERRUPTED, data  # noqa: F401 - data is a fixture

import bpnet
from bpnet import cli, network2, serialize

FULL = OSError(errno.ENOSPC, "No space left on device")
ERRORS = {  # what a stream may raise
    "full": FULL,
    "closed by its reader": BrokenPipeError(errno.EPIPE, "Broken pipe"),
    "closed": ValueError("I/O operation on closed file."),
    "narrow": UnicodeEncodeError("ascii", "ü", 0, 1, "ordinal not in range(128)"),
    "of a notebook": RuntimeError("no kernel"),
}
posix = pytest.mark.skipif(os.name != "posix", reason="signals and devices of POSIX")
full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full of Linux")


class Terminal(io.StringIO):
    """A terminal that fails after some writes."""

    def __init__(self, error=None, writes=0):
        super().__init__()
        self.error, self.left = error, writes

    def isatty(self):
        return True

    def write(self, text):
        self.left -= 1
        if self.error is not None and self.left < 0:
            raise self.error
        return super().write(text)


# A training in a script


@pytest.mark.pairs
@each_trained
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("verbose", [True, "bar"])
@pytest.mark.parametrize("stderr", ["whole", "broken", "none"])
@pytest.mark.parametrize("writes", [0, 3])
def test_a_stdout_that_breaks_changes_no_training(
    kind, error, verbose, stderr, writes, monkeypatch
):
    silent, net = make(kind), make(kind)
    train(silent, judged_by=held_out())
    streams = {"whole": Terminal(), "broken": Terminal(ERRORS[error]), "none": None}
    monkeypatch.setattr(sys, "stdout", Terminal(ERRORS[error], writes))
    monkeypatch.setattr(sys, "stderr", streams[stderr])
    train(net, judged_by=held_out(), verbose=verbose)
    assert same_bits(parameters_of(net), parameters_of(silent))
    assert timeless(net.history) == timeless(silent.history)
    if stderr == "whole" and verbose is True:
        said = f"bpnet: cannot print: {ERRORS[error]}: training goes on without its lines\n"
        assert streams["whole"].getvalue() == said * (error != "closed by its reader")


@each_trained
@pytest.mark.parametrize("writes", [0, 1, 4])
def test_a_bar_that_cannot_be_drawn_leaves_the_lines(kind, writes, monkeypatch):
    pytest.importorskip("tqdm")
    net, lines = make(kind), Terminal()
    monkeypatch.setattr(sys, "stdout", lines)
    monkeypatch.setattr(sys, "stderr", Terminal(FULL, writes))
    train(net, judged_by=held_out(), verbose="bar")
    assert len(net.history) == 3
    shown = [line[:7] for line in lines.getvalue().splitlines() if line.startswith("Epoch")]
    assert [*dict.fromkeys(shown)] == ["Epoch 0", "Epoch 1", "Epoch 2"]


@each_trained
def test_a_function_writes_the_lines(kind, capsys):
    net = make(kind)
    train(net, judged_by=held_out(), verbose=lambda record: f"{record['update']!r}")
    assert capsys.readouterr().out.splitlines() == [repr(r["update"]) for r in net.history]


@each_trained
def test_ctrl_c_in_a_line_is_ctrl_c(kind, monkeypatch):
    net = make(kind)
    monkeypatch.setattr(sys, "stdout", Terminal(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        train(net, verbose=True)
    assert len(net.history) == 1


# The command


def command(folder, *argv, **options):
    """Run it in a folder of its own, its output buffered or not as options' env says."""
    return subprocess.run(
        [sys.executable, "-m", "bpnet", *argv],
        cwd=folder,
        timeout=DEADLINE,
        **{"env": ENVIRONMENT, "stderr": subprocess.PIPE, "stdout": subprocess.PIPE, **options},
    )


def lines(error):
    """Return the lines of stderr, none of which may be Python's."""
    text = error.decode()
    assert "Traceback" not in text and "Exception ignored" not in text, text
    return text.splitlines()


@contextlib.contextmanager
def closed_pipe():
    """Yield the end to write to of a pipe that nobody reads."""
    reads, writes = os.pipe()
    os.close(reads)
    yield writes
    os.close(writes)


def no_streams():
    for number in range(3):
        os.close(number)


NAME = "modèle 数\x1b[31m.npz"
JOB = ["train", "--epochs", "3", "--seed", "3"]
buffered = pytest.mark.parametrize("buffers", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["", "-u"])


@pytest.fixture(scope="module")
def usual(data, tmp_path_factory):
    """The network that JOB trains where nothing goes wrong."""
    folder = tmp_path_factory.mktemp("usual")
    assert command(folder, *JOB, "--data", data, "--save", "net.npz").returncode == 0
    return bpnet.load(folder / "net.npz")


def is_usual(path, usual):
    return same_bits(parameters_of(bpnet.load(path)), parameters_of(usual))


@posix
@pytest.mark.parametrize(
    ("encoding", "buffers"),
    [
        ("ascii", {}),
        ("cp1252", {"PYTHONUNBUFFERED": "1"}),
        ("utf-8", {}),
        ("utf-16", {"PYTHONUNBUFFERED": "1"}),
    ],
)
def test_a_name_that_the_terminal_cannot_show_is_escaped(
    encoding,
    buffers,
    data,
    usual,
    tmp_path,
):
    env = {**ENVIRONMENT, **buffers, "PYTHONIOENCODING": encoding}
    done = command(tmp_path, *JOB, "--data", data, "--save", NAME, env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    out = done.stdout.decode(encoding)
    assert "\\x1b[31m.npz" in out and "\x1b" not in out
    assert is_usual(tmp_path / NAME, usual)
    for argv in (["evaluate", "\x1b\n" + NAME], ["train", "--resume", "\udcff" + NAME], [NAME]):
        done = command(tmp_path, *argv, "--data", data, env=env)
        assert done.returncode in (1, 2)
        error = done.stderr.decode(encoding)
        assert "\x1b" not in error and "Traceback" not in error
        assert len(error.splitlines()) == done.returncode  # wrong usage shows it first


@posix
@full
@buffered
@pytest.mark.parametrize("options", [["--save", "net.npz"], ["--checkpoint", "net.npz"]])
def test_a_full_stdout_loses_no_training(options, buffers, data, usual, tmp_path):
    env = {**ENVIRONMENT, **buffers}
    with open("/dev/full", "wb") as out:
        done = command(tmp_path, *JOB, "--data", data, *options, stdout=out, env=env)
    assert done.returncode == 1
    assert lines(done.stderr)[-1] == "bpnet: error: stdout: No space left on device"
    assert is_usual(tmp_path / "net.npz", usual)


@posix
@buffered
@pytest.mark.parametrize("options", [["--save", "net.npz"], ["--checkpoint", "net.npz"]])
def test_a_closed_pipe_loses_no_training(options, buffers, data, usual, tmp_path):
    env = {**ENVIRONMENT, **buffers}
    with closed_pipe() as out:
        done = command(tmp_path, *JOB, "--data", data, *options, stdout=out, env=env)
    assert (done.returncode, done.stderr) == (1, b"")
    assert is_usual(tmp_path / "net.npz", usual)


@posix
@buffered
def test_a_command_without_streams_does_its_job(buffers, data, usual, tmp_path):
    env = {**ENVIRONMENT, **buffers}
    options = {"stdin": None, "stdout": None, "stderr": None, "env": env}
    train_it = [*JOB, "--data", data, "--save", "net.npz"]
    for argv, status in (
        (train_it, 0),
        (["evaluate", "net.npz", "--data", data], 0),
        (["info"], 0),
        (["evaluate", "absent", "--data", data], 1),
        (["teach"], 2),
    ):
        done = command(tmp_path, *argv, **options, preexec_fn=no_streams)
        assert done.returncode == status
    assert is_usual(tmp_path / "net.npz", usual)


@posix
@full
def test_output_that_is_lost_is_a_failure_of_every_command(data, usual, tmp_path):
    usual.save(tmp_path / "net.npz")
    for argv in (
        ["evaluate", "net.npz", "--data", data],
        ["info"],
        ["--help"],
        ["train", "--help"],
        ["--version"],
        [*JOB, "--data", data],
    ):
        with open("/dev/full", "wb") as out:
            done = command(tmp_path, *argv, stdout=out)
        assert done.returncode == 1, argv
        assert "No space left on device" in lines(done.stderr)[-1]
        with open("/dev/full", "wb") as error, open("/dev/full", "wb") as out:
            assert command(tmp_path, *argv, stdout=out, stderr=error).returncode == 1
        with closed_pipe() as out:
            done = command(tmp_path, *argv, stdout=out)
        assert (done.returncode, done.stderr) == (1, b""), argv
    with open("/dev/full", "wb") as error:
        assert command(tmp_path, "evaluate", "absent", stderr=error).returncode == 1
        assert command(tmp_path, "teach", stderr=error).returncode == 2


# A result that cannot be written where it was asked for


def refuses(folder):
    """Return an os.replace for a disk that is full in some folder."""
    replace = os.replace

    def refusing(source, target, **options):
        if os.path.dirname(os.path.realpath(target)) in map(os.path.realpath, folder):
            raise FULL
        replace(source, target, **options)

    return refusing


@pytest.mark.parametrize("full_folders", [["asked"], ["asked", "here"]])
@pytest.mark.parametrize("name", ["net.npz", "net.json"])
def test_a_network_that_cannot_be_saved_is_saved_elsewhere(
    full_folders,
    name,
    data,
    usual,
    tmp_path,
    monkeypatch,
    capsys,
):
    for folder in ("asked", "here", "temporary"):
        (tmp_path / folder).mkdir()
    asked = tmp_path / "asked" / name
    asked.write_text("precious")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(os, "replace", refuses([tmp_path / each for each in full_folders]))
    assert cli.main([*JOB, "--data", data, "--save", str(asked)]) == 1
    output = capsys.readouterr()
    assert "accuracy " in output.out and "saved" not in output.out
    start = f"bpnet: error: --save {asked}: No space left on device: the network is in "
    assert output.err.startswith(start) and output.err.count("\n") == 1
    found = output.err.removeprefix(start).strip()
    expected = "temporary" if "here" in full_folders else "here"
    assert os.path.dirname(os.path.realpath(found)) == os.path.realpath(tmp_path / expected)
    assert is_usual(found, usual)
    left = [each for folder in tmp_path.iterdir() for each in folder.iterdir()]
    assert len(left) == 2 and asked.read_text() == "precious"


def test_a_network_that_can_be_saved_nowhere_is_one_line(
    data,
    tmp_path,
    monkeypatch,
    capsys,
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "replace", refuses([tmp_path]))
    assert cli.main([*JOB, "--data", data, "--save", "net.npz"]) == 1
    output = capsys.readouterr()
    assert "accuracy " in output.out
    assert output.err == (
        "bpnet: error: --save net.npz: No space left on device, nor is there another place for "
        "the network\n"
    )
    assert not [*tmp_path.iterdir()]


def test_a_picture_that_fails_loses_no_network(
    data,
    usual,
    tmp_path,
    monkeypatch,
    capsys,
):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "curve.png"
    picture.write_text("precious")
    monkeypatch.chdir(tmp_path)
    from matplotlib.figure import Figure

    savefig = Figure.savefig
    for error, reason in (
        (FULL, "--plot curve.png: No space left on device"),
        (ImportError("no backend"), "no backend"),
        (RuntimeError("no fonts"), "no fonts"),
        (MemoryError(), "MemoryError"),
    ):

        def fails(figure, target, error=error, **options):
            if isinstance(target, io.BytesIO):  # the rehearsal
                return savefig(figure, target, **options)
            target.write(b"half")
            raise error

        monkeypatch.setattr(Figure, "savefig", fails)
        options = ["--data", data, "--save", "net.npz", "--plot", "curve.png"]
        assert cli.main([*JOB, *options]) == 1
        output = capsys.readouterr()
        assert "saved net.npz" in output.out and "accuracy " in output.out
        assert "plotted" not in output.out
        assert output.err == f"bpnet: error: {reason}\n"
        assert is_usual("net.npz", usual)
        assert picture.read_text() == "precious"
        assert sorted(os.listdir()) == ["curve.png", "net.npz"]


def test_what_fails_twice_is_said_twice(data, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "replace", refuses([tmp_path]))
    assert cli.main([*JOB, "--data", data, "--save", "a.npz", "--plot", "a.png"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "--save a.npz: " in error and "--plot a.png: " in error


def test_a_checkpoint_that_fails_later_loses_no_network(
    data,
    tmp_path,
    monkeypatch,
    capsys,
):
    write, calls = serialize.save, []

    def fails(path, model):
        calls.append(path)
        if len(calls) == 3:
            raise FULL
        write(path, model)

    def each_epoch(arguments, keywords=cli.train._keywords):
        return keywords(arguments) | {"checkpoint_seconds": 0.0}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serialize, "save", fails)
    monkeypatch.setattr(cli.train, "_keywords", each_epoch)
    options = ["--data", data, "--save", "net.npz", "--checkpoint", "run.npz"]
    assert cli.main([*JOB, *options]) == 1
    output = capsys.readouterr()
    assert output.out.endswith("saved net.npz\n")
    assert output.err == "bpnet: error: [Errno 28] No space left on device\n"
    assert cli.main(["evaluate", "net.npz", "--data", data]) == 0


# Ctrl-C


def interrupting(function, when):
    """Return function, with Ctrl-C twice while it runs, or after it."""

    def interrupted(*arguments, **options):
        if getattr(arguments[0], "sizes", None) == [1, 2]:  # settings are tried
            return function(*arguments, **options)
        if when == "before":
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        result = function(*arguments, **options)
        if when == "after":
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return result

    return interrupted


MOMENTS = {
    "before a sync": (os, "fsync", "before"),
    "after a sync": (os, "fsync", "after"),
    "before the name": (os, "replace", "before"),
    "after the name": (os, "replace", "after"),
    "before all": (network2.Network, "save", "before"),
    "after all": (network2.Network, "save", "after"),
    "after training": (cli.train, "sgd", "after"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_tears_no_network(moment, data, usual, tmp_path, monkeypatch, capsys):
    owner, name, when = MOMENTS[moment]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(owner, name, interrupting(getattr(owner, name), when))
    assert cli.main([*JOB, "--data", data, "--save", "net.npz"]) == 130
    output = capsys.readouterr()
    assert output.out.endswith("saved net.npz\n") and output.err == "bpnet: interrupted\n"
    assert is_usual("net.npz", usual) and os.listdir() == ["net.npz"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_training_and_then_again_saves_once(
    data,
    tmp_path,
    monkeypatch,
    capsys,
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", interrupting(os.fsync, "before"))

    def epochs(*arguments, original=cli.words.epochs):
        line = original(*arguments)

        def interrupted(record):
            if record["epoch"] == 1:
                signal.raise_signal(signal.SIGINT)
            return line(record)

        return interrupted

    monkeypatch.setattr(cli.words, "epochs", epochs)
    assert cli.main([*JOB, "--data", data, "--save", "net.npz"]) == 130
    output = capsys.readouterr()
    assert output.out.endswith("saved net.npz\n") and re.fullmatch(INTERRUPTED, output.err)
    assert bpnet.load("net.npz").sizes == [784, 30, 10] and os.listdir() == ["net.npz"]


def test_who_ignores_ctrl_c_goes_on_to_ignore_it(data, tmp_path, monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        monkeypatch.setattr(cli.train, "sgd", interrupting(cli.train.sgd, "before"))
        assert cli.main([*JOB, "--data", data]) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_thread_is_no_place_for_ctrl_c(data, usual, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = []
    arguments = [*JOB, "--data", data, "--save", "net.npz"]
    thread = threading.Thread(target=lambda: found.append(cli.main(arguments)))
    thread.start()
    thread.join(DEADLINE)
    assert found == [0] and is_usual("net.npz", usual)


def test_the_command_does_its_job_where_numpy_raises(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with np.errstate(all="raise"):
        assert cli.main([*JOB, "--data", data, "--preset", "best", "--save", "net.npz"]) == 0
        assert cli.main(["evaluate", "net.npz", "--data", data]) == 0
