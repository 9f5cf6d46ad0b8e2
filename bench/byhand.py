"""How long are the network's methods when a script calls them one at a time?

784-30-10, on examples of MNIST as ``load_data_wrapper`` gives them: bpnet, the book's own text,
the work in C that each call of bpnet's does, which begins with loading the parameters and ends
with storing them, and that work on parameters that are loaded already.  The data are there
already in both.  What bpnet takes longer is checking and packing.
"""

import statistics

import numpy as np
import original
from harness import alternate, options, report, summary

import bpcore
from bpnet import Network, mnist_loader

SIZES = [784, 30, 10]
CALLS = {"feedforward": 300, "backprop": 300, "update 1": 300, "update 10": 100, "evaluate": 1}


def main():
    arguments = options(__doc__).parse_args()
    training_data, _, test_data = mnist_loader.load_data_wrapper(arguments.data)
    np.random.seed(1)
    contestants, counts = {}, {}
    for system, dtype, net in (
        ("original", "float64", original.Network(SIZES)),
        ("bpnet", "float64", Network(SIZES, seed=1)),
        ("bpnet", "float32", Network(SIZES, seed=1, dtype=np.float32)),
        ("C work", "float64", None),
        ("C work", "float32", None),
        ("C work, loaded", "float64", None),
        ("C work, loaded", "float32", None),
    ):
        if net is None:
            methods = core_methods(dtype, training_data, test_data, system == "C work")
        else:
            methods = api_methods(net, training_data, test_data)
        for method, call in methods.items():
            contestants[method, system, dtype] = repeated(call, CALLS[method])
            counts[system, dtype] = methods["evaluate"]
    seconds = alternate(contestants, arguments.turns)
    each = {name: [s / CALLS[name[0]] for s in runs] for name, runs in seconds.items()}
    rows = []
    for name in sorted(each, key=lambda name: list(CALLS).index(name[0])):
        method, system, dtype = name
        base = statistics.median(each[method, "original", "float64"])
        work = statistics.median(each.get((method, "C work", dtype), [base]))
        rows.append(
            {
                "method": method,
                "system": system,
                "dtype": dtype,
                **summary(each[name], "microseconds", unit=1e-6),
                "the original takes": base / statistics.median(each[name]),
                "times the C work": statistics.median(each[name]) / work,
                "evaluate, %": 100 * counts[system, dtype]() / len(test_data),
            }
        )
    report(
        f"Methods called by hand, 784-30-10: one example, a mini-batch of 1 and of 10, and "
        f"{len(test_data)} to evaluate; accuracy after the updates",
        rows,
        arguments.save,
        threads=1,
        turns=arguments.turns,
    )


def repeated(call, times):
    def run():
        for _ in range(times):
            call()

    return run


def api_methods(net, training_data, test_data):
    """Return {method: call} for a network with the book's methods."""
    x, y = training_data[0]
    return {
        "feedforward": lambda: net.feedforward(x),
        "backprop": lambda: net.backprop(x, y),
        "update 1": lambda: net.update_mini_batch(training_data[:1], 3.0),
        "update 10": lambda: net.update_mini_batch(training_data[:10], 3.0),
        "evaluate": lambda: net.evaluate(test_data),
    }


def core_methods(dtype, training_data, test_data, exchange):
    """Return {method: call} for bpcore; with exchange, parameters go in and out each time."""
    engine = bpcore.engine(np.dtype(dtype))
    start = Network(SIZES, seed=1, dtype=dtype)
    net = bpcore.Net(engine, SIZES, 32)
    net.load(start.biases, start.weights)

    def examples(n):
        x, y = (np.array(part, dtype).reshape(n, -1) for part in zip(*training_data[:n]))
        return bpcore.pack(engine, x, SIZES[-1], y=y), bpcore.Order(n), n, 3.0

    x = np.array([x for x, _ in test_data], dtype).reshape(len(test_data), -1)
    labels = np.array([label for _, label in test_data], np.int64)
    test = bpcore.pack(engine, x, SIZES[-1], labels=labels)
    one, ten = examples(1), examples(10)
    methods = {  # backprop stores its gradient itself
        "feedforward": lambda: net.feedforward(one[0]),
        "backprop": lambda: net.backprop(one[0]),
        "update 1": lambda: net.sgd(*one),
        "update 10": lambda: net.sgd(*ten),
        "evaluate": lambda: net.evaluate(test),
    }
    if not exchange:
        return methods

    def exchanging(method):
        biases, weights = start.biases, start.weights

        def call():
            nonlocal biases, weights
            net.load(biases, weights)
            result = methods[method]()
            if method.startswith("update"):
                biases, weights = net.store()
            return result

        return call

    return {method: exchanging(method) for method in methods}


if __name__ == "__main__":
    main()
