"""What does a step of examples/data_parallel.py cost on 1 and 2 ranks, beside one process?

Each rank is bound to a processor of its own; one process trains by MLP.train, which takes the
same steps, with 1 and with 2 threads.  A step's gradient is computed, summed (among the shards,
and with the other rank, for which one waits), and the parameters are changed and loaded.  A
turn is some epochs in a fresh process, of which the fastest counts.  Ranks end with the same
bits, or the table says "NO".  Needs mpi4py and mpiexec, beside this Python or on the path.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from harness import options, report

import bpnet

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import data_parallel

NETWORKS = [  # sizes, mini-batches, epochs in each turn
    ([784, 30, 10], [10], 4),
    ([784, 512, 512, 10], [256, 1024, 4096], 5),
]
EXAMPLES = 4096
ETA = 0.1
WAYS = [  # ranks (0: MLP.train), threads
    ("one process, 1 thread", 0, 1),
    ("one process, 2 threads", 0, 2),
    ("1 rank", 1, 1),
    ("2 ranks", 2, 1),
]
PARTS = [f"{part}, ms" for part in data_parallel.PARTS]


def main():
    parser = options(__doc__, turns=7)
    parser.add_argument("--child", nargs=5, help="what a process of its own is told")
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], *map(int, arguments.child[1:]))
        return
    (x, labels), _, _ = bpnet.mnist_loader.load_data(arguments.data)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "digits.npz")
        np.savez(path, x=x[:EXAMPLES], labels=labels[:EXAMPLES])
        for _ in range(arguments.turns):
            for network, (_, mini_batches, _) in enumerate(NETWORKS):
                for m in mini_batches:
                    for way, ranks, threads in WAYS:
                        turn = run(path, network, m, ranks, threads)
                        found.setdefault((network, m, way), []).append(turn)
    report(
        "A step of data-parallel gradient descent, float32, MNIST",
        [row(*key, found) for key in found],
        arguments.save,
        turns=arguments.turns,
        mpi=next(turn["mpi"] for turns in found.values() for turn in turns if "mpi" in turn),
    )


def row(network, m, way, found):
    """Return the table's row: medians of the turns."""
    turns = found[network, m, way]
    step = [turn["step"] for turn in turns]
    crcs = {turn["crc"] for how in ("1 rank", "2 ranks") for turn in found[network, m, how]}
    return {
        "network": "-".join(map(str, NETWORKS[network][0])),
        "mini-batch": m,
        "how": way,
        "step, ms": statistics.median(step),
        "least": min(step),
        "most": max(step),
        **{
            name: statistics.median(turn[name] for turn in turns) if name in turns[0] else None
            for name in PARTS
        },
        "same bits": None if way.startswith("one") else "yes" if len(crcs) == 1 else "NO",
    }


def run(*told):
    """Return what a fresh process, or some of them, find: told a path and four numbers."""
    beside = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    ranks = told[3]
    starter = [shutil.which("mpiexec", path=beside), "-n", str(ranks)] if ranks else []
    command = [*starter, sys.executable, __file__, "--child", *map(str, told)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def child(path, network, m, ranks, threads):
    """Print, as JSON, how long a step takes in the fastest epoch, in ms."""
    sizes, _, epochs = NETWORKS[network]
    with np.load(path) as digits:
        data = bpnet.Dataset((digits["x"], digits["labels"]), dtype=np.float32)
    net = bpnet.MLP(sizes, dtype=np.float32, seed=1)
    found = by_ranks(net, data, m, epochs) if ranks else by_train(net, data, m, epochs, threads)
    if found:
        seconds, more = found
        steps = -(-EXAMPLES // m)
        print(json.dumps({**{k: 1e3 * s / steps for k, s in seconds.items()}, **more}))


def by_train(net, data, m, epochs, threads):
    if threads == 1:
        bind(0)
    net.train(data, epochs, m, ETA, n_threads=threads)
    return {"step": min(record["seconds"] for record in net.history)}, {"crc": ""}


def by_ranks(net, data, m, epochs):
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    bind(comm.rank)
    rank, start, found = data_parallel.Rank(net, data, comm), [MPI.Wtime()], []

    def after(epoch):
        found.append([MPI.Wtime() - start[0], *rank.seconds.values()])
        rank.seconds = dict.fromkeys(data_parallel.PARTS, 0.0)
        comm.Barrier()
        start[0] = MPI.Wtime()

    data_parallel.train(rank, epochs, m, ETA, seed=1, after=after)
    if comm.rank > 0:
        return None
    version = " ".join(MPI.Get_library_version().split("\n")[0].split()).rstrip("\0")
    more = {"crc": f"{zlib.crc32(rank.flat):08x}", "mpi": version}
    return dict(zip(["step", *PARTS], min(found))), more


def bind(rank):
    """Run on one processor, where the system can be told."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[rank % len(allowed)]})


if __name__ == "__main__":
    main()
