"""How long does it take to distort the training digits, and an epoch of learning them?

bpnet.distort on 50,000 images of 28 by 28 pixels, and the same steps by scipy.ndimage, image by
image: white noise smoothed, an affine map, bilinear interpolation; that on a part, scaled.
Then epochs of two networks on such images, made when needed or ahead.
"""

import math
import statistics

import numpy as np
from harness import alternate, options, report

import bpnet
from bpnet import mnist_loader

PART = 50  # one image in so many is enough for scipy
NETWORKS, EPOCHS = ([784, 200, 10], [784, 800, 10]), 3


def main():
    arguments = options(__doc__).parse_args()
    images = mnist_loader.load_data(arguments.data)[0][0]
    contestants, dtypes = {}, ("float32", "float64")
    for dtype in dtypes:
        given = images.astype(dtype)
        for n_threads in (1, 2):
            contestants["bpnet", dtype, n_threads] = by_bpnet(given, n_threads)
    try:
        from scipy import ndimage
    except ImportError:
        print("scipy: skipped, not installed")
    else:
        part = images[::PART].reshape(-1, 28, 28).astype("float32")
        contestants["scipy.ndimage", "float32", 1] = lambda: by_scipy(ndimage, part)
    rows = []
    for key, seconds in alternate(contestants, arguments.turns).items():
        share = PART if key[0] != "bpnet" else 1
        times = [each * share for each in seconds]
        rows.append(
            {
                **dict(zip(("system", "dtype", "threads"), key)),
                "s": statistics.median(times),
                "least": min(times),
                "most": max(times),
            }
        )
    report(
        f"seconds to distort {len(images):,} digits, and of an epoch that learns them",
        rows,
        arguments.save,
        epochs=epochs(images, mnist_loader.load_data(arguments.data)[0][1], arguments.turns),
    )


def epochs(images, labels, turns):
    """Return seconds of an epoch, by network, threads and how the examples are made."""
    images = images.astype("float32")

    def run(sizes, n_threads, ahead):
        net = bpnet.MLP(sizes, hidden="relu", dtype="float32", seed=1)
        net.train(
            lambda epoch: (bpnet.distort(images, seed=epoch, n_threads=n_threads), labels),
            EPOCHS,
            10,
            0.05,
            n_threads=n_threads,
            ahead=ahead,
        )

    kinds = [
        (sizes, n_threads, ahead)
        for sizes in NETWORKS
        for n_threads in (1, 2)
        for ahead in (False, True)
    ]
    contestants = {str(kind): lambda kind=kind: run(*kind) for kind in kinds}
    seconds = alternate(contestants, turns)
    return [
        {
            "network": "-".join(map(str, kind[0])),
            "threads": kind[1],
            "ahead": kind[2],
            "epoch, s": statistics.median(seconds[str(kind)]) / EPOCHS,
        }
        for kind in kinds
    ]


def by_bpnet(images, n_threads):
    def run():
        bpnet.distort(images, seed=1, n_threads=n_threads)

    return run


def by_scipy(ndimage, images):
    """Distort images as bpnet.distort does it, by other random numbers."""
    draw = np.random.default_rng(1)
    _, height, width = images.shape
    down, across = np.mgrid[:height, :width].astype("float32")
    v, u = down - (height - 1) / 2, across - (width - 1) / 2
    # White noise of deviation 1, smoothed, has this deviation.
    smoothed = 1 / (2 * math.sqrt(math.pi) * 5)
    out = np.empty((height, width), images.dtype)
    for image in images:
        noise = draw.standard_normal((2, height, width), dtype="float32")
        bent = [
            1.2 / smoothed * ndimage.gaussian_filter(each, 5, mode="constant") for each in noise
        ]
        angle = math.radians(10) * draw.uniform(-1, 1)
        wider, higher, slant = 1 + 0.1 * draw.uniform(-1, 1, 3)
        turned = math.cos(angle) * u - math.sin(angle) * v
        turned_down = math.sin(angle) * u + math.cos(angle) * v
        x = turned / wider + (slant - 1) * turned_down + bent[0] + (width - 1) / 2
        y = turned_down / higher + bent[1] + (height - 1) / 2
        ndimage.map_coordinates(image, [y, x], out, order=1, mode="constant")


if __name__ == "__main__":
    main()
