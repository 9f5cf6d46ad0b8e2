"""Tables: what a CSV file may look like, what it is refused for, and the scale in a network."""

import gzip
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpnet import MLP, network2, table

HEAD = "width,height,kind\n"
ROWS = [(1.5, -2.0, "a"), (0.25, 1e3, "b"), (3.0, 4.0, "a"), (5.0, 6.0, "b")] * 2
TEXT = HEAD + "".join(f"{x},{y},{kind}\n" for x, y, kind in ROWS)

# The same table, as people and programs write it.
FORMS = {
    "plain": TEXT,
    "without a last newline": TEXT[:-1],
    "with a byte order mark": "\ufeff" + TEXT,
    "of Windows": TEXT.replace("\n", "\r\n"),
    "of an old Mac": TEXT.replace("\n", "\r"),
    "with blank lines": "\n  \n" + TEXT.replace("\n", "\n\n,,\n  \n"),
    "with quotes": "\n".join(
        ",".join(f'"{field}"' for field in line.split(",")) for line in TEXT.splitlines()
    ),
    "with spaces": TEXT.replace(",", " , "),
    "with semicolons": TEXT.replace(",", ";"),
    "with tabs": TEXT.replace(",", "\t"),
}


def written(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def check_is_table(found):
    assert found.columns == ["width", "height"] and found.target == "kind"
    assert found.x.dtype == np.float64 and found.x.tolist() == [list(r[:2]) for r in ROWS]
    assert found.classes == ["a", "b"]
    assert found.y.dtype == np.int64 and found.y.tolist() == [int(r[2] == "b") for r in ROWS]


@pytest.mark.parametrize("form", FORMS)
def test_a_table_is_the_same_however_it_is_written(form, tmp_path):
    check_is_table(table.read(written(tmp_path, FORMS[form])))
    check_is_table(table.read(written(tmp_path, gzip.compress(FORMS[form].encode()), "t.gz")))


def test_columns_are_what_the_options_say(tmp_path):
    text = "id,a,b,c\n" + "".join(f"n{i},{i},{i % 2},{i % 3}\n" for i in range(12))
    path, i = written(tmp_path, text), np.arange(12)
    found = table.read(path, drop=["id"])
    assert (found.columns, found.target, found.classes) == (["a", "b"], "c", None)
    assert found.x.tolist() == np.stack([i, i % 2], 1).tolist()
    assert found.y.tolist() == (i % 3).tolist()
    found = table.read(path, target="b", classify=True, drop=["id", "c"])
    assert (found.columns, found.target, found.classes) == (["a"], "b", ["0", "1"])
    assert found.y.tolist() == (i % 2).tolist()


def test_classes_that_are_numbers_are_in_their_order(tmp_path):
    text = "x,y\n" + "".join(f"{i},{(10, 9, -1)[i % 3]}\n" for i in range(9))
    found = table.read(written(tmp_path, text), classify=True)
    assert found.classes == ["-1", "9", "10"] and found.y.tolist() == [2, 1, 0] * 3


def test_blocks_of_rows_change_nothing(tmp_path, monkeypatch):
    text = "x,y\n" + "".join(f"{i},{'ab'[i > 40]}{i % 2}\n" for i in range(100))
    path = written(tmp_path, text)
    whole = table.read(path)
    monkeypatch.setattr(table, "_BLOCK", 7)
    blocks = table.read(path)
    assert whole.classes == blocks.classes == ["a0", "a1", "b0", "b1"]
    assert np.array_equal(whole.x, blocks.x) and np.array_equal(whole.y, blocks.y)


GOOD = "".join(f"{i},{i % 2}\n" for i in range(6))
REFUSED = [
    ("", {}, "it is empty"),
    ("\n\n", {}, "it is empty"),
    ("x,y\n", {}, "it has no rows"),
    ("1,2\n3,4\n", {}, "its first line must name the columns, got numbers, 1, 2: write a line"),
    ("5.1,3.5,setosa\n4.9,3.0,setosa\n", {}, "its first line must name the columns"),
    ("x\n1\n", {}, "it must have two columns or more, got 1"),
    (",x,y\n" + "1,2,3\n" * 9, {}, "column 1 has no name, as an index of pandas: .*--drop ''"),
    ("x,x,y\n" + "1,2,3\n" * 9, {}, "the header needs one column 'x', got 2"),
    ("x,y\n" + GOOD, {"target": "z"}, "--target needs one column 'z', got 0: .* 'x', 'y'"),
    ("x,y\n" + GOOD, {"drop": ["z"]}, "--drop needs one column 'z', got 0"),
    ("x,y\n1,2\n3\n" + GOOD, {}, "line 3 must have 2 values, one for each name, got 1"),
    ("x,y\n\n1,2\n3,4,5\n" + GOOD, {}, "line 4 must have 2 values, .* got 3"),
    ('x,y\n"1\n",2\n3\n' + GOOD, {}, "line 4 must have 2 values"),
    ("x,y\n1,2\n,4\n" + GOOD, {}, "line 3, column 'x' has no value, '': .*--drop 'x'"),
    ("x,y\n1,2\nNA,4\n" + GOOD, {}, "line 3, column 'x' has no value, 'NA'"),
    ("x,y\nred,2\n" + GOOD, {}, "line 2, column 'x': 'red' is no number: .*--drop 'x'"),
    ("x,y\n1_0,2\n" + GOOD, {}, "line 2, column 'x': '1_0' is no number"),
    ("x,y\n1,2\ninf,2\n" + GOOD, {}, "line 3, column 'x': 'inf' is not finite"),
    ("x,y\n1,2\n1e999,2\n" + GOOD, {}, "line 3, column 'x': '1e999' is not finite"),
    ("x,y\nnan,2\n" + GOOD, {}, "line 2, column 'x' has no value, 'nan'"),
    ("x,y\n1,-inf\n" + GOOD, {}, "line 2, column 'y': '-inf' is not finite"),
    ("x,y\n" + GOOD + "7,red\n", {}, "line 8, column 'y': 'red' is no number: .*--classify"),
    ("x,y\n7,red\n" + GOOD, {}, "line 3, column 'y': '0' is a number and 'red' is none"),
    ("x,y\n7,\n" + GOOD, {}, "line 2, column 'y' has no value"),
    ("x,y\n7,a\n7,\n" + GOOD, {}, "line 3, column 'y' has no value: fill it in"),
    ("x,y\n" + GOOD + "1,1.0\n", {"classify": True}, "line 8, column 'y': 1 and 1.0 are one"),
    ("x,y\n" + "1,a\n" * 9, {}, "the target 'y' must have two values or more, got 'a'"),
    ("x,y\n" + "1,7\n" * 9, {}, "the target 'y' must have two values or more, got 7"),
    ("x,y\n1,a\n2,b\n", {}, "must have 6 rows or more, got 2"),
    (
        "x,y\n" + "".join(f"1,n{i}\n" for i in range(9)),
        {},
        "classes of some rows each, got 9 in 9 rows: --target names another column",
    ),
    ('x,y\n1,"2\n' + GOOD, {}, "line 2: unexpected end of data"),
    ('x,y\n1,"2"3\n' + GOOD, {}, "line 2: ',' expected after '\"'"),
    ("x,y\n1,é\n".encode("latin-1"), {}, "it is no text in UTF-8, save it as that"),
    (("x,y\n" + GOOD).encode("utf-16"), {}, "it is no text in UTF-8"),
    (gzip.compress(TEXT.encode())[:-9], {}, "it ends within its gzip stream"),
]


@pytest.mark.parametrize(("text", "options", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_table_is_refused_in_a_sentence(text, options, words, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=words) as raised:
        table.read(path, **options)
    assert str(raised.value).startswith(path) and "\n" not in str(raised.value)


def test_a_line_without_an_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("bpnet.mnist.stream._MOST_LINE", 1000)
    path = written(tmp_path, "x,y\n" + "1" * (1 << 20) + "1" * 2000)
    with pytest.raises(ValueError, match="a line of more than 1,000 bytes"):
        table.read(path)


# The scale in a network


def net_of(kind, sizes, dtype, seed, **options):
    if kind == "numbers":
        return MLP(sizes, output="squared", dtype=dtype, seed=seed, **options)
    return network2.Network(sizes, dtype=dtype, seed=seed, **options)


def answers(net, x):
    return net.predict(x) if isinstance(net, MLP) else net.predictor()(x)


def rows(kind, mean, scale, seed, n=40):
    """Return rows of columns of about these means and deviations, and a target."""
    rng = np.random.RandomState(seed)
    x = np.array(mean) + np.array(scale) * rng.randn(n, len(mean))
    y = 50 + 9 * rng.randn(n) if kind == "numbers" else rng.randint(3, size=n)
    return x, y


def named(kind, n):
    classes = None if kind == "numbers" else ["a", "b", "c"]
    return {"columns": [f"x{j}" for j in range(n)], "target": "y", "classes": classes}


def bound_of_z(net, x, scaled):
    """Return how far rounding may move the first layer's weighted inputs by folding.

    Either way a z is a sum of n + 1 terms: its error is at most eps (n + 4) times the sum of
    their sizes, where n + 4 counts additions, the product, and the roundings of w / scale, of
    x - mean and of its quotient.  Of the folded, terms are as large as w (|x| + |mean|) /
    scale; the others are less.
    """
    w, n, eps = np.float64(net.weights[0]), x.shape[1], np.finfo(net.dtype).eps
    sizes = (np.abs(x) + np.abs(scaled["mean"])) / np.array(scaled["scale"])
    return 2 * eps * (n + 4) * (sizes @ np.abs(w.T) + np.abs(np.float64(net.biases[0].T)))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["numbers", "classes"])
@settings(max_examples=20, deadline=None)
@given(
    ratio=st.floats(-3, 3),
    size=st.floats(-8, 8),
    n=st.integers(1, 6),
    hidden=st.sampled_from([[], [7]]),
    seed=st.integers(0, 99),
)
def test_a_folded_network_answers_rows_as_it_answered_standardised_ones(
    kind, dtype, ratio, size, n, hidden, seed
):
    if dtype == "float32":
        ratio, size = ratio / 2, size / 2
    scale = 10.0**size * (1 + np.arange(n))
    x, y = rows(kind, scale * 10.0**ratio * (-1) ** np.arange(n), scale, seed)
    net = net_of(kind, [n, *hidden, 1 if kind == "numbers" else 3], dtype, seed)
    scaled = table.scaled(named(kind, n), (x, y), dtype)
    before = np.float64(answers(net, table.standardised(scaled, x, y)[0]))
    bound, weights = bound_of_z(net, x, scaled), [*map(np.float64, net.weights)]
    net.notes = {"table": scaled}
    assert table.fold(net) is net and net.notes["table"]["folded"]
    after, eps = np.float64(answers(net, x)), np.finfo(net.dtype).eps
    if hidden:  # a sigmoid has a slope of at most 1/4, and is within 4 ulp of 1
        w = np.abs(weights[1].T)
        bound = (bound / 4 + 16 * eps) @ w + 2 * eps * (len(w) + 4) * (w.sum(0) + 1)
    if kind == "numbers":  # z + mean / scale is rounded in the units of the target
        unit, mean = scaled["target_scale"], abs(scaled["target_mean"])
        before = before * unit + scaled["target_mean"]
        bound = bound * unit + 8 * eps * (mean + np.abs(before))
    else:
        bound = bound / 4 + 16 * eps
    assert (np.abs(after - before) <= bound).all()
    folded = [*net.biases, *net.weights]
    table.fold(net)
    assert all(map(np.array_equal, folded, [*net.biases, *net.weights]))


@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_a_column_of_equal_values_is_not_looked_at(kind):
    x, y = rows(kind, [3.0, 0.1], [1.0, 0.0], 1)
    net = net_of(kind, [2, 4, 1 if kind == "numbers" else 3], "float64", 2)
    scaled = table.scaled(named(kind, 2), (x, y), "float64")
    assert scaled["scale"][1] == 0
    standard = table.standardised(scaled, x, y)[0]
    assert not standard[:, 1].any()
    net.notes = {"table": scaled}
    table.fold(net)
    another = x + [0, 1e6]
    assert np.array_equal(answers(net, x), answers(net, another))
    assert np.array_equal(table.standardised(scaled, another, y)[0], standard)


@pytest.mark.parametrize(
    ("mean", "scale", "dtype", "words"),
    [
        (1e9, 1e-3, "float64", None),  # 2e-4 of a deviation is lost
        (1e10, 1e-3, "float64", "'x1' has mean 1e[+]10 and .* too close for float64: subtract"),
        (1e9, 1e-3, "float32", "'x1' has mean 1e[+]09 .* too close for float32"),
        (1e3, 1.0, "float32", None),
        (0, 1e-200, "float64", "'x1' must have a deviation from 1e-154 to 7e[+]153"),
        (0, 1e200, "float64", "'x1' must have a deviation"),
        (0, 1e30, "float32", "'x1' must have a deviation from 1e-19 to 9e[+]18 for float32"),
    ],
)
def test_a_column_that_rounding_would_lose_is_refused(mean, scale, dtype, words):
    x, y = rows("classes", [0, mean], [1, scale], 1)
    if words is None:
        table.scaled(named("classes", 2), (x, y), dtype)
        return
    with pytest.raises(ValueError, match=words):
        table.scaled(named("classes", 2), (x, y), dtype)


def test_the_target_is_looked_at_too():
    x, y = rows("numbers", [0], [1], 1)
    with pytest.raises(ValueError, match=r"column 'y' has mean .* too close"):
        table.scaled(named("numbers", 1), (x, y * 1e-3 + 1e12), "float64")


ODD = [None, 1, -1.0, "text", [], [1], ["a"], [1.0, float("nan")], {}, True, [1.0, -1.0]]

RIGHT = [("target", "text"), ("folded", True), ("mean", [1.0, -1.0]), ("target_mean", -1.0)]


@pytest.mark.parametrize("kind", ["numbers", "classes"])
def test_notes_that_are_no_tables_are_refused(kind):
    x, y = rows(kind, [3.0, 0.1], [1.0, 2.0], 1)
    usual = table.scaled(named(kind, 2), (x, y), "float64")
    net = net_of(kind, [2, 1 if kind == "numbers" else 3], "float64", 2)
    for notes in (None, {}, {"eta": 3.0}):
        net.notes = notes
        assert table.of(net) is None and table.fold(net).notes == notes
    net.notes = {"table": usual}
    assert table.of(net) == usual
    for key, odd in itertools.product(usual, ODD):
        if odd == usual[key] or (key, odd) in RIGHT:
            continue
        net.notes = {"table": {**usual, key: odd}}
        with pytest.raises(ValueError, match="notes of a table must have"):
            table.of(net)
    for odd in ODD[1:]:
        net.notes = {"table": odd}
        with pytest.raises(ValueError, match="notes of a table must have"):
            table.of(net)
