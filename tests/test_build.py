"""What is built and shipped: the core's files, each compiled once, with flags that its compiler
knows; an sdist that can be tested; one version."""

import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

import bpnet

setuptools = pytest.importorskip("setuptools")

ROOT = Path(__file__).resolve().parents[1]
BINDING = "_core.c"  # as Cython writes it


@pytest.fixture
def build(monkeypatch):
    """Return what setup.py says to setuptools, and its command, as it is before it builds."""
    said = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, "setup", said.update)
    runpy.run_path("setup.py")
    (said["extension"],) = said["ext_modules"]
    command = said["cmdclass"]["build_ext"](setuptools.Distribution())
    sources = [source.replace(".pyx", ".c") for source in said["extension"].sources]
    return command, said["extension"], sources


class Compiler:
    """Notes what it is told to compile."""

    initialized = False

    def __init__(self, compiler_type):
        self.compiler_type = compiler_type
        self.flags = {}

    def initialize(self):
        assert not self.initialized
        self.initialized = True

    def compile(self, sources, extra_postargs, **words):
        assert words == {"debug": None}
        (source,) = sources
        assert source not in self.flags
        self.flags[source] = extra_postargs
        return [source.replace(".c", ".o")]


def compiled(build, monkeypatch, compiler_type):
    """Return the compiler after the command has built with it, and the objects' names."""
    command, extension, sources = build
    command.compiler, command.extensions = Compiler(compiler_type), [extension]
    objects = []

    def build_extensions(self):  # setuptools' own
        flags = extension.extra_compile_args
        objects.extend(self.compiler.compile(sources, extra_postargs=flags, debug=None))

    base = type(command).__mro__[1]
    monkeypatch.setattr(base, "build_extensions", build_extensions)
    command.build_extensions()
    return command.compiler, objects


@pytest.mark.parametrize("compiler_type", ["unix", "mingw32", "msvc"])
def test_each_file_of_the_core_is_compiled_once_and_linked(build, monkeypatch, compiler_type):
    compiler, objects = compiled(build, monkeypatch, compiler_type)
    files = {path.as_posix() for path in Path("src/bpcore").glob("*.c")} | {
        "src/bpcore/_core.c"
    }
    assert set(compiler.flags) == files
    assert sorted(objects) == sorted(name.replace(".c", ".o") for name in files)
    assert compiler.initialized == (compiler_type == "msvc")


def test_only_the_binding_is_not_optimised_as_the_kernels_are(build, monkeypatch):
    compiler, _ = compiled(build, monkeypatch, "unix")
    binding = compiler.flags.pop("src/bpcore/_core.c")
    (kernels,) = {tuple(flags) for flags in compiler.flags.values()}
    assert "-O3" in kernels and "-O1" not in kernels
    assert binding == [*kernels, "-O1"]


def test_msvc_is_told_nothing_that_only_others_know(build, monkeypatch):
    compiler, _ = compiled(build, monkeypatch, "msvc")
    assert all(flag[0] == "/" for flags in compiler.flags.values() for flag in flags)


def test_files_are_compiled_side_by_side(build):
    command, _, sources = build
    together = threading.Barrier(len(sources), timeout=60)

    def compile_files(sources, **_):
        together.wait()  # for all: one after the other, the first would wait for ever
        return sources

    command.binding_flags, command.parallel = [], len(sources)
    command.compile_files = compile_files
    assert sorted(command.compile_side_by_side(sources)) == sorted(sources)


@pytest.mark.parametrize("place", range(3))
def test_what_the_compiler_refuses_ends_the_build(build, place):
    command, _, sources = build
    refused, error = sources[place], setuptools.errors.CompileError("no such instruction")
    begun = []

    def compile_files(sources, **_):
        begun.extend(sources)
        if sources == [refused]:
            raise error
        return sources

    command.binding_flags, command.parallel = [], 1
    command.compile_files = compile_files
    with pytest.raises(setuptools.errors.CompileError, match="no such instruction"):
        command.compile_side_by_side(sources)
    assert refused in begun


def test_the_binding_has_no_typed_memoryview():
    """Cython's code for them would be a third of it, and is compiled at each installation."""
    text = (ROOT / "src/bpcore/_core.pyx").read_text(encoding="utf-8")
    assert not re.search(r"^ *cdef \S+\[:", text, re.MULTILINE)


def test_the_version_is_the_same_wherever_it_stands():
    lines = {"CHANGELOG.md": r"^## \[(.+?)\]", "CITATION.cff": r"^version: (.+)$"}
    for name, line in lines.items():
        found = re.search(line, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert found[1] == bpnet.__version__, name


def test_an_sdist_can_be_tested_and_holds_no_more_than_that_needs(tmp_path):
    """All that is compiled, imported or read by the tests, but for records and pictures."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools", "77")
    built = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "*.egg-info", BINDING)
    for path in ROOT.iterdir():
        if path.name in ("src", "tests", "docs", "examples", "bench"):
            shutil.copytree(path, tmp_path / path.name, ignore=built)
        elif path.suffix in (".cff", ".in", ".md", ".py", ".toml") or path.name == "LICENSE":
            shutil.copy(path, tmp_path)
    there = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}

    command = [sys.executable, "setup.py", "-q", "sdist", "--formats=tar"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (archive,) = (tmp_path / "dist").iterdir()
    with tarfile.open(archive) as tar:
        files = {Path(*Path(item.name).parts[1:]) for item in tar if item.isfile()}
    not_needed = {path for path in there if path.parts[0] == "bench" or path.suffix == ".png"}
    assert there - files == not_needed
    assert not any(path.parts[0] == "build" or path.suffix == ".so" for path in files)
