"""The page of backpropagation: what it shows is printed, and what it points at is there."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from bpnet import network, network2, reference

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "backpropagation.md"
# Comments before a block: it goes on from the one above; its last digits are of rounding.
BLOCK = re.compile(
    r"((?:<!--[^\n]*-->\n)*)```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL
)
LINK = re.compile(r"\[`(\w+)`\]\(((?:\.\./)+src/[\w./]+)#L(\d+)\)")

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="no docs/ beside the tests")


@pytest.fixture
def sigmoids():
    """Restore what the page assigns, also where it fails in between."""
    yield
    for module in (network, network2):
        module.sigmoid, module.sigmoid_prime = reference.sigmoid, reference.sigmoid_prime


def comparable(output, marks):
    """Return an output without the lines whose digits are another machine's, too."""
    lines = output.split("\n")
    if "digits" in marks:
        return [line for line in lines if not re.match(r"largest error|  \w", line)]
    return lines


def test_the_page_shows_what_its_blocks_print(sigmoids):
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 15
    names = {}
    for marks, code, shown in blocks:
        names = names if "continues" in marks else {}
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(PAGE), "exec"), names)
        assert comparable(printed.getvalue(), marks) == comparable(shown, marks), code


def test_every_block_of_the_page_is_looked_at():
    assert len(BLOCK.findall(PAGE.read_text())) == PAGE.read_text().count("```python\n")


def pages():
    return [page for page in sorted(DOCS.rglob("*.md")) if LINK.search(page.read_text())]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(DOCS)))
def test_a_link_to_a_line_points_at_what_it_names(page):
    """If lines have moved: the assertion says to which number."""
    moved = []
    for name, path, line in LINK.findall(page.read_text()):
        lines = (page.parent / path).resolve().read_text().splitlines()
        there = [i for i, text in enumerate(lines, 1) if re.search(rf"\b{name}\b", text)]
        if int(line) not in there:
            moved.append(f"{path}#L{line} should be {name}, which is in the lines {there}")
    assert not moved


def test_the_page_says_where_each_equation_is():
    links = {(name, Path(path).name) for name, path, _ in LINK.findall(PAGE.read_text())}
    for equation in ("BP1", "BP2", "BP3", "BP4"):
        assert (equation, "reference.py") in links
    assert {("forward", "train.h"), ("backward", "train.h"), ("backprop", "train.h")} <= links


def test_what_is_done_by_hand_is_what_the_trace_prints():
    """The worked example: each number of it, digit by digit, is in the trace."""
    blocks = BLOCK.findall(PAGE.read_text())
    by_hand = next(shown for _, code, shown in blocks if "# backward" in code)
    traced = next(shown for _, code, shown in blocks if "print(seen)" in code)
    numbers = re.findall(r"-?\d\.\d+", by_hand)
    assert len(numbers) == 16
    assert {*numbers} <= {*re.findall(r"-?\d\.\d+", traced)}
