"""Pictures of digits become what MNIST would have shown, or are refused in one sentence."""

import io
import os
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest

import bpnet
from bpnet import mnist_loader, pictures

pytest.importorskip("PIL")

from PIL import Image
from redrawn import WAYS, image, inked, placed, strokes

LEVEL = 1 / 256  # of grey: less than what an 8-bit picture can show
DIGITS = {  # strokes on 32 x 32: a box of 20, more or less, and not in the middle
    "7": ((9, 7), (22, 8), (13, 17), (12, 25)),
    "4": ((10, 5), (8, 15), (22, 16), (20, 6), (21, 25)),
    "1": ((17, 5), (15, 14), (14, 24)),
    "2": ((8, 9), (14, 5), (20, 9), (9, 24), (22, 25)),
}
each_digit = pytest.mark.parametrize("points", DIGITS.values(), ids=DIGITS)


def same(found, expected):
    assert found.shape == expected.shape
    assert (np.abs(found - expected) < LEVEL).all()


def page(points, side=32):
    """Return how much ink there is, 0 or 1."""
    return strokes(side, points) / 255


# Laws, of strokes


@each_digit
@pytest.mark.parametrize("side", [5, 14, 28, 56])
def test_the_box_and_the_centre_of_mass_are_mnists(points, side):
    found = pictures.digit(image(inked(page(points))), side)
    assert found.shape == (side, side)
    assert found.dtype == np.float64
    assert found.min() == 0
    assert found.max() == 255 / 256
    rows, columns = found.any(axis=1).sum(), found.any(axis=0).sum()
    assert max(rows, columns) == round(side * 20 / 28)
    for axis in (0, 1):
        shares = found.sum(axis=1 - axis) / found.sum()
        assert abs(shares @ np.arange(side) - side / 2) <= 0.5 + 1e-9


@each_digit
def test_the_aspect_is_kept(points):
    ink = page(points)
    found = pictures.digit(image(inked(ink)))
    wide, high = ink.any(axis=0).sum(), ink.any(axis=1).sum()
    shrunk = 20 / max(wide, high)
    assert abs(found.any(axis=0).sum() - shrunk * wide) <= 0.5
    assert abs(found.any(axis=1).sum() - shrunk * high) <= 0.5


@each_digit
def test_it_does_not_matter_where_the_digit_is(points):
    expected = pictures.digit(image(inked(page(points))))
    for down, right in ((-3, 0), (4, 6), (0, -5), (5, -7)):
        same(
            pictures.digit(image(inked(np.roll(page(points), (down, right), (0, 1))))), expected
        )


@each_digit
@pytest.mark.parametrize("times", [2, 4, 8, 24])
def test_it_does_not_matter_how_many_pixels_there_are(points, times):
    expected = pictures.digit(image(inked(page(points))))
    large = np.kron(page(points), np.ones((times, times)))
    same(pictures.digit(image(inked(large))), expected)


@each_digit
@pytest.mark.parametrize(
    ("paper", "ink"),
    [
        *((0, 255), (255, 0), (200, 60), (30, 110), (128, 100)),
        *(((250, 240, 180), (30, 40, 160)), ((20, 90, 50), (240, 230, 200))),
        ((90, 150, 60), (190, 90, 120)),
    ],
)
def test_it_does_not_matter_which_colours_paper_and_ink_have(points, paper, ink):
    expected = pictures.digit(image(inked(page(points))))
    same(pictures.digit(image(inked(page(points), paper, ink))), expected)


@each_digit
def test_it_does_not_matter_which_of_both_is_light(points):
    grey = inked(page(points), 210, 70)
    same(pictures.digit(image(255 - grey)), pictures.digit(image(grey)))


@each_digit
@pytest.mark.parametrize("gap", [0, 3])
def test_a_frame_is_left_out(points, gap):
    alone = placed(page(points), 44, 44)
    framed = alone.copy()
    framed[gap : 44 - gap, gap : 44 - gap] = 1
    framed[gap + 1 : 43 - gap, gap + 1 : 43 - gap] = alone[
        gap + 1 : 43 - gap, gap + 1 : 43 - gap
    ]
    same(pictures.digit(image(inked(framed))), pictures.digit(image(inked(alone))))


@each_digit
def test_specks_and_what_is_cut_by_the_edge_are_left_out(points):
    alone = placed(page(points), 48, 48)
    dirty = alone.copy()
    dirty[[2, 4, 45], [40, 3, 30]] = 1  # specks
    dirty[40:, :3] = dirty[:10, 47] = 1  # neighbours
    same(pictures.digit(image(inked(dirty))), pictures.digit(image(inked(alone))))


@each_digit
@pytest.mark.parametrize("side", [14, 28])
def test_what_was_prepared_comes_out_as_it_is(points, side):
    once = pictures.digit(image(inked(page(points))), side)
    bytes_ = np.round(256 * once).astype(np.uint8)
    for given in (bytes_, 255 - bytes_):
        assert np.array_equal(pictures.digit(Image.fromarray(given), side), bytes_ / 256)


def test_a_blank_picture_is_no_digit():
    draw, ramp = np.random.RandomState(0), np.linspace(90, 230, 90)
    blank = {
        "white": np.full((50, 70), 255),
        "black": np.zeros((28, 28)),
        "a shadow": np.tile(ramp, (60, 1)),
        "noise": 128 + 20 * draw.randn(200, 200),
        "a colour": np.full((40, 40, 3), (200, 30, 90)),
        "a pixel": np.full((1, 1), 99),
        "clear": np.zeros((40, 40, 4)),
    }
    for name, values in blank.items():
        with pytest.raises(
            ValueError, match=f"^{name} must show a digit, got a blank picture$"
        ):
            pictures.digit(image(values), name=name)


# Files


def content(picture, **how):
    file = io.BytesIO()
    picture.save(file, **how)
    return file.getvalue()


def grey():
    return image(inked(page(DIGITS["2"]), 240, 20))


FILES = {
    "png": {"format": "PNG"},
    "bmp": {"format": "BMP"},
    "gif": {"format": "GIF"},
    "tiff": {"format": "TIFF"},
    "webp": {"format": "WEBP", "lossless": True},
    "jpeg": {"format": "JPEG", "quality": 100},
}
each_format = pytest.mark.parametrize("how", FILES.values(), ids=FILES)


@each_format
def test_every_format_is_read_from_bytes_and_from_a_path(how, tmp_path):
    file = content(grey(), **how)
    assert pictures.is_picture(file)
    found = pictures.digit(file)
    if how["format"] == "JPEG":  # half a step of each of 64 coefficients: 4 of 220 levels
        assert np.abs(found - pictures.digit(grey())).max() <= 4 / 220 * 1.5
    else:
        same(found, pictures.digit(grey()))
    path = tmp_path / "digit"
    path.write_bytes(file)
    assert np.array_equal(pictures.digit(path), found)
    assert np.array_equal(pictures.digit(str(path)), found)


@each_format
def test_a_damaged_file_is_one_sentence(how):
    whole = content(grey(), **how)
    words = "^it must be a whole PNG, JPEG, BMP, GIF, WebP or TIFF picture: .+$"
    for length in (12, len(whole) // 2):
        with pytest.raises(ValueError, match=words):
            pictures.digit(whole[:length], name="it")


@pytest.mark.parametrize("side", [10000, 60000])  # Pillow warns of one, and refuses the other
def test_a_decompression_bomb_is_refused(side):
    header = struct.pack(">4s2I5B", b"IHDR", side, side, 8, 0, 0, 0, 0)
    header = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    whole = content(grey(), format="PNG")
    with pytest.raises(ValueError, match=r"^image must be a whole PNG.* picture: .*bomb"):
        pictures.digit(whole[:8] + header + whole[33:])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_camera_was_held(orientation):
    turns = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored, exif = grey(), Image.Exif()
    for turn in turns.get(orientation, []):
        stored = stored.transpose(turn)
    exif[0x0112] = orientation
    found = pictures.digit(content(stored, format="PNG", exif=exif))
    same(found, pictures.digit(grey()))


def test_every_mode_shows_the_same_digit():
    expected = pictures.digit(grey())
    ink = page(DIGITS["2"])
    deep = np.round(inked(ink, 60000, 5000))
    clear = np.zeros((32, 32, 4))
    clear[..., 3] = 255 * ink
    white = clear.copy()
    white[..., :3] = 255
    modes = {
        "1": image(inked(ink)).convert("1"),
        "P": grey().convert("P"),
        "CMYK": grey().convert("CMYK"),
        "LA": grey().convert("LA"),
        "I;16": Image.fromarray(deep.astype(np.uint16)),
        "I": Image.fromarray(deep.astype(np.int32)),
        "F": Image.fromarray(inked(ink, 0.9, 0.1).astype(np.float32)),
        "black on clear": image(clear),
        "white on clear": image(white),
    }
    for picture in modes.values():
        same(pictures.digit(picture), expected)
    palette = image(inked(ink, (240, 225, 170), (40, 60, 190))).quantize(8)
    same(pictures.digit(content(palette, format="GIF")), expected)


def test_of_several_frames_the_first_is_taken():
    other = image(inked(page(DIGITS["1"])))
    for form in ("GIF", "TIFF"):
        film = content(grey(), format=form, save_all=True, append_images=[other])
        same(pictures.digit(film), pictures.digit(grey()))


def test_an_argument_of_another_kind_is_refused(tmp_path, monkeypatch):
    for wrong in (None, 7, np.zeros((28, 28))):
        words = f"^image must be a path, bytes or a Pillow image, got {type(wrong).__name__}$"
        with pytest.raises(TypeError, match=words):
            pictures.digit(wrong)
    with pytest.raises(FileNotFoundError):
        pictures.digit(tmp_path / "absent.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=re.escape('pip install "bpnet[image]"')):
        pictures.digit(b"")


def test_importing_the_package_and_the_command_imports_no_pillow():
    program = "import sys, bpnet, bpnet.cli, bpnet.pictures; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], env=os.environ).returncode == 0


def test_rows_of_numbers_are_no_picture():
    for text in (b"", b"0 0.5 1\n", b"\xef\xbb\xbf1,2", b"nan"):
        assert not pictures.is_picture(text)


def test_a_drawing_is_ascii_and_darker_where_there_is_more_ink():
    lines = pictures.drawing(np.array([[0, 0.5, 1], [2, 0, -1], [0, 0, 0]])).split("\n")
    assert lines == ["  ++@@", "@@", ""]
    ramp = pictures.drawing(np.linspace(0, 1, 100)[None])
    assert ramp.isascii()
    assert len(ramp) == 200
    assert "".join(sorted(set(ramp), key=ramp.index)) == " .:-=+*#%@"


# MNIST


@pytest.fixture(scope="module")
def mnist():
    """Return a network, test digits as bytes (n, 28, 28), and their labels."""
    found = mnist_loader.load_data if os.environ.get("BPNET_DATA") else mnist_loader._sample
    training, _, (x, labels) = found()
    net = bpnet.MLP([784, 100, 10], hidden="relu", dtype="float32", seed=1)
    epochs = 300_000 // len(training[0])
    net.train(training, epochs, 10, lambda epoch: 0.1 * (1 - epoch / epochs))
    return net, np.round(256 * x).astype(np.uint8).reshape(-1, 28, 28), labels


def test_mnists_own_pictures_come_out_as_the_loaders_pixels(mnist):
    _, digits, _ = mnist
    for given in digits[:2000]:
        found = pictures.digit(Image.fromarray(given))
        assert np.array_equal(found, given / 256)
        assert np.array_equal(pictures.digit(Image.fromarray(255 - given)), found)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_of_redrawn_digits_few_more_are_misread(mnist, way):
    """Nine of ten are right, as the page says, if of the digits as they are 97 % are."""
    net, digits, labels = mnist
    rng = np.random.RandomState(3)
    chosen = rng.permutation(len(digits))[:150]
    found = np.array([prepared(way(digits[i], rng)) for i in chosen])
    untouched = digits[chosen] / 256
    right, before = (
        (net.predict(x.reshape(-1, 784)).argmax(axis=1) == labels[chosen]).mean()
        for x in (found, untouched)
    )
    assert right >= 0.93 * before


def prepared(picture):
    """Return the digit, or none, which counts as misread."""
    try:
        return pictures.digit(picture)
    except ValueError:
        return np.zeros((28, 28))
