"""The examples run, and leave what they say; the notebook from its first cell to its last."""

import http.server
import importlib.util
import io
import json
import os
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import NamedTuple

import formats
import numpy as np
import pytest

import bpnet
from bpnet import pictures

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NOTEBOOK = EXAMPLES / "backpropagation.ipynb"


class Example(NamedTuple):
    """What a script prints, a part of it; the files it leaves; the packages it needs."""

    says: str
    leaves: tuple = ()
    needs: tuple = ()


SCRIPTS = {
    "five_lines.py": Example("it is a 0"),
    "custom_activation_and_cost.py": Example("backprop is right"),
    "tabular.py": Example("of 150 flowers are named rightly"),
    "search.py": Example("the smallest network", ("smallest.npz",)),
    "serving.py": Example("examples has shape (1, 700), expected (n, 784)"),
    "several_machines.py": Example("checksum ", ("training.bpd", "validation.bpd")),
    "scikit_learn.py": Example(
        "as predicted", ("curves.png", "eights.joblib"), ("sklearn", "matplotlib")
    ),
}

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="no examples/ beside the tests")


@pytest.fixture
def environment(tmp_path):
    """Return the variables of a process that finds small digits for MNIST."""
    mnist = formats.write_digits(tmp_path / "mnist")
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "BPNET_DATA": str(mnist)}


def test_every_example_is_tested_and_listed():
    elsewhere = {"data_parallel.py"}  # test_parallel.py
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert scripts == {*SCRIPTS} | elsewhere
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for name in scripts | {NOTEBOOK.name}:
        assert f"[{name}]({name})" in listed


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_runs_without_a_word_on_stderr(name, tmp_path, environment):
    example, folder = SCRIPTS[name], tmp_path / "folder"
    for package in example.needs:
        pytest.importorskip(package)
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert example.says in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == [*example.leaves]


@pytest.fixture
def notebook():
    """Return the notebook, of whose form nothing is known without its package."""
    return pytest.importorskip("nbformat").read(NOTEBOOK, as_version=4)


def test_the_notebook_is_kept_without_its_outputs(notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells and all((c.outputs, c.execution_count) == ([], None) for c in cells)


# In a process of its own: one that has imported Jupyter's kernel shows bars as a notebook does.
RUN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=300).execute()
nbformat.write(notebook, sys.argv[2])
"""


def test_the_notebook_runs(tmp_path, environment):
    nbformat = pytest.importorskip("nbformat")
    for package in ("nbclient", "ipykernel", "matplotlib"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"no {package}")
    ran = tmp_path / "ran.ipynb"
    command = [sys.executable, "-c", RUN, NOTEBOOK, ran]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=300)
    notebook = nbformat.read(ran, as_version=4)
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    assert sum("image/png" in each.get("data", {}) for each in outputs) == 5
    printed = "".join(each.get("text", "") for each in outputs)
    assert "backprop is right" in printed and "backprop is WRONG" in printed
    assert "False" not in printed  # the trace by hand


@pytest.mark.parametrize("body", ["a picture", "rows"])
def test_the_server_says_what_it_is_shown(body):
    serving = module("serving.py")
    images, labels = formats.digits(100)
    net = bpnet.MLP([784, 12, 10], seed=1)
    net.train((images.reshape(-1, 784) / 256, labels), 10, 10, 0.5)
    shown = [7] if body == "a picture" else range(20)
    if body == "a picture":
        image, stream = pytest.importorskip("PIL.Image"), io.BytesIO()
        image.fromarray(255 - images[7]).resize((280, 280)).save(stream, "png")
        sent = stream.getvalue()
        outputs = net.predict([pictures.digit(sent).ravel()])
    else:
        sent = json.dumps((images[:20].reshape(20, 784) / 256).tolist()).encode()
        outputs = net.predict(images[:20].reshape(20, 784) / 256)
    handler = serving.handler(net.predictor())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}", sent) as answer:
            said = json.load(answer)
        server.shutdown()
    assert said["labels"] == outputs.argmax(axis=1).tolist()
    assert len(said["outputs"]) == len(shown)
    assert np.abs(np.array(said["outputs"]) - outputs).max() <= 5.1e-5  # of four digits


def module(name):
    """Return an example as a module; nothing of it has run but definitions."""
    spec = importlib.util.spec_from_file_location(name.removesuffix(".py"), EXAMPLES / name)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
