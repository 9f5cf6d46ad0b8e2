"""The page to draw on: its file, and what it does in a real Chromium, where there is one."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, Page, executable

import bpnet
from bpnet import cli, network, network2, onnx, page, reference
from bpnet.mnist import idx

in_chromium = pytest.mark.skipif(
    executable() is None, reason="no Chromium here: apt-get install chromium"
)

NETS = {
    "network": lambda: bpnet.Network([784, 30, 10], seed=1),
    "network2": lambda: network2.Network([784, 30, 10], dtype="float32", seed=1),
    "tanh, two layers, softmax": lambda: bpnet.MLP(
        [784, 40, 20, 26], hidden="tanh", output="log-likelihood", seed=1
    ),
    "relu": lambda: bpnet.MLP([784, 100, 10], hidden="relu", dtype="float32", seed=1),
    "identity": lambda: bpnet.MLP([784, 20, 10], hidden="identity", seed=1),
    "no hidden layer": lambda: bpnet.MLP([784, 10], output="log-likelihood", seed=1),
    "other squares": lambda: bpnet.MLP([196, 30, 10], seed=1),
}


def sample_to_test_on():
    """Return the images to test on of the digits in the package, (500, 784), byte / 256."""
    folder = Path(bpnet.__file__).parent / "mnist" / "sample"
    names = (f"{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
    return idx.read_pair(*[folder / name for name in names])[0][4500:]


each_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS)

# Strokes on the board, in shares of its sides.
THREE = [(0.28, 0.25), (0.4, 0.17), (0.55, 0.16), (0.66, 0.24), (0.66, 0.34), (0.56, 0.44)]
THREE += [
    (0.44, 0.48),
    (0.56, 0.5),
    (0.69, 0.6),
    (0.7, 0.72),
    (0.6, 0.83),
    (0.42, 0.84),
    (0.28, 0.75),
]
DRAWINGS = {
    "3": [THREE],
    "4, to the edges": [[(0.3, 0.0), (0.1, 0.6), (1, 0.62)], [(0.7, 0.2), (0.72, 1)]],
    "a small 7 in a corner": [[(0.1, 0.12), (0.25, 0.12), (0.16, 0.33)]],
    "1 in a frame": [
        [(0.06, 0.06), (0.94, 0.06), (0.94, 0.94), (0.06, 0.94), (0.06, 0.06)],
        [(0.5, 0.3), (0.48, 0.7)],
    ],
    "0 and a speck": [
        [
            (0.4, 0.3),
            (0.6, 0.25),
            (0.75, 0.5),
            (0.6, 0.8),
            (0.35, 0.75),
            (0.3, 0.5),
            (0.4, 0.3),
        ],
        [(0.95, 0.95)],
    ],
}


def written(net, folder):
    path = folder / "digits.html"
    page.write(net, path)
    return path


def stored(text):
    """Return what the page holds of its network."""
    return json.loads(re.search(r'id="network">(.*?)</script>', text, re.DOTALL)[1])


# The file


def test_a_page_has_60_kb_and_a_third_more_than_its_parameters(tmp_path):
    for n in (30, 200):
        size = len(written(bpnet.Network([784, n, 10]), tmp_path).read_bytes())
        parameters = 785 * n + 10 * (n + 1)
        assert 0 < size - parameters * 4 * 4 / 3 < 60_000
        assert n > 30 or size < 300_000


def test_nothing_in_the_page_is_elsewhere(tmp_path):
    text = written(NETS["network"](), tmp_path).read_text()
    assert not re.search(r"https?:|\bsrc=|@import|\burl\(|\bimport\b|\{\{", text)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; ")


@each_net
def test_the_page_holds_the_parameters_as_float32(make, tmp_path):
    net = make()
    found = stored(written(net, tmp_path).read_text())
    arrays = [array.ravel() for layer in zip(net.biases, net.weights) for array in layer]
    values = np.frombuffer(base64.b64decode(found["parameters"]), "<f4")
    assert np.array_equal(values, np.concatenate(arrays).astype(np.float32))
    assert found["sizes"] == net.sizes
    assert found["classes"] is None


def test_names_of_classes_cannot_leave_the_data(tmp_path):
    net = bpnet.MLP([9, 4], seed=1)
    names = ["</script><script>alert(1)</script>", "<!--", '"\\u2028\u2028', "{{style}}"]
    net.notes = {"classes": names}
    text = written(net, tmp_path).read_text("utf-8")
    assert stored(text)["classes"] == names
    plain = written(bpnet.MLP([9, 4], seed=1), tmp_path).read_text("utf-8")
    assert text.count("<") == plain.count("<")


def of_a_table():
    net = bpnet.MLP([4, 2], seed=1)
    net.notes = {
        "table": {
            **{"columns": list("abcd"), "mean": [0.0] * 4, "scale": [1.0] * 4},
            **{"target": "e", "classes": ["no", "yes"], "folded": True},
        }
    }
    return net


def with_classes(classes):
    net = bpnet.MLP([4, 2], seed=1)
    net.notes = {"classes": classes}
    return net


def infinite():
    net = bpnet.MLP([4, 2], seed=1)
    net.weights[0][1, 2] = 1e300
    return net


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: None, TypeError, "net must be a network of bpnet's, got NoneType"),
        (
            lambda: bpnet.MLP([784, 1], output="squared"),
            ValueError,
            "net must classify pictures, got the output 'squared'",
        ),
        (of_a_table, ValueError, "net must classify pictures, got one of a table's columns"),
        (
            lambda: bpnet.MLP([783, 2]),
            ValueError,
            "net must have a square of inputs, as 784, of at most 128 x 128, got 783",
        ),
        (
            lambda: bpnet.MLP([129**2, 2]),
            ValueError,
            "net must have a square of inputs, as 784, of at most 128 x 128, got 16641",
        ),
        (
            lambda: bpnet.MLP([4, 1]),
            ValueError,
            "net must have two outputs or more, got sizes [4, 1]",
        ),
        (
            lambda: bpnet.MLP([4, 4096, 4096, 2], dtype="float32"),
            ValueError,
            "net must have at most 16,777,216 parameters for a page, which holds them all, got "
            "16,809,986: use fewer neurons",
        ),
        *(
            (
                lambda classes=classes: with_classes(classes),
                ValueError,
                f'notes["classes"] must list 2 names, one for each output, got {classes!r}',
            )
            for classes in (["a"], ["a", 1], "ab")
        ),
        (infinite, ValueError, "net must have parameters that are finite in float32"),
    ],
)
def test_what_no_page_can_be_made_of_is_refused(make, error, message, tmp_path):
    net, path = make(), tmp_path / "digits.html"
    path.write_text("as it was")
    with np.errstate(over="ignore"), pytest.raises(error) as raised:
        page.write(net, path)
    assert str(raised.value) == message
    assert path.read_text() == "as it was"


def test_a_network_that_answers_by_a_scripts_own_steps_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(network, "sigmoid", np.tanh)
    with pytest.raises(ValueError, match=r"^net must answer by bpnet's own sigmoid, got"):
        written(NETS["network"](), tmp_path)


def test_the_command_writes_what_write_does_and_says_it(tmp_path, capsys):
    net, model = NETS["network"](), tmp_path / "digits.npz"
    net.save(model)
    expected = written(net, tmp_path).read_bytes()
    assert cli.main(["page", str(model), str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_bytes() == expected
    assert f"page.html: {len(expected):,} bytes; open it" in capsys.readouterr().out
    before = model.read_bytes()
    assert cli.main(["page", str(model), str(model)]) == 1
    assert "must be another file than MODEL" in capsys.readouterr().err
    assert model.read_bytes() == before


# In Chromium


@pytest.fixture(scope="module")
def browser():
    with Browser() as started:
        yield started


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that opens the page of a network; what goes wrong there is an error."""
    pages = []

    def open_page(net, **options):
        pages.append(Page(browser, written(net, tmp_path), **options))
        return pages[-1]

    yield open_page
    for each in pages:
        said = each.events("Log.entryAdded", "Runtime.consoleAPICalled")
        thrown = each.events("Runtime.exceptionThrown")
        each.__exit__()
        assert not said and not thrown


def answers(net, x):
    """Return the outputs (n, n_out) for rows x, whatever the class of net."""
    if isinstance(net, bpnet.MLP):
        return net.predict(x)
    return np.hstack([net.feedforward(row[:, None]) for row in x]).T


def encoded(values):
    return base64.b64encode(np.asarray(values, np.uint8).tobytes()).decode()


BYTES = "(text => Float64Array.from(atob(text), c => c.charCodeAt(0)))"


@in_chromium
@each_net
def test_the_page_answers_as_feedforward_does(make, opened):
    net, draw = make(), np.random.RandomState(0)
    shape = (100, net.sizes[0])
    digits = draw.randint(256, size=shape) * (draw.rand(*shape) < 0.2)
    if net.sizes[0] == 784:  # those of the sample, to test on
        digits = np.rint(sample_to_test_on()[:100] * 256).astype(int)
    found = opened(net).run(
        f"(all => Array.from({{length: 100}}, (_, i) => Array.from(feedforward(net,"
        f" all.slice(i * {shape[1]}, (i + 1) * {shape[1]}).map(v => v / 256)).a[last])))"
        f"({BYTES}('{encoded(digits)}'))"
    )
    expected = answers(net, (digits / 256).astype(net.dtype))
    assert np.shape(found) == expected.shape
    assert np.abs(found - expected).max() <= 1e-5


@in_chromium
def test_the_page_knows_every_activation_that_bpnet_has(opened):
    known = set(opened(NETS["network"]()).run("Object.keys(ACTIVATIONS)"))
    outputs = {operator.lower() for operator, classifies in onnx.OUTPUTS.values() if classifies}
    assert known == {*onnx.ACTIVATIONS, *outputs}


# What pictures.py rounds to float32, the paper's light, is below 2 ** 8 and so within 2 ** -17;
# divided by the least contrast that counts, 8 of 255, that is some 1e-6 of the ink.
PREPARED = 1e-5


def assert_prepared(found, pixels, side=28):
    """Assert that the page makes of a picture what Python makes of it: None if it is blank."""
    from PIL import Image

    from bpnet import pictures

    try:
        expected = pictures.digit(Image.fromarray(pixels), side)
    except ValueError:
        assert found is None
        return
    assert np.abs(np.reshape(found, (side, side)) - expected).max() <= PREPARED


@in_chromium
@pytest.mark.parametrize("side", [28, 14])
def test_any_picture_is_prepared_as_in_python(side, opened):
    """In light that is not even, so that no pixel is on a threshold but for the last bits."""
    pytest.importorskip("PIL")
    from redrawn import HELD_OUT, WAYS, gradient, image, inked, strokes
    from test_pictures import DIGITS

    from bpnet import pictures

    draw, read = np.random.RandomState(0), opened(NETS["network"]())
    digits = [pictures.digit(image(inked(strokes(32, p) / 255))) for p in DIGITS.values()]
    for i, way in enumerate((*WAYS, *HELD_OUT) * 2):
        drawn = way(np.round(256 * digits[i % len(digits)]).astype(np.uint8), draw)
        picture = pictures._upright(drawn, way.__name__).convert("L")
        lit = np.asarray(picture) * gradient(draw, picture.size[::-1], 0.9, 1)
        pixels = np.round(lit).astype(np.uint8)
        h, w = pixels.shape
        if (h, w) == (28, 28):
            continue  # may be taken as it is, and no drawing is so small
        found = read.run(
            "(found => found && Array.from(found))"
            f"(digit({{h: {h}, w: {w}, a: {BYTES}('{encoded(pixels)}')}}, {side}))"
        )
        assert_prepared(found, pixels, side)


def drawn_pixels(read):
    """Return the pixels of the page's sheet, (h, w), read from its canvas."""
    text = read.run(
        "(({data}) => btoa(Array.from({length: data.length / 4},"
        " (_, i) => String.fromCharCode(data[4 * i])).join('')))"
        "(sheet.getImageData(0, 0, SHEET, SHEET))"
    )
    pixels = np.frombuffer(base64.b64decode(text), np.uint8)
    side = int(len(pixels) ** 0.5)
    return pixels.reshape(side, side)


@in_chromium
@pytest.mark.parametrize("strokes", DRAWINGS.values(), ids=DRAWINGS)
def test_a_drawing_gets_the_answer_that_predict_gives_its_picture(
    strokes, opened, tmp_path, capsys
):
    image = pytest.importorskip("PIL.Image")
    net = bpnet.MLP([784, 30, 10], output="log-likelihood", seed=3)
    read = opened(net)
    for points in strokes:
        read.drag("#board", points)
    pixels = drawn_pixels(read)
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all()  # what the edge cuts off is left out
    assert_prepared(read.run("Array.from(input)"), pixels)
    net.save(tmp_path / "digits.npz")
    image.fromarray(pixels).save(tmp_path / "drawn.png")
    assert cli.main(["predict", *(str(tmp_path / n) for n in ("digits.npz", "drawn.png"))]) == 0
    label, value = re.search(r": (\d)  \((.*)\)", capsys.readouterr().out).groups()
    assert read.run("element('best').textContent") == label
    assert value in read.run("element('sure').textContent")


def is_read(read):
    """Whether there is ink, and an answer."""
    inked = (drawn_pixels(read) < 128).any()
    values = read.run("[...document.querySelectorAll('.value')].map(each => each.textContent)")
    answered = read.run("element('best').textContent") in set("0123456789")
    return bool(inked and answered and all(re.fullmatch(r"[01]\.\d{3}", v) for v in values))


@in_chromium
def test_a_finger_draws_and_the_page_stays_where_it_is(opened):
    read = opened(NETS["network"](), width=390, height=844, phone=True)
    read.touch("#board", THREE)
    assert is_read(read)
    assert read.run("[scrollX, scrollY]") == [0, 0]


@in_chromium
def test_keys_draw_undo_and_clear(opened):
    read = opened(NETS["network"]())
    read.press("Tab", "Tab", "Tab")
    assert read.run("document.activeElement.id") == "board"
    assert read.run("getComputedStyle(element('board')).outlineStyle") == "solid"
    read.press("ArrowRight", "ArrowDown")
    assert read.run("strokes.length") == 0
    read.press(" ", *["ArrowDown"] * 9, *["End"] * 4, " ", "ArrowLeft", " ", "ArrowUp", " ")
    assert is_read(read)
    assert read.run("strokes.map(stroke => stroke.length)") == [14, 2]
    read.press("Backspace")
    assert read.run("strokes.length") == 1
    assert is_read(read)
    read.press(" ", "ArrowUp", "Delete", "ArrowUp")
    assert read.run("strokes.length") == 0
    assert read.run("element('best').textContent") == ""
    read.press("Tab")
    assert read.run("document.activeElement.id") == "undo"


@in_chromium
def test_buttons_undo_and_clear(opened):
    read = opened(NETS["network"]())
    for points in DRAWINGS["4, to the edges"]:
        read.drag("#board", points)
    read.click("#undo")
    assert read.run("strokes.length") == 1
    read.click("#clear")
    read.click("#undo")  # of nothing
    assert read.run("strokes.length") == 0
    assert read.run("element('best').textContent") == ""


@in_chromium
def test_the_answer_is_said_once_the_hand_rests(opened):
    read = opened(NETS["network"]())
    read.drag("#board", THREE)
    said = read.run(
        "new Promise(done => new MutationObserver(() => done(element('status').textContent))"
        ".observe(element('status'), {childList: true}))"
    )
    best = read.run("element('best').textContent")
    assert re.fullmatch(rf"{best}, [01]\.\d{{3}}; then \d, [01]\.\d{{3}}", said)


@in_chromium
@each_net
def test_every_neuron_can_be_looked_at_by_mouse_and_keys(make, opened):
    net = make()
    read = opened(net)
    read.drag("#board", THREE)
    x = np.array(read.run("Array.from(input)"))
    depth = len(net.sizes) - 1
    layers = [(l, "cells") for l in range(1, depth)] + [(depth, "outputs")]
    for l, listed in layers:
        if depth > 2 and l < depth:
            read.run(f"element('layer').value = {l}")
            read.run("element('layer').dispatchEvent(new Event('change'))")
        read.click(f"#neuron-{l}-3")
        read.run(f"element('{listed}').focus()")
        read.press("ArrowLeft")
        assert read.run("[chosen, picked[chosen]]") == [l, 2]
        active = read.run(f"element('{listed}').getAttribute('aria-activedescendant')")
        assert active == f"neuron-{l}-2"
        assert read.run("document.querySelectorAll('[aria-selected=true]').length") == 1
        read.click("#next")
        assert read.run("[chosen, picked[chosen]]") == [l, 3]
        shown = read.run("[...document.querySelectorAll('dd')].map(e => e.textContent)")
        values = np.array([text.replace("\N{MINUS SIGN}", "-") for text in shown], float)
        assert np.abs(values - expected_sum(net, x, l, 3)).max() <= 0.005 + 1e-5


def expected_sum(net, x, l, j):
    """Return the weights times the inputs, bias, weighted input and activation of a neuron."""
    a, layers = x[:, None], list(zip(net.biases, net.weights))[:l]
    for k, (b, w) in enumerate(layers, 1):
        before, z = a, w @ a + b
        last = k == len(net.sizes) - 1
        a = (reference.OUTPUTS[net.output] if last else reference.ACTIVATIONS[net.hidden])[0](z)
    return [(w @ before)[j, 0], b[j, 0], z[j, 0], a[j, 0]]


@in_chromium
def test_what_a_neuron_looks_at_is_its_weights(opened):
    """Of the colours, the strongest are where the weights are, on either side."""
    net = NETS["network"]()
    net.weights[0][4] = 0
    net.weights[0][4, [3 * 28 + 5, 20 * 28 + 9]] = 2, -2
    read = opened(net)
    read.click("#neuron-1-4")
    unit = read.run("element('weights').width") / 28
    for row, column, colour in ((3, 5, "positive"), (20, 9, "negative"), (11, 11, "zero")):
        place = f"{int((column + 0.5) * unit)}, {int((row + 0.5) * unit)}, 1, 1"
        pixel = read.run(
            "(copy => (copy.canvas.width = copy.canvas.height = 560,"
            " copy.drawImage(element('weights'), 0, 0),"
            f" Array.from(copy.getImageData({place}).data)))"
            "(document.createElement('canvas').getContext('2d', {willReadFrequently: true}))"
        )
        assert pixel[:3] == read.run(f"colour('--{colour}')")


@in_chromium
def test_no_request_leaves_the_page_and_none_could(opened):
    read = opened(NETS["network"]())
    read.drag("#board", THREE)
    asked = [event["request"]["url"] for event in read.events("Network.requestWillBeSent")]
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    assert sum(url.startswith("file:") for url in asked) == 1


@in_chromium
def test_the_policy_refuses_requests(browser, tmp_path):
    with Page(browser, written(NETS["network"](), tmp_path)) as read:
        other = (tmp_path / "other").as_uri()
        tried = f"fetch('{other}').then(() => 'sent', error => error.name)"
        assert read.run(tried) == "TypeError"
        said = [event["entry"]["text"] for event in read.events("Log.entryAdded")]
        assert any("Content Security Policy" in text for text in said)


# Languages, and all who read

LANGUAGES = {"en-US": "en", "zh-TW": "zh-CN", "fr": "en"}


@in_chromium
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_begins_in_the_readers_language(language, opened):
    read = opened(NETS["network"](), language=language)
    assert read.run("document.documentElement.lang") == LANGUAGES[language]


@in_chromium
def test_every_string_is_there_in_both_languages(opened):
    read = opened(NETS["network"]())
    strings = read.run("STRINGS")
    assert [*strings["en"]] == [*strings["zh"]]
    for key, text in strings["en"].items():
        assert {*re.findall(r"\{\w+\}", text)} == {*re.findall(r"\{\w+\}", strings["zh"][key])}
        assert strings["zh"][key] != text
    asked = read.run(
        "[...document.querySelectorAll('[data-text], [data-label]')]"
        ".map(each => each.dataset.text || each.dataset.label)"
    )
    assert {*asked} <= {*strings["en"]}
    source = read.run("document.documentElement.outerHTML")
    assert not [key for key in strings["en"] if f'"{key}"' not in source and key != "tag"]
    for text in strings["en"].values():
        assert not re.search("[\u3000-\u9fff]", text) or text == strings["en"]["otherLanguage"]


VISIBLE = "document.body.innerText"


@in_chromium
def test_the_other_language_leaves_no_word_of_this(opened):
    read = opened(NETS["tanh, two layers, softmax"]())
    read.drag("#board", THREE)
    english = read.run(VISIBLE)
    read.click("#language")
    assert read.run("document.documentElement.lang") == "zh-CN"
    chinese = re.sub("English|tanh|softmax|Shift|Delete", "", read.run(VISIBLE))
    assert not re.search("[a-z]{2}", chinese)
    read.click("#language")
    assert read.run(VISIBLE) == english


@in_chromium
@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
@pytest.mark.parametrize("make", [NETS["network"], NETS["tanh, two layers, softmax"]])
def test_everything_that_takes_the_focus_has_a_name(make, language, opened):
    read = opened(make(), language=language)
    read.drag("#board", THREE)
    nodes = read.call("Accessibility.getFullAXTree")["nodes"]
    acting = {"application", "button", "combobox", "image", "listbox", "option"}
    found = [
        (node["role"]["value"].lower(), node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    named = [(role, name) for role, name in found if role in acting]
    assert len(named) > 40
    assert not [(role, name) for role, name in named if not name.strip()]
    focusable = [
        node.get("name", {}).get("value", "")
        for node in nodes
        if any(
            p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", [])
        )
        and node["role"]["value"] != "RootWebArea"
    ]
    assert len(focusable) >= 9
    assert all(focusable)
    assert "status" in {role for role, _ in found}


@in_chromium
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_the_contrast_that_is_asked_for(theme, opened):
    """At least 4.5 (WCAG 2.2, 1.4.3), by the luminances of the text and of what is behind."""
    read = opened(NETS["network"](), prefers_color_scheme=theme)
    for drawn in (False, True):
        if drawn:
            read.drag("#board", THREE)
            read.click("#neuron-2-4")
        found = read.run("""(() => {
          const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
          const behind = (element) => {
            if (element === null) return [255, 255, 255];
            const [r, g, b, alpha = 1] = numbers(getComputedStyle(element).backgroundColor);
            if (alpha === 1) return [r, g, b];
            const back = behind(element.parentElement);
            return [r, g, b].map((value, i) => alpha * value + (1 - alpha) * back[i]);
          };
          const luminance = (rgb) => {
            const [r, g, b] = rgb.map((value) => {
              const share = value / 255;
              return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          return [...document.querySelectorAll("body *")].flatMap((element) => {
            const own = [...element.childNodes].filter((node) => node.nodeType === 3);
            if (!own.some((node) => node.data.trim())) return [];
            if (["SCRIPT", "NOSCRIPT"].includes(element.tagName)) return [];
            const text = numbers(getComputedStyle(element).color).slice(0, 3);
            const [high, low] = [text, behind(element)].map(luminance).sort((a, b) => b - a);
            return [[element.textContent, (high + 0.05) / (low + 0.05)]];
          });
        })()""")
        assert len(found) > 25
        assert not [(text, ratio) for text, ratio in found if ratio < 4.5]


@in_chromium
def test_the_theme_is_the_systems_until_it_is_chosen(opened):
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = {}
    for theme in ("light", "dark"):
        read = opened(NETS["network"](), prefers_color_scheme=theme)
        before = read.run(ground)
        read.click("#theme")
        seen[theme] = [before, read.run(ground)]
    assert seen["light"] == seen["dark"][::-1]
    assert seen["light"][0] != seen["dark"][0]


@in_chromium
@pytest.mark.parametrize("reduced", [False, True])
def test_nothing_moves_for_those_who_asked_for_that(reduced, opened):
    wish = "reduce" if reduced else "no-preference"
    read = opened(NETS["network"](), prefers_reduced_motion=wish)
    moving = read.run(
        "[...document.querySelectorAll('*')].filter(each =>"
        " getComputedStyle(each).transitionDuration !== '0s'"
        " || getComputedStyle(each).animationName !== 'none').length"
    )
    assert bool(moving) is not reduced


# Sizes

PHONE = {"width": 390, "height": 844, "phone": True}


@in_chromium
@each_net
@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_no_page_is_wider_than_a_phone(make, language, opened):
    read = opened(make(), language=language, **PHONE)
    read.touch("#board", THREE)
    assert read.run("document.documentElement.scrollWidth") == 390
    assert read.run("innerWidth") == 390


@in_chromium
@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_a_finger_hits_everything(language, opened):
    read = opened(NETS["network"](), language=language, **PHONE)
    boxes = read.run(
        "[...document.querySelectorAll('button, select, canvas[tabindex], [role=option]')]"
        ".filter(each => each.checkVisibility()).map(each => [each.id,"
        " each.getBoundingClientRect().width, each.getBoundingClientRect().height])"
    )
    assert len(boxes) == 6 + 1 + 30 + 10
    assert not [box for box in boxes if min(box[1:]) < 40]


@in_chromium
def test_board_and_answer_share_a_phones_window_and_all_a_projectors(opened):
    phone = opened(NETS["network"](), **PHONE)
    _, top, _, height = phone.box(".verdict")
    assert top + height < 844
    assert opened(NETS["network"]()).run("document.documentElement.scrollHeight") <= 800
