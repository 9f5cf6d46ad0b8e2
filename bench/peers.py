"""How long is an epoch of the tutorial's job in bpnet and in other systems, on one thread?

784-30-10, mini-batch 10, eta 3.0, in float32 and float64; an epoch is the training and the
evaluation on the test set.  All train on the same arrays and, but for scikit-learn, from the
same start, in one process that is bound to one CPU.  Of the epochs in each turn the first is
not counted: bpnet packs its data there, and each brings its own data into the caches.

scikit-learn has no squared loss for a classifier: on one-hot targets its outputs are sigmoids
and its loss the cross-entropy, at the eta of 0.5 that the book uses with it in chapter 3.
"""

import importlib.metadata
import importlib.util
import statistics

import contestants
import numpy as np
from harness import alternate, one_thread, options, report, summary

from bpnet import mnist_loader

EPOCHS = 3  # in each turn, the first of them not counted


def main():
    parser = options(__doc__)
    parser.add_argument("--only", nargs="*", metavar="SYSTEM", help="with bpnet (default: all)")
    arguments = parser.parse_args()
    one_thread()
    (x, y), _, (test_x, labels) = arrays(arguments.data)
    makers = {
        "bpnet": None,
        "C loop over OpenBLAS": contestants.openblas_loop,
        "NumPy, whole mini-batches": contestants.numpy_batches,
        "JAX, the epoch one scan": needs("jax", jax_scan),
        "PyTorch, eager": needs("torch", torch_eager),
        "scikit-learn MLPClassifier": needs("sklearn", sklearn_classifier),
    }
    jobs, found = {}, {}
    for dtype in ("float32", "float64"):
        test = test_x.astype(dtype), labels
        jobs[dtype] = contestants.Job(
            [784, 30, 10], 10, 3.0, x.astype(dtype), y.astype(dtype), test
        )
    for system, maker in makers.items():
        only = ["bpnet", *(arguments.only or makers)]
        if not any(word in system for word in only):
            continue
        for dtype, job in jobs.items():
            if system == "bpnet":
                found[system, dtype] = contestants.bpnet_turns(job, EPOCHS)
            elif maker is not None and (contestant := maker(job)) is not None:
                found[system, dtype] = contestants.turns(job, EPOCHS, contestant)

    seconds = alternate({name: turn for name, (turn, _) in found.items()}, arguments.turns)
    counted = {name: [statistics.mean(s[1:]) for s in seconds[name]] for name in found}
    rows = [
        {
            "system": system,
            "dtype": dtype,
            "threads": 1,
            **summary(counted[system, dtype]),
            "times bpnet": statistics.median(counted[system, dtype])
            / statistics.median(counted["bpnet", dtype]),
            "accuracy, %": 100 * jobs[dtype].correct(feedforward) / len(labels),
        }
        for (system, dtype), (_, feedforward) in found.items()
    ]
    report(
        f"One epoch of 784-30-10, batch 10, on {len(x)} examples and evaluation on "
        f"{len(test_x)}; accuracy after {EPOCHS * (arguments.turns + 1)} epochs",
        rows,
        arguments.save,
        training_examples=len(x),
        turns=arguments.turns,
        **versions("scikit-learn", "torch", "jax"),
    )


def arrays(path=None):
    """Return (X, Y), (X, Y), (X, labels): MNIST's three sets as arrays of rows."""
    sets = []
    for examples in mnist_loader.load_data_wrapper(path):
        x = np.concatenate([x.ravel() for x, _ in examples]).reshape(len(examples), -1)
        sets.append((x, np.array([np.ravel(y) for _, y in examples]).squeeze()))
    return sets


def needs(package, maker):
    """Return maker, or None where the package is not installed."""
    if importlib.util.find_spec(package) is None:
        print(f"{package}: skipped, not installed")
        return None
    return maker


def versions(*packages):
    """Return {package: version} of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def sklearn_classifier(job):
    from sklearn.neural_network import MLPClassifier

    net = MLPClassifier(
        job.sizes[1:-1],
        activation="logistic",
        solver="sgd",
        batch_size=job.mini_batch_size,
        learning_rate_init=0.5,
        alpha=0,
        momentum=0,
        nesterovs_momentum=False,
        random_state=1,
    )
    y = job.y.astype(int)

    def train(order):  # it shuffles by itself
        net.partial_fit(job.x, y, classes=range(job.sizes[-1]))

    return train, net.predict_proba


def torch_eager(job):
    import torch

    torch.set_num_threads(1)
    modules = []
    for w, b in zip(job.net.weights, job.net.biases):
        linear = torch.nn.Linear(*w.shape[::-1])
        linear.weight = torch.nn.Parameter(torch.tensor(w))
        linear.bias = torch.nn.Parameter(torch.tensor(b.ravel()))
        modules += [linear, torch.nn.Sigmoid()]
    net = torch.nn.Sequential(*modules)
    loss = torch.nn.MSELoss(reduction="sum")
    optimizer = torch.optim.SGD(net.parameters(), lr=job.eta / job.mini_batch_size / 2)
    x, y = torch.from_numpy(job.x), torch.from_numpy(job.y)

    def train(order):
        for rows in torch.from_numpy(order).split(job.mini_batch_size):
            optimizer.zero_grad()
            loss(net(x[rows]), y[rows]).backward()
            optimizer.step()

    def feedforward(x):
        with torch.inference_mode():
            return net(torch.from_numpy(x)).numpy()

    return train, feedforward


def jax_scan(job):
    import jax

    jax.config.update("jax_enable_x64", True)
    weights, biases = job.start()
    state = jax.device_put(list(zip(weights, biases)))
    x, y = jax.device_put(job.x), jax.device_put(job.y)

    @jax.jit
    def forward(state, a):
        for w, b in state:
            a = jax.nn.sigmoid(a @ w.T + b)
        return a

    def cost(state, x, y):
        return ((forward(state, x) - y) ** 2).sum() / 2 / job.mini_batch_size

    def epoch(state, x, y, batches):
        def step(state, rows):
            nabla = jax.grad(cost)(state, x[rows], y[rows])
            return jax.tree.map(lambda p, g: p - job.eta * g, state, nabla), None

        return jax.lax.scan(step, state, batches)[0]

    compiled = jax.jit(epoch, donate_argnums=0)

    def train(order):
        nonlocal state
        batches = order.astype(np.int32).reshape(-1, job.mini_batch_size)
        state = jax.block_until_ready(compiled(state, x, y, batches))

    return train, lambda x: np.asarray(forward(state, x))


if __name__ == "__main__":
    main()
