"""A page in Chinese shows the code, the figures and the links of its English twin.

docs/zh/X.md is docs/X.md, and X.zh.md is X.md, section by section.  Who changes one of them
changes in the other what a test here names; how a sentence says it is the translator's.
"""

import difflib
import io
import os
import re
import tokenize
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

TOP = Path(__file__).resolve().parents[1]
TWINS = {path: TOP / "docs" / path.name for path in (TOP / "docs" / "zh").glob("*.md")}
TWINS |= {path: path.with_name(path.name.replace(".zh.", ".")) for path in TOP.glob("*.zh.md")}
ENGLISH = {english: chinese for chinese, english in TWINS.items()}
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])

pytestmark = pytest.mark.skipif(not TWINS, reason="no docs/ beside the tests")

NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`]+)`")


def name(path):
    """Return how a message calls a page."""
    return path.relative_to(TOP).as_posix()


class Section(NamedTuple):
    """A heading and what stands under it, up to the next one."""

    heading: str
    level: int
    prose: list  # lines
    rows: list  # of tables, as lines
    blocks: list  # of code, with their fences, and the comments that mark them


def sections(text):
    """Return the sections of a page; the first, of level 0, is what is above any heading."""
    found = [Section("", 0, [], [], [])]
    fence, indented, before = None, False, ""
    for line in text.splitlines():
        here = found[-1]
        bare = line.strip()
        indented = line.startswith("    ") and (indented or not before.strip())
        if fence is not None:
            here.blocks[-1].append(line)
            fence = None if bare == fence else fence
        elif bare.startswith("```"):
            fence = "```"
            here.blocks.append([line])
        elif indented and before.startswith("    "):
            here.blocks[-1].append(line)
        elif indented:
            here.blocks.append([line])
        elif heading := re.match(r"(#+) (.*)", line):
            found.append(Section(heading[2], len(heading[1]), [], [], []))
        elif bare.startswith("<!--"):
            here.blocks.append([bare])
        elif bare.startswith("|"):
            here.rows.append(bare)
        else:
            here.prose.append(line)
        before = line
    return found


def without_comments(block):
    """Return lines of code without their comments, and the figures of these, line by line."""
    ends = {}
    if block[0].strip() == "```python":
        code = io.StringIO("\n".join(block[1:-1]) + "\n")
        for token in tokenize.generate_tokens(code.readline):
            if token.type == tokenize.COMMENT:
                ends[token.start[0]] = token.start[1]
    else:
        for i, line in enumerate(block):
            if comment := re.search(r"(?:^|(?<=\s))#", line):
                ends[i] = comment.start()
    code = [line[: ends.get(i)].rstrip() for i, line in enumerate(block)]
    figures = [line[ends.get(i, len(line)) :] for i, line in enumerate(block)]
    return [
        f"{line}  # ... {' '.join(sorted(NUMBER.findall(comment)))}" if comment else line
        for line, comment in zip(code, figures)
    ]


def figures(row):
    """Return the numbers in each cell of a table's row."""
    return [sorted(NUMBER.findall(cell)) for cell in re.split(r"(?<!\\)\|", row)]


def slug(heading):
    """Return the anchor that GitHub gives a heading."""
    text = LINK.sub(r"\2", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(path):
    """Return the anchors of a page's headings, in order; equal ones are numbered."""
    seen: Counter = Counter()
    found = []
    for section in sections(path.read_text("utf-8"))[1:]:
        anchor = slug(section.heading)
        found.append(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def prose(path):
    """Return a page without its code: headings, sentences and tables."""
    return "\n".join(
        line
        for section in sections(path.read_text("utf-8"))
        for line in (section.heading, *section.prose, *section.rows)
    )


def links(page, text):
    """Return (is a picture, target, anchor) of the links in a page's text, targets as paths."""
    found = []
    for picture, _, target in LINK.findall(text):
        path, _, anchor = target.partition("#")
        if "://" not in target:
            path = Path(os.path.normpath(page.parent / path)) if path else page
        found.append((bool(picture), path, anchor))
    return found


def places(page, text):
    """Return what the links in a text lead to, the same for a page and its twin.

    That of a page to its twin is left out: there a reader chooses the language.
    """
    found = []
    own = {page, TWINS.get(page), ENGLISH.get(page)}
    for picture, path, anchor in links(page, text):
        if path in own and not anchor and path != page:
            continue
        english = TWINS.get(path, path)
        if anchor and english != path and path.exists() and english.exists():
            anchor = dict(zip(anchors(path), anchors(english))).get(anchor, anchor)
        found.append((picture, name(english) if isinstance(english, Path) else path, anchor))
    return Counter(found)


def pairs(chinese):
    """Return the sections of a Chinese page, each beside that of its twin."""
    english = TWINS[chinese]
    assert english.exists(), (
        f"{name(chinese)} is a translation, but there is no {name(english)}"
    )
    both = [sections(path.read_text("utf-8")) for path in (english, chinese)]
    levels = [["#" * s.level + f" ({i})" for i, s in enumerate(page)] for page in both]
    assert levels[0] == levels[1], (
        f"{name(chinese)} must have the headings of {name(english)}, in number and level:\n"
        + "\n".join(f"{e.heading!r:50} {c.heading!r}" for e, c in zip(*both))
    )
    return list(zip(*both))


def where(chinese, section):
    """Return the beginning of a message: which page to change, where, and by which twin."""
    twin = name(TWINS[chinese])
    return f"{name(chinese)}, under {section.heading!r}, is not as {twin} any more: "


def chinese_pages():
    """Return a decorator: a test of each Chinese page."""
    return pytest.mark.parametrize("chinese", sorted(TWINS), ids=name)


@chinese_pages()
def test_a_page_and_its_twin_have_the_same_headings_in_number_and_level(chinese):
    assert len(pairs(chinese)) > 1


@chinese_pages()
def test_a_page_and_its_twin_have_the_same_code_but_for_the_words_of_comments(chinese):
    for english, translated in pairs(chinese):
        en, zh = ([without_comments(b) for b in s.blocks] for s in (english, translated))
        for i in range(max(len(en), len(zh))):
            old, new = (blocks[i] if i < len(blocks) else [] for blocks in (zh, en))
            assert old == new, (
                f"{where(chinese, translated)}block {i + 1} of that section\n"
                + "\n".join(difflib.unified_diff(old, new, "here", "there", lineterm=""))
            )


@chinese_pages()
def test_a_page_and_its_twin_have_the_same_figures_in_every_cell_of_a_table(chinese):
    for english, translated in pairs(chinese):
        begin = where(chinese, translated)
        assert len(english.rows) == len(translated.rows), f"{begin}rows of its tables"
        for row, twin in zip(english.rows, translated.rows):
            assert figures(row) == figures(twin), f"{begin}a table's row\n{twin}\n{row}"


@chinese_pages()
def test_a_page_and_its_twin_have_the_same_figures_and_names_in_their_sentences(chinese):
    for english, translated in pairs(chinese):
        begin = where(chinese, translated)
        en, zh = (LINK.sub(r"\2", "\n".join(s.prose + s.rows)) for s in (english, translated))
        missing = set(SPAN.findall(en)) - set(SPAN.findall(zh))
        assert not missing, f"{begin}`code` that is only there: {sorted(missing)}"
        en, zh = (set(NUMBER.findall(text)) for text in (en, zh))
        assert en == zh, f"{begin}figures only there {sorted(en - zh)}, here {sorted(zh - en)}"


@chinese_pages()
def test_a_page_and_its_twin_have_the_same_pictures_and_links(chinese):
    for english, translated in pairs(chinese):
        en, zh = (
            places(page, "\n".join([section.heading, *section.prose, *section.rows]))
            for page, section in ((TWINS[chinese], english), (chinese, translated))
        )
        begin = where(chinese, translated)
        assert not en - zh, f"{begin}links that are only there: {sorted(en - zh)}"
        pictures = [place for place in zh - en if place[0]]
        assert not pictures, f"{begin}pictures that are only here: {pictures}"


@chinese_pages()
def test_a_page_and_its_twin_begin_with_a_link_to_one_another(chinese):
    for page, twin in ((chinese, TWINS[chinese]), (TWINS[chinese], chinese)):
        first = page.read_text("utf-8").split("\n", 1)[0]
        assert [path for _, path, _ in links(page, first)] == [twin], (
            f"{name(page)}: its first line must be a link to {name(twin)}, it is {first!r}"
        )


@chinese_pages()
def test_a_chinese_page_leads_to_chinese_pages(chinese):
    _, rest = prose(chinese).lstrip("\n").split("\n", 1)
    for _, path, _ in links(chinese, rest):
        assert path not in ENGLISH, f"{name(chinese)}: {name(path)} is there in Chinese"


@chinese_pages()
def test_a_paragraph_of_a_chinese_page_is_one_line(chinese):
    for section in sections(chinese.read_text("utf-8")):
        for line, following in zip(section.prose, section.prose[1:]):
            is_item = re.match(r"\s*([-*]|\d+\.) ", following)
            assert not (line.strip() and following.strip()) or is_item, (
                f"{name(chinese)}: the end of this line is shown as a space, "
                f"which Chinese does not have between words: {line!r}"
            )


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page):
    for _, path, anchor in links(page, prose(page)):
        if not isinstance(path, Path):
            continue
        assert path.exists(), f"{name(page)}: there is no {path}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{name(page)}: no #{anchor} in {name(path)}"
