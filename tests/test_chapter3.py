"""Programs of chapter 3, as readers write them: what they write to files, and how it looks."""

import gzip
import json
import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest

DEADLINE = 60  # seconds for a child process, which needs one or two
N_TRAINING, N_VALIDATION, N_TEST = 500, 100, 200


def idx(array):
    return (
        struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()
    )


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """A folder of IDX files: ten random drawings, of which each image keeps a part, in noise.

    So one look at an image tells little, and some hundreds tell much.
    """
    folder, draw = tmp_path_factory.mktemp("mnist"), np.random.RandomState(0)
    drawings = draw.rand(10, 28, 28) < 0.2
    for name, n in (("train", N_TRAINING + N_VALIDATION), ("t10k", N_TEST)):
        labels = draw.randint(10, size=n).astype(np.uint8)
        seen = drawings[labels] & (draw.rand(n, 28, 28) < 0.3)
        noise = draw.rand(n, 28, 28) < 0.06
        images = ((seen | noise) * draw.randint(128, 256, size=(n, 28, 28))).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
    return str(folder)


def run(program, folder, mnist, *arguments):
    """Run a program in a folder, and return the lines that it prints."""
    (folder / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "program.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        cwd=folder,
        env=os.environ | {"BPNET_DATA": mnist},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def read(path):
    return json.loads(path.read_text())


def falls(values):
    """Whether the last third of a curve is below all of its first third."""
    third = len(values) // 3
    return max(values[-third:]) < min(values[:third])


OVERFITTING = """
import bpnet.dropin
import json
import random
import sys

import mnist_loader
import network2
import numpy as np

filename, num_epochs, lmbda = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])


def run_network(filename, num_epochs, training_set_size=300, lmbda=0.0):
    random.seed(12345678)
    np.random.seed(12345678)
    training_data, validation_data, test_data = mnist_loader.load_data_wrapper()
    net = network2.Network([784, 30, 10], cost=network2.CrossEntropyCost())
    net.large_weight_initializer()
    test_cost, test_accuracy, training_cost, training_accuracy = net.SGD(
        training_data[:training_set_size], num_epochs, 10, 0.5,
        evaluation_data=test_data, lmbda=lmbda,
        monitor_evaluation_cost=True, monitor_evaluation_accuracy=True,
        monitor_training_cost=True, monitor_training_accuracy=True)
    with open(filename, "w") as f:
        json.dump([test_cost, test_accuracy, training_cost, training_accuracy], f)


def summarize(filename):
    with open(filename) as f:
        test_cost, test_accuracy, training_cost, training_accuracy = json.load(f)
    percent = [accuracy / 2.0 for accuracy in test_accuracy[num_epochs // 2:]]
    print("Best of the second half: %.1f %%" % max(percent))
    print("Training cost from epoch 1 on:", np.array(training_cost[1:]).max())


run_network(filename, num_epochs, lmbda=lmbda)
summarize(filename)
"""


def test_the_overfitting_program_writes_its_four_curves(mnist, tmp_path):
    """All it was trained on is learned; regularised, it knows more of the test data."""
    epochs, curves = 30, []
    for lmbda in (0.0, 1.0):
        lines = run(OVERFITTING, tmp_path, mnist, "curves.json", epochs, lmbda)
        curves.append(read(tmp_path / "curves.json"))
        test_cost, test_accuracy, training_cost, training_accuracy = curves[-1]
        assert [len(curve) for curve in curves[-1]] == [epochs] * 4
        assert {type(v) for v in test_cost + training_cost} == {float}
        assert {type(v) for v in test_accuracy + training_accuracy} == {int}
        assert falls(training_cost)
        assert training_accuracy[0] < 150 and training_accuracy[-1] > 290
        assert test_accuracy[-1] > test_accuracy[0] + 50

        # The book's lines, in its order; the file holds what was printed.
        assert lines[:6] == [
            "Epoch 0 training complete",
            f"Cost on training data: {training_cost[0]}",
            f"Accuracy on training data: {training_accuracy[0]} / 300",
            f"Cost on evaluation data: {test_cost[0]}",
            f"Accuracy on evaluation data: {test_accuracy[0]} / {N_TEST}",
            "",
        ]
        assert [line for line in lines if line.startswith("Epoch")] == [
            f"Epoch {epoch} training complete" for epoch in range(epochs)
        ]
        assert lines[-2] == f"Best of the second half: {max(test_accuracy[15:]) / 2:.1f} %"
    # From the same weights, the sum of whose squares, 24,000 or so at first, is a cost.
    plain, regularised = curves
    assert regularised[2][0] > plain[2][0] + 10
    assert falls(regularised[0])
    assert plain[1][-1] + 20 < regularised[1][-1]
    assert plain[1][-1] / N_TEST < 0.9 < 0.96 < plain[3][-1] / 300  # it has overfitted


WEIGHT_INITIALIZATION = """
import bpnet.dropin
import json
import random

import mnist_loader
import network2
import numpy as np


def main(filename, n, eta):
    random.seed(12345678)
    np.random.seed(12345678)
    training_data, validation_data, test_data = mnist_loader.load_data_wrapper()
    net = network2.Network([784, n, 10], cost=network2.CrossEntropyCost)
    print("Train the network using the default starting weights.")
    default_vc, default_va, default_tc, default_ta = net.SGD(
        training_data, 8, 10, eta, lmbda=0.1,
        evaluation_data=validation_data, monitor_evaluation_accuracy=True)
    print("Train the network using the large starting weights.")
    net.large_weight_initializer()
    large_vc, large_va, large_tc, large_ta = net.SGD(
        training_data, 8, 10, eta, lmbda=0.1,
        evaluation_data=validation_data, monitor_evaluation_accuracy=True)
    with open(filename, "w") as f:
        json.dump({"default_weight_initialization":
                   [default_vc, default_va, default_tc, default_ta],
                   "large_weight_initialization":
                   [large_vc, large_va, large_tc, large_ta]}, f)


if __name__ == "__main__":
    main("weights.json", 30, 0.1)
"""


def test_the_initialisation_program_shows_that_large_weights_start_worse(mnist, tmp_path):
    lines = run(WEIGHT_INITIALIZATION, tmp_path, mnist)
    results = read(tmp_path / "weights.json")
    assert sorted(results) == ["default_weight_initialization", "large_weight_initialization"]
    default, large = results.values()
    for curves in (default, large):
        assert [len(curve) for curve in curves] == [0, 8, 0, 0]
        assert curves[1][0] < 50 and curves[1][-1] > curves[1][0] + 10
    assert sum(default[1][:4]) > 1.5 * sum(large[1][:4])
    assert default[1][-1] > large[1][-1] + 30
    found = [
        int(line.split()[4])
        for line in lines
        if re.fullmatch(rf"Accuracy on evaluation data: \d+ / {N_VALIDATION}", line)
    ]
    assert found == default[1] + large[1]
    assert lines[0] == "Train the network using the default starting weights."
    assert lines[1 + 8 * 3] == "Train the network using the large starting weights."


MULTIPLE_ETA = """
import bpnet.dropin
import json
import random

import mnist_loader
import network2
import numpy as np

LEARNING_RATES = [0.025, 0.25, 2.5]
NUM_EPOCHS = 9

random.seed(12345678)
np.random.seed(12345678)
training_data, validation_data, test_data = mnist_loader.load_data_wrapper()
results = []
for eta in LEARNING_RATES:
    print("\\nTrain a network using eta = " + str(eta))
    net = network2.Network([784, 30, 10])
    results.append(net.SGD(training_data, NUM_EPOCHS, 10, eta, lmbda=5.0,
                           evaluation_data=validation_data,
                           monitor_training_cost=True))
with open("multiple_eta.json", "w") as f:
    json.dump(results, f)
with open("multiple_eta.json") as f:
    for eta, (_, _, training_cost, _) in zip(LEARNING_RATES, json.load(f)):
        print(eta, len(training_cost), training_cost[-1])
"""


def test_the_learning_rate_program_shows_a_slow_a_good_and_a_wild_one(mnist, tmp_path):
    lines = run(MULTIPLE_ETA, tmp_path, mnist)
    results = read(tmp_path / "multiple_eta.json")
    assert [[len(curve) for curve in curves] for curves in results] == [[0, 0, 9, 0]] * 3
    slow, good, wild = (curves[2] for curves in results)
    assert falls(slow) and falls(good)
    assert good[0] < slow[0] and good[-1] < slow[-1]
    assert max(np.diff(good)) < 0 < max(np.diff(wild))  # up and down
    assert wild[0] < good[0]
    assert lines[-3:] == [
        f"{eta} 9 {costs[-1]}" for eta, costs in zip([0.025, 0.25, 2.5], (slow, good, wild))
    ]


@pytest.mark.parametrize("program", [WEIGHT_INITIALIZATION, MULTIPLE_ETA])
def test_a_seeded_program_writes_the_same_file_again(program, mnist, tmp_path):
    written = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        run(program, tmp_path / name, mnist)
        written.append([path.read_bytes() for path in (tmp_path / name).glob("*.json")])
    assert written[0] == written[1] and len(written[0]) == 1
