"""How large is the page to draw on, how long does it take to follow a pen, what is to be seen?

784-30-10, and 784-200-10 of `bpnet train --preset best`, trained on MNIST; a 3 is drawn on each
page by mouse events in Chromium, and the page asked to read it again and again.  Draws
docs/page.png, of the first.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile

from harness import report

import bpnet
from bpnet import cli

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from browser import Browser, Page
from test_page import THREE

TOP = pathlib.Path(__file__).resolve().parents[1]
NETWORKS = ("784,30,10", "784,200,10")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=200, help="updates (default: 200)")
    parser.add_argument("--save", metavar="FILE", help="write the JSON line there, too")
    parser.add_argument("--picture", default=TOP / "docs" / "page.png", type=pathlib.Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        version = browser.call("Browser.getVersion")["product"]
        for sizes in NETWORKS:
            path = pathlib.Path(folder) / "digits.html"
            bpnet.page.write(trained(sizes, folder), path)
            with Page(browser, path, height=728, prefers_color_scheme="light") as read:
                rows.append(measured(read, sizes, path, arguments.times))
                if sizes == NETWORKS[0]:
                    arguments.picture.write_bytes(read.screenshot())
    title = f"one update of the page, {version}, {arguments.times} times"
    report(title, rows, arguments.save, browser=version, times=arguments.times)


def trained(sizes, folder):
    model = f"{folder}/digits.npz"
    command = ["train", "--preset", "best", "--sizes", sizes, "--seed", "1", "--save", model]
    assert cli.main(command) == 0
    return bpnet.load(model)


def measured(read, sizes, path, times):
    """Draw a 3, look at the most active hidden neuron, and return a row."""
    read.drag("#board", THREE)
    read.run("choose(1, found.a[1].indexOf(Math.max(...found.a[1])))")
    milliseconds = read.run(
        f"Array.from({{length: {times}}}, () => {{ const start = performance.now(); update();"
        " return performance.now() - start; })"
    )
    read.settled()
    return {
        "network": sizes.replace(",", "-"),
        "page, bytes": path.stat().st_size,
        "update, ms": statistics.median(milliseconds),
        "fastest, ms": min(milliseconds),
        "answer to a 3": read.run("element('best').textContent"),
    }


if __name__ == "__main__":
    main()
