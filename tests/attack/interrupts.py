"""How soon is Ctrl-C answered, whatever a script is doing, and is what it leaves valid?

Each entry point runs in a process of its own, on inputs that are large for it.  This process
sends SIGINT at random times of the call, and counts the milliseconds until KeyboardInterrupt
is seen; then the child looks at what is left.  One line for each entry point, and a summary.

    python tests/attack/interrupts.py --seconds 120
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import bpcore
import bpnet

RNG = np.random.RandomState(0)
ENGINE = bpcore.engine("float64")
WIDE, HUGE = [784, 2048, 2048, 10], [8192, 8192]
ANSWERED = 0.1  # seconds


def images(n, n_in=784):
    """Return inputs, a fifth of them not zero, of 256 values, and labels."""
    x = RNG.randint(1, 256, (n, n_in)) / 255.0
    x[RNG.rand(n, n_in) < 0.8] = 0
    return x, RNG.randint(0, 10, n)


def pairs(n):
    x, labels = images(n)
    return [(row[:, None], np.eye(10)[:, [label]]) for row, label in zip(x, labels)]


def bits(lists):
    return [[array.tobytes() for array in part] for part in lists]


def loaded(sizes, rows, engine=ENGINE, **kinds):
    net = bpcore.Net(engine, sizes, rows, **kinds)
    shapes = list(zip(sizes, sizes[1:]))
    biases = [np.zeros((n_out, 1), engine.dtype) for _, n_out in shapes]
    weights = [RNG.uniform(-0.02, 0.02, (n, n_in)).astype(engine.dtype) for n_in, n in shapes]
    net.load(biases, weights)
    return net, biases, weights


def nothing():
    return True


# Each returns a function to interrupt, and one that says whether what it leaves is valid; and
# one that is called before, if there is something to prepare.


def pack_an_array():
    x, _ = images(20000)
    return lambda: bpcore.pack(ENGINE, x, 10), nothing


def pack_a_dense_array():
    x = RNG.rand(20000, 784)
    return lambda: bpcore.pack(ENGINE, x, 10, sparse=True, coded=False), nothing


def check_a_csr_form():
    n, n_in = 100000, 784
    columns = np.tile(np.arange(n_in, dtype=np.uint16), n)
    codes, offsets = np.zeros(columns.size, np.uint8), np.arange(0, columns.size + 1, n_in)
    form = (n_in, offsets, columns, np.ones(1), codes)
    return lambda: bpcore.Data(ENGINE, form, 10), nothing


def order_and_targets():
    n = 10**7
    x, labels, weights = np.zeros((n, 1)), np.zeros(n, np.int64), np.ones(n)
    return lambda: bpcore.Data(ENGINE, x, 10, labels=labels, weights=weights), nothing


def shuffle():
    order, source = bpcore.Order(10**7), random.Random(1)
    before = source.getstate()
    order.shuffle(source)
    after = source.getstate()  # whatever the order was

    def valid():
        items = np.array(order.tolist())
        permuted = (np.bincount(items, minlength=order.n) == 1).all()
        return permuted and source.getstate() in (before, after)

    return lambda: order.shuffle(source), valid, lambda: source.setstate(before)


def make_a_net():
    return lambda: bpcore.Net(ENGINE, HUGE, 1), nothing


def load_parameters():
    net, biases, weights = loaded(HUGE, 1)
    return lambda: net.load(biases, weights), nothing


def store_parameters():
    return loaded(HUGE, 1)[0].store, nothing


def restore_slots():
    net, _, _ = loaded(WIDE, 1, rule="adam")
    steps, slots = net.state()
    return lambda: net.restore(steps, slots), nothing


def descending(sizes, n, m, **kinds):
    """sgd; what it leaves must be the parameters after a whole number of mini-batches."""
    x, labels = images(n, sizes[0])
    net, biases, weights = loaded(sizes, m, **kinds)
    parameters = (0.9, 0.999, 1e-8) if kinds.get("rule") == "adam" else ()
    start, told = net.state(), []

    def data(begin, end):
        return bpcore.Data(ENGINE, x[begin:end], 10, labels=labels[begin:end])

    def descend(net, data, progress=None):
        order = bpcore.Order(len(data))
        net.sgd(data, order, m, 0.01, parameters=parameters, progress=progress)

    def restart():
        del told[:]
        net.restore(*start)
        net.load(biases, weights)

    def valid():
        """Look from what progress was told on: the interrupted slice itself was not."""
        again, found = bpcore.Net(ENGINE, sizes, m, **kinds), bits(net.store())
        again.load(biases, weights)
        reached = sum(told) // m * m
        if reached:
            descend(again, data(0, reached))
        while bits(again.store()) != found and reached < n:
            descend(again, data(reached, reached + m))
            reached += m
        return bits(again.store()) == found

    everything = data(0, n)
    return lambda: descend(net, everything, told.append), valid, restart


def sgd():
    return descending([784, 100, 10], 20000, 10)


def sgd_adam():
    return descending([784, 100, 10], 5000, 10, rule="adam")


def sgd_wide():
    return descending(WIDE, 300, 10)


def sgd_wide_of_large_mini_batches():
    return descending(WIDE, 600, 256)


def looking(ask):
    x, labels = images(2000)
    y = np.eye(10)[labels]
    net, _, _ = loaded(WIDE, 128)
    data = bpcore.Data(ENGINE, x, 10, labels=labels, y=y)
    before = bits(net.store())
    return lambda: ask(net, data), lambda: bits(net.store()) == before


def evaluate():
    return looking(lambda net, data: net.evaluate(data, np.empty(len(data))))


def feedforward():
    return looking(lambda net, data: net.feedforward(data))


def backprop():
    return looking(lambda net, data: net.backprop(data))


def training(net, call, **more):
    """A method of a network; it must leave parameters that are whole, and go on."""
    start = [array.copy() for array in net.biases], [array.copy() for array in net.weights]

    def restarted():
        net.biases, net.weights = start
        call(net)

    def valid():
        return all(np.isfinite(part).all() for part in (*net.biases, *net.weights))

    return restarted, valid


def network_sgd():
    data = pairs(8000)
    net = bpnet.Network([784, 30, 10], seed=1)
    return training(net, lambda net: net.SGD(data, 5, 10, 3.0, test_data=data))


def network2_wide():
    data = bpnet.Dataset(pairs(300))
    net = bpnet.network2.Network(WIDE)
    return training(
        net, lambda net: net.SGD(data, 1, 10, 0.1, lmbda=5.0, monitor_training_cost=True)
    )


def dataset():
    data = pairs(20000)
    return lambda: bpnet.Dataset(data), nothing


def dataset_of_arrays():
    x, labels = images(20000)
    return lambda: bpnet.Dataset((x, labels), weights=np.ones(20000)), nothing


def dense_dataset():
    x = RNG.rand(20000, 784)
    return lambda: bpnet.Dataset((x, np.zeros(20000, int))), nothing


def overridden_step():
    class Own(bpnet.Network):
        def backprop(self, x, y):
            return super().backprop(x, y)

    data = pairs(1000)
    return training(Own([784, 30, 10]), lambda net: net.SGD(data, 5, 10, 3.0))


def distort():
    x, _ = images(20000)
    return lambda: bpnet.distort(x, seed=1), nothing


def examples_made_ahead():
    x, labels = images(4000)
    net = bpnet.MLP([784, 30, 10], seed=1)
    made = {"ahead": True, "n_threads": 2}
    return training(
        net,
        lambda net: net.train(lambda k: (bpnet.distort(x, seed=k), labels), 5, 10, 0.5, **made),
    )


def file_of_a_network(load):
    net = bpnet.Network(WIDE, seed=1)
    path = os.path.join(tempfile.mkdtemp(), "net.npz")
    net.save(path)

    def valid():
        found = bits([bpnet.load(path).weights])
        return found == bits([net.weights]) and len(os.listdir(os.path.dirname(path))) == 1

    return (lambda: bpnet.load(path)) if load else (lambda: net.save(path)), valid


def save():
    return file_of_a_network(False)


def load():
    return file_of_a_network(True)


ENTRIES = {
    entry.__name__: entry
    for entry in (
        *(pack_an_array, pack_a_dense_array, check_a_csr_form, order_and_targets, shuffle),
        *(make_a_net, load_parameters, store_parameters, restore_slots),
        *(sgd, sgd_adam, sgd_wide, sgd_wide_of_large_mini_batches),
        *(evaluate, feedforward, backprop),
        *(network_sgd, network2_wide, dataset, dataset_of_arrays, dense_dataset),
        *(overridden_step, distort, examples_made_ahead, save, load),
    )
}


def child(entry):
    """Call and be interrupted as often as a line comes; answer each with a line."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what training prints
    call, valid, *more = ENTRIES[entry]()
    restart = more[0] if more else nothing
    for _ in range(2):  # the first is slower
        restart()
        start = time.monotonic()
        call()
    answers.write(json.dumps({"seconds": time.monotonic() - start}) + "\n")
    for _ in sys.stdin:
        finished = False
        restart()
        try:
            answers.write("{}\n")
            call()
            finished = True
            time.sleep(60)
        except KeyboardInterrupt:
            seen = time.monotonic()
        told = {"seen": seen, "in_time": not finished, "valid": bool(valid())}
        answers.write(json.dumps(told) + "\n")


def attack(entry, seconds, rng):
    """Return (seconds of a call, milliseconds to each answer, trials that left nonsense)."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", entry],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    length = json.loads(process.stdout.readline())["seconds"]
    answers, wrong, end = [], 0, time.monotonic() + seconds
    while time.monotonic() < end or len(answers) < 3:
        process.stdin.write("\n")
        process.stdout.readline()
        time.sleep(rng.random() * length)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        told = json.loads(process.stdout.readline())
        wrong += not told["valid"]
        if told["in_time"]:
            answers.append(told["seen"] - sent)
        elif time.monotonic() > end + 30:
            break
    process.stdin.close()
    process.wait()
    return length, [1e3 * answer for answer in answers], wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120, help="of attacks, in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("entries", nargs="*", help="names, all by default")
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return 0
    rng, late, wrong, trials = random.Random(options.seed), [], 0, 0
    chosen = options.entries or list(ENTRIES)
    print(f"{'entry point':32} {'call, s':>8} {'trials':>6} {'median, ms':>10} {'max, ms':>8}")
    for entry in chosen:
        length, answers, invalid = attack(entry, options.seconds / len(chosen), rng)
        median, most = statistics.median(answers or [0]), max(answers or [0])
        figures = f"{length:8.2f} {len(answers):6} {median:10.1f} {most:8.1f}"
        print(f"{entry:32} {figures}{' NOT VALID' * bool(invalid)}", flush=True)
        late += [entry] if median > 1e3 * ANSWERED else []
        wrong, trials = wrong + invalid, trials + len(answers)
    print(
        f"interrupts: {trials} of {len(chosen)} entry points, {wrong} left what is not valid, "
        f"answered late (median): {', '.join(late) or 'none'}"
    )
    return bool(wrong or late)


if __name__ == "__main__":
    sys.exit(main())
