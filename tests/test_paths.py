"""Every call that takes a path takes it in each form that open() does, or says what is none."""

import io
import os
from pathlib import Path

import pytest
from nets import CLASSES, equal, make, train

import bpnet
from bpnet import network2


class Named:
    """What is no path but has one."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


FORMS = {
    "str": str,
    "bytes": os.fsencode,
    "Path": Path,
    "a name of str": Named,
    "a name of bytes": lambda path: Named(os.fsencode(path)),
}
each_form = pytest.mark.parametrize("form", FORMS)
each_class = pytest.mark.parametrize("kind", CLASSES)

CALLS = {  # by the argument's name
    "path": lambda kind, path: bpnet.load(path),
    "path ": lambda kind, path: make(kind).save(path),
    "filename": lambda kind, path: network2.load(path),
    "checkpoint": lambda kind, path: train(make(kind), checkpoint=path),
    "resume": lambda kind, path: train(make(kind), resume=path),
    "path  ": lambda kind, path: bpnet.open(path),
    "path   ": lambda kind, path: bpnet.Dataset(([[1.0]], [0])).save(path),
}
each_call = pytest.mark.parametrize("call", CALLS)


@each_form
@each_class
@pytest.mark.parametrize("name", ["net.npz", "net.json", "modèle", "a b\n.npz"])
def test_a_path_of_any_form_is_saved_to_and_loaded_from(kind, form, name, tmp_path):
    path = FORMS[form](str(tmp_path / name))
    net = make(kind)
    net.save(path)
    assert equal(bpnet.load(path), net)
    content = (tmp_path / name).read_bytes()
    net.save(str(tmp_path / name))  # the ending says the format, in any form
    assert (tmp_path / name).read_bytes() == content


@each_form
@each_class
def test_a_run_is_kept_in_a_path_of_any_form(kind, form, tmp_path):
    path = FORMS[form](str(tmp_path / "run.npz"))
    whole, net = make(kind), make(kind)
    train(whole, epochs=4)
    train(make(kind), epochs=2, checkpoint=path)
    train(net, epochs=4, checkpoint=path, resume=path)
    assert equal(net, whole) and equal(bpnet.load(path), whole)
    assert os.listdir(tmp_path) == ["run.npz"]


@pytest.mark.pairs
@each_call
@each_class
@pytest.mark.parametrize("odd", [3, True, 1.5, ["a"], bytearray(b"a"), Named(3)])
def test_what_is_no_path_is_named(kind, call, odd):
    name = "filename" if call == "path " and kind == "network2" else call.strip()
    with pytest.raises(TypeError) as raised:
        CALLS[call](kind, odd)
    assert str(raised.value) == f"{name} must be a path, got {odd!r:.60}"


@each_call
@each_class
@pytest.mark.parametrize("odd", ["a\0b", b"a\0b", "\ud800"])
def test_a_path_that_no_file_can_have_is_named(kind, call, odd):
    name = "filename" if call == "path " and kind == "network2" else call.strip()
    with pytest.raises(ValueError) as raised:
        CALLS[call](kind, odd)
    if odd == "\ud800" and os.name != "posix":
        return
    assert str(raised.value) == f"{name} must be a path that a file can have, got {odd!r}"


@pytest.mark.pairs
@each_form
@each_call
@each_class
@pytest.mark.parametrize("what", ["absent", "folder", "other"])
def test_a_message_names_a_path_of_any_form_as_it_reads(kind, call, form, what, tmp_path):
    paths = {name: tmp_path / f"modèle {name}" for name in ("absent", "folder", "other")}
    paths["folder"].mkdir()
    paths["other"].write_text("other")
    if call in ("path ", "path   ", "checkpoint") and what != "folder":
        return  # where it may be written
    with pytest.raises((OSError, ValueError)) as raised:
        CALLS[call](kind, FORMS[form](str(paths[what])))
    assert f"modèle {what}" in str(raised.value)
    assert "b'" not in str(raised.value) and "Named" not in str(raised.value)


@pytest.mark.parametrize("opened", ["in memory", "on the disk"])
@each_class
def test_a_binary_file_that_is_open_stands_for_a_path(kind, opened, tmp_path):
    path = tmp_path / "run.npz"
    whole, net, resumed = make(kind), make(kind), make(kind)
    train(whole, epochs=4)
    with io.BytesIO() if opened == "in memory" else open(path, "w+b") as file:
        train(net, epochs=2, checkpoint=file)
        length = file.seek(0, os.SEEK_END)
        train(resumed, epochs=4, resume=file, checkpoint=file)
        assert equal(resumed, whole) and equal(bpnet.load(file), whole)
        net.save(file)  # replaces what is in it, which is longer
        assert not file.closed and file.seek(0, os.SEEK_END) < length
        assert equal(bpnet.load(file), net)
        file.truncate(file.tell() - 1)
        with pytest.raises(ValueError, match="must be a model that bpnet"):
            bpnet.load(file)


@each_call
def test_a_text_file_that_is_open_is_none(call):
    with pytest.raises(TypeError, match=rf"{call.strip()} must be a path"):
        CALLS[call]("network", io.StringIO())
