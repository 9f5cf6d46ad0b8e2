"""The text to edit: who follows the page trains with an edited copy of the reference."""

import os
import re
import subprocess
import sys
from pathlib import Path

import formats
import numpy as np
import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "drop-in.md"


def section():
    """Return the blocks of the section, [(language, text)], in order."""
    text = PAGE.read_text(encoding="utf-8").split("### A text of your own\n")[1]
    text = text.split("\n### ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)


def edited(text, diff):
    """Return a text in which lines are replaced as an editor's user does."""
    old, new = (
        "".join(line[1:] + "\n" for line in diff.splitlines() if line.startswith(sign))
        for sign in "-+"
    )
    assert text.count(old) == 1
    return text.replace(old, new)


@pytest.fixture
def folder(tmp_path):
    """Return a folder beside ten easy digits: d is a bright bar at row 2 d, in some noise."""
    draw, files = np.random.RandomState(0), {}
    for part, n in (("train", 600), ("t10k", 100)):
        labels = np.arange(n, dtype=np.uint8) % 10
        images = draw.randint(0, 60, (n, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels):
            image[2 * label + 3 : 2 * label + 6, 4:24] = draw.randint(150, 256)
        files[f"{part}-images-idx3-ubyte.gz"] = formats.idx(images)
        files[f"{part}-labels-idx1-ubyte.gz"] = formats.idx(labels)
    formats.write(tmp_path / "mnist", files)
    return tmp_path


def run(folder, script):
    """Return the accuracies that a script prints."""
    seeded = "import random, numpy; random.seed(1); numpy.random.seed(1)\n" + script
    done = subprocess.run(
        [sys.executable, "-c", seeded],
        cwd=folder,
        env={**os.environ, "BPNET_DATA": str(folder / "mnist"), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [int(right) / int(of) for right, of in re.findall(r": (\d+) / (\d+)", done.stdout)]


@pytest.mark.skipif(not PAGE.exists(), reason="no docs/ beside the tests")
def test_a_reader_trains_with_an_edited_copy_of_the_reference(folder):
    blocks = section()
    kinds = ["python", "python", "diff", "python", "diff", "python"]
    assert [kind for kind, _ in blocks] == kinds
    assigned, copying, tanh, training, cost, training_again = [text for _, text in blocks]
    assert len(run(folder, assigned)) == 1
    run(folder, copying)
    copied = folder / "mynetwork.py"
    plain = run(folder, training)
    for diff, script in ((tanh, training), (cost, f"{training}{training_again}")):
        copied.write_text(edited(copied.read_text(encoding="utf-8"), diff), encoding="utf-8")
        found = run(folder, script)
        assert len(found) == 5 * script.count(".SGD(")
        assert found[-1] > 0.5 and found[:5] != plain  # guessing is a tenth
    # The row of the tables that does the same.
    assert run(folder, f"{training}{THE_SAME}") == found[:5]


THE_SAME = """
from bpnet import network2
fast = network2.Network([784, 30, 10], hidden="tanh")
fast.biases, fast.weights = net.biases, net.weights
x = numpy.hstack([x for x, _ in test_data])
# 784 products and their sum: 784 eps (|w| |x|), which is below 1e-10
assert numpy.allclose(fast.feedforward(x), net.feedforward(x), rtol=0, atol=1e-9)
"""
