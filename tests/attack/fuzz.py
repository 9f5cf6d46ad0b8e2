"""Does every reader of files give a value or one sentence, whatever is in them?

Files that are right are changed: bits, lengths, numbers, parts that are left out, doubled or
another file's; also beneath a zip's, a gzip's or a PNG's sums, which are made right again.  A
reader may return, or raise what it declares, with a message of one printable line, in bounded
memory and time.  A file that makes it do anything else is a fault, and is kept.
"""

import argparse
import binascii
import contextlib
import gzip
import io
import json
import os
import pickle
import random
import re
import resource
import select
import signal
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

import bpnet
from bpnet import cli, network2, npz, table

TESTS = Path(__file__).resolve().parents[1]
SECONDS, SILENCE = 20, 60  # in which a reader must end; after which its process is killed
MODEL_MEMORY, DATA_MEMORY = 256 << 20, 1 << 30  # bytes: data may unpack to 256 MiB
BATCH = 500  # files for a process


class Seed(NamedTuple):
    """Files that a reader reads: their contents by name, and which of them it is given."""

    read: object
    files: dict
    given: str = ""  # "": the folder
    memory: int = MODEL_MEMORY


# What is read


SIZES, N = [3, 4, 2], 6


def examples():
    draw = np.random.RandomState(0)
    return draw.randn(N, 3), draw.randint(2, size=N)


def trained(epochs, **options):
    net = bpnet.Network(SIZES, seed=1)
    options |= {"mu": 0.5, "verbose": False, "validation_data": examples(), "patience": 9}
    net.SGD(examples(), epochs, 2, 0.5, **options)
    return net


def resume(path):
    net, whole = bpnet.Network(SIZES, seed=2), bpnet.Network(SIZES, seed=2)
    try:
        trained_from(net, path)
    except ValueError:
        same = all(map(np.array_equal, net.weights, whole.weights))
        if not same or net.history or net._rng.getstate() != whole._rng.getstate():
            raise AssertionError("a refused checkpoint has changed the network") from None
        raise
    except FloatingPointError as error:  # its weights are another's, and not finite
        raise ValueError(str(error)) from None


def trained_from(net, path):
    options = {"mu": 0.5, "verbose": False, "validation_data": examples(), "patience": 9}
    with np.errstate(all="ignore"):
        net.SGD(examples(), 3, 2, 0.5, resume=path, **options)


def load(path):
    for read in (bpnet.load, network2.load):
        try:
            net = read(path)
        except ValueError as error:
            if "has no output" not in str(error):  # of chapter 3
                raise
            continue
        with np.errstate(all="ignore"):
            x = np.zeros((1, net.sizes[0]))
            answer = net.predict(x) if isinstance(net, bpnet.MLP) else net.feedforward(x.T).T
        assert answer.shape == (1, net.sizes[-1])
        net.save(path.with_name("again.npz"))
        assert bpnet.load(path.with_name("again.npz")).sizes == net.sizes


def open_dataset(path):
    data = bpnet.open(path)
    assert len(data) == len(list(data)) and all(np.isfinite(x).all() for x, _ in data)
    assert pickle.loads(pickle.dumps(data)).checksum == data.checksum
    again = io.BytesIO()
    npz.write(again, data._arrays(), 4096)
    assert again.getvalue() == path.read_bytes()
    n_in, n_out = data._sizes("data")
    if n_in * max(n_out, 10) < 10_000:
        net = bpnet.Network([n_in, max(n_out, 10)], seed=1, dtype=data.dtype)
        with (
            np.errstate(all="ignore"),
            warnings.catch_warnings(),
            contextlib.suppress(ValueError, FloatingPointError),
        ):
            warnings.simplefilter("ignore")  # inputs may be large
            net.SGD(data, 1, 2, 0.5, verbose=False)  # a label of 11 has no output, say


def load_data(path):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        parts = bpnet.mnist_loader.load_data(path)
    assert said.getvalue().replace("\n", "").isprintable()
    for x, y in parts:
        assert x.dtype == np.float32 and y.dtype == np.int64 and len(x) == len(y)
        assert np.isfinite(x).all()


def read_table(path):
    found = table.read(str(path))
    assert np.isfinite(found.x).all() and len(found.x) == len(found.y) > 5
    if found.classes is not None:
        assert set(found.y.tolist()) == set(range(len(found.classes)))


def predict(path):
    """Call the command, whose last resort is a line on stderr."""
    said, model = io.StringIO(), path.with_name("model.npz")
    if not model.exists():
        bpnet.Network([16, 3], seed=1).save(model)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        code = cli.main(["predict", str(model), str(path)])
    if code:
        raise ValueError(said.getvalue().removesuffix("\n"))
    assert said.getvalue().replace("\n", "").isprintable()


def models():
    """Return models and checkpoints of every kind, {name: bytes}."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        notes = {"by": "ü", "list": [1, 2.5, None]}
        made = {
            "network.npz": bpnet.Network(SIZES, seed=1, dtype="float32"),
            "mlp.npz": bpnet.MLP(SIZES, hidden="tanh", output="log-likelihood", seed=1),
            "network2.json": network2.Network(SIZES, network2.QuadraticCost, seed=1),
        }
        for name, net in made.items():
            net.notes, net.history, net.stopped_by = notes, [{"epoch": 0, "é": [1.5]}], "epochs"
            net.save(folder / name)
        trained(2, checkpoint=folder / "checkpoint.npz")
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
    return found | {path.name: path.read_bytes() for path in (TESTS / "data").glob("version*")}


def datasets():
    """Return the files of Datasets of every form, {name: bytes}."""
    draw = np.random.RandomState(0)
    x, y = draw.rand(N, 3), draw.rand(N, 2)
    sparse = np.where(draw.rand(N, 40) < 0.1, draw.randint(1, 4, (N, 40)), 0)
    many = np.where(draw.rand(400, 9) < 0.2, draw.rand(400, 9), 0)
    made = {
        "dense": bpnet.Dataset(
            (x, y), weights=np.ones(N), notes={"by": "ü", "list": [1, None]}
        ),
        "codes": bpnet.Dataset((sparse, np.arange(N)), dtype="float32"),
        "values": bpnet.Dataset((many, np.arange(400) % 5)),
    }
    assert not made["dense"]._x.sparse and made["codes"]._x.coded and made["values"]._x.sparse
    with tempfile.TemporaryDirectory() as folder:
        for name, each in made.items():
            each.save(Path(folder) / name)
        return {name: (Path(folder) / name).read_bytes() for name in made}


def idx(array):
    return (
        struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()
    )


def mnist():
    """Return 6 digits to train on and 2 to test, in the forms of MNIST, {name: Seed}."""
    draw, names = np.random.RandomState(0), ("train", "t10k")
    parts = [(draw.randint(256, size=(n, 28, 28)), draw.randint(10, size=n)) for n in (6, 2)]
    plain = {}
    for name, (images, labels) in zip(names, parts):
        plain[f"{name}-images-idx3-ubyte"] = idx(images.astype(np.uint8))
        plain[f"{name}-labels-idx1-ubyte"] = idx(labels.astype(np.uint8))
    packed = {f"{name}.gz": gzip.compress(content) for name, content in plain.items()}
    found = {"IDX": Seed(load_data, plain), "IDX, gzip": Seed(load_data, packed)}
    rows = [(x.reshape(-1, 784).astype(np.float32) / 256, y) for x, y in [*parts, parts[0]]]
    for protocol in range(1, 5):
        content = gzip.compress(pickle.dumps(tuple(rows), protocol))
        pickled = {"mnist.pkl.gz": content}
        found[f"pickle {protocol}"] = Seed(load_data, pickled, "mnist.pkl.gz")
    return found


def inputs():
    """Return what predict reads: pictures and rows of numbers, {name: bytes}."""
    found = {"rows.txt": b"0.5 1, 0.25 0 " * 4 + b"\n" + b"1 " * 16}
    try:
        from PIL import Image
    except ImportError:
        return found
    shade = np.full((12, 12, 4), 255, np.uint8)  # a one on white paper
    shade[2:10, 5:7, :3] = 0
    for form in ("BMP", "GIF", "JPEG", "TIFF", "WEBP"):
        file = io.BytesIO()
        Image.fromarray(shade, "RGBA").convert("RGB").save(file, form)
        found[form] = file.getvalue()
    for mode in ("L", "RGB", "RGBA", "P", "1", "LA", "I;16"):
        picture, file = Image.fromarray(shade, "RGBA"), io.BytesIO()
        if mode == "I;16":
            picture = Image.fromarray(shade[:, :, 0].astype(np.uint16) * 256)
        else:
            picture = picture.convert(mode)
        picture.save(file, "PNG")
        found[f"{mode.replace(';', '')}.png"] = file.getvalue()
    return found


def tables():
    """Return CSV files, of names and of numbers, {name: bytes}."""
    rows = "".join(f'{i / 7},"{-i}",{"ab"[i % 2]}{i % 3}\n' for i in range(40))
    names = ("x,y y,kind\n" + rows).encode()
    numbers = names.replace(b"a", b"").replace(b"b", b"").replace(b",", b";")
    return {"names.csv": names, "numbers.csv": numbers, "names.csv.gz": gzip.compress(names)}


def formats():
    """Return the seeds of tests/formats.py, where there is one."""
    sys.path.insert(0, str(TESTS))
    try:
        from formats import corpus
    except ImportError:
        return {}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, known in corpus(Path(folder)).items():
            path = Path(getattr(known, "path", known))
            root = path if path.is_dir() else path.parent
            alone = str(root) == folder  # else a file's name leads to those beside it
            paths = [path] if alone else [p for p in root.rglob("*") if p.is_file()]
            files = {str(p.relative_to(root)): p.read_bytes() for p in paths}
            found[name] = Seed(load_data, files, path.name if path.is_file() else "")
    return found


def seeds():
    """Return every file that a reader has, {name: Seed}."""
    found = {name: Seed(load, {name: content}, name) for name, content in models().items()}
    whole = {"checkpoint.npz": found["checkpoint.npz"].files["checkpoint.npz"]}
    found["resume"] = Seed(resume, whole, "checkpoint.npz")
    for name, seed in {**mnist(), **formats()}.items():
        found[f"data: {name}"] = seed._replace(memory=DATA_MEMORY)
    for name, content in datasets().items():
        found[f"dataset: {name}"] = Seed(open_dataset, {name: content}, name)
    for name, content in tables().items():
        found[f"table: {name}"] = Seed(read_table, {name: content}, name)
    for name, content in inputs().items():
        found[f"predict: {name}"] = Seed(predict, {name: content}, name)
    return found


# What is changed


NUMBERS = [
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
]
WORDS = [
    b"0",
    b"-1",
    b"1e999",
    b"NaN",
    b"-Infinity",
    b"1e-400",
    b"9" * 30,
    b"1" * 5000,
    b"null",
]
WORDS += [b"true", b"[]", b"{}", b'""', b"1.5", b"\x1b[31m", b"\xff", b"\0", b"\n", b"[" * 5000]
VALUES = [None, True, -1, 0, 1, 2**70, 0.5, 1e308, float("inf"), float("nan"), "", "x", [], {}]
VALUES += ["\x1b[31m\n", "a" * 5000, [[]], {"a": {}}, "MLP", "Network2", "squared", "relu"]


def place(draw, content):
    """Return the bounds of a piece, most often a short one, often near an end."""
    n = len(content)
    begin = draw.choice(
        [draw.randint(0, n), min(n, draw.randint(0, 64)), n - min(n, draw.randint(0, 64))]
    )
    return begin, min(n, begin + draw.choice([1, 2, 4, 8, draw.randint(0, 300)]))


def change_bytes(draw, content, others):
    """Return content with one change that knows nothing of what it means."""
    begin, end = place(draw, content)
    piece, before, after = content[begin:end], content[:begin], content[end:]
    match draw.randrange(9):
        case 0:
            flipped = bytearray(piece)
            for i in range(len(flipped)):
                flipped[i] ^= 1 << draw.randrange(8)
            return before + flipped + after
        case 1:
            return before if draw.random() < 0.5 else before + after
        case 2:
            return before + piece * draw.choice([2, 3, 50]) + after
        case 3:
            other = draw.choice(others)
            return before + other[slice(*place(draw, other))] + after
        case 4:
            other = draw.choice(others)
            return before + other[min(begin, len(other)) :]
        case 5:
            size, order = draw.choice([1, 2, 4, 8]), draw.choice(["big", "little"])
            number = draw.choice(NUMBERS) % 256**size
            return before + number.to_bytes(size, order) + content[begin + size :]
        case 6:
            numbers = list(re.finditer(rb"-?\d+(\.\d+)?(e-?\d+)?|\w+", content[:100_000]))
            if not numbers:
                return before + draw.choice(WORDS) + after
            number = draw.choice(numbers)
            return content[: number.start()] + draw.choice(WORDS) + content[number.end() :]
        case 7:
            return before + draw.randbytes(len(piece)) + after
        case _:
            return before + draw.choice(WORDS) + after


def change_json(draw, content, others):
    """Return the JSON with another thing in one of its places, one left out, or two changed."""
    whole = [json.loads(content)]
    inner, key = whole, 0
    while isinstance(inner[key], (list, dict)) and inner[key] and draw.random() < 0.85:
        inner = inner[key]
        key = (
            draw.choice(list(inner)) if isinstance(inner, dict) else draw.randrange(len(inner))
        )
    match draw.randrange(4):
        case 0 if inner is not whole:
            del inner[key]
        case 1 if isinstance(inner, list):
            inner.insert(key, inner[key])
        case 2 if isinstance(inner, dict):
            inner[draw.choice([*inner, "x", "sizes", "cost", "state"])] = inner[key]
        case _:
            inner[key] = draw.choice(VALUES)
    return json.dumps(whole[0]).encode() if whole else b""


def change_dataset(draw, content, others):
    """Return the file of a Dataset with an array that is another; all sums right, or most."""
    with np.load(io.BytesIO(content), allow_pickle=False) as members:
        arrays = dict(members)
    said = json.loads(arrays.pop("dataset").tobytes())
    name = draw.choice(sorted(arrays))
    array = arrays[name].copy()
    match draw.randrange(5):
        case 0:
            array = draw.choice([array[1:], array[:0], array.T, np.concatenate([array, array])])
        case 1:
            array = array.astype(draw.choice(["u1", "u2", "u4", "i8", "f4", "f8", ">f8"]))
        case 2:
            array = arrays[draw.choice(sorted(arrays))]
        case _:
            numbers = [*NUMBERS, -1, -(2**31), np.nan, np.inf, 1e308]
            with np.errstate(all="ignore"):
                number = np.array(draw.choice(numbers)).astype(array.dtype)
            array.reshape(-1)[draw.randrange(max(array.size, 1)) :][:1] = number
    arrays[name] = np.ascontiguousarray(array)
    if draw.random() < 0.7:
        said["arrays"][name] = [array.dtype.str, list(array.shape)]
    text = json.dumps(said).encode()
    if draw.random() < 0.4:
        text = draw.choice([change_json, change_bytes])(draw, text, others)
    file = io.BytesIO()
    with np.errstate(all="ignore"):
        npz.write(file, {"dataset": np.frombuffer(text, np.uint8), **arrays}, 4096)
    return file.getvalue()


def change_zip(draw, content, others):
    """Return the zip with a member that is another, its sums right."""
    if b"dataset.npy" in content[:64]:
        return change_dataset(draw, content, others)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [
            [item.filename, archive.read(item), item.compress_type]
            for item in archive.infolist()
        ]
    picked, other = draw.choice(members), draw.choice(members)
    match draw.randrange(8):
        case 0:
            members.remove(picked)
        case 1:
            picked[0], other[0] = other[0], picked[0]
        case 2:
            picked[1] = other[1]
        case 3:
            picked[0] = draw.choice(
                [picked[0] + "x", "../" + picked[0], "", "\x1b.npy", "json.npy"]
            )
        case 4:
            members.append([picked[0].replace("0", "1"), picked[1], picked[2]])
        case 5:
            picked[2] = draw.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
        case _:
            picked[1] = change_member(draw, picked[0], picked[1], others)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice
        for name, part, method in members:
            archive.writestr(zipfile.ZipInfo(name), part, method)
    return file.getvalue()


def change_member(draw, name, content, others):
    """Return a member changed; of an array of bytes, also what these say, its length right."""
    if name == "json.npy" and draw.random() < 0.9:
        text = draw.choice([change_json, change_bytes])(
            draw, content[content.index(b"\n") + 1 :], others
        )
        file = io.BytesIO()
        np.save(file, np.frombuffer(text, np.uint8))
        return file.getvalue()
    if (
        content.startswith(b"\x93NUMPY") and draw.random() < 0.5
    ):  # other numbers, all else right
        array = np.load(io.BytesIO(content), allow_pickle=False)
        if array.dtype.kind in "iuf":
            array = array.copy()
            number = draw.choice(
                [*NUMBERS, -1, -(2**31), *([np.nan, np.inf, 1e308] * (array.dtype.kind == "f"))]
            )
            with np.errstate(all="ignore"):
                array.reshape(-1)[draw.randrange(max(array.size, 1)) :][:1] = np.array(
                    number
                ).astype(array.dtype)
            if draw.random() < 0.3:
                array = draw.choice(
                    [
                        array.T,
                        array[:0],
                        array.astype(">f8"),
                        array.reshape(-1),
                        array.astype("f4"),
                    ]
                )
        file = io.BytesIO()
        np.save(file, array)
        return file.getvalue()
    return change(draw, content, others)


def change_gzip(draw, content, others):
    """Return what is within, changed, packed again; or the packed bytes of two files."""
    if draw.random() < 0.1:
        return content + draw.choice([content, bytes(10), gzip.compress(b"more")])
    return gzip.compress(change(draw, gzip.decompress(content), others), 1)


def change_png(draw, content, others):
    """Return the picture with a chunk that is another, its sums right."""
    chunks, at = [], 8
    while at < len(content):
        n = int.from_bytes(content[at : at + 4], "big")
        chunks.append([content[at + 4 : at + 8], content[at + 8 : at + 8 + n]])
        at += n + 12
    picked = draw.choice(chunks)
    if picked[0] == b"IDAT" and draw.random() < 0.7:
        picked[1] = zlib.compress(change_bytes(draw, zlib.decompress(picked[1]), others))
    elif picked[0] == b"IHDR" and draw.random() < 0.7:
        sides = [0, 1, 7, 9, 5000, 2**16, 2**31 - 1, 2**32 - 1]
        head = list(struct.unpack(">2I5B", picked[1]))
        i = draw.randrange(7)
        head[i] = draw.choice(sides) if i < 2 else draw.choice([0, 1, 2, 3, 4, 6, 8, 16, 255])
        picked[1] = struct.pack(">2I5B", *head)
    elif draw.random() < 0.3:
        chunks.insert(draw.randrange(len(chunks) + 1), list(draw.choice(chunks)))
    elif draw.random() < 0.3:
        names = [
            b"PLTE",
            b"tRNS",
            b"IEND",
            b"zTXt",
            b"iCCP",
            b"eXIf",
            b"acTL",
            b"fdAT",
            b"abcd",
        ]
        picked[0] = draw.choice(names)
    else:
        picked[1] = change_bytes(draw, picked[1], others)
    found = content[:8]
    for name, part in chunks:
        found += struct.pack(">I", len(part) % 2**32) + name + part
        found += struct.pack(">I", binascii.crc32(name + part))
    return found


BENEATH = {
    b"PK\3\4": change_zip,
    b"\x1f\x8b": change_gzip,
    b"\x89PNG": change_png,
    b"{": change_json,
    b"[": change_json,
}


def change(draw, content, others):
    """Return content with one change, most often beneath its sums, if it has any."""
    for start, beneath in BENEATH.items():
        if content.startswith(start) and draw.random() < 0.8:
            try:
                return beneath(draw, content, others)
            except Exception:  # an earlier change has spoiled it
                break
    return change_bytes(draw, content, others)


def changed(number, seed, found):
    """Return the trial of this number: (name of the seed, name of the file, its content)."""
    draw = random.Random(f"{seed} {number}")
    name = draw.choice(sorted(found))
    file = draw.choice(sorted(found[name].files))
    content, same = (
        found[name].files[file],
        [s for s in found.values() if s.read is found[name].read],
    )
    others = [content for each in same for content in each.files.values()]
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        content = change(draw, content, others)[: 1 << 20]
    return name, file, content


# What comes of it


class TooLong(BaseException):
    """Raised by the alarm."""


def too_long(*_):
    raise TooLong


def allow(nbytes):
    """Let this process have so much more memory than it has, where that can be asked."""
    if os.path.exists("/proc/self/statm"):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + nbytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def outcome(seed, path):
    """Return "accepted", "refused", or what is wrong."""
    allow(seed.memory)
    signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        seed.read(path)
        return "accepted"
    except (ValueError, OSError) as error:
        said = str(error)
        if said.isprintable() and 0 < len(said) < 2000:
            return "refused"
        return f"a message that is no line: {said[:300]!r}"
    except TooLong:
        return f"more than {SECONDS} seconds"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:300]!r}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def work(first, seed, found, folder, pipe, end):
    """Try a batch, and write a line about each to pipe: its number and what came of it."""
    roots = {}
    for i, (name, each) in enumerate(found.items()):
        roots[name] = folder / str(i)
        for file, content in each.files.items():
            (roots[name] / file).parent.mkdir(parents=True, exist_ok=True)
            (roots[name] / file).write_bytes(content)
    for number in range(first, first + BATCH):
        if time.monotonic() > end:
            break
        name, file, content = changed(number, seed, found)
        each, path = found[name], roots[name] / file
        path.write_bytes(content)
        said = outcome(each, roots[name] / each.given)
        path.write_bytes(each.files[file])
        os.write(pipe, f"{number} {said}\n".encode())


def batch(first, seed, found, end):
    """Yield (number, what came of it), of one process, which may die of it."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            os.close(ours)
            warnings.simplefilter("error")
            with contextlib.suppress(BaseException):
                work(first, seed, found, Path(folder), theirs, end)
                os._exit(0)
            os._exit(1)
        os.close(theirs)
        number = first
        with open(ours, "rb", buffering=0) as lines:
            while select.select([lines], [], [], SILENCE)[0]:
                if not (line := lines.readline()):
                    break
                number, said = line.decode().rstrip("\n").split(" ", 1)
                yield int(number), said
                number = int(number) + 1
            else:
                os.kill(child, signal.SIGKILL)
        if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            yield number, f"the process ended with {status}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="in all (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the changes (default: 0)")
    parser.add_argument("--keep", default="fuzz-faults", help="a folder for what is a fault")
    arguments = parser.parse_args()
    found, counts, faults = seeds(), {"accepted": 0, "refused": 0}, 0
    for each in found.values():  # unchanged, all are right
        with tempfile.TemporaryDirectory() as folder:
            for file, content in each.files.items():
                (Path(folder) / file).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / file).write_bytes(content)
            each.read(Path(folder) / each.given)
    end, first = time.monotonic() + arguments.seconds, 0
    while time.monotonic() < end:
        for number, said in batch(first, arguments.seed, found, end):
            first = number + 1
            if said in counts:
                counts[said] += 1
                continue
            faults += 1
            name, file, content = changed(number, arguments.seed, found)
            kept = Path(arguments.keep) / f"{arguments.seed}-{number}-{Path(file).name}"
            kept.parent.mkdir(exist_ok=True)
            kept.write_bytes(content)
            print(f"{name}: {said}: {kept}")
    total = sum(counts.values()) + faults
    print(
        f"{total} files, {counts['accepted']} accepted, {counts['refused']} refused, "
        f"{faults} faults"
    )
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main())
