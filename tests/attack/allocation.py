"""The n-th allocation fails, n = 1, 2, ...: is that a MemoryError, and is nothing half done?

For each entry point of the core and each n, a forked child asks for memory until the n-th time
it gets none (a library, built here and preloaded, counts malloc, calloc, realloc and thread
starts while it is armed).  The call must raise MemoryError, or do without; parameters and slots
are then what they were, or those of a finished call; and the same call, repeated, gives what it
gives where nothing fails.  NumPy sometimes fails and forgets to say why, which Python reports
as a SystemError: that is told apart, and held to the same law.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

/* How many more allocations succeed; less than 0: all. */
static long left = -1;
static int failed;

void arm(long n) { failed = 0; __atomic_store_n(&left, n, __ATOMIC_SEQ_CST); }
int disarm(void) { __atomic_store_n(&left, -1, __ATOMIC_SEQ_CST); return failed; }

/* Fails once: what is asked for while the error is handled is given. */
static int fails(void)
{
    if (__atomic_load_n(&left, __ATOMIC_SEQ_CST) < 0)
        return 0;
    if (__atomic_fetch_sub(&left, 1, __ATOMIC_SEQ_CST) != 0)
        return 0;
    failed = 1;
    return 1;
}

void *malloc(size_t n) { return fails() ? (errno = ENOMEM, NULL) : __libc_malloc(n); }
void *calloc(size_t n, size_t m)
{
    return fails() ? (errno = ENOMEM, NULL) : __libc_calloc(n, m);
}
void *realloc(void *p, size_t n)
{
    return fails() ? (errno = ENOMEM, NULL) : __libc_realloc(p, n);
}

int pthread_create(pthread_t *id, const pthread_attr_t *how, void *(*work)(void *), void *with)
{
    static int (*start)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!start)
        *(void **)&start = dlsym(RTLD_NEXT, "pthread_create");
    return fails() ? EAGAIN : start(id, how, work, with);
}
"""

# Exit statuses of a child.
DONE, RAISED, NOT_REACHED, OF_NUMPY, WRONG = 0, 10, 11, 12, 13


def entries() -> dict[str, Callable[[], tuple[Callable[[], Any], Callable[[], Any]]]]:
    """Return by name functions that make (call, look): look tells what the call may change."""
    import random

    import numpy as np

    import bpcore
    from bpcore import Data, Net, Order, pack

    sizes, n = [37, 70, 66, 5], 60
    draw = np.random.RandomState(1)
    engine = bpcore.engine("float64")
    x = draw.randint(1, 64, (n, 37)) / 64 * (draw.rand(n, 37) < 0.2)
    many = draw.rand(n, 37) * (draw.rand(n, 37) < 0.2)
    y, labels = draw.rand(n, 5), draw.randint(5, size=n)
    weights = [draw.randn(o, i) / 9 for i, o in zip(sizes, sizes[1:])]
    biases = [draw.randn(o, 1) for o in sizes[1:]]
    forms = {
        "dense": pack(engine, x + 1, 5, y=y, labels=labels),
        "CSR": pack(engine, many, 5, sparse=True, coded=False, y=y, labels=labels),
        "codes": pack(engine, x, 5, sparse=True, y=y, labels=labels),
    }

    def network(threads: int = 1, rule: str = "momentum") -> Net:
        net = Net(engine, sizes, 10, threads, rule=rule)
        net.load(biases, weights)
        return net

    def state(net: Net) -> Any:
        return net.store(), net.state()

    def of_net(step: Callable[[Net], Any], threads: int = 1) -> Any:
        def make() -> Any:
            net = network(threads)
            return (lambda: step(net)), (lambda: state(net))

        return make

    def of_nothing(step: Callable[[], Any]) -> Any:
        return lambda: (step, lambda: None)

    order = Order(n)

    def train(data: Data) -> Callable[[Net], Any]:
        return lambda net: net.sgd(data, order, 10, 0.1, parameters=(0.5,))

    def shuffled() -> Any:
        own, source = Order(n), random.Random(3)
        return (lambda: own.shuffle(source)), (lambda: (own.tolist(), source.getstate()))

    def multiplied() -> Any:
        block = np.zeros(16 * 16 + 8)
        c = block[-block.ctypes.data % 64 // 8 :][: 16 * 16].reshape(16, 16)
        a = np.ones((16, 16))
        return (lambda: engine.gemm(a, a, c)), c.copy

    other = Net(engine, sizes, 10, rule="momentum")
    other.load([2 * b for b in biases], [2 * w for w in weights])
    other.sgd(forms["CSR"], order, 10, 0.1, parameters=(0.5,))
    new, kept = other.store(), other.state()
    made: dict[str, Any] = {
        "pack dense": of_nothing(lambda: pack(engine, x + 1, 5, y=y)),
        "pack CSR": of_nothing(lambda: pack(engine, many, 5, coded=False, y=y)),
        "pack codes": of_nothing(lambda: pack(engine, x, 5, labels=labels)),
        "Net": of_nothing(lambda: Net(engine, sizes, 10, 2, rule="adam")),
        "load": of_net(lambda net: net.load(*new)),
        "store": of_net(lambda net: net.store()),
        "state": of_net(lambda net: net.state()),
        "restore": of_net(lambda net: net.restore(*kept)),
        "shuffle": shuffled,
        "gemm": multiplied,
    }
    for threads in (1, 2):
        for form, data in forms.items():
            said = f"{form}, {threads} thread{'s'[: threads - 1]}"
            made[f"sgd {said}"] = of_net(train(data), threads)
            made[f"evaluate {said}"] = of_net(
                lambda net, data=data: net.evaluate(data, np.empty(n)), threads
            )
            made[f"feedforward {said}"] = of_net(
                lambda net, data=data: net.feedforward(data), threads
            )
    made["backprop"] = of_net(lambda net: net.backprop(forms["codes"]))
    return made


def same(a: Any, b: Any) -> bool:
    """Tell whether two results are equal to the bit."""
    import numpy as np

    from bpcore import Data, Net

    if isinstance(a, Data):
        return same((a.inputs, a.rows(0, len(a))), (b.inputs, b.rows(0, len(b))))
    if isinstance(a, Net):
        return same((a.store(), a.state()), (b.store(), b.state()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and a.tobytes() == b.tobytes()
    return bool(a == b)


def disarmed(counter: ctypes.CDLL) -> bool:
    """Let allocations succeed again; return whether one has failed before."""
    try:
        return bool(counter.disarm())
    except MemoryError:  # disarm's own: the call needed fewer
        counter.disarm()
        return False


def child(make: Any, counter: ctypes.CDLL, n: int) -> int:
    """Return what happened where the n-th allocation of a call failed."""
    call, look = make()
    before = look()
    right = call()
    after = look()
    call, look = make()
    raised = of_numpy = False
    result = None
    try:
        counter.arm(n - 1)
        result = call()
    except (MemoryError, SystemError) as error:
        raised, of_numpy = True, isinstance(error, SystemError)
    finally:
        failed = disarmed(counter)
    if not raised and not (same(result, right) and same(look(), after)):
        return WRONG
    if raised:
        now = look()
        if not same(now, before) and not same(now, after):
            return WRONG + 1
        if same(now, before) and not (same(call(), right) and same(look(), after)):
            return WRONG + 2
    if not failed:
        return NOT_REACHED
    return OF_NUMPY if of_numpy else RAISED if raised else DONE


FAULTS = {
    WRONG: "a wrong result",
    WRONG + 1: "a state that is half changed",
    WRONG + 2: "the same call fails afterwards",
    99: "another exception",
}


def outcome(make: Any, counter: ctypes.CDLL, n: int) -> int:
    """Run child in a fork, and return its exit status; less than 0: a signal ended it."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            signal.alarm(30)
            status = child(make, counter, n)
        except BaseException as error:
            counter.disarm()
            print(f"  {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def sweep(counter: ctypes.CDLL, most: int) -> int:
    """Let allocations 1 to most of each entry fail, print what happened; return the status."""
    faults: list[str] = []
    total = raising = of_numpy = 0
    for name, make in entries().items():
        raised = done = n = 0
        while n < most:
            n += 1
            status = outcome(make, counter, n)
            if status == NOT_REACHED:
                n -= 1
                break
            raised += status == RAISED
            done += status == DONE
            of_numpy += status == OF_NUMPY
            if status not in (RAISED, DONE, OF_NUMPY):
                what = FAULTS.get(status, f"ended by signal {-status}")
                faults.append(f"FAULT: {name}, allocation {n}: {what}")
        print(f"{name}: {n} failures, {raised} raised MemoryError, {done} did without")
        total, raising = total + n, raising + raised
    print(*faults, sep="\n", end="\n" if faults else "")
    print(
        f"allocation: {total} failures, {raising} MemoryErrors, "
        f"{of_numpy} SystemErrors of NumPy, {len(faults)} faults"
    )
    return 1 if faults else 0


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--most", type=int, default=25, help="of each entry's allocations")
    most = parser.parse_args().most
    library = os.environ.get("BPNET_COUNTER")
    if library:
        return sweep(ctypes.CDLL(library), most)
    if sys.platform != "linux" or not shutil.which("gcc"):
        print("allocation: skipped, it needs Linux with gcc")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        source, library = os.path.join(folder, "counter.c"), os.path.join(folder, "counter.so")
        with open(source, "w") as file:
            file.write(COUNTER)
        build = ["gcc", "-O1", "-shared", "-fPIC", source, "-o", library, "-ldl"]
        subprocess.run(build, check=True)
        preloaded = {
            **os.environ,
            "LD_PRELOAD": library,
            "BPNET_COUNTER": library,
            "PYTHONMALLOC": "malloc",  # small objects have an allocator of their own
        }
        command = [sys.executable, __file__, "--most", str(most)]
        return subprocess.run(command, env=preloaded).returncode


if __name__ == "__main__":
    sys.exit(main())
