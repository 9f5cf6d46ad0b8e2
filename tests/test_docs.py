"""The figures of the pages are those of the records, and every block of every page runs.

A comment before a block, which no reader sees, is a mark: ``<!-- continues -->`` from the
block before, ``<!-- needs: sklearn, onnx -->`` packages, ``<!-- not run: why -->``.  A block
that begins with a docstring as "name.py: what it is" is that file, which commands may call.
"""

import contextlib
import importlib.util
import io
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import formats
import numpy as np
import pytest

import bpnet
from bpnet import cli, reference

TOP = Path(__file__).resolve().parents[1]
TABLES = TOP / "bench" / "tables.py"
NETWORKS = TOP / "docs" / "networks.md"


@pytest.mark.skipif(not TABLES.exists(), reason="no bench/ beside the tests")
@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("README.md", [("epoch",), ("best", "best", ("tutorial", "best", "minute", "hour"))]),
        ("docs/training.md", [("keywords",), ("page", "larger")]),
        ("docs/initial-weights.md", [("page", "initial-weights")]),
        (
            "docs/a-minute.md",
            [
                ("best",),
                ("distort",),
                ("ahead",),
                ("page", "tried"),
                ("best", "fashion"),
                ("best", "few"),
            ],
        ),
        ("docs/overfitting.md", [("page", "overfitting")]),
        ("docs/pictures.md", [("page", "redrawn")]),
        ("docs/scikit-learn.md", [("estimators",)]),
        (
            "docs/how-many-neurons.md",
            [("page", "neurons"), ("race",), ("page", "search")],
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


# Every block of every page runs

# Those in Chinese have the code of their twins: test_translations.py.
PAGES = sorted([*set(TOP.glob("*.md")) - {TOP / "README.zh.md"}, *TOP.glob("docs/*.md")])
# Lines before a block, which no reader sees.
MARK = re.compile(r"<!-- (continues|needs: (?P<needs>.+)|not run: (?P<reason>.+)|.+) -->")
FENCE = re.compile(r"```(?P<kind>\w*)\n(?P<text>.*?)```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n)+")
FILE = re.compile(r'"""(?P<name>\w+\.py): ')  # a block that says so is a file
COMMAND = re.compile(r"(?:\$ )?(bpnet|python \w+\.py)(?: .*)?")


class Block(NamedTuple):
    """A block of code, and what the marks before it say."""

    page: Path
    line: int
    kind: str
    text: str
    continues: bool
    needs: list
    reason: str | None  # not to run it

    def __str__(self):
        return f"{self.page.relative_to(TOP)}:{self.line}"

    @property
    def lacks(self):
        """What is missing for it to run, in words; nothing if it can."""
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return self.reason or ", ".join(f"no {name}" for name in missing)

    @property
    def commands(self):
        """The lines that call bpnet, or a file of the page, as lists of words."""
        lines = [line for line in self.text.splitlines() if COMMAND.fullmatch(line)]
        return [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]


def blocks_of(page):
    """Return the blocks of a page, fenced or indented, in order."""
    text = page.read_text(encoding="utf-8")
    fenced = [(each.start(), each["kind"], each["text"]) for each in FENCE.finditer(text)]
    prose = FENCE.sub(lambda each: re.sub(r".", " ", each[0]), text)  # as long as the text
    indented = [
        (each.start(), "console", textwrap.dedent(each[0]))
        for each in INDENTED.finditer(prose)
        if each[0].strip()
    ]
    return [
        Block(page, text.count("\n", 0, start) + 1, kind, code, *marks(text[:start]))
        for start, kind, code in sorted(fenced + indented)
    ]


def marks(before):
    """Return what the marks say that stand last in a text."""
    continues, needs, reason = False, [], None
    for line in filter(None, reversed(before.split("\n"))):
        if not (mark := MARK.fullmatch(line)):
            break
        continues |= mark[1] == "continues"
        needs += re.split(r",\s*", mark["needs"] or "")
        reason = reason or mark["reason"]
    return continues, [name for name in needs if name], reason


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
CONSOLE = [block for block in BLOCKS if block.kind != "python" and block.commands]


def chains():
    """Return the lists of blocks of Python that run one after the other, a page at a time."""
    found = []
    for block in BLOCKS:
        if block.kind == "python" and block.continues:
            assert found and found[-1][0].page == block.page, f"{block} continues nothing"
            found[-1].append(block)
        elif block.kind == "python":
            found.append([block])
    return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return a folder of the files that the pages name."""
    folder = tmp_path_factory.mktemp("pages")
    formats.write_digits(folder)
    formats.write_digits(folder / "mnist")
    table = (TOP / "examples" / "iris.csv").read_text(encoding="utf-8")
    asked = re.sub(r",\w+$", "", table, flags=re.MULTILINE)
    formats.write(
        folder,
        {name: table.encode() for name in ("iris.csv", "more.csv")}
        | {"new.csv": asked.encode()},
    )
    images, labels = formats.digits(200)
    x = images.reshape(-1, 784).astype(np.float32) / 256
    names = ("X", "y") if (folder / "IRIS.CSV").exists() else ("X", "x", "y")
    for name in names:
        np.save(folder / f"{name}.npy", labels.astype(np.int64) if name == "y" else x)
    for name, n in (("training", 150), ("validation", 50)):
        bpnet.Dataset((x[:n], labels[:n]), dtype="float32").save(folder / f"{name}.bpd")
    net = bpnet.Network([784, 12, 10], seed=1)
    net.SGD((x, labels), 5, 10, 3.0, verbose=False)
    net.save(folder / "digits.npz")
    if importlib.util.find_spec("PIL"):
        from PIL import Image

        for name in ("seven.jpg", "image.png"):
            Image.fromarray(255 - images[7]).resize((280, 280)).save(folder / name)
    return folder


@pytest.fixture
def run(prepared, tmp_path):
    """Return what runs Python's arguments in a folder of its own, where a page's files are."""
    folder = shutil.copytree(prepared, tmp_path / "folder")

    def run(page, *arguments):
        for block in BLOCKS:
            if block.page == page and (named := FILE.match(block.text)):
                (folder / named["name"]).write_text(block.text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, "BPNET_DATA": "mnist", "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Warning" not in re.sub(NOT_BPNETS, "", done.stderr)

    return run


# What scikit-learn says of settings that a page chose to be quick, and Optuna of itself.
NOT_BPNETS = r"(Convergence|Experimental)Warning"

with_pages = pytest.mark.skipif(not NETWORKS.exists(), reason="no docs/ beside the tests")


@with_pages
def test_no_block_is_overlooked():
    for page in PAGES:
        text, found = page.read_text(encoding="utf-8"), blocks_of(page)
        assert len(re.findall("^```python", text, re.MULTILINE)) == len(
            [block for block in found if block.kind == "python"]
        )
        lines = re.findall(r"^(?: {4}|\$ )bpnet [a-z].*", text, re.MULTILINE)
        commands = [
            each for block in found if block.kind != "python" for each in block.commands
        ]
        assert len(lines) <= len(commands), page


@with_pages
@pytest.mark.parametrize("chain", chains(), ids=lambda chain: str(chain[0]))
def test_every_block_runs_by_itself_or_after_those_that_it_continues(chain, run):
    able = [*itertools.takewhile(lambda block: not block.lacks, chain)]
    if named := FILE.match(chain[0].text):
        run(chain[0].page, "-c", f"import {named['name'].removesuffix('.py')}")
    elif able:
        run(chain[0].page, "-c", "\n".join(block.text for block in able))
    if len(able) < len(chain):
        pytest.skip(f"{chain[len(able)]}: {chain[len(able)].lacks}")


@with_pages
@pytest.mark.parametrize("block", CONSOLE, ids=str)
def test_every_command_of_a_page_runs(block, run):
    if block.lacks:
        pytest.skip(block.lacks)
    for program, *arguments in block.commands:
        run(block.page, *(["-m", "bpnet"] if program == "bpnet" else []), *arguments)


@with_pages
def test_the_commands_in_sentences_and_their_options_exist():
    helped = {}
    for page in PAGES:
        text = FENCE.sub("", page.read_text(encoding="utf-8"))
        for code in re.findall(r"`(bpnet [a-z][^`]*)`", text):
            name = code.split()[1]
            if name not in helped:
                with contextlib.redirect_stdout(io.StringIO()) as printed:
                    with pytest.raises(SystemExit) as ended:
                        cli.main([name, "--help"])
                helped[name] = printed.getvalue() if ended.value.code == 0 else ""
            assert helped[name], f"{page}: {code}"
            for option in re.findall(r"--[a-z][a-z-]*", code):
                assert option in helped[name], f"{page}: {code}"
    assert len(helped) > 5


@with_pages
def test_the_networks_page_names_every_row_of_the_tables_and_every_parameter():
    text = NETWORKS.read_text()
    values = {(name, float(v)) for name, v in re.findall(r"`(\w+)=([\d.e-]+)`", text)}
    for name in (*reference.ACTIVATIONS, *reference.OUTPUTS, *reference.RULES):
        assert f"`{name}`" in text
    for name in reference.RULES:
        assert values >= set(bpnet.Rule(name).parameters.items())
