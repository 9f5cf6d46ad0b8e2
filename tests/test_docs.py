"""The figures of the pages are those of the records."""

import importlib.util
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]
TABLES = TOP / "bench" / "tables.py"


@pytest.mark.skipif(not TABLES.exists(), reason="no bench/ beside the tests")
@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("README.md", [("epoch",), ("best",)]),
        ("docs/training.md", [("keywords",)]),
        ("docs/initial-weights.md", [("page", "initial-weights")]),
        ("docs/overfitting.md", [("page", "overfitting")]),
        ("docs/how-many-neurons.md", [("page", "neurons"), ("best",)]),
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
