"""Checkpoints: a run that ended anywhere goes on to the bits of one that never did."""

import copy
import errno
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import global_states, parameters_of
from engines import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import (
    FORMS,
    SIZES,
    TRAINED,
    N,
    OwnCost,
    each_class,
    each_dtype,
    each_kind,
    each_trained,
    examples,
    face_of,
    held_out,
    is_chapter_3,
    make,
    rules,
    shuffler,
    timeless,
    train,
    watched,
)

import bpnet
from bpnet import Network, Rule, network2, npz, serialize
from bpnet.byhand import HandTrainer
from bpnet.trainer import Trainer

KILLS = Path(__file__).with_name("attack") / "kills.py"
EPOCHS = 5
ENDS = ["epochs", "callback", "exception"]

posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


@pytest.fixture(autouse=True, scope="module")
def environment():
    """Files are written without waiting for the disk, and load finds the scripts' own cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(network2, "OwnCost", OwnCost, raising=False)
        yield


def fresh(kind, dtype, seeded, seed=5):
    """Return a network; without a seed of its own, the global generator starts anew."""
    random.seed(seed)
    np.random.seed(seed)
    return make(kind, seed if seeded else None, dtype=dtype)


def ending(how, k):
    """Return the arguments of a run that ends after k epochs, or in the one after them."""

    def callback(net, epoch):
        if how == "exception" and epoch == k:
            raise KeyboardInterrupt
        return how == "callback" and epoch + 1 == k

    return (k, None) if how == "epochs" else (EPOCHS, callback)


def state_of(net, data):
    """Return all that a run leaves, but for the time that it took."""
    order = [x.tobytes() for x, _ in data] if isinstance(data, list) else None
    return {
        "parameters": [p.tobytes() for p in parameters_of(net)],
        "random state": shuffler(net),
        "history": timeless(net.history),
        "order": order,
        "stopped by": net.stopped_by,
    }


def check(path, kind, dtype, seeded, form, how, k, resumed_form=None, **options):
    """Assert that a run that ended, and went on, is one that did not end."""

    def data(form=form):
        return FORMS[form](examples(), dtype)

    if options.keys() & {"patience", "max_error"}:
        options["judged_by"] = held_out()
    whole, whole_data = fresh(kind, dtype, seeded), data(resumed_form or form)
    figures = train(whole, whole_data, EPOCHS, **{**options, "n_threads": 1})
    expected = state_of(whole, whole_data)

    epochs, callback = ending(how, k)
    first = fresh(kind, dtype, seeded)
    try:
        train(first, data(), epochs, checkpoint=path, callback=callback, **options)
    except KeyboardInterrupt:
        assert how == "exception"

    again, again_data = fresh(kind, dtype, seeded, seed=6), data(resumed_form or form)
    found = train(again, again_data, EPOCHS, resume=path, checkpoint=path, **options)
    assert state_of(again, again_data) == expected
    assert found == figures
    assert same_bits(parameters_of(bpnet.load(path)), parameters_of(whole))

    finished, finished_data = fresh(kind, dtype, seeded, seed=7), data(resumed_form or form)
    train(finished, finished_data, EPOCHS, resume=path, **options)
    assert finished.history == again.history  # seconds, too: nothing was trained
    assert state_of(finished, finished_data) == expected


@pytest.mark.parametrize("how", ENDS)
@each_dtype
@each_trained
def test_a_resumed_run_ends_as_one_that_did_not_end(tmp_path, kind, dtype, how):
    forms = ("list", "pair") if dtype == "float32" else ("pair", "Dataset")
    for seeded, form in zip((True, False), forms):
        options = {"patience": 2, "min_delta": 1 / 16, **rules(kind)}
        check(tmp_path / form, kind, dtype, seeded, form, how, 2, **options)


@st.composite
def runs(draw):
    """Runs of every kind, with any of the options, that end anywhere."""
    kind = draw(st.sampled_from(sorted(TRAINED)))
    options = {name: value for name, value in rules(kind).items() if draw(st.booleans())}
    if draw(st.booleans()):
        options["patience"] = draw(st.integers(1, 3))
    if draw(st.booleans()):
        options["max_error"] = draw(st.sampled_from([0.3, 0.5]))
    if draw(st.booleans()):
        options["min_update"] = draw(st.sampled_from([1e-3, 1e-1]))
    if draw(st.booleans()):
        options["eta"] = lambda epoch: 1 / (1 + epoch)
    if draw(st.booleans()):
        options["shuffle_rows"] = draw(st.integers(1, N + 1))
    options["m"] = draw(st.sampled_from([1, 4, N]))
    options["n_threads"] = draw(st.integers(1, 2))
    options["dtype"] = draw(st.sampled_from(["float32", "float64"]))
    options["seeded"] = draw(st.booleans())
    options["form"] = draw(st.sampled_from(sorted(FORMS)))
    options["how"] = draw(st.sampled_from(ENDS))
    options["k"] = draw(st.integers(0 if options["how"] != "callback" else 1, EPOCHS))
    return kind, options


@settings(max_examples=100)
@given(run=runs())
def test_any_run_that_ends_anywhere_goes_on_to_the_same_bits(tmp_path_factory, run):
    kind, options = run
    check(tmp_path_factory.getbasetemp() / "run", kind, **options)


@pytest.mark.parametrize("resumed_form", FORMS)
@pytest.mark.parametrize("form", FORMS)
@each_class
def test_a_run_may_go_on_with_its_data_in_another_form(tmp_path, kind, form, resumed_form):
    check(tmp_path / "run", kind, "float64", True, form, "epochs", 2, resumed_form, mu=0.5)


def test_momentum_of_a_hook_that_computes_in_float64_is_kept_exactly(tmp_path):
    def trained(epochs, **options):
        net = make("network", dtype="float32")

        def backprop(x, y):
            nabla = Network.backprop(net, x, y)
            return tuple([g.astype(np.float64) / 3 for g in part] for part in nabla)

        net.backprop = backprop
        train(net, examples(), epochs, mu=0.9, **options)
        return parameters_of(net)

    whole = trained(4)
    trained(2, checkpoint=tmp_path / "run")
    assert same_bits(trained(4, resume=tmp_path / "run"), whole)


@each_trained
def test_what_a_callback_does_is_in_the_checkpoint(tmp_path, kind):
    """It changes the weights and draws from the generator: both go on."""

    def disturb(net, epoch):
        net.weights[0] += random.random()

    def run(epochs, seed=5, **files):
        net = fresh(kind, "float64", seeded=False, seed=seed)
        train(net, epochs=epochs, callback=disturb, **files)
        return state_of(net, None)

    whole = run(4)
    run(2, checkpoint=tmp_path / "run")
    assert run(4, seed=6, resume=tmp_path / "run") == whole


def test_a_seeded_network_goes_on_without_the_global_generator(tmp_path, nothing_changes):
    train(make("network"), epochs=1, checkpoint=tmp_path / "run")
    with nothing_changes():
        train(make("network"), epochs=2, resume=tmp_path / "run")


def test_a_run_goes_on_counting_epochs_and_seconds(tmp_path, monkeypatch, capsys):
    now, asked, path = [1000.0], [], tmp_path / "run"
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def tick(net, epoch):
        now[0] += 10

    def eta(epoch):
        asked.append(epoch)
        return 0.5

    train(make("network"), epochs=2, callback=tick, checkpoint=path)
    now[0] = 5.0  # another process's clock
    net = make("network")
    options = {"callback": tick, "max_seconds": 35, "eta": eta}
    train(net, epochs=9, resume=path, verbose=True, **options)
    assert (net.stopped_by, len(net.history)) == ("max_seconds", 4)
    assert asked == [2, 3]
    assert capsys.readouterr().out == "Epoch 2 complete\nEpoch 3 complete\n"
    train(net, epochs=1, resume=path)  # of which more are done
    assert (net.stopped_by, len(net.history)) == ("epochs", 2)


def test_without_patience_a_run_goes_on_from_the_last_weights(tmp_path):
    path, net, plain = tmp_path / "run", make("network"), make("network")
    counts = iter([9, 8, 7])  # never better than at first
    net.evaluate = lambda data: next(counts)
    train(net, judged_by=held_out(), patience=5, checkpoint=path)
    train(plain)
    assert not same_bits(parameters_of(net), parameters_of(plain))
    assert same_bits(parameters_of(bpnet.load(path)), parameters_of(net))
    train(net, resume=path)
    assert same_bits(parameters_of(net), parameters_of(plain))


# The file


@each_dtype
@each_kind
def test_a_checkpoint_is_a_network(tmp_path, kind, dtype):
    path, net = str(tmp_path / "run"), make(kind, dtype=dtype)
    net.notes = {"digits": "0-2"}
    train(net, checkpoint=path, **rules(kind))
    loaded = bpnet.load(path)
    assert isinstance(loaded, network2.Network if is_chapter_3(net) else Network)
    assert (loaded.sizes, loaded.dtype, loaded.notes) == (SIZES, net.dtype, net.notes)
    assert getattr(loaded, "cost", None) is getattr(net, "cost", None)
    assert same_bits(parameters_of(loaded), parameters_of(net))
    assert (loaded.history, loaded.stopped_by) == (net.history, "epochs")
    train(loaded)


@each_trained
def test_the_file_holds_the_epochs_that_are_done(tmp_path, kind):
    path, found = tmp_path / "run", []

    def look(net, epoch):
        model = serialize.load(path)
        found.append(len(model.run.state["history"]))

    train(make(kind), callback=look, checkpoint=path)
    assert found == [0, 1, 2]
    run = serialize.load(path).run
    assert (len(run.state["history"]), run.steps) == (3, 3 * 6)  # mini-batches of 4 of 23
    assert (run.rule, run.slots, run.state["parameters"]) == ("plain", [], {})
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize(
    ("seconds", "epochs", "written"),
    [
        (0, 4, [0, 1, 2, 3, 4]),
        (25, 7, [0, 3, 6, 7]),
        (1e9, 4, [0, 4]),
        (1e9, 0, [0]),
    ],
)
@each_class
def test_checkpoints_are_written_at_the_start_at_the_end_and_when_it_is_time(
    tmp_path, monkeypatch, kind, seconds, epochs, written
):
    now, found, save = [1000.0], [], serialize.save
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def saving(path, model):
        found.append(len(model.run.state["history"]))
        save(path, model)

    def tick(net, epoch):
        now[0] += 10

    monkeypatch.setattr(serialize, "save", saving)
    options = {"checkpoint": tmp_path / "run", "checkpoint_seconds": seconds}
    train(make(kind), epochs=epochs, callback=tick, **options)
    assert found == written


def test_a_finished_run_is_written_once_more_and_stays_the_same(tmp_path):
    path, net = tmp_path / "run", make("network")
    train(net, checkpoint=path)
    before = serialize.load(path)
    train(net, resume=path, checkpoint=path)
    after = serialize.load(path)
    assert same_bits([*after.biases, *after.weights], [*before.biases, *before.weights])
    assert after.run.state == before.run.state


# Where it cannot be written


NO_FILE = "path must name a file, got "
NOWHERE = [  # {}: the folder
    ({"checkpoint": "{}/nowhere/run"}, FileNotFoundError, "nowhere"),
    ({"checkpoint": "{}"}, OSError, NO_FILE),
    ({"resume": "{}/run", "checkpoint": "{}/nowhere/run"}, FileNotFoundError, "nowhere"),
    ({"resume": "{}/absent"}, FileNotFoundError, "absent"),
    ({"resume": "{}"}, OSError, NO_FILE),
    ({"checkpoint": 3.5}, TypeError, "checkpoint must be a path, got 3.5"),
    ({"checkpoint": "{}/new", "notes": {"a set": {1}}}, ValueError, "notes must be what JSON"),
]


@pytest.mark.parametrize(("options", "error", "words"), NOWHERE)
@each_class
def test_what_cannot_be_kept_or_found_is_an_error_before_training(
    tmp_path, kind, options, error, words, nothing_changes
):
    checkpoint(tmp_path / "run", kind)
    net, data, options = make(kind), examples(), dict(options)
    net.notes = options.pop("notes", None)
    for name, path in options.items():
        if isinstance(path, str):
            options[name] = path.format(tmp_path)
    with nothing_changes(net, data), pytest.raises(error) as raised:
        train(net, data, **options)
    assert words in str(raised.value)
    assert words != NO_FILE or str(raised.value) == f"{NO_FILE}{tmp_path}"
    assert os.listdir(tmp_path) == ["run"]


def test_a_resumed_run_may_be_kept_elsewhere(tmp_path):
    path, other, net = checkpoint(tmp_path / "run"), tmp_path / "other", make("network")
    before, saved = path.read_bytes(), []
    look = {"callback": lambda net, epoch: saved.append(other.read_bytes())}
    train(net, resume=path, checkpoint=other, **look)
    assert saved == [before]  # whole from the start
    assert path.read_bytes() == before
    assert same_bits(parameters_of(bpnet.load(other)), parameters_of(net))


@posix
@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write anywhere")
def test_a_checkpoint_without_permission_is_an_error_before_training(tmp_path, nothing_changes):
    net, data = make("network"), examples()
    tmp_path.chmod(0o500)
    try:
        with nothing_changes(net, data), pytest.raises(PermissionError):
            train(net, data, checkpoint=tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


def failing(function, error, calls):
    """Return function, which raises once, when it is called so often."""
    left = [calls]

    def sometimes(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            raise error
        return function(*arguments, **options)

    return sometimes


def fail_to_write(patch, error):
    """Let the third file be filled, and no further."""
    write_whole, fail = serialize.write_whole, failing(lambda: None, error, 3)
    patch.setattr(
        serialize,
        "write_whole",
        lambda path, write: write_whole(path, lambda file: (write(file), fail())),
    )


FAILURES = {
    "write": fail_to_write,
    "fsync": lambda patch, error: patch.setattr(os, "fsync", failing(os.fsync, error, 5)),
    "replace": lambda patch, error: patch.setattr(os, "replace", failing(os.replace, error, 3)),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("kind", ["network", "network2, backprop"])
def test_a_write_that_fails_leaves_the_old_file_and_the_weights(
    tmp_path, monkeypatch, kind, failure
):
    """The third write: after the start's and the first epoch's.  Each syncs file and folder."""
    path, error = tmp_path / "run", OSError(errno.ENOSPC, "No space left on device")
    net, plain, first = make(kind), make(kind), make(kind)
    train(plain, epochs=2, mu=0.5)
    train(first, epochs=1, mu=0.5)
    with monkeypatch.context() as patch, pytest.raises(OSError) as raised:
        FAILURES[failure](patch, error)
        train(net, epochs=4, mu=0.5, checkpoint=path)
    assert raised.value is error
    assert (net.stopped_by, len(net.history)) == (None, 2)
    assert same_bits(parameters_of(net), parameters_of(plain))
    assert os.listdir(tmp_path) == ["run"]
    assert same_bits(parameters_of(bpnet.load(path)), parameters_of(first))
    whole = make(kind)
    train(whole, epochs=4, mu=0.5)
    train(net, epochs=4, mu=0.5, resume=path)
    assert state_of(net, None) == state_of(whole, None)


FULL = """
import os, resource, sys
import numpy as np
from bpnet import Network, load, serialize

path, draw = sys.argv[1], np.random.RandomState(0)
data = draw.randn(50, 40), draw.randint(10, size=50)
net, two, three = (Network([40, 30, 10], seed=1) for _ in range(3))

def fill(net, epoch):
    if epoch == 2:  # as if the disk were full: EFBIG, after some of the file is written
        limit = os.path.getsize(path) // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

try:
    net.SGD(data, 5, 10, 0.5, verbose=False, checkpoint=path, callback=fill)
    sys.exit("it was written")
except OSError as error:
    print(error.strerror)
assert (net.stopped_by, len(net.history)) == (None, 3)
assert len(serialize.load(path).run.state["history"]) == 2
two.SGD(data, 2, 10, 0.5, verbose=False)
assert all(map(np.array_equal, load(path).weights, two.weights))
three.SGD(data, 3, 10, 0.5, verbose=False)
assert all(map(np.array_equal, net.weights, three.weights))
assert os.listdir(os.path.dirname(path)) == ["run"]
"""


@posix
def test_a_disk_that_is_full_leaves_the_old_checkpoint(tmp_path):
    """A real limit on the size of files, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == os.strerror(errno.EFBIG) + "\n"


# What is no checkpoint of this run


def checkpoint(path, kind="network", n=N, sizes=SIZES, dtype="float64", step=1, **options):
    net = make(kind, sizes=sizes, dtype=dtype)
    train(net, examples(n, sizes=sizes)[::step], 2, checkpoint=path, **options)
    return path


def forged(path, **changes):
    """Return a checkpoint in which some of the state is not SGD's."""
    model = serialize.load(checkpoint(path))
    state = {**model.run.state, **changes}
    serialize.save(path, model._replace(run=model.run._replace(state=state)))
    return path


def replaced(path, slots=None, **names):
    """Return a checkpoint of other names, or of a momentum with other slots."""
    model = serialize.load(checkpoint(path, mu=0.0 if slots is None else 0.5))
    run = model.run if slots is None else model.run._replace(slots=slots)
    serialize.save(path, model._replace(run=run, **names))
    return path


def model(path):
    make("network").save(path)
    return path


def damaged(path, at=0.5):
    """Return a checkpoint of which one bit is another."""
    content = bytearray(checkpoint(path).read_bytes())
    content[int(at * len(content))] ^= 1
    path.write_bytes(content)
    return path


def truncated(path):
    path.write_bytes(checkpoint(path).read_bytes()[:-30])
    return path


def of_a_run(what, wanted, found):
    return f"resume must name a checkpoint of a run with {what} {wanted}, got {found}: {{path}}"


NO_SGD = "resume must name a checkpoint that SGD wrote, got {path}"
BAD = {
    "other sizes": (
        lambda path: checkpoint(path, sizes=[6, 19, 3]),
        {},
        of_a_run("sizes", SIZES, [6, 19, 3]),
    ),
    "another depth": (
        lambda path: checkpoint(path, sizes=[6, 3]),
        {},
        of_a_run("sizes", SIZES, [6, 3]),
    ),
    "another dtype": (
        lambda path: checkpoint(path, dtype="float32"),
        {},
        of_a_run("dtype", "float64", "float32"),
    ),
    "chapter 3's class": (
        lambda path: checkpoint(path, "network2, quadratic"),
        {},
        of_a_run("cost", None, "QuadraticCost"),
    ),
    "other examples": (
        lambda path: checkpoint(path, n=N - 1),
        {},
        of_a_run("training examples", N, N - 1),
    ),
    "no momentum": (checkpoint, {"mu": 0.5}, of_a_run("rule", "momentum", "plain")),
    "momentum": (
        lambda path: checkpoint(path, mu=0.5),
        {},
        of_a_run("rule", "plain", "momentum"),
    ),
    "momentum without a velocity": (
        lambda path: replaced(path, slots=[]),
        {"mu": 0.5},
        of_a_run("slots", 1, 0),
    ),
    "other hidden neurons": (
        lambda path: replaced(path, hidden="tanh"),
        {},
        of_a_run("hidden", "sigmoid", "tanh"),
    ),
    "another output": (
        lambda path: replaced(path, output="squared"),
        {},
        of_a_run("output", "quadratic", "squared"),
    ),
    "no patience": (
        lambda path: checkpoint(path, judged_by=held_out()),
        {"judged_by": held_out(), "patience": 2},
        "resume must name a checkpoint of a run with patience, got none: {path}",
    ),
    "no accuracy for patience": (
        checkpoint,
        {"judged_by": held_out(), "patience": 2},
        "resume must name a checkpoint of a run that recorded validation_accuracy, got {path}",
    ),
    "no accuracy for max_error": (
        checkpoint,
        {"test_data": held_out(), "max_error": 0.5},
        "resume must name a checkpoint of a run that recorded test_accuracy, got {path}",
    ),
    "another order": (
        lambda path: checkpoint(path, step=-1),
        {},
        "resume must name a checkpoint of a run on these training examples in this order",
    ),
    "a model": (model, {}, "resume must name a checkpoint, got a model: {path}"),
    "a history with a gap": (
        lambda path: forged(path, history=[{"epoch": 1, "update": 0.5}]),
        {},
        NO_SGD,
    ),
    "no update": (lambda path: forged(path, history=[{"epoch": 0}]), {}, NO_SGD),
    "no seconds": (lambda path: forged(path, seconds=None), {}, NO_SGD),
    "negative seconds": (lambda path: forged(path, seconds=-1.0), {}, NO_SGD),
    "a wrong random state": (lambda path: forged(path, gauss_next="1"), {}, NO_SGD),
    "damage": (damaged, {}, "{path} must be a model that bpnet or"),
    "damage at the start": (
        lambda path: damaged(path, 0),
        {},
        "{path} must be a model that bpnet or",
    ),
    "a part": (truncated, {}, "{path} must be a model that bpnet or"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_checkpoint_of_this_run_is_refused(tmp_path, name, nothing_changes):
    make_file, options, message = BAD[name]
    path = make_file(tmp_path / "run")
    content, net, data = path.read_bytes(), make("network"), examples()
    train(net, list(data), 1)
    with nothing_changes(net, data), pytest.raises(ValueError) as raised:
        train(net, data, 4, resume=path, checkpoint=path, **options)
    assert str(raised.value).startswith(message.format(path=path))
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("key", ["epoch", "eta", "seconds", "update", "validation_accuracy"])
@pytest.mark.parametrize("odd", ["abc", None, [1.0], {}, True, 10**400])
def test_a_record_of_a_run_holds_numbers(key, odd, tmp_path, nothing_changes):
    path = checkpoint(tmp_path / "run", judged_by=held_out())
    history = serialize.load(path).run.state["history"]
    forged(path, history=[{**history[0], key: odd}, *history[1:]])
    net, data = make("network"), examples()
    with nothing_changes(net, data), pytest.raises(ValueError) as raised:
        train(net, data, 4, resume=path, judged_by=held_out())
    assert str(raised.value) == NO_SGD.format(path=path)


def test_another_cost_is_refused(tmp_path, nothing_changes):
    path = checkpoint(tmp_path / "run", "network2")
    for kind, cost in (
        ("network", None),
        ("network2, quadratic", "QuadraticCost"),
        ("network2, own cost", "OwnCost"),
    ):
        net, data = make(kind), examples()
        with nothing_changes(net, data), pytest.raises(ValueError) as raised:
            train(net, data, resume=path)
        assert str(raised.value) == (
            f"resume must name a checkpoint of a run with cost {cost}, "
            f"got CrossEntropyCost: {path}"
        )


def test_arguments_are_checked_before_a_run_is_resumed(tmp_path, nothing_changes):
    path, net, data = checkpoint(tmp_path / "run"), make("network"), examples()
    for wrong in ({"verbose": "all"}, {"eta": "much"}, {"m": 0}, {"n_threads": 0}):
        with nothing_changes(net, data), pytest.raises((ValueError, TypeError)):
            train(net, data, resume=path, **wrong)


def test_network2_returns_the_figures_that_were_recorded(tmp_path):
    """What the first part of the run did not look at, nobody can know."""
    path, net = checkpoint(tmp_path / "run", "network2"), make("network2")
    whole = train(make("network2"), monitor_training_cost=True)[2]
    costs = train(net, resume=path, monitor_training_cost=True)[2]
    assert costs == whole[2:]
    assert costs == [record["training_cost"] for record in net.history[2:]]
    assert len(costs) == 1


# Whatever a checkpoint says


STRANGE = [None, True, False, 0, -1, 7, 2**70, 0.5, -0.5, 1e308, float("inf"), float("nan")]
STRANGE += ["", "x", "\x1b[31m", [], [[]], [1, "a"], {}, {"a": {}}, {"mu": 0.25}]
strange = st.sampled_from(STRANGE) | st.recursive(
    st.sampled_from(STRANGE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def places(value, path=()):
    """Yield the path of each place in a value of dicts and lists."""
    yield path
    parts = value if isinstance(value, (dict, list)) else ()
    for key, inner in parts.items() if isinstance(parts, dict) else enumerate(parts):
        yield from places(inner, (*path, key))


def changed(value, path, *to):
    """Return value with another thing in one of its places, or without that place."""
    if not path:
        return to[0] if to else None
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    if to:
        inner[path[-1]] = to[0]
    else:
        del inner[path[-1]]
    return value


def mutated(draw, value):
    path = draw(st.sampled_from(list(places(value))))
    return changed(value, path, *([draw(strange)] if draw(st.booleans()) else []))


def write_anyhow(path, model):
    """Write what save would refuse, too: a file whose sums are right, whatever it says."""
    run = model.run
    values = dict(zip(serialize._VALUES, model[3:]))
    values |= {"state": run.state, "rule": run.rule}
    members = {"format": serialize._FORMAT, "version": np.int64(2), "sizes": model.sizes}
    members |= serialize._named("", (model.biases, model.weights))
    members |= {"order": run.order, "random_state": run.random_state, "steps": run.steps}
    for k, slot in enumerate(run.slots):
        members |= serialize._named(f"slots_{k}_", slot)
    members |= serialize._named("best_", run.best)
    members["json"] = np.frombuffer(json.dumps(values).encode(), np.uint8)
    with open(path, "wb") as file:
        npz.write(file, {name: np.asarray(part) for name, part in members.items()})


def mutate(draw, path, model):
    """Write model to path with one thing in it that is another; return what."""
    run, what = model.run, draw(st.sampled_from(["state", "state", "notes", *MUTATIONS]))
    if what == "state":
        run = run._replace(state=mutated(draw, run.state))
    elif what == "notes":
        model = model._replace(notes=mutated(draw, {"a": 1, "b": [2.5, None]}))
    elif what in ("kind", "hidden", "output", "cost"):
        names = ["", "sigmoid", "tanh", "squared", "MLP", "CrossEntropyCost", "a b", None, 3]
        model = model._replace(**{what: draw(st.sampled_from(names))})
    else:
        run = run._replace(**{what: draw(MUTATIONS[what](run))})
    write_anyhow(path, model._replace(run=run))
    return what


def one_of(*values):
    return st.sampled_from([np.asarray(value) for value in values])


MUTATIONS = {
    "kind": None,
    "hidden": None,
    "output": None,
    "cost": None,
    "rule": lambda run: st.sampled_from(["plain", "momentum", "adam", "nesterov", "x", None]),
    "steps": lambda run: one_of(-1, 0, 1, run.steps + 1, 2**63 - 1, -(2**63), 1.5, [1], "a"),
    "order": lambda run: one_of(
        run.order[::-1], run.order[:-1], run.order + 1, run.order * 0, run.order * 1.0, [], 3
    ),
    "random_state": lambda run: one_of(
        run.random_state * 0,
        run.random_state[:-1],
        run.random_state.astype(np.int64),
        np.append(run.random_state[:-1], np.uint32(625)),
        np.append(run.random_state[:-1], np.uint32(624)),
    ),
    "slots": lambda run: st.sampled_from(
        [
            [],
            run.slots * 2,
            [(b[:-1], w) for b, w in run.slots],
            [([c.T for c in b], w) for b, w in run.slots],
            [([c.astype("f4") for c in b], w) for b, w in run.slots],
            [([c * 0 for c in b], w) for b, w in run.slots],
        ]
    ),
    "best": lambda run: st.sampled_from([None, run.best, ([], [])]),
}
WATCHED = ["network", "network2", "network, backprop", "MLP"]
each_watched = pytest.mark.parametrize("kind", WATCHED)
OPTIONS = {"mu": 0.5, "patience": 9, "max_error": 0.0, "min_update": 0.0, "max_seconds": 1e9}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a function that returns a checkpoint of a kind, which recorded every figure."""
    found = {}

    def of(kind):
        if kind not in found:
            path = tmp_path_factory.mktemp("whole") / "run"
            watched(kind, epochs=2, checkpoint=path, seed=5, **OPTIONS)
            found[kind] = serialize.load(path)
        return found[kind]

    return of


def resumes_or_changes_nothing(kind, path, seed=3, notes=None):
    """Resume what is in path, whatever it is, and assert either; return the error."""
    net, given = make(kind, seed), examples()
    net.notes = notes
    figures = {**face_of(net).figures, **rules(kind), "judged_by": held_out(), **OPTIONS}
    before = everything(net, given)
    try:
        train(net, given, 3, resume=path, **figures)
    except ValueError as error:
        assert str(error).isprintable() and len(str(error)) < 1000
        assert str(path) in str(error)
        assert everything(net, given) == before
        return str(error)
    assert len(net.history) == 3 or net.stopped_by in OPTIONS  # by what is in the history
    serialize.save(path, net._model())  # whatever the notes are
    return None


@each_watched
def test_whatever_is_in_a_place_of_the_state_it_resumes_or_changes_nothing(
    tmp_path, kind, whole
):
    path, model, refused = tmp_path / "run", whole(kind), 0
    for place in places(model.run.state):
        for to in [(), *((value,) for value in STRANGE)]:
            run = model.run._replace(state=changed(model.run.state, place, *to))
            write_anyhow(path, model._replace(run=run))
            refused += resumes_or_changes_nothing(kind, path) is not None
    assert refused > 100


@settings(max_examples=60)
@given(data=st.data())
@each_watched
def test_whatever_a_checkpoint_says_it_resumes_or_changes_nothing(
    tmp_path_factory, kind, whole, data
):
    path = tmp_path_factory.getbasetemp() / "mutated"
    mutate(data.draw, path, whole(kind))
    seed, notes = data.draw(st.sampled_from([None, 3])), data.draw(st.sampled_from([None, {}]))
    resumes_or_changes_nothing(kind, path, seed, notes)


def everything(net, given):
    """Return all that a run may change, in a form that compares."""
    state = {name: value for name, value in vars(net).items() if name != "_rng"}
    return (
        [p.tobytes() for p in parameters_of(net)],
        json.dumps(net.history),
        repr(sorted(state)),
        json.dumps(net.notes),
        net.stopped_by,
        shuffler(net),
        global_states(),
        [id(x) for x, _ in given],
    )


ABSENT = ["history", "seconds", "gauss_next", "examples"]


@pytest.mark.parametrize("name", ABSENT)
@each_trained
def test_a_state_that_lacks_something_is_refused_with_nothing_changed(
    tmp_path, nothing_changes, kind, name
):
    path = checkpoint(tmp_path / "run", kind)
    model = serialize.load(path)
    del model.run.state[name]
    serialize.save(path, model)
    net, data = make(kind), examples()
    with nothing_changes(net, data), pytest.raises(ValueError, match="resume must name a che"):
        train(net, data, resume=path)


@pytest.mark.parametrize("rule", ["momentum", "nesterov", "adam"])
@each_class
def test_a_rule_of_other_parameters_is_another_run(tmp_path, nothing_changes, kind, rule):
    path, net, data = tmp_path / "run", make(kind), examples()
    name = next(iter(Rule(rule).parameters))
    train(make(kind), examples(), 2, checkpoint=path, rule=rule)
    other = Rule(rule, **{name: 0.25})
    with nothing_changes(net, data), pytest.raises(ValueError) as raised:
        train(net, data, resume=path, rule=other)
    assert str(raised.value) == (
        f"resume must name a checkpoint of a run with parameters of the rule "
        f"{other.parameters}, got {Rule(rule).parameters}: {path}"
    )
    train(net, data, resume=path, rule=Rule(rule))


@each_trained
def test_how_to_go_on_is_the_callers(tmp_path, kind):
    """Another eta, mini-batches of another size, another regularisation, more epochs."""
    path, net, by_hand = checkpoint(tmp_path / "run", kind), make(kind), make(kind)
    data, again = examples(), examples()
    others = {"eta": 0.25, "m": 7, **{k: v for k, v in rules(kind).items() if k != "mu"}}
    train(net, data, 5, resume=path, **others)
    train(by_hand, again, 2)
    train(by_hand, again, 3, **others)
    assert same_bits(parameters_of(net), parameters_of(by_hand))
    assert [record["eta"] for record in net.history] == [0.5, 0.5, 0.25, 0.25, 0.25]


def test_a_history_may_hold_what_a_script_notes(tmp_path):
    def note(net, epoch):
        net.history[-1]["note"] = {"epoch": epoch}

    path, net = checkpoint(tmp_path / "run", callback=note), make("network")
    train(net, resume=path)
    assert [record.get("note") for record in net.history] == [{"epoch": 0}, {"epoch": 1}, None]


def test_a_cost_that_is_infinite_goes_on(tmp_path):
    """A sum of costs may overflow where no weight does."""
    path = checkpoint(tmp_path / "run", "network2", monitor_training_cost=True)
    model = serialize.load(path)
    model.run.state["history"][0]["training_cost"] = float("inf")
    serialize.save(path, model)
    costs = train(make("network2"), resume=path, monitor_training_cost=True)[2]
    assert costs[0] == float("inf") and len(costs) == 3


# SIGKILL


@posix
def test_what_is_killed_at_any_moment_leaves_whole_files_and_goes_on_to_the_same_bits():
    """The script says what it checks."""
    done = subprocess.run(
        [sys.executable, str(KILLS), "--kills", "16"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    *rows, said = done.stdout.splitlines()
    assert said == ("16 kills, 0 files torn, behind or left over; the end is the same bits")
    assert [json.loads(row)["kills"] for row in rows] == [4, 4, 4, 4]


# An epoch that does not end


class Ended(BaseException):
    """As KeyboardInterrupt is one."""


def in_epoch(monkeypatch, error):
    """Let the third epoch be trained, and not end."""
    for cls in (Trainer, HandTrainer):
        if "epoch" not in vars(cls):
            continue

        def epoch(self, *arguments, original=cls.epoch):
            result = original(self, *arguments)
            if len(seen) == 2:
                raise error
            return result

        monkeypatch.setattr(cls, "epoch", epoch)
    seen = []
    return {"callback": lambda net, epoch: seen.append(epoch)}


def in_its_line(monkeypatch, error):
    """Let the third epoch's line raise."""

    def line(record):
        if record["epoch"] == 2:
            raise error
        return ""

    return {"verbose": line}


def in_the_callback(monkeypatch, error):
    """Let the third epoch's callback raise."""

    def callback(net, epoch):
        if epoch == 2:
            raise error

    return {"callback": callback}


@pytest.mark.parametrize("error", [KeyboardInterrupt, Ended, OSError])
@pytest.mark.parametrize("ends", [in_epoch, in_its_line, in_the_callback])
@each_trained
def test_whatever_ends_a_run_leaves_its_last_whole_epoch(
    tmp_path, kind, ends, error, monkeypatch
):
    options = {"patience": 9, "judged_by": held_out(), **rules(kind)}
    whole, path = fresh(kind, "float64", True), tmp_path / "run.npz"
    train(whole, FORMS["pair"](examples(), "float64"), EPOCHS, **options)
    cut = fresh(kind, "float64", True)
    with monkeypatch.context() as patch, pytest.raises(error):
        arguments = ends(patch, error)
        train(
            cut,
            FORMS["pair"](examples(), "float64"),
            EPOCHS,
            checkpoint=path,
            checkpoint_seconds=1e9,  # never, as long as it lasts
            **options,
            **arguments,
        )
    assert len(serialize.load(path).run.state["history"]) == 2
    again = fresh(kind, "float64", True)
    train(again, FORMS["pair"](examples(), "float64"), EPOCHS, resume=path, **options)
    assert same_bits(parameters_of(again), parameters_of(whole))
    assert timeless(again.history) == timeless(whole.history)


@each_trained
def test_ctrl_c_in_the_first_write_leaves_a_run_that_can_begin(tmp_path, kind, monkeypatch):
    path, whole = tmp_path / "run.npz", fresh(kind, "float64", True)
    train(whole)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", failing(os.replace, KeyboardInterrupt(), 1))
        train(fresh(kind, "float64", True), checkpoint=path)
    net = fresh(kind, "float64", True)
    train(net, resume=path)
    assert same_bits(parameters_of(net), parameters_of(whole))


def test_a_resumed_checkpoint_has_the_notes_of_the_run_that_resumes(tmp_path):
    path, net = tmp_path / "run.npz", make("network")
    net.notes = {"epochs": 1}
    train(net, epochs=1, checkpoint=path)
    again = make("network")
    again.notes = {"epochs": 2}

    def interrupt(net, epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(again, epochs=2, resume=path, checkpoint=path, callback=interrupt)
    assert bpnet.load(path).notes == {"epochs": 2}
