"""wholefile: a file is replaced whole or not at all, and nothing is left beside it for long."""

import errno
import io
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile

import numpy as np
import pytest

import bpnet
from bpnet import Network, network2, serialize, wholefile
from bpnet.check import printable
from bpnet.wholefile import open_file, write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="processes, links and locks of POSIX")
FULL_DISK = OSError(errno.ENOSPC, "No space left on device")


def names_in(folder):
    return sorted(os.listdir(folder))


def write(path, content=b"whole"):
    write_whole(path, lambda file: file.write(content))


def in_child(function):
    """Call a function in a fork, and return how that ended: its status, -9 of one killed."""
    child = os.fork()
    if not child:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# Whole or not at all


def test_the_whole_file_is_on_disk_beside_the_old_one_before_it_takes_the_name(
    tmp_path, monkeypatch
):
    path, seen, fsync = tmp_path / "file", [], os.fsync
    path.write_bytes(b"old")

    def look(descriptor):
        fsync(descriptor)
        status = os.fstat(descriptor)
        whole = stat.S_ISREG(status.st_mode) and status.st_size
        seen.append((whole, path.read_bytes(), len(os.listdir(tmp_path))))

    monkeypatch.setattr(os, "fsync", look)
    write(path)
    assert seen[0] == (5, b"old", 2)
    assert seen[1:] == [(False, b"whole", 1)] * (os.name == "posix")  # the folder, after it


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, monkeypatch):
    fsync = os.fsync

    def files_only(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"whole"


class Fails(io.BufferedWriter):
    """A file that fails at the n-th call of a method."""

    at = ("", 0)

    def call(self, name, *arguments):
        Fails.at = (Fails.at[0], Fails.at[1] - (Fails.at[0] == name))
        if Fails.at == (name, 0):
            raise FULL_DISK
        return getattr(super(), name)(*arguments)

    def write(self, piece):
        return self.call("write", piece)

    def flush(self):
        return self.call("flush")

    def close(self):
        if not self.closed:
            super().close()
            self.call("close")


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(
    "at", [*(("write", n) for n in (1, 2, 5, 9, 16, 17)), ("flush", 1), ("close", 1)]
)
def test_a_failing_file_leaves_the_old_one(tmp_path, monkeypatch, at, old):
    path, net = tmp_path / "net.npz", Network([4, 3, 2], seed=1)
    if old:
        net.save(path)
    before = path.read_bytes() if old else None
    monkeypatch.setattr(
        wholefile,
        "open",
        lambda name, mode: Fails(io.FileIO(name, mode.replace("b", ""))),
        raising=False,
    )
    monkeypatch.setattr(Fails, "at", at)
    with pytest.raises(OSError, match="No space"):
        net.save(path)
    assert names_in(tmp_path) == ["net.npz"] * old
    assert not old or path.read_bytes() == before


STEPS = [*("open", "dup", "fsync", "replace"), *(["fchown", "fchmod"] * (os.name == "posix"))]


@pytest.mark.parametrize("error", [RuntimeError(), KeyboardInterrupt()])
@pytest.mark.parametrize("step", STEPS)
def test_a_failing_step_leaves_the_old_file(tmp_path, monkeypatch, step, error):
    path = tmp_path / "net.npz"
    path.write_bytes(b"old")

    def fails(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fails)
        with pytest.raises(type(error)):
            write(path)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["net.npz"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, ZeroDivisionError])
def test_a_writer_that_fails_leaves_nothing(tmp_path, error):
    def fails(file):
        file.write(b"half")
        raise error

    with pytest.raises(error):
        write_whole(tmp_path / "file", fails)
    assert names_in(tmp_path) == []


def test_no_descriptor_is_left_open(tmp_path):
    def fails(file):
        raise ZeroDivisionError

    def lowest():
        descriptor = os.open(tmp_path, os.O_RDONLY)
        os.close(descriptor)
        return descriptor

    if os.name == "posix":
        before = lowest()
        (tmp_path / ".file.0123456789abcdef.partial").touch()
        write(tmp_path / "file")
        with pytest.raises(ZeroDivisionError):
            write_whole(tmp_path / "file", fails)
        open_file(tmp_path / "file").close()
        with pytest.raises(OSError):
            open_file(tmp_path)
        assert lowest() == before


FULL = """
import os, resource, sys
from pathlib import Path
import numpy as np
from bpnet import serialize
path = Path(sys.argv[1])
before, limit = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
made = serialize.load(path)
made = made._replace(weights=[w + 1 for w in made.weights])
for n in (0, 1, 100, 4096, 9000, len(before) - 1):
    resource.setrlimit(resource.RLIMIT_FSIZE, (n, limit[1]))
    try:
        serialize.save(path, made)
    except OSError as error:
        assert "too large" in str(error)
    else:
        raise AssertionError(n)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
resource.setrlimit(resource.RLIMIT_FSIZE, limit)
serialize.save(path, made)
assert path.read_bytes() != before
"""


@posix
def test_a_file_that_grows_too_large_leaves_the_old_one(tmp_path):
    Network([40, 40], seed=1).save(tmp_path / "net.npz")
    assert subprocess.run([sys.executable, "-c", FULL, tmp_path / "net.npz"]).returncode == 0


# Killed


class Killed:
    """A module that kills its process when it is asked for the n-th of its functions."""

    def __init__(self, module, n):
        self.module, self.left = module, n

    def __getattr__(self, name):
        found = getattr(self.module, name)
        if not callable(found) or isinstance(found, type):
            return found
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        return found


@posix
@pytest.mark.parametrize("old", [b"old", None])
def test_a_kill_at_any_call_leaves_the_old_file_or_the_new_and_the_next_write_no_litter(
    tmp_path, old
):
    path, left = tmp_path / "file", []

    def killed(n):
        wholefile.os = Killed(os, n)
        write_whole(path, lambda file: [file.write(b"new"), file.flush()])

    for n in range(1, 100):
        path.unlink(missing_ok=True)
        if old:
            path.write_bytes(old)
        status = in_child(lambda n=n: killed(n))
        assert status in (0, -signal.SIGKILL)
        found = path.read_bytes() if path.exists() else None
        assert found == b"new" if status == 0 else found in (old, b"new")
        left.append(len(names_in(tmp_path)) - path.exists())
        assert left[-1] <= 1
        write(path, b"next")
        assert names_in(tmp_path) == ["file"] and path.read_bytes() == b"next"
        if status == 0:
            break
    assert status == 0 and any(left)


@posix
def test_many_that_were_killed_leave_nothing_after_the_next_save(tmp_path):
    """Each leaves what the one before it had left and its own, since it came no further."""

    def killed(file):
        os.kill(os.getpid(), signal.SIGKILL)

    for k in range(5):
        assert in_child(lambda: write_whole(tmp_path / "net.npz", killed)) == -signal.SIGKILL
        (tmp_path / f".net.npz.{k + 1}-{k:016}.partial").touch()
    assert len(names_in(tmp_path)) == 2
    Network([3, 2], seed=1).save(tmp_path / "net.npz")
    assert names_in(tmp_path) == ["net.npz"]


# Beside others


NAMES = ["net.npz", "ü b[1]*.npz", "n" * 255, "ü" * 127, "." + "n" * 100, "\udcff\x1b\n"]


@posix
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_what_is_swept_is_the_targets_own_and_nobodys(tmp_path, name):
    path, seen = tmp_path / name, []

    def look(file):
        seen.extend(set(os.listdir(tmp_path)) - {name})
        write(path, b"another's")  # which sweeps, too
        assert names_in(tmp_path) == sorted([name, *seen])

    write_whole(path, look)
    (temporary,) = seen
    stem, rest = re.fullmatch(r"(\..+\.)([0-9a-f]{16}\.partial)", temporary, re.S).groups()
    assert len(os.fsencode(temporary)) < 143
    assert names_in(tmp_path) == [name]

    gone = [temporary, f"{stem}7-{rest}", f"{stem}{os.getpid()}-{'0' * 16}.partial"]
    kept = [f"{stem}{rest}x", f"x{stem}{rest}", f"{stem}0-{rest}", f"{stem}-7-{rest}"]
    kept += [f".x.{rest}", f"{stem}.partial", f"{stem}{rest[1:]}"]
    for each in gone + kept:
        (tmp_path / each).touch()
    others = [f"{stem}{k * 16}.partial" for k in "123"]  # what no writer makes
    (tmp_path / others[0]).mkdir()
    (tmp_path / others[1]).symlink_to(kept[0])
    os.mkfifo(tmp_path / others[2])
    write(path)
    assert names_in(tmp_path) == sorted([name, *kept, *others])


@posix
def test_writers_at_once_do_not_disturb_each_other(tmp_path):
    """Of processes that all hold a whole temporary file, each replaces the file in its turn."""
    path, turns = tmp_path / "file", [os.pipe() for _ in range(4)]
    ready, said = os.pipe()

    def wait(k):
        write_whole(
            path,
            lambda file: [file.write(b"%d" % k), os.write(said, b"!"), os.read(turns[k][0], 1)],
        )

    children = []
    for k in range(4):
        if not (child := os.fork()):
            status = 1
            try:
                wait(k)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
        assert os.read(ready, 1) == b"!"
    assert len(names_in(tmp_path)) == 4
    for k in (2, 0, 3):
        write(path, b"between")
        os.write(turns[k][1], b"!")
        assert os.waitstatus_to_exitcode(os.waitpid(children[k], 0)[1]) == 0
        assert path.read_bytes() == b"%d" % k
    os.kill(children[1], signal.SIGKILL)
    os.waitpid(children[1], 0)
    assert len(names_in(tmp_path)) == 2
    write(path)
    assert names_in(tmp_path) == ["file"]
    for descriptor in (ready, said, *sum(turns, ())):
        os.close(descriptor)


@posix
@pytest.mark.parametrize("taken", ["locked", "deleted"])
def test_a_file_that_is_swept_before_it_is_locked_is_made_again(tmp_path, monkeypatch, taken):
    """Between its coming to be and its lock it is anybody's."""
    from bpnet.wholefile import fcntl

    flock, thieves = fcntl.flock, []

    def late(descriptor, operation):
        if not thieves:
            (name,) = names_in(tmp_path)
            thieves.append(os.open(tmp_path / name, os.O_RDWR))
            flock(thieves[0], operation)
            if taken == "deleted":
                os.unlink(tmp_path / name)
                os.close(thieves[0])
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"whole"
    if taken == "locked":  # and its new owner was not disturbed
        assert len(names_in(tmp_path)) == 2
        os.close(thieves[0])


@posix
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_where_files_cannot_be_locked_nothing_is_swept(tmp_path, monkeypatch, number):
    from bpnet.wholefile import fcntl

    def unsupported(descriptor, operation):
        raise OSError(number, os.strerror(number))

    leftover = ".file.0123456789abcdef.partial"
    (tmp_path / leftover).touch()
    monkeypatch.setattr(fcntl, "flock", unsupported)
    write(tmp_path / "file")
    assert names_in(tmp_path) == [leftover, "file"]
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_without_locks_what_is_open_cannot_be_deleted(tmp_path, monkeypatch):
    """As on Windows, where the file is closed before it is renamed."""
    leftovers = [f".file.{k:016}.partial" for k in range(3)]
    for name in leftovers:
        (tmp_path / name).touch()
    unlink, replace, held = os.unlink, os.replace, []

    def refuse(path, **options):
        if str(path).endswith(leftovers[1]):
            raise PermissionError(errno.EACCES, "it is open")
        unlink(path, **options)

    def closed(source, target):
        assert not [d for d in held if stat.S_ISREG(os.fstat(d).st_mode)]
        replace(source, target)

    monkeypatch.setattr(wholefile, "_LOCKS", False)
    monkeypatch.setattr(os, "unlink", refuse)
    monkeypatch.setattr(os, "replace", closed)
    write(tmp_path / "file")
    assert names_in(tmp_path) == [leftovers[1], "file"]
    assert (tmp_path / "file").read_bytes() == b"whole"


# Permissions and links


@posix
def test_permissions_and_links_are_those_of_an_ordinary_file(tmp_path):
    path, link = tmp_path / "net.npz", tmp_path / "link.npz"
    old = os.umask(0o027)
    try:
        write(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o600)
    link.symlink_to(path)
    write(link, b"new")
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == b"new"
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "there")
    write(dangling)
    assert (tmp_path / "there").read_bytes() == b"whole"


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o777, 0o604])
def test_the_temporary_file_is_never_more_open_than_the_old_one(tmp_path, mode):
    path = tmp_path / "net.npz"
    path.touch()
    path.chmod(mode)

    def look(file):
        assert not stat.S_IMODE(os.fstat(file.fileno()).st_mode) & ~mode

    write_whole(path, look)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def foreign(path):
    """Return the status of a file of another group, or of what would be one."""
    status = list(path.stat())[:10]
    status[stat.ST_GID] += 1
    return os.stat_result(status)


@posix
def test_the_group_is_kept(tmp_path, monkeypatch):
    path, asked, fchown = tmp_path / "net.npz", [], os.fchown
    path.touch()
    path.chmod(0o660)
    groups = [group for group in os.getgroups() if group != path.stat().st_gid]
    if os.geteuid() == 0:
        os.chown(path, 7, 8)
    elif groups:
        os.chown(path, -1, groups[0])
    before = path.stat()

    def own(descriptor, owner, group):
        asked.append((owner, group))
        fchown(descriptor, owner, group)

    monkeypatch.setattr(os, "fchown", own)
    write(path)
    after = path.stat()
    assert asked == [(before.st_uid, before.st_gid)]
    assert (after.st_uid, after.st_gid, after.st_mode) == before[4:6] + (before.st_mode,)


@posix
@pytest.mark.parametrize("owner_only", [True, False])
def test_nobody_gets_more_where_the_group_cannot_be_kept(tmp_path, monkeypatch, owner_only):
    """A member of one group may be none of the other's, or of both: he may what both might."""
    path, asked = tmp_path / "net.npz", []
    path.touch()

    def refuse(descriptor, owner, group):
        asked.append(owner)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with open(path, "r+b") as file:
        for mode in range(0o1000):
            path.chmod(mode)
            old = path.stat() if owner_only else foreign(path)
            wholefile._own(file.fileno(), old)
            found = stat.S_IMODE(path.stat().st_mode)
            if owner_only:
                assert found == mode
                continue
            group, others = mode >> 3 & 7, mode & 7
            assert found >> 6 == mode >> 6
            assert found >> 3 & 7 == found & 7 == group & others
    assert set(asked) == {old.st_uid, -1}


def as_nobody(function):
    """Call a function in a fork that has no rights but those of permissions."""

    def drop():
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        function()

    return in_child(drop)


@posix
@pytest.mark.parametrize("mode", [0o444, 0o400, 0o000, 0o555])
def test_a_file_that_may_not_be_written_is_refused_as_open_does(mode):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        path = os.path.join(os.path.realpath(folder), "net.npz")
        with open(path, "wb") as file:
            file.write(b"old")
        os.chmod(path, mode)
        os.chmod(folder, 0o777)
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)

        def refused():
            with pytest.raises(PermissionError) as wanted:
                open(path, "ab")
            for save in (write, Network([3, 2]).save, network2.Network([3, 2]).save):
                with pytest.raises(PermissionError) as raised:
                    save(path)
                assert str(raised.value) == str(wanted.value)
            assert os.listdir(folder) == ["net.npz"]

        assert as_nobody(refused) == 0
        os.chmod(path, 0o644)
        with open(path, "rb") as file:
            assert file.read() == b"old"


@posix
def test_a_folder_that_may_not_be_written_is_named():
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        os.chmod(folder, 0o555)

        def refused():
            with pytest.raises(PermissionError) as raised:
                write(os.path.join(folder, "net.npz"))
            assert str(raised.value) == f"[Errno 13] Permission denied: {folder!r}"

        assert as_nobody(refused) == 0
        os.chmod(folder, 0o755)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        write(tmp_path / "nowhere" / "net.npz")
    assert raised.value.filename == str(tmp_path / "nowhere")


@posix
def test_another_hard_link_goes_on_to_name_the_old_file(tmp_path):
    """What open() would write to, too: said in write_whole, and in the documents."""
    path, link = tmp_path / "net.npz", tmp_path / "link.npz"
    path.write_bytes(b"old")
    link.hardlink_to(path)
    write(path)
    assert (path.read_bytes(), link.read_bytes()) == (b"whole", b"old")


@posix
def test_a_loop_of_links_is_an_error(tmp_path):
    path = tmp_path / "loop"
    path.symlink_to(path)
    for call in (write, open_file):
        with pytest.raises(OSError, match=r"Too many levels|loop"):
            call(path)
    assert path.is_symlink()


# What is no file


def specials(folder):
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "link").symlink_to("pipe")
    return [folder / "pipe", folder / "folder", folder / "link", "/dev/null", "/dev/zero"]


ONE = np.zeros((1, 1)), np.zeros((1, 1))
CALLS = {
    "write_whole": write,
    "open_file": open_file,
    "save": lambda path: Network([3, 2]).save(path),
    "network2's save": lambda path: network2.Network([3, 2]).save(path),
    "load": bpnet.load,
    "network2's load": network2.load,
    "checkpoint": lambda path: Network([1, 1]).SGD(ONE, 0, 1, 1.0, checkpoint=path),
}
each_call = pytest.mark.parametrize("name", CALLS)


@posix
@each_call
def test_what_is_no_file_is_refused_at_once(tmp_path, name):
    """A pipe that nobody writes to would be waited for, a device is without end."""
    found = specials(tmp_path)
    for path in found:
        status = os.stat(path)
        with pytest.raises(OSError) as raised:
            CALLS[name](path)
        assert str(raised.value) == f"path must name a file, got {path}"
        assert os.path.samestat(os.stat(path), status)
    assert names_in(tmp_path) == ["folder", "link", "pipe"]


@posix
@each_call
def test_what_becomes_a_pipe_while_it_is_opened_is_refused_too(tmp_path, monkeypatch, name):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    before, look = os.stat(tmp_path / "file"), os.stat
    other = {str(tmp_path / "pipe"): before}
    monkeypatch.setattr(os, "stat", lambda path, **o: other.get(str(path)) or look(path, **o))
    with pytest.raises(OSError, match=r"path must name a file|No such device") as raised:
        CALLS[name](tmp_path / "pipe")
    assert len(str(raised.value).splitlines()) == 1
    assert names_in(tmp_path) == ["file", "pipe"]


# Messages


def test_what_is_printable_is_shown_as_it_is():
    for text in ("a b", "ü", "it's", ""):
        assert printable(text) == text
        assert printable(os.fsencode(text)) == text
    for text in ("\x1b[31m", "a\nb", "a\tb", "\udcff", "a\x9bb", "\u202eevil", "\x7f"):
        assert printable(text).isprintable()
        assert printable(text).encode().decode("unicode_escape") == text
    assert printable(OSError(2, "a\nb")) == "[Errno 2] a\\nb"


@posix
@each_call
@pytest.mark.parametrize("what", ["folder", "damage", "nothing", "no folder"])
def test_a_terminal_obeys_no_name_of_a_file(tmp_path, name, what):
    path = tmp_path / "\x1b]0;\x07\x9b31m\udcff\n"
    if what == "folder":
        path.mkdir()
    elif what == "damage":
        path.write_bytes(b"PK\x1b[31m" + bytes(100))
    elif what == "no folder":
        path = path / "file"
    try:
        found = CALLS[name](path)
        if name == "open_file":
            found.close()
    except (OSError, ValueError) as error:
        assert str(error).isprintable()
    else:
        assert what in ("damage", "nothing") and name not in ("load", "network2's load")


def test_the_module_says_what_serialize_and_the_cache_use():
    assert serialize.write_whole is write_whole
    from bpnet.mnist import download

    assert download.write_whole is write_whole
