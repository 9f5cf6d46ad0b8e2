"""What docs/how-many-neurons.md says of Optuna runs, and does what it says."""

import re
from pathlib import Path

import numpy as np
import pytest

import bpnet

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-many-neurons.md"


@pytest.mark.skipif(not PAGE.exists(), reason="no docs/ beside the tests")
@pytest.mark.filterwarnings("ignore")  # Optuna's, of what it deprecates
def test_optuna_reports_every_epoch_and_prunes(monkeypatch):
    optuna = pytest.importorskip("optuna")
    section = PAGE.read_text().split("\n## With Optuna\n")[1]
    (block,) = re.findall(r"```python\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    draw = np.random.RandomState(0)
    labels = np.arange(300) % 10
    inputs = draw.rand(10, 784)[labels] + draw.randn(300, 784)
    parts = (inputs[:200], labels[:200]), (inputs[200:], labels[200:]), (inputs, labels)
    monkeypatch.setattr(bpnet.mnist_loader, "load_data", lambda: parts)
    names = {}
    exec(block, names)
    study = names["study"]
    states = optuna.trial.TrialState
    reported = {state: [] for state in states}
    for trial in study.trials:
        reported[trial.state].append([*trial.intermediate_values.values()])
    complete, pruned = reported[states.COMPLETE], reported[states.PRUNED]
    assert len(complete) + len(pruned) == len(study.trials) == 27
    assert complete and {len(accuracies) for accuracies in complete} == {9}
    assert pruned and {len(accuracies) for accuracies in pruned} <= {*range(1, 9)}
    assert study.best_value == max(accuracies[-1] for accuracies in complete)
