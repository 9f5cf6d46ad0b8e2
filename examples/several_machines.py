"""Many networks on several machines: a search whose tasks are done by workers anywhere.

    pip install bpnet
    python examples/several_machines.py                         # two processes of this machine

    pip install bpnet distributed                               # on every machine, and then:
    dask scheduler --host 10.0.0.1                              # on the first
    dask worker tcp://10.0.0.1:8786 --nthreads 1 --nworkers 2   # on each
    python examples/several_machines.py tcp://10.0.0.1:8786

The table, and its checksum, are the same wherever the work is done.  One network on several
machines is data_parallel.py; docs/beyond-one-machine.md says when which pays.
"""

import concurrent.futures
import multiprocessing
import sys

import bpnet
from bpnet import mnist_loader, search


def workers(address):
    """Return what makes the executor: of a Dask cluster, or two processes."""
    if address is None:
        fresh = multiprocessing.get_context("spawn")  # as on every platform
        return lambda: concurrent.futures.ProcessPoolExecutor(2, mp_context=fresh)
    from distributed import Client

    return Client(address).get_executor


def main():
    """Search, and say what was found."""
    (X, labels), validation, _ = mnist_loader.load_data()
    for name, part in (("training", (X[:2000], labels[:2000])), ("validation", validation)):
        bpnet.Dataset(part, dtype="float32").save(
            f"{name}.bpd"
        )  # which other machines need, too
    found = search.run(
        ("training.bpd", "validation.bpd"),
        hidden=[(10,), (30,), (60,)],
        eta=search.log(0.1, 2),
        settings=6,
        epochs=6,
        factor=2,
        seeds=2,
        executor=workers(*sys.argv[1:2] or [None]),
    )
    print(found)
    print(f"checksum {found.checksum:08x}")


if __name__ == "__main__":
    main()
