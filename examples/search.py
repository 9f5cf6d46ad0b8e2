"""How many neurons?  A search trains many networks a little, and the best of them on and on.

    pip install bpnet
    python examples/search.py

It takes all processors; docs/how-many-neurons.md says more.
"""

from bpnet import mnist_loader, search


def main():
    """Search on the first 3,000 digits, and see what the answer does on test digits."""
    (X, labels), validation, test = mnist_loader.load_data()
    found = search.run(
        ((X[:3000], labels[:3000]), validation),
        hidden=[(), (10,), (30,), (100,), (30, 30)],
        eta=search.log(0.1, 2),
        settings=12,
        epochs=9,
    )
    print(found)
    net = found.smallest  # as good as the best, but for the luck of a seed
    print(f"{'-'.join(map(str, net.sizes))}: {net.count(test)} of {len(test[1])} test digits")
    net.save("smallest.npz")


if __name__ == "__main__":
    main()
