"""The search: one table whoever trains it, from settings that go on from where they were."""

import json
import multiprocessing
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bpnet
from bpnet import search
from bpnet.search import examples as read
from bpnet.search import space, task, workers
from bpnet.watching import Watch

# Inputs in two rings, so that a hidden layer is needed and a small one is not enough.
_RANDOM = np.random.RandomState(3)
_ANGLES, _RADII = _RANDOM.uniform(0, 2 * np.pi, 360), _RANDOM.uniform(0, 2, 360)
X = (_RADII * [np.cos(_ANGLES), np.sin(_ANGLES)]).T.astype(np.float32)
LABELS = (_RADII > 1).astype(np.int64)
TRAINING, VALIDATION = (X[:240], LABELS[:240]), (X[240:], LABELS[240:])
SPACE = {
    "hidden": [(4,), (12,), (6, 6)],
    "eta": search.log(0.05, 2),
    "mini_batch_size": [5, 10],
    "settings": 9,
    "epochs": 6,
    "seeds": 2,
}


def run(data=(TRAINING, VALIDATION), **options):
    return search.run(data, **{"verbose": False, **SPACE, **options})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return the names of files of the training and the validation data."""
    folder = tmp_path_factory.mktemp("data")
    for name, part in (("training", TRAINING), ("validation", VALIDATION)):
        bpnet.Dataset(part, dtype="float32").save(folder / name)
    return str(folder / "training"), str(folder / "validation")


@pytest.fixture(scope="module")
def found():
    return run(n_threads=1)


def pool(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"processes cannot be made by {method} here")
    return lambda: ProcessPoolExecutor(2, multiprocessing.get_context(method))


def dask_cluster():
    distributed = pytest.importorskip("distributed")
    return distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )


# Whoever trains


@pytest.mark.parametrize("n_threads", [2, None])
def test_the_table_is_the_same_for_any_number_of_threads(found, n_threads):
    assert run(n_threads=n_threads).checksum == found.checksum


def test_the_callers_executor_trains_and_lives_on(found):
    with ThreadPoolExecutor(2) as executor:
        assert run(executor=executor).checksum == found.checksum
        assert executor.submit(int, "7").result() == 7


@pytest.mark.parametrize("data", ["in memory", "in files"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_the_table_is_the_same_for_processes(found, files, method, data):
    executor = pool(method)
    given = (TRAINING, VALIDATION) if data == "in memory" else files
    assert run(given, executor=executor).checksum == found.checksum


def test_the_table_is_the_same_for_loky(found, files):
    loky = pytest.importorskip("loky")
    assert run(files, executor=lambda: loky.get_reusable_executor(2)).checksum == found.checksum


@pytest.mark.filterwarnings("ignore")
def test_the_table_is_the_same_for_dask_also_where_a_worker_is_killed(
    found, files, monkeypatch
):
    distributed = pytest.importorskip("distributed")
    with dask_cluster() as cluster, distributed.Client(cluster) as client:
        executor = client.get_executor()
        assert run(files, executor=executor).checksum == found.checksum
        (pid, *_) = client.run(os.getpid).values()
        kill_at_the_first_outcome(monkeypatch, lambda: pid)
        assert run(files, executor=executor).checksum == found.checksum


SCRIPT = """
import sys
from bpnet import search

if __name__ == "__main__":
    executor = None
    if sys.argv[3] == "mpi":
        from mpi4py.futures import MPIPoolExecutor
        executor = MPIPoolExecutor()
    found = search.run(
        tuple(sys.argv[1:3]), hidden=[(4,), (12,), (6, 6)], eta=search.log(0.05, 2),
        mini_batch_size=[5, 10], settings=9, epochs=6, seeds=2, verbose=False,
        executor=executor, log=sys.argv[4] if len(sys.argv) > 4 else None,
    )
    print("checksum", found.checksum)
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    return str(tmp_path / "script.py")


def mpiexec():
    pytest.importorskip("mpi4py")
    beside = Path(sys.executable).parent / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    return found or pytest.skip("there is no mpiexec")


def test_the_table_is_the_same_for_mpi(found, files, script):
    command = [mpiexec(), "-n", "3", sys.executable, "-m", "mpi4py.futures", script, *files]
    done = subprocess.run([*command, "mpi"], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["checksum", str(found.checksum)], done.stderr


PAGE = Path(__file__).resolve().parents[1] / "docs" / "beyond-one-machine.md"


@pytest.fixture(scope="module")
def page_script(tmp_path_factory):
    """Return a function that runs the script of the page, and what it returned of threads."""
    if not PAGE.exists():
        pytest.skip("no docs/ beside the tests")
    folder = tmp_path_factory.mktemp("page")
    for name, part in (("training", TRAINING), ("validation", VALIDATION)):
        bpnet.Dataset(part, dtype="float32").save(folder / f"{name}.bpd")
    first = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    (folder / "digits.py").write_text(first)

    def run_script(*command):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    return run_script, run_script(sys.executable, "digits.py", "threads")


@pytest.mark.parametrize("engine", ["loky", "dask", "mpi"])
def test_the_script_of_the_page_finds_the_same_on_every_engine(engine, page_script):
    run_script, checksum = page_script
    assert re.fullmatch("checksum [0-9a-f]{8}", checksum)
    if engine == "mpi":
        command = [mpiexec(), "-n", "3", sys.executable, "-m", "mpi4py.futures"]
    else:
        pytest.importorskip({"dask": "distributed"}.get(engine, engine))
        command = [sys.executable]
    assert run_script(*command, "digits.py", engine) == checksum


def test_a_script_on_every_rank_is_refused(files, script):
    command = [mpiexec(), "-n", "2", sys.executable, script, *files, "threads"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode and "checksum" not in done.stdout
    assert "use mpiexec -n 3 python -m mpi4py.futures script.py" in done.stderr


@pytest.mark.parametrize("variable", ["PMI_RANK", "OMPI_COMM_WORLD_RANK"])
def test_a_rank_is_known_by_its_environment(variable, monkeypatch):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(RuntimeError, match="mpiexec runs this script on every rank"):
        run()


# What is trained


def test_the_best_is_as_if_trained_in_one_go(found):
    row = found.rows[0]
    assert (row["epochs"], row["seeds"]) == (6, 2)
    nets = []
    for seed in (1, 2):
        net = bpnet.MLP([2, *row["hidden"], 2], dtype="float32", seed=seed)
        net.train(
            TRAINING,
            6,
            row["mini_batch_size"],
            lambda epoch: row["eta"] * (1 - epoch / 6),
            lmbda=row["lmbda"],
            validation_data=VALIDATION,
        )
        nets.append(net)
    accuracies = [net.history[-1]["validation_accuracy"] for net in nets]
    assert row["validation_accuracy"] == sum(accuracies) / 2
    assert (row["lowest"], row["highest"]) == (min(accuracies), max(accuracies))
    best = nets[int(np.argmax(accuracies))]
    for ours, theirs in zip(found.best.weights + found.best.biases, best.weights + best.biases):
        np.testing.assert_array_equal(ours, theirs)
    assert len(found.best.history) == 6 and found.best.notes == {"search": row}


def test_those_that_go_on_were_the_best_of_their_rung(found):
    rungs = space.rungs(9, 6, 3)
    assert rungs == [(9, 2), (3, 6)]
    names = [*space.PARAMETERS]
    in_full = run(factor=1, epochs=6, seeds=1)
    assert [len(rows) for rows in by_epochs(found.rows).values()] == [3, 6]
    # After two of six epochs, where eta falls over all six.
    accuracies = {}
    for row in in_full.rows:
        net = bpnet.MLP([2, *row["hidden"], 2], dtype="float32", seed=1)
        eta = row["eta"]
        net.train(
            TRAINING,
            2,
            row["mini_batch_size"],
            lambda k: eta * (1 - k / 6),
            lmbda=row["lmbda"],
            validation_data=VALIDATION,
        )
        accuracies[row["setting"]] = net.history[-1]["validation_accuracy"]
    wanted = sorted(accuracies, key=lambda i: (-accuracies[i], i))[:3]
    assert sorted(row["setting"] for row in found.rows[:3]) == sorted(wanted)
    for row in found.rows:
        twin = next(each for each in in_full.rows if each["setting"] == row["setting"])
        assert all(row[name] == twin[name] for name in names)


def by_epochs(rows):
    found = {}
    for row in rows:
        found.setdefault(row["epochs"], []).append(row)
    return found


def test_a_rung_begins_with_its_longest_tasks(found):
    class Recording(ThreadPoolExecutor):
        tasks: list = []  # noqa: RUF012

        def submit(self, function, task):
            self.tasks.append(task)
            return super().submit(function, task)

    with Recording(2) as executor:
        assert run(executor=executor).checksum == found.checksum
    for until in (2, 6):
        rung = [task for task in Recording.tasks if task.until == until]
        work = [t.job.parameters(t.setting) * (until - t.begun) for t in rung]
        assert len({t.begun for t in rung}) == 1 + (until == 6)
        assert work == sorted(work, reverse=True)


def test_the_smallest_is_no_worse_than_the_worst_seed_of_the_best(found):
    best = found.rows[0]
    good = [
        row
        for row in found.rows
        if row["epochs"] == best["epochs"] and row["validation_accuracy"] >= best["lowest"]
    ]
    assert found.smallest.notes["search"]["parameters"] == min(r["parameters"] for r in good)
    assert all(row["validation_accuracy"] <= best["validation_accuracy"] for row in good)


def test_a_setting_that_diverges_is_a_row():
    found = run(
        hidden=[(4,)], eta=[0.5, 1e38], mini_batch_size=10, activation="relu", lmbda=1.0
    )
    assert [row["diverged"] for row in found.rows] == [None, 0]
    assert found.rows[1]["validation_accuracy"] is None
    assert found.best.sizes == [2, 4, 2]
    assert re.search(r"diverged in epoch 0.*\n1 diverged", str(found))
    json.dumps(found.rows)


def test_all_may_diverge():
    found = run(eta=[1e37, 1e38], activation="relu", lmbda=1.0, factor=2, settings=None)
    assert found.best is found.smallest is None
    assert all(row["diverged"] == 0 for row in found.rows)
    assert f"{len(found.rows)} diverged" in str(found)


def test_numbers_are_learned_by_regression():
    y = np.sin(X.sum(axis=1))[:, None]
    found = search.run((X, y), hidden=[(), (8,)], epochs=30, activation="tanh", verbose=False)
    assert [row["hidden"] for row in found.rows] == [[8], []]
    assert found.best.output == "squared" and not found.best.classifies
    assert found.rows[0]["validation_cost"] < found.rows[1]["validation_cost"]
    assert found.rows[0]["lowest"] <= found.rows[0]["validation_cost"]
    assert "validation cost" in str(found)


def test_without_ranges_every_network_is_trained_in_full():
    found = search.run((X, LABELS), epochs=2, seeds=2, verbose=False)
    assert sorted(row["hidden"] for row in found.rows) == sorted(map(list, search.HIDDEN))
    assert {(row["epochs"], row["seeds"]) for row in found.rows} == {(2, 2)}
    assert {row["lmbda"] for row in found.rows} == {search.DECAY * 300}


@pytest.mark.parametrize("rule", bpnet.reference.RULES)
@pytest.mark.parametrize("y", ["classes", "numbers"])
def test_a_rule_has_an_eta_that_suits_it(rule, y):
    target = LABELS if y == "classes" else np.sin(X.sum(axis=1))[:, None]
    found = search.run((X, target), hidden=(12,), rule=rule, verbose=False)
    row, figure = found.rows[0], "accuracy" if y == "classes" else "cost"
    guessed = 0.5 if y == "classes" else float(np.var(target)) / 2
    assert row["eta"] == max(0.01, search.ETA[rule] / (1 if y == "classes" else 10))
    good = row[f"validation_{figure}"] / guessed
    assert good > 1.7 if y == "classes" else good < 0.2


# What it is given


def vectors(part):
    x, labels = part
    return [(row[:, None], np.eye(2)[label][:, None]) for row, label in zip(x, labels)]


FORMS = {
    "a tuple of pairs": lambda files: ((TRAINING, VALIDATION), {}),
    "validation_data": lambda files: (TRAINING, {"validation_data": VALIDATION}),
    "names of files": lambda files: (tuple(map(Path, files)), {}),
    "a file and a pair": lambda files: (files[0], {"validation_data": VALIDATION}),
    "Datasets": lambda files: (tuple(map(bpnet.open, files)), {}),
    "lists of tuples": lambda files: ((vectors(TRAINING), vectors(VALIDATION)), {}),
    "float64": lambda files: (
        bpnet.Dataset(TRAINING),
        {"validation_data": VALIDATION, "dtype": "float32"},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_data_of_any_form_is_the_same(form, found, files):
    data, options = FORMS[form](files)
    theirs = run(data, **options)
    timeless = [{k: v for k, v in row.items() if k != "seconds"} for row in theirs.rows]
    ours = [{k: v for k, v in row.items() if k != "seconds"} for row in found.rows]
    assert timeless == ours


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_networks_have_the_dtype_of_a_dataset(dtype):
    data = bpnet.Dataset((X, LABELS), dtype=dtype)
    assert run(data, epochs=2).best.dtype == dtype


def test_a_sixth_is_held_out_where_there_is_nothing_to_validate_with():
    training, validation = read.parts((X, LABELS), None, None, 4)
    assert (len(training), len(validation)) == (300, 60)
    rows = np.concatenate([[x[:, 0] for x, _ in part] for part in (training, validation)])
    assert sorted(map(tuple, rows)) == sorted(map(tuple, X))


BAD = {
    "hidden must be at least 1, got 0": {"hidden": [(3, 0)]},
    "hidden must be a tuple of neurons, as (30, 30), got 'x'": {"hidden": "x"},
    "hidden must be a value, a list or search.upto(low, high)": {"hidden": search.log(1, 9)},
    "eta must be a value, a list or search.log(low, high)": {"eta": search.upto(1, 9)},
    "hidden must list at least one value": {"hidden": []},
    "eta must be a number": {"eta": ["fast"]},
    "eta must be at least 0": {"eta": -1},
    "mini_batch_size must be at least 1": {"mini_batch_size": 0},
    "mini_batch_size must be an integer": {"mini_batch_size": 2.5},
    "lmbda must be at least 0": {"lmbda": -1},
    "l1 must be at least 0": {"l1": [-1.0]},
    "rule must be one of plain, momentum": {"rule": "fast"},
    "activation must be one of sigmoid": {"activation": ["sigmoid", "swish"]},
    "activation must be a name": {"activation": search.log(1, 2)},
    "output must be one of quadratic": {"output": "linear"},
    "settings must be at least 1": {"settings": 0},
    "epochs must be at least 1": {"epochs": 0},
    "factor must be at least 1": {"factor": 0},
    "seeds must be at least 1": {"seeds": 0},
    "eta must be given for rules that need different ones": {
        "eta": None,
        "rule": ["plain", "adam"],
    },
    "seed must be an integer": {"seed": None},
    "dtype must be float32 or float64": {"dtype": "int8"},
    "n_threads must be at least 1": {"n_threads": 0},
    "n_threads must be None where executor is given": {"executor": int, "n_threads": 2},
    "executor must be a concurrent.futures.Executor": {"executor": 5},
    "executor must be a concurrent.futures.Executor or": {"executor": int},
    "log must be a path": {"log": 5},
    "verbose must be False, True or": {"verbose": 7},
    "validation_data must be None": {"validation_data": VALIDATION},
}


@pytest.mark.parametrize("sentence", BAD)
def test_a_wrong_argument_is_named(sentence):
    with pytest.raises((TypeError, ValueError), match=re.escape(sentence)):
        run(**BAD[sentence])


@pytest.mark.parametrize("make", [search.log, search.upto])
@pytest.mark.parametrize("low, high", [(0, 1), (3, 3), (3, 2), (-1, 4), ("a", 4), (1, None)])
def test_a_range_has_a_low_and_a_high_end(make, low, high):
    with pytest.raises((TypeError, ValueError), match=r"^(low|high) must be"):
        make(low, high)


# Laws of what is tried


@given(st.floats(1e-9, 1e9), st.floats(1.0001, 1e6), st.floats(0, 1, exclude_max=True))
def test_what_is_drawn_lies_in_its_range(low, times, share):
    assert low <= search.log(low, low * times).at(share) <= low * times
    whole = search.upto(round(low) + 1, round(low * times) + 2)
    assert whole.low <= whole.at(share) <= whole.high


@given(st.integers(1, 500), st.integers(1, 300), st.integers(1, 9))
def test_rungs(n, epochs, factor):
    rungs = space.rungs(n, epochs, factor)
    counts, untils = zip(*rungs)
    assert counts[0] == n and untils[-1] == epochs and untils[0] >= 1
    assert all(b == a // factor for a, b in zip(counts, counts[1:]))
    assert all(a < b for a, b in zip(untils, untils[1:]))
    assert counts[-1] >= min(n, factor)
    if factor > 1 and untils[0] > factor:  # one more rung would have had too few settings
        assert counts[-1] < factor**2


@given(st.integers(1, 60), st.integers(0, 1000), st.integers(1, 7))
def test_what_is_drawn_occurs_as_often_as_others(count, seed, n):
    given = {"rule": [*range(n)], "eta": search.log(0.01, 10), "hidden": search.upto(2, 200)}
    any_value = space.Parameter(lambda name, value: value, None, "", str)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space, "PARAMETERS", dict.fromkeys(given, any_value))
        drawn = space.settings(given, count, seed)
    assert len(drawn) == count
    often = [[each["rule"] for each in drawn].count(k) for k in range(n)]
    assert max(often) - min(often) <= 1
    parts = [np.log(each["eta"] / 0.01) / np.log(1000) * count for each in drawn]
    rounding = count / np.log(1000) * 0.005  # three digits
    for k, place in enumerate(sorted(parts)):
        assert k - rounding <= place <= k + 1 + rounding
    assert all(2 <= each["hidden"] <= 200 for each in drawn)


@given(st.integers(1, 30), st.integers(0, 99))
def test_combinations_are_all_trained_or_so_many_of_them(count, seed):
    values = {"hidden": [1, 2, 3], "eta": [0.1, 0.2], "rule": ["plain", "adam"]}
    found = space.settings(values, None, seed)
    assert len({json.dumps(each) for each in found}) == len(found) == 12
    some = space.settings(values, count, seed)
    assert len(some) == min(count, 12) and all(each in found for each in some)


# What is kept


def test_a_log_is_gone_on_with_wherever_it_was_cut(found, tmp_path, monkeypatch):
    log = tmp_path / "search.jsonl"
    assert run(log=log).checksum == found.checksum
    content = log.read_bytes()
    lines = content.splitlines(keepends=True)
    assert len(lines) == 1 + 9 + 3 + 3  # a header, two rungs, other seeds
    trained = []
    inner = task._trained
    monkeypatch.setattr(task, "_trained", lambda each: trained.append(each.key) or inner(each))
    for whole in (0, 1, 2, 9, 10, 12, 15, 16):
        for part in (0, 1, 200):
            rest = lines[whole][:part] if whole < len(lines) else b""
            log.write_bytes(b"".join(lines[:whole]) + rest)
            trained.clear()
            assert run(log=log, n_threads=1).checksum == found.checksum
            assert len(trained) == len({*trained}) == len(lines) - max(whole, 1)
            assert sorted(map(timeless, log.read_bytes().splitlines())) == sorted(
                map(timeless, lines)
            )


def timeless(line):
    values = json.loads(line)
    return [values.get(name, 0) for name in ("setting", "seed", "epochs", "crc")]


def test_a_damaged_log_is_refused(tmp_path):
    log = tmp_path / "search.jsonl"
    run(log=log)
    content = bytearray(log.read_bytes())
    random = np.random.RandomState(0)
    for place in random.randint(0, len(content) - 1, 60):
        damaged = content.copy()
        damaged[place] ^= 1 << random.randint(7)
        log.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"log must be a file that search.run wrote"):
            run(log=log)
        assert log.read_bytes() == damaged


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 7},
        {"eta": search.log(0.05, 3)},
        {"seed": 2},
        {"data": (VALIDATION, TRAINING)},
    ],
)
def test_a_log_of_another_search_is_refused(change, tmp_path):
    log = tmp_path / "search.jsonl"
    run(log=log)
    content = log.read_bytes()
    with pytest.raises(ValueError, match="it is of a search with other"):
        run(**{"log": log, **change})
    assert log.read_bytes() == content


def test_another_file_is_no_log(tmp_path):
    log = tmp_path / "notes.txt"
    for text in ("hello\n", "{}\n", '{"sum": 1}\n', "[]\n", "3\n"):
        log.write_text(text)
        with pytest.raises(ValueError, match=r"log must be a file that search\.run wrote"):
            run(log=log)
        assert log.read_text() == text


def test_a_search_that_is_killed_goes_on(found, files, script, tmp_path):
    log = tmp_path / "search.jsonl"
    command = [sys.executable, script, *files, "threads", str(log)]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not log.exists() or log.read_bytes().count(b"\n") < 4:
        time.sleep(0.001)
        assert started.poll() in (None, 0)
    started.kill()
    started.wait()
    lines = log.read_bytes().count(b"\n")
    assert lines >= 4
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["checksum", str(found.checksum)], done.stderr
    assert log.read_bytes().count(b"\n") == 16


# Workers that die


def kill_at_the_first_outcome(monkeypatch, pid):
    """Let the process that pid returns be killed as soon as a network is trained."""
    keep, killed = bpnet.search.halving.Search._keep, []

    def keep_and_kill(*arguments):
        keep(*arguments)
        if not killed:
            killed.append(pid())
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(bpnet.search.halving.Search, "_keep", keep_and_kill)


class Dying(Executor):
    """Does so many tasks and then breaks, as a pool whose worker is killed."""

    def __init__(self, lives, error=BrokenExecutor):
        self.lives, self.error = lives, error

    def submit(self, function, *arguments):
        future = Future()
        self.lives -= 1
        if self.lives < 0:
            raise self.error("it is broken")
        if self.lives == 0:
            future.set_exception(self.error("a worker died"))
        else:
            future.set_result(function(*arguments))
        return future

    def shutdown(self, wait=True):
        pass


@pytest.mark.parametrize("lives", [2, 5, 12])
def test_a_function_makes_another_executor_where_one_breaks(lives, found):
    made = []
    assert run(executor=lambda: made.append(1) or Dying(lives)).checksum == found.checksum
    assert len(made) > 1


class OfItsOwn(Exception):  # noqa: N818 - as Dask's ClosedClientError, which is no RuntimeError
    pass


@pytest.mark.parametrize("error", [BrokenExecutor, RuntimeError, OfItsOwn])
def test_without_a_function_the_search_ends_and_goes_on_from_its_log(error, found, tmp_path):
    log = tmp_path / "search.jsonl"
    with pytest.raises(
        RuntimeError, match=r"takes no more tasks.*call again with the same log"
    ):
        run(executor=Dying(5, error), log=log)
    assert log.read_bytes().count(b"\n") == 1 + 4
    assert run(log=log).checksum == found.checksum


def test_a_task_that_kills_every_worker_ends_the_search():
    with pytest.raises(
        RuntimeError, match=r"no worker lived to train setting \d .*a worker died"
    ):
        run(executor=lambda: Dying(1))


@pytest.mark.parametrize("kind", ["pool", "loky"])
def test_a_worker_that_is_killed_costs_its_task(kind, files, found, monkeypatch):
    loky = pytest.importorskip("loky") if kind == "loky" else None
    make = (lambda: loky.get_reusable_executor(2)) if loky else pool("spawn")
    made = []

    def executor():
        made.append(make())
        return made[-1]

    kill_at_the_first_outcome(monkeypatch, lambda: next(iter(made[0]._processes)))
    assert run(files, executor=executor).checksum == found.checksum
    assert len(made) == 2


def test_an_exception_names_the_setting():
    for executor in (None, pool("spawn")):
        with pytest.raises(search.SettingError, match=r"setting 1 \(\{'hidden': \[10{12}\]"):
            run(hidden=[(4,), (10**12,)], eta=0.5, mini_batch_size=5, executor=executor)


def test_ctrl_c_ends_the_search_soon(monkeypatch, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bpnet.search.halving.Search, "_keep", interrupted)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(epochs=300, settings=3, n_threads=2)
    assert threading.active_count() == before


# What travels, and what is shown


def test_a_task_is_small(files, found):
    parts = [bpnet.open(path) for path in files]
    with ProcessPoolExecutor(1) as executor:
        sent = workers.Workers(executor, None).send(parts, None)
    setting = {name: found.rows[0][name] for name in space.PARAMETERS}
    job = space.Job(2, 2, "cross-entropy", "validation_accuracy", "float32", 6)
    assert len(pickle.dumps(task.Task(sent, 0, setting, 1, job, 0, 2, b""))) < 2000


def test_the_table_is_printed(found):
    lines = str(found).splitlines()
    assert lines[0].startswith("9 settings, 48 epochs trained of 108 in full")
    assert "output cross-entropy" in lines[1] and "rule plain" in lines[1]
    assert lines[2].split()[:4] == ["#", "hidden", "eta", "mini-batch"]
    for k, (line, row) in enumerate(zip(lines[3:12], found.rows)):
        cells = line.split()
        assert cells[0] == str(k + 1) and cells[1] == "-".join(map(str, row["hidden"]))
        assert f"{100 * row['validation_accuracy']:.2f}" in cells
        assert f"{row['parameters']:,}" in cells
    assert lines[12] == "Stopped: 6 after epoch 2."
    small = found.smallest.notes["search"]
    assert lines[13].endswith(
        f"{small['hidden'][0]}"
        f"{'-6' * (len(small['hidden']) > 1)}, "
        f"{small['parameters']:,} parameters."
    )


def test_each_rung_is_a_line(capsys):
    run(verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "9 settings until epoch 2",
        "3 settings until epoch 6",
    ]


def test_progress_is_that_of_all_epochs_also_where_a_log_has_some(monkeypatch, tmp_path):
    shown = []

    class Recorded(Watch):
        def __init__(self, verbose, total, done, unit):
            super().__init__(False, total, done, unit)
            shown.append([total, done])
            self.advance = shown[-1].append

    monkeypatch.setattr(search, "Watch", Recorded)
    log = tmp_path / "search.jsonl"
    run(log=log)
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:6]))
    run(log=log)
    assert [total for total, *_ in shown] == [48, 48]
    assert [sum(parts) for _, *parts in shown] == [48, 48]
    assert [done for _, done, *_ in shown] == [0, 10]


def test_what_is_found_is_drawn(found, tmp_path):
    pytest.importorskip("matplotlib")
    figure = found.plot()
    figure.savefig(tmp_path / "found.png")
    axes = figure.axes[0]
    assert axes.get_xlabel().startswith("parameters") and "accuracy" in axes.get_ylabel()
