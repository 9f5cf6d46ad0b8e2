"""How long does a network that is kept ready take to answer, beside onnxruntime and NumPy?

1 to 10,000 rows of 784 inputs, 784-30-10 and 784-512-512-10, float32, one thread each, the same
network: bpnet's Predictor, onnxruntime with its exported file, whole rows in NumPy.
"""

import os
import statistics
import tempfile

import numpy as np
from harness import alternate, one_thread, options, report, summary

import bpnet
from bpnet import onnx

NETWORKS = ([784, 30, 10], [784, 512, 512, 10])
ROWS = (1, 10, 100, 1000, 10000)


def main():
    import onnxruntime

    arguments = options(__doc__, turns=15).parse_args()
    one_thread()
    rows = []
    for sizes in NETWORKS:
        net = bpnet.Network(sizes, seed=1, dtype="float32")
        ready = {
            "bpnet": net.predictor(),
            "onnxruntime": session(onnxruntime, net),
            "NumPy": whole_rows(net),
        }
        for n in ROWS:
            x = np.random.RandomState(0).rand(n, sizes[0]).astype(np.float32)
            answers = {name: answer(x) for name, answer in ready.items()}
            times = max(1, 1000 // n)
            seconds = alternate(
                {name: lambda f=f: repeated(f, x, times) for name, f in ready.items()},  # noqa: B023
                arguments.turns,
            )
            mine = statistics.median(seconds["bpnet"])
            for name in ready:
                rows.append(
                    {
                        "network": "-".join(map(str, sizes)),
                        "rows": n,
                        "system": name,
                        **summary(seconds[name], "call, us", times * 1e-6),
                        "times bpnet": statistics.median(seconds[name]) / mine,
                        "differs by": float(abs(answers[name] - answers["bpnet"]).max()),
                    }
                )
    report(
        "answers of a network that is kept ready, float32, one thread",
        rows,
        arguments.save,
        onnxruntime=onnxruntime.__version__,
    )


def session(onnxruntime, net):
    """Return a function of rows: onnxruntime's answers."""
    told = onnxruntime.SessionOptions()
    told.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.onnx")
        onnx.export(net, path)
        ready = onnxruntime.InferenceSession(path, told, ["CPUExecutionProvider"])
    return lambda x: ready.run(["probabilities"], {"X": x})[0]


def whole_rows(net):
    """Return a function of rows: NumPy's answers."""
    layers = [(b.ravel(), np.ascontiguousarray(w.T)) for b, w in zip(net.biases, net.weights)]

    def answer(a):
        for b, w in layers:
            a = 1 / (1 + np.exp(-(a @ w + b)))
        return a

    return answer


def repeated(answer, x, times):
    for _ in range(times):
        answer(x)


if __name__ == "__main__":
    main()
