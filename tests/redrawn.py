"""MNIST's digits redrawn as people's pictures show them, and strokes that need no MNIST.

A way takes a digit, uint8 (28, 28) white on black, and a RandomState, and returns an image.
"""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

BICUBIC, AVERAGE = Image.Resampling.BICUBIC, Image.Resampling.BOX


def strokes(side=32, points=((9, 7), (22, 8), (13, 17), (12, 25)), width=3):
    """Return a 7 or the like: how much ink there is, uint8 (side, side), 255 and 0."""
    page = Image.new("L", (side, side))
    ImageDraw.Draw(page).line(points, fill=255, width=width)
    return np.asarray(page)


def cropped(digit):
    rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
    return digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def enlarged(digit, longer, how=BICUBIC):
    """Return the digit's box with this longer side: how much ink there is, from 0 to 1."""
    box = Image.fromarray(cropped(digit))
    scale = longer / max(box.size)
    return np.asarray(box.resize([max(1, round(scale * n)) for n in box.size], how)) / 255


def placed(ink, height, width, rng=None):
    """Return ink in the middle, or anywhere, of a page without."""
    page, (h, w) = np.zeros((height, width)), ink.shape
    top, left = (height - h) // 2, (width - w) // 2
    if rng is not None:
        top, left = rng.randint(height - h + 1), rng.randint(width - w + 1)
    page[top : top + h, left : left + w] = ink
    return page


def anywhere(digit, rng, longer=110, height=200, width=200):
    return placed(enlarged(digit, longer), height, width, rng)


def image(values):
    return Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8))


def inked(page, paper=255, ink=0):
    """Return the values of a page: numbers for grey, triples for colours."""
    paper, ink = np.asarray(paper, float), np.asarray(ink, float)
    share = page[..., None] if paper.shape == (3,) else page
    return paper * (1 - share) + ink * share


def gradient(rng, shape, low=0.0, high=1.0):
    """Return light that goes from low to high in any direction."""
    angle = 2 * np.pi * rng.rand()
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    ramp = np.cos(angle) * x + np.sin(angle) * y
    return low + (high - low) * (ramp - ramp.min()) / np.ptp(ramp)


def blurred(values, radius):
    return np.asarray(image(values).filter(ImageFilter.GaussianBlur(radius)), dtype=float)


def saved(picture, **how):
    file = io.BytesIO()
    picture.save(file, **how)
    return Image.open(file)


# The ways of the table in docs/pictures.md


def half_of_the_page(digit, rng):
    return image(inked(placed(enlarged(digit, 100), 200, 200)))


def cropped_tightly(digit, rng):
    return image(inked(enlarged(digit, 100)))


def off_centre(digit, rng):
    return image(inked(anywhere(digit, rng, 70)))


def on_grey_paper(digit, rng):
    return image(inked(anywhere(digit, rng), rng.randint(120, 200), rng.randint(20, 70)))


def in_a_shadow(digit, rng):
    page = anywhere(digit, rng)
    return image(inked(page, 235, 40) * gradient(rng, page.shape, 0.4))


def in_a_thin_frame(digit, rng):
    page, gap = np.zeros((200, 200)), rng.randint(8)
    page[gap : 200 - gap, gap : 200 - gap] = 1
    page[gap + 2 : 198 - gap, gap + 2 : 198 - gap] = 0
    page[20:-20, 20:-20] = anywhere(digit, rng, 110, 160, 160)
    return image(inked(page))


def photographed(digit, rng):
    page = anywhere(digit, rng, 150, 300, 400)
    page = blurred(inked(page, 200, 60) * gradient(rng, page.shape, 0.7), 1.5)
    return image(page + 12 * rng.randn(*page.shape))


def in_coloured_ink(digit, rng):
    return image(inked(anywhere(digit, rng), (240, 225, 170), (40, 60, 190)))


def as_a_poor_jpeg(digit, rng):
    return saved(half_of_the_page(digit, rng), format="JPEG", quality=10)


def on_an_oblong_page(digit, rng):
    shape = [(150, 400), (290, 200)][rng.randint(2)]
    return image(inked(anywhere(digit, rng, 100, *shape)))


def turned_by_exif(digit, rng):
    orientation, turn = [(3, 180), (6, 90), (8, 270)][rng.randint(3)]
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = off_centre(digit, rng).rotate(turn)  # square, anticlockwise
    return saved(turned, format="JPEG", exif=exif, quality=90)


def small_or_large(digit, rng):
    if rng.randint(2):
        ink = enlarged(digit, 14, AVERAGE)
        return image(inked(placed(ink, 24, 24, rng)))
    return image(inked(anywhere(digit, rng, 240, 700, 800)))


def light_on_dark(digit, rng):
    return image(inked(anywhere(digit, rng), rng.randint(20, 60), rng.randint(170, 255)))


WAYS = [
    *(half_of_the_page, cropped_tightly, off_centre, on_grey_paper, in_a_shadow),
    *(in_a_thin_frame, photographed, in_coloured_ink, as_a_poor_jpeg, on_an_oblong_page),
    *(turned_by_exif, small_or_large, light_on_dark),
]

# More ways, measured by bench/redrawn.py only


def chalk_on_a_board(digit, rng):
    page = anywhere(digit, rng)
    colours = inked(page, (30, 80, 50), (220, 220, 210))
    colours *= gradient(rng, page.shape, 0.5)[..., None]
    return image(colours + 6 * rng.randn(*colours.shape))


def in_colours_of_one_grey(digit, rng):
    return image(inked(anywhere(digit, rng), (60, 160, 60), (230, 60, 120)))


def dark_at_the_corners(digit, rng):
    y, x = np.meshgrid(*[np.linspace(-1, 1, 200)] * 2, indexing="ij")
    return image(inked(anywhere(digit, rng, 90), 220, 70) * (1 - 0.23 * (x**2 + y**2)))


def across_a_shadows_edge(digit, rng):
    page = anywhere(digit, rng, 90)
    shade = np.where(gradient(rng, page.shape) > rng.uniform(0.3, 0.7), 255, 153)
    return image(inked(page, 230, 40) * blurred(shade, 5) / 255)


def with_pepper_and_salt(digit, rng):
    page, draw = inked(anywhere(digit, rng, 90)), rng.rand(200, 200)
    page[draw < 0.01], page[draw > 0.99] = 0, 255
    return image(page)


def in_a_crooked_frame(digit, rng):
    page = image(inked(placed(anywhere(digit, rng, 80, 140, 140), 240, 240)))
    corners = [(25, 25), (215, 25), (215, 215), (25, 215), (25, 25)]
    corners = [tuple(int(v) for v in corner + rng.randint(-6, 7, 2)) for corner in corners]
    ImageDraw.Draw(page).line([*corners[:4], corners[0]], fill=0, width=3)
    return page


def in_a_cell_of_a_form(digit, rng):
    page = placed(anywhere(digit, rng, 70, 150, 150), 240, 240)
    page[[24, 25, 215, 216]] = page[:, [24, 25, 215, 216]] = 1  # lines beyond the corners
    return image(inked(page))


def faint(digit, rng):
    return image(inked(anywhere(digit, rng), 230, 195) + 4 * rng.randn(200, 200))


def tiny_on_its_page(digit, rng):
    return image(inked(anywhere(digit, rng, 60, 700, 700)))


def on_a_table(digit, rng):
    page = image(inked(anywhere(digit, rng, 130, 240, 240), 235, 40))
    table = Image.new("L", (290, 300), 70)
    table.paste(page, (rng.randint(10, 40), rng.randint(10, 50)))
    return table


def with_a_thin_pen(digit, rng):
    page = image(255 * (anywhere(digit, rng, 180, 300, 300) > 0.5))
    for _ in range(4):
        page = page.filter(ImageFilter.MinFilter(3))
    thin = 1.0 * (np.asarray(page) > 0)
    return image(inked(thin if thin.sum() > 300 else anywhere(digit, rng, 180, 300, 300)))


HELD_OUT = [
    *(chalk_on_a_board, in_colours_of_one_grey, dark_at_the_corners, across_a_shadows_edge),
    *(with_pepper_and_salt, in_a_crooked_frame, in_a_cell_of_a_form, faint, tiny_on_its_page),
    *(on_a_table, with_a_thin_pen),
]
