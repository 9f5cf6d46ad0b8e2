"""attack: the fuzzer finds what is planted, and is the same for the same seed."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ATTACK = Path(__file__).with_name("attack")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and alarms of POSIX")


@pytest.fixture(scope="module")
def fuzz():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ATTACK))
        import fuzz

        yield fuzz


@pytest.fixture(scope="module")
def found(fuzz):
    return fuzz.seeds()


def test_a_short_attack_finds_nothing(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            str(ATTACK / "fuzz.py"),
            "--seconds",
            "3",
            "--keep",
            tmp_path / "kept",
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert done.stdout.endswith(" refused, 0 faults\n")
    assert not (tmp_path / "kept").exists()


def test_the_same_seed_makes_the_same_files(fuzz, found):
    for number in range(100):
        once, again = (fuzz.changed(number, 3, found) for _ in range(2))
        assert once == again
    assert fuzz.changed(1, 3, found) != fuzz.changed(1, 4, found)


def test_most_changes_are_beneath_the_sums(fuzz, found):
    """Of zips the most are zips whose members have the right sums, and yet are others."""
    whole = others = 0
    for number in range(1500):
        name, file, content = fuzz.changed(number, 0, found)
        if not file.endswith(".npz") or content == found[name].files[file]:
            continue
        others += 1
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                whole += archive.testzip() is None
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError):
            continue
    assert whole > others / 2 > 50


def planted(fault):
    def read(path):
        path.read_bytes()
        fault()

    return read


def error(kind, *arguments):
    def fail():
        raise kind(*arguments)

    return fail


def for_ever():
    while True:
        pass


FAULTS = {
    "KeyError: \"'gauss_next'\"": error(KeyError, "gauss_next"),
    "MemoryError: ''": lambda: bytearray(1 << 30),
    "a message that is no line: 'a\\nb'": error(ValueError, "a\nb"),
    "a message that is no line: ''": error(OSError),
    "more than 0.2 seconds": for_ever,
    "the process ended with 7": lambda: os._exit(7),
    "the process ended with -9": lambda: os.read(os.pipe()[0], 1),
}


@pytest.mark.parametrize("said", FAULTS)
def test_what_is_planted_is_found(fuzz, monkeypatch, said):
    """A reader that never ends, where no alarm is heard, is killed."""
    seed = fuzz.Seed(
        planted(FAULTS[said]), {"file.json": json.dumps([1, 2]).encode()}, "file.json"
    )
    monkeypatch.setattr(fuzz, "SECONDS", 60 if "-9" in said else 0.2)
    monkeypatch.setattr(fuzz, "SILENCE", 0.5 if "-9" in said else 60)
    monkeypatch.setattr(fuzz, "BATCH", 1)
    assert list(fuzz.batch(0, 0, {"planted": seed}, float("inf"))) == [(0, said)]


def test_main_says_how_many_and_fails_where_there_is_a_fault(
    fuzz, monkeypatch, capsys, tmp_path
):
    def read(path):
        if path.read_bytes() != b"whole":
            raise KeyError("key") if path.read_bytes() else ValueError("empty")

    seed = fuzz.Seed(read, {"file": b"whole"}, "file")
    monkeypatch.setattr(fuzz, "seeds", lambda: {"planted": seed})
    kept = tmp_path / "kept"
    monkeypatch.setattr(sys, "argv", ["fuzz", "--seconds", "0.5", "--keep", str(kept)])
    assert fuzz.main() == 1
    *faults, line = capsys.readouterr().out.splitlines()
    assert line.endswith(f" {len(faults)} faults") and faults
    assert len(list(kept.iterdir())) == len(faults)
