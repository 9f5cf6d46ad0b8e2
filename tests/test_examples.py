"""The examples run, and leave what they say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
WRITES = {"scikit_learn.py": ["curves.png", "eights.joblib"]}

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="no examples/ beside the tests")


def test_every_example_is_tested():
    elsewhere = {"data_parallel.py"}  # test_parallel.py
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*WRITES} | elsewhere


@pytest.mark.parametrize("name", WRITES)
def test_an_example_runs_without_a_word_on_stderr(name, tmp_path):
    for package in ("sklearn", "matplotlib"):
        pytest.importorskip(package)
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        cwd=tmp_path,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == WRITES[name]
