"""The figures of the pages are those of the records; what the page of networks says runs."""

import importlib.util
import re
import warnings
from pathlib import Path

import pytest
from formats import idx_files, write

import bpnet
from bpnet import reference

TOP = Path(__file__).resolve().parents[1]
TABLES = TOP / "bench" / "tables.py"
NETWORKS = TOP / "docs" / "networks.md"


@pytest.mark.skipif(not TABLES.exists(), reason="no bench/ beside the tests")
@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("README.md", [("epoch",), ("best",)]),
        ("docs/training.md", [("keywords",), ("page", "larger")]),
        ("docs/initial-weights.md", [("page", "initial-weights")]),
        ("docs/overfitting.md", [("page", "overfitting")]),
        ("docs/pictures.md", [("page", "redrawn")]),
        ("docs/scikit-learn.md", [("estimators",)]),
        (
            "docs/how-many-neurons.md",
            [("page", "neurons"), ("race",), ("best",), ("page", "search")],
        ),
        (
            "docs/beyond-one-machine.md",
            [("page", "engines"), ("data_parallel",), ("data_parallel_beyond",)],
        ),
        (
            "docs/performance.md",
            [("epoch",), ("peers",), ("ladder", "ladder"), ("ladder", "ladder-random")],
        ),
    ],
)
def test_the_tables_of_a_page_are_those_that_the_records_give(page, names):
    spec = importlib.util.spec_from_file_location("tables", TABLES)
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    text = (TOP / page).read_text()
    for name, *arguments in names:
        assert "\n".join(getattr(tables, name)(*arguments)) in text


@pytest.mark.skipif(not NETWORKS.exists(), reason="no docs/ beside the tests")
@pytest.mark.parametrize(
    ("page", "needs"),
    [
        ("networks", []),
        ("data", []),
        ("scikit-learn", ["sklearn"]),
        ("onnx", ["onnxruntime", "skl2onnx", "sklearn"]),
        ("page", []),
    ],
)
def test_every_block_of_a_page_runs_by_itself(page, needs, tmp_path, monkeypatch):
    for name in needs:
        pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mnist", idx_files())
    monkeypatch.setenv("BPNET_DATA", str(tmp_path / "mnist"))
    text = (TOP / "docs" / f"{page}.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Stochastic Optimizer: Maximum iterations")
            exec(block, {})


@pytest.mark.skipif(not NETWORKS.exists(), reason="no docs/ beside the tests")
def test_the_networks_page_names_every_row_of_the_tables_and_every_parameter():
    text = NETWORKS.read_text()
    values = {(name, float(v)) for name, v in re.findall(r"`(\w+)=([\d.e-]+)`", text)}
    for name in (*reference.ACTIVATIONS, *reference.OUTPUTS, *reference.RULES):
        assert f"`{name}`" in text
    for name in reference.RULES:
        assert values >= set(bpnet.Rule(name).parameters.items())
