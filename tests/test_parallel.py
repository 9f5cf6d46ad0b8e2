"""Several ranks train one network: the bits of one, and the result of one process's train."""

import importlib.util
import os
import queue
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from engines import Bounded, Rounding, same_bits
from test_cli import data  # noqa: F401 - a fixture

from bpnet import MLP

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "data_parallel.py"
SIZES = [6, 20, 3]
RANKS = [1, 2, 4, 8]

pytestmark = pytest.mark.skipif(not EXAMPLE.exists(), reason="no examples/ beside the tests")


@pytest.fixture(scope="module")
def example():
    """Return the example as a module, for which no MPI is needed."""
    spec = importlib.util.spec_from_file_location("data_parallel", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Comm:
    """What the example asks of a communicator, among threads of this process."""

    def __init__(self, rank, mailboxes):
        self.rank, self.mailboxes = rank, mailboxes

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return len(self.mailboxes)

    def Sendrecv(self, sendbuf, dest, *, recvbuf, source):
        self.mailboxes[dest][self.rank].put(sendbuf.copy())
        recvbuf[...] = self.mailboxes[self.rank][source].get(timeout=60)


def on_ranks(n, job):
    """Return what job(comm) returns on each of n ranks."""
    mailboxes = [[queue.Queue() for _ in range(n)] for _ in range(n)]
    found, failed = [None] * n, []

    def run(rank):
        try:
            found[rank] = job(Comm(rank, mailboxes))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return found


def examples(n, dtype="float64"):
    draw = np.random.RandomState(0)
    return draw.randn(n, SIZES[0]).astype(dtype), draw.rand(n, SIZES[-1]).astype(dtype)


def network(dtype="float64"):
    return MLP(SIZES, output="quadratic", dtype=dtype, seed=1)


def trained(example, n_ranks, given, dtype, m, epochs, eta=0.5):
    """Return the parameters of every rank, in one array each."""

    def job(comm):
        rank = example.Rank(network(dtype), given, comm)
        example.train(rank, epochs, m, eta, seed=1)
        return rank.flat

    return on_ranks(n_ranks, job)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m", [1, 5, 16, 300])
def test_all_ranks_have_the_same_bits_however_many_there_are(example, dtype, m):
    given = examples(50, dtype)  # whose last mini-batch is short; some shards are empty
    alone = trained(example, 1, given, dtype, m, 3)[0]
    assert not same_bits(alone, trained(example, 1, given, dtype, m, 2)[0])
    for n in RANKS[1:]:
        found = trained(example, n, given, dtype, m, 3)
        assert len(found) == n
        assert all(same_bits(flat, alone) for flat in found)


@pytest.mark.parametrize("n", RANKS)
def test_the_sum_is_that_of_the_fixed_tree(example, n):
    draw = np.random.RandomState(2)
    length = sum(example.lengths(SIZES))
    g = (draw.randn(8, length) * 10.0 ** draw.randint(-8, 8, (8, length))).astype(np.float32)
    tree = ((g[0] + g[1]) + (g[2] + g[3])) + ((g[4] + g[5]) + (g[6] + g[7]))
    assert not same_bits(tree, sum(g[1:], g[0]))  # another order shows

    def job(comm):
        rank = example.Rank(network("float32"), examples(8, "float32"), comm)

        def gradient(shard, out):
            for mine, part in zip(sum(out, []), sum(example.views(g[shard], SIZES), [])):
                mine[...] = part

        rank.gradients = gradient
        return rank.sum_of_all(range(8))

    assert all(same_bits(found, tree) for found in on_ranks(n, job))


@pytest.mark.parametrize("n", [3, 5, 6, 7, 9, 16])
def test_another_number_of_ranks_is_refused(example, n):
    with pytest.raises(ValueError, match=rf"^mpiexec -n must be 1, 2, 4 or 8, got {n}$"):
        on_ranks(n, lambda comm: example.Rank(network(), examples(8), comm))


def bounded_steps(given, order, m, eta, step):
    """Return bounds of (biases, weights) after an epoch; step: of a mini-batch."""
    rounding = Rounding(np.dtype(float))
    found = tuple([Bounded(p) for p in ps] for ps in (network().biases, network().weights))
    for k in range(0, len(order), m):
        picked = order[k : k + m]
        found = step(rounding, found, given[0][picked], given[1][picked], eta)
    return sum(map(list, found), [])


def one_process(rounding, found, x, y, eta):
    return rounding.update_mini_batch(*found, x, y, eta)


def summed_first(rounding, found, x, y, eta):
    """A sum of gradients, in any order; times eta / m, of one rounding; a difference."""
    zeros = tuple([Bounded(0 * p.value) for p in ps] for ps in found)
    gradient = rounding.descend(*found, x, y, onto=zeros)
    scale = Bounded(np.longdouble(eta) / len(x))
    scale.error = rounding.eps * abs(scale.value)
    return tuple(
        [rounding.difference(p, rounding.product(g, scale)) for p, g in zip(ps, gs)]
        for ps, gs in zip(found, gradient)
    )


def test_the_result_is_that_of_one_process_to_rounding(example):
    given, m, eta, epochs = examples(50), 16, 0.5, 1
    net = network()
    net.train(given, epochs, m, eta)
    rank = trained(example, 2, given, "float64", m, epochs, eta)[0]
    order = list(range(50))
    random.Random(1).shuffle(order)
    exact = [bounded_steps(given, order, m, eta, s) for s in (one_process, summed_first)]
    theirs = sum(example.views(rank, SIZES), [])
    for mine, other, a, b in zip([*net.biases, *net.weights], theirs, *exact, strict=True):
        assert (abs(mine - a.value) <= a.error).all()
        assert (abs(other - b.value) <= b.error).all()
        assert (abs(mine - other) <= a.error + b.error + abs(a.value - b.value)).all()
        assert (a.error + b.error).max() < 1e4 * np.finfo(float).eps, "a bound of no use"


# By MPI itself, where it is installed


def mpiexec():
    """Return what starts ranks, beside this Python or anywhere; skip the test without one."""
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py is not installed")
    beside = os.path.dirname(sys.executable)
    found = shutil.which("mpiexec", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip("there is no mpiexec")
    return found


def by_mpi(n, folder, *arguments):
    # Open MPI starts more ranks than processors, and for root, if it is told to.
    allowed = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    return subprocess.run(
        [mpiexec(), "-n", str(n), sys.executable, EXAMPLE, *arguments],
        env={**os.environ, **allowed, "BPNET_DATA": folder},
        capture_output=True,
        text=True,
    )


def test_any_number_of_ranks_ends_with_the_same_bits(data):  # noqa: F811
    ends = set()
    for n in (1, 2, 4):
        done = by_mpi(n, data, "--epochs", "2", "--mini-batch-size", "16", "--hidden", "20")
        assert (done.returncode, done.stderr) == (0, "")
        epochs, times, crc = done.stdout.splitlines()[:-2], *done.stdout.splitlines()[-2:]
        assert [line.split(":")[0] for line in epochs] == ["Epoch 0", "Epoch 1"]
        assert times.startswith("ms a step: gradient ")
        ranks, crc = crc.split(" ranks, CRC of all parameters: ")
        assert int(ranks) == n
        ends.add((*epochs, crc))
    assert len(ends) == 1


def test_three_ranks_are_refused_with_one_sentence(data):  # noqa: F811
    done = by_mpi(3, data)
    assert done.returncode != 0
    assert (done.stdout + done.stderr).count("mpiexec -n must be 1, 2, 4 or 8, got 3") == 1
    assert "Traceback" not in done.stdout + done.stderr
