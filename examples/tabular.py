"""A table: which iris is it?  And how sure is a network of flowers that it has not seen?

    pip install bpnet
    python examples/tabular.py

One network, trained and saved by one command: bpnet train examples/iris.csv --save iris.npz
"""

import pathlib

import numpy as np

import bpnet


def answers(X, labels, training, asked):
    """Return the probabilities that a network, trained on some rows, gives for others."""
    mean, deviation = X[training].mean(axis=0), X[training].std(axis=0)
    rows = (X - mean) / deviation  # so that each column counts alike
    net = bpnet.MLP([X.shape[1], 16, 3], hidden="tanh", output="log-likelihood", seed=1)
    net.train(
        (rows[training], labels[training]),
        100,
        10,
        lambda epoch: 0.01 * (1 - epoch / 100),
        rule="adam",
        lmbda=0.1,
    )
    return net.predict(rows[asked])


def main():
    """Ask five networks, each of the fifth of the flowers that it was not trained on."""
    table = bpnet.table.read(str(pathlib.Path(__file__).with_name("iris.csv")))
    n, names = len(table.x), table.classes
    shares = np.empty((n, len(names)))
    for asked in np.array_split(np.random.RandomState(1).permutation(n), 5):
        training = np.setdiff1d(np.arange(n), asked)
        shares[asked] = answers(table.x, table.y, training, asked)
    right = shares.argmax(axis=1) == table.y
    print(f"{right.sum()} of {n} flowers are named rightly; least sure are these:\n")
    print(f"{'line':>4}  {'it is':12}" + "".join(f"{name:>12}" for name in names))
    for i in shares.max(axis=1).argsort()[:10]:
        told = "".join(f"{share:12.1%}" for share in shares[i])
        print(f"{i + 2:4}  {names[table.y[i]]:12}{told}{'' if right[i] else '  wrong'}")


if __name__ == "__main__":
    main()
