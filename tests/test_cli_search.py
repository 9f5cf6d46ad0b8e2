"""``bpnet search``: from a shell to a network that one should take."""

import json

import numpy as np
import pytest
from formats import idx_files, write

import bpnet
from bpnet import cli, search

QUICK = ["--epochs", "4", "--seeds", "2", "--threads", "2"]


@pytest.fixture
def table(tmp_path):
    """Return a CSV file in which the kind follows from a and b."""
    random = np.random.RandomState(0)
    rows = random.uniform(-3, 5, (240, 2)).round(3)
    kinds = np.where(rows.prod(axis=1) > 0, "same", "other")
    lines = [f"{a},{b},{kind}" for (a, b), kind in zip(rows, kinds)]
    path = tmp_path / "signs.csv"
    path.write_text("\n".join(["a,b,kind", *lines]) + "\n")
    return path


def run(*arguments):
    return cli.main(["search", *map(str, arguments)])


def test_a_table_leads_to_a_network_for_it(table, tmp_path, capsys):
    saved, log, plotted = (tmp_path / name for name in ("net.npz", "log.jsonl", "found.png"))
    pytest.importorskip("matplotlib")
    arguments = [
        *(table, "--eta", "0.1:2", "--hidden", "0", "--hidden", "8", "--settings", 6),
        *("--save", saved, "--log", log, "--plot", plotted, "--seeds", 2),
    ]
    assert run(*arguments) == 0
    printed = capsys.readouterr().out
    assert "6 settings" in printed and f"saved {saved}" in printed
    assert plotted.read_bytes().startswith(b"\x89PNG")
    assert len(log.read_text().splitlines()) > 6
    net = bpnet.load(saved)
    row = net.notes["search"]
    assert net.sizes == [2, *row["hidden"], 2] and row["epochs"] == 250
    assert cli.main(["evaluate", str(saved), str(table)]) == 0
    accuracy = float(capsys.readouterr().out.split()[1])
    assert accuracy > 85  # no network without a hidden layer: a product has no linear sign
    new = tmp_path / "new.csv"
    new.write_text("b,a\n2,2\n-2,2\n")
    assert cli.main(["predict", str(saved), str(new)]) == 0
    answers = capsys.readouterr().out
    assert "same" in answers.splitlines()[0] and "other" in answers.splitlines()[1]


def test_a_search_goes_on_from_its_log(table, tmp_path, capsys):
    log = tmp_path / "log.jsonl"
    assert run(table, "--log", log, *QUICK) == 0
    content = log.read_bytes()
    first = capsys.readouterr().out.splitlines()
    assert run(table, "--log", log, *QUICK) == 0
    again = capsys.readouterr().out.splitlines()
    assert log.read_bytes() == content and first[2:] == again[2:]  # but for the seconds


def test_a_dataset_and_mnist_are_searched(table, tmp_path, capsys):
    packed = tmp_path / "signs.bpd"
    assert cli.main(["pack", str(table), str(packed)]) == 0
    capsys.readouterr()
    assert run(table, *QUICK) == run(packed, *QUICK) == 0
    one, other = capsys.readouterr().out.split("6 settings until")[1:]
    assert [line.split("  ")[:3] for line in one.splitlines()[3:8]] == [
        line.split("  ")[:3] for line in other.splitlines()[3:8]
    ]
    write(tmp_path / "mnist", idx_files())
    assert run("--data", tmp_path / "mnist", "--hidden", 3, "--epochs", 1, "--seeds", 1) == 0
    assert "test digits" in capsys.readouterr().out


OPTIONS = {
    ("--hidden", "30"): {"hidden": [(30,)]},
    ("--hidden", "0", "--hidden", "30,20"): {"hidden": [(), (30, 20)]},
    ("--hidden", "2:50"): {"hidden": search.upto(2, 50)},
    ("--eta", "0.1,0.5"): {"eta": [0.1, 0.5]},
    ("--eta", "0.1:1"): {"eta": search.log(0.1, 1)},
    ("--mini-batch-size", "5,10"): {"mini_batch_size": [5, 10]},
    ("--mini-batch-size", "5:50"): {"mini_batch_size": search.upto(5, 50)},
    ("--rule", "adam", "--rule", "plain"): {"rule": ["adam", "plain"]},
    ("--activation", "tanh"): {"activation": ["tanh"]},
    ("--factor", "2", "--settings", "4", "--seed", "7"): {
        "factor": 2,
        "settings": 4,
        "seed": 7,
    },
}


@pytest.mark.parametrize("options", OPTIONS)
def test_an_option_is_an_argument(options, table, monkeypatch):
    asked = {}

    def searched(data, **given):
        asked.update(given)
        raise ValueError("that will do")

    monkeypatch.setattr(search, "run", searched)
    assert run(table, *options) == 1
    assert {name: asked[name] for name in OPTIONS[options]} == OPTIONS[options]


def test_ctrl_c_says_how_to_go_on(table, monkeypatch, capsys):
    def interrupted(data, **given):
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "run", interrupted)
    assert run(table) == run(table, "--log", "a.jsonl") == 130
    assert capsys.readouterr().err.splitlines() == [
        "bpnet: interrupted; --log FILE lets a search go on",
        "bpnet: interrupted; a.jsonl has what is trained: the same command goes on",
    ]


WRONG = {
    ("--eta", "2:1"): "low must be above 0 and below high",
    ("--eta", "fast"): "must be a number",
    ("--hidden", "2:9", "--hidden", "3"): "--hidden must be given once where it is a range",
    ("--hidden", "3.5"): "must be a number",
    ("--rule", "swift"): "rule must be one of",
    ("--epochs", "0"): "epochs must be at least 1",
    ("--save", "/no/such/folder/net.npz"): "--save must name a file",
    ("--eta", "1e30", "--activation", "relu"): "all settings diverged",
}


@pytest.mark.parametrize("options", WRONG)
def test_what_is_wrong_is_said(options, table, capsys):
    status = run(table, *options, *({"--epochs": ()}.get(options[0], QUICK)))
    assert status == (1 if options[0] == "--save" or "1e30" in options else 2)
    assert WRONG[options] in capsys.readouterr().err


def test_the_search_is_in_the_notes_of_what_is_saved(table, tmp_path):
    assert run(table, *QUICK, "--save", tmp_path / "net.npz") == 0
    notes = bpnet.load(tmp_path / "net.npz").notes
    assert notes["table"]["folded"] and json.dumps(notes["search"])
