"""What helps a network that learns from distorted digits, and what does not?

One change at a time to 784-400-10 and 20 epochs; validation digits, means over seeds.
"""

import argparse

import numpy as np
from harness import report

import bpnet
from bpnet import mnist_loader

EPOCHS = 20
USUAL = {
    "hidden": (400,),
    "activation": "relu",
    "output": "cross-entropy",
    "m": 10,
    "eta": lambda share: 0.1 * (1 - share),  # share of the epochs that is over
    "rule": "plain",
    "lmbda": 0.0,
    "strength": lambda share: 1.0,
    "others": {},  # options of bpnet.distort
    "mean": 0,  # of the weights after so many last epochs
}
MOMENTUM, ADAM = bpnet.Rule("momentum", mu=0.9), "adam"
TRIED = {
    "as it is": {},
    "the digits as they are": {"strength": lambda share: 0.0},
    "the digits as they are, lmbda=2": {"strength": lambda share: 0.0, "lmbda": 2.0},
    "half as strong": {"strength": lambda share: 0.5},
    "one and a half times as strong": {"strength": lambda share: 1.5},
    "displacements alone": {"others": {"rotation": 0.0, "scale": 0.0, "shear": 0.0}},
    "no displacements": {"others": {"displacement": 0.0}},
    "and shifts of up to a pixel": {"others": {"shift": 1.0}},
    "displacements smoothed by 3 pixels": {"others": {"smoothness": 3.0}},
    "displacements smoothed by 8 pixels": {"others": {"smoothness": 8.0}},
    "the last two epochs not distorted": {"strength": lambda share: float(share < 0.9)},
    "less and less from the middle on": {"strength": lambda share: min(1.0, 2 - 2 * share)},
    "lmbda=1": {"lmbda": 1.0},
    "the mean of the last 5 epochs' weights": {"mean": 5},
    "a constant eta of 0.03, that mean": {"mean": 5, "eta": lambda share: 0.03},
    "an eta of 0.2": {"eta": lambda share: 0.2 * (1 - share)},
    "a cosine": {"eta": lambda share: 0.05 * (1 + np.cos(np.pi * share))},
    "momentum 0.9, mini-batches of 50": {"rule": MOMENTUM, "m": 50},
    "Adam, mini-batches of 50": {"rule": ADAM, "m": 50, "eta": lambda s: 0.001 * (1 - s)},
    "softmax outputs": {"output": "log-likelihood"},
    "sigmoid neurons, eta 0.5": {"activation": "sigmoid", "eta": lambda s: 0.5 * (1 - s)},
    "two layers of 200": {"hidden": (200, 200), "eta": lambda share: 0.05 * (1 - share)},
    "800 neurons": {"hidden": (800,)},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="from 1 on (default: 3)")
    parser.add_argument("--only", nargs="+", choices=TRIED, default=[*TRIED], metavar="WHAT")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    parser.add_argument("--data", help="where MNIST is (default: as the loader finds it)")
    arguments = parser.parse_args()
    training, validation, _ = mnist_loader.load_data(arguments.data)
    training = training[0].astype(np.float32), training[1]
    validation = bpnet.Dataset(validation, dtype=np.float32)
    rows = []
    for what in arguments.only:
        accuracies = [
            train({**USUAL, **TRIED[what]}, seed, training, validation)
            for seed in range(1, arguments.seeds + 1)
        ]
        rows.append(
            {
                "what": what,
                "validation, %": float(np.mean(accuracies)),
                "worst": min(accuracies),
                "best": max(accuracies),
            }
        )
        print(rows[-1], flush=True)
    report(
        f"784-400-10, {EPOCHS} epochs of distorted digits, seeds 1 to {arguments.seeds}",
        rows,
        arguments.save,
    )


def train(settings, seed, training, validation):
    """Return the validation accuracy in percent."""
    sizes = [training[0].shape[1], *settings["hidden"], int(training[1].max()) + 1]
    names = settings["activation"], settings["output"]
    net = bpnet.MLP(sizes, hidden=names[0], output=names[1], dtype=np.float32, seed=seed)
    usual = bpnet.distort.__kwdefaults__
    usual = {name: usual[name] for name in ("rotation", "scale", "shear", "displacement")}
    last = []

    def examples(epoch):
        strength = settings["strength"](epoch / EPOCHS)
        options = {name: strength * value for name, value in usual.items()} | settings["others"]
        x = bpnet.distort(training[0], seed=seed << 32 | epoch, n_threads=2, **options)
        return x, training[1]

    def keep(net, epoch):
        if epoch >= EPOCHS - settings["mean"]:
            last.append((net.biases, net.weights))

    net.train(
        examples,
        EPOCHS,
        settings["m"],
        lambda epoch: float(settings["eta"](epoch / EPOCHS)),
        rule=settings["rule"],
        lmbda=settings["lmbda"],
        validation_data=validation,
        callback=keep,
        n_threads=2,
        ahead=True,
    )
    if last:
        net.biases, net.weights = (
            [np.mean(each, axis=0, dtype=np.float64).astype(np.float32) for each in zip(*kind)]
            for kind in zip(*last)
        )
    return 100 * net.count(validation) / len(validation)


if __name__ == "__main__":
    main()
