"""A network in a file, exact, and whole or not at all: npz without pickle, or the book's JSON.

An npz holds ``format``, ``version``, ``sizes``, and ``biases_0``, ``weights_0``, ... in the
network's dtype, and ``json`` for what is no array: names, notes, the history of the training,
by whose functions the network answers, and the state of a run, where its history is.
A run adds ``order``, ``random_state``, ``steps``, what its rule keeps of each weight as
``slots_0_biases_0``, ..., and may add ``best_biases_0``, ...  Version 1 had ``velocity_``,
version 2 no history and no functions.

A file is read as what it must be, not as what it says: members lie end to end, and the header
of each array is known beforehand.  So nothing in a file is evaluated or decompressed, and no
array is allocated that its bytes do not fill.
"""

from __future__ import annotations

import math
import os
import reprlib
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bpnet import check, npz
from bpnet.wholefile import Place, open_file, write_whole

if TYPE_CHECKING:
    from io import BufferedReader

    from bpnet.check import Array

    Parameters = tuple[list[Array], list[Array]]  # biases, weights

_FORMAT = np.array("bpnet.Network")
_VERSION = 3
_OUTPUTS = {"QuadraticCost": "quadratic", "CrossEntropyCost": "cross-entropy"}  # chapter 3's
_VALUES = ("kind", "hidden", "output", "cost", "notes", "own", "history", "stopped_by")
_ABSENT = (None,) * 4  # the last four of these, in the book's JSON
_STATE_SIZE = 625  # of the Mersenne Twister: 624 words, and the position among them

# Of a zip, as APPNOTE.TXT of PKWARE names them: local file header, its zip64 extra field,
# central directory header; the bytes of an end record, and of a zip64 one and its locator.
_LOCAL = struct.Struct("<4s2x2H4x3I2H")
_ZIP64 = struct.Struct("<4x2Q")
_CENTRAL = struct.Struct("<4s12xI8x3H12x")
_END, _END64 = 22, 76
_LEAST = 64  # bytes of an npy header
_CHUNK = 1 << 22  # bytes that are read in one go, after which Ctrl-C is heard

_MOST_JSON = 1 << 28  # bytes: parsed, they may take 30 times as much memory
_TOO_LARGE = f"JSON must have at most {_MOST_JSON:,} bytes; save it as npz"


class Run(NamedTuple):
    """Where a training run is after a whole number of epochs."""

    state: dict[str, Any]  # JSON-ready
    order: Array  # int64 (n,): a permutation of range(n)
    random_state: Array  # uint32 (625,): the Mersenne Twister's words and position
    rule: str  # the name of what makes a step of a gradient
    steps: int  # mini-batches that are done
    slots: list[Parameters]  # the rule's, of the network's shapes and dtype, as is the next
    best: Parameters | None = None


class Model(NamedTuple):
    """A network as a file holds it."""

    sizes: list[int]
    biases: list[Array]
    weights: list[Array]
    kind: str = "Network"  # the class that wrote it: Network, Network2 (of chapter 3), MLP
    hidden: str = "sigmoid"  # the activation of the hidden layers
    output: str | None = "quadratic"  # the last layer's row; None: of a cost of the user's own
    cost: str | None = None  # the name of a Network2's cost class
    notes: dict[str, Any] | None = None  # JSON-ready, the user's own
    own: dict[str, str] | None = None  # names of the script's functions that answer, by step
    history: list[dict[str, Any]] | None = None  # of the training; a run's is in its state
    stopped_by: str | None = None
    run: Run | None = None  # in a checkpoint


def save(path: Place, model: Model) -> None:
    """Write model to path as npz; a file that is there is replaced, or kept.

    path may be a binary file that is open, here and wherever there is one.
    Raises TypeError or ValueError, before anything is written, if load would refuse it.
    Warns, when it is written, of what a file cannot hold: functions, odd items of a history.
    """
    model, lost = _storable(model)
    model = _checked(model)
    values = dict(zip(_VALUES, model[3:]))
    members = {
        "format": _FORMAT,
        "version": np.array(_VERSION, np.int64),
        "sizes": np.array(model.sizes, np.int64),
        **_named("", (model.biases, model.weights)),
    }
    if run := model.run:
        values["state"], members["order"], members["random_state"] = run[:3]
        values["rule"], members["steps"] = run.rule, np.array(run.steps, np.int64)
        for k, slot in enumerate(run.slots):
            members |= _named(f"slots_{k}_", slot)
        members |= _named("best_", run.best)
    members["json"] = np.frombuffer(npz.encode(values), np.uint8)
    write_whole(path, lambda file: npz.write(file, members))
    _say(lost)


def save_json(path: Place, model: Model) -> None:
    """Write model, without its run, to path as the book's network2.py does.

    The numbers are exact, but for the bits of a NaN.  ``dtype`` and the other values are added
    where they are not chapter 3's, nor empty.  Raises and warns as save does.
    """
    model, lost = _storable(model)
    model = _checked(model)
    values: dict[str, Any] = {"cost": model.cost}
    if model.weights[0].dtype == np.float32:
        values["dtype"] = "float32"
    book = ("Network2", "sigmoid", _OUTPUTS.get(model.cost or ""), model.cost, *_ABSENT)
    found = zip(_VALUES, model[3:], book)
    values |= {name: value for name, value, usual in found if value not in (usual, {}, [])}
    sizes, others = npz.encode({"sizes": model.sizes})[:-1], npz.encode(values)[1:]

    def write(file: IO[bytes]) -> None:
        file.write(sizes)
        for name, arrays in (("weights", model.weights), ("biases", model.biases)):
            file.write(f', "{name}": '.encode())
            file.writelines(_rows(arrays))
        file.write(b", " + others)
        if file.tell() > _MOST_JSON:
            raise ValueError(_TOO_LARGE)

    write_whole(path, write)
    _say(lost)


def load(path: Place) -> Model:
    """Return the model that save, save_json or the book's network2.py wrote to path.

    Raises ValueError if path holds no such, OSError if it is no file or cannot be read.  An npz
    takes the memory of its arrays; JSON at most 30 times its size, of numbers about 3 times.
    Ctrl-C is heard meanwhile, in JSON between two numbers.
    """
    with open_file(path) as file:
        try:
            start = file.peek().lstrip(b"\xef\xbb\xbf \t\n\r")  # a byte order mark, space
            if not start.startswith((b"PK", b"{")):
                raise ValueError("it is neither an npz nor a JSON object")
            if b"dataset.npy" in start[:64]:
                raise ValueError("it holds a Dataset: use bpnet.open")
            return _checked(_from_npz(file) if start.startswith(b"PK") else _from_json(file))
        except (ValueError, TypeError, RecursionError, struct.error) as error:
            reason = "its zip is damaged" if isinstance(error, struct.error) else str(error)
            name, reason = check.printable(path), check.printable(reason)
            raise ValueError(
                f"{name} must be a model that bpnet or the book's network2 saved: {reason:.300}"
            ) from None


def _checked(model: Model) -> Model:
    """Return model with parameters that fit its sizes; raise if any part is not as it must."""
    sizes, run = check.layers(model.sizes), model.run
    single = all(array.dtype == np.float32 for array in (*model.biases, *model.weights))
    dtype = np.dtype(np.float32 if single else np.float64)
    biases, weights = check.parameters(sizes, model.biases, model.weights, dtype)
    names = {**dict(zip(_VALUES[:4], model[3:])), "rule": run.rule if run else "plain"}
    for what, name in names.items():
        if not (_is_name(name) or (name is None and what in ("output", "cost"))):
            raise ValueError(f"{what} must be a name, got {name!r:.60}")
    if model.notes is not None and not isinstance(model.notes, dict):
        raise TypeError(f"notes must be a dict, got {type(model.notes).__name__}")
    for what in _FORMS:
        _check_form(what, getattr(model, what))
    if run is not None:
        _check_run(run)
        slots = [check.parameters(sizes, *slot, dtype) for slot in run.slots]
        best = run.best and check.parameters(sizes, *run.best, dtype)
        run = run._replace(slots=slots, best=best)
    return model._replace(sizes=sizes, biases=biases, weights=weights, run=run)


def _is_own(own: Any) -> bool:
    """Whether this is by which functions of a script's a network answers."""
    steps = {"sigmoid", "feedforward"}
    return isinstance(own, dict) and own.keys() <= steps and {*map(type, own.values())} <= {str}


def _is_history(history: Any) -> bool:
    """Whether this lists epochs, of which a script may note anything."""
    return isinstance(history, list) and all(isinstance(record, dict) for record in history)


# What values must be that may be None; in the JSON of another program they may be anything.
_FORMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "own": (_is_own, "a dict of names for sigmoid and feedforward"),
    "history": (_is_history, "a list of dicts"),
    "stopped_by": (lambda value: isinstance(value, str), "a text"),
}


def _check_form(what: str, value: Any) -> None:
    fits, wanted = _FORMS[what]
    if not (value is None or fits(value)):
        raise ValueError(f"{what} must be {wanted}, got {reprlib.repr(value)}")


def _storable(model: Model) -> tuple[Model, list[str]]:
    """Return model without what a file cannot hold of its training, and what is to be said.

    Whatever a script made of the history, the network is saved.
    """
    lost: list[str] = []
    if (run := model.run) is not None and isinstance(run.state, dict):
        if "history" in run.state:
            history = _storable_history(run.state["history"], lost)
            model = model._replace(run=run._replace(state={**run.state, "history": history}))
    elif model.own:
        which = " and ".join(
            f"{step} {check.printable(own)}" for step, own in model.own.items()
        )
        lost.append(
            f"the network answers by the script's own {which}, which a file cannot hold: it "
            f"keeps the name, and load says what to assign"
        )
    stopped_by = model.stopped_by if isinstance(model.stopped_by, str) else None
    if model.history is not None:
        model = model._replace(history=_storable_history(model.history, lost))
    return model._replace(stopped_by=stopped_by), lost


def _storable_history(history: Any, lost: list[str]) -> list[dict[str, Any]]:
    """Return what JSON can hold of a history; NumPy's numbers and arrays as Python's."""
    if not _is_history(history):
        lost.append(
            f"history must be a list of dicts to be saved, got {type(history).__name__}"
        )
        return []
    kept: list[dict[str, Any]] = []
    odd = []
    for epoch, record in enumerate(history):
        kept.append({})
        for key, value in list(record.items()):  # which another thread may be adding to
            try:
                if not isinstance(key, str):
                    raise TypeError
                kept[-1][key] = _through_json(value)
            except (TypeError, ValueError, RecursionError):
                odd.append(f"history[{epoch}][{key!r:.60}], of {type(value).__name__}")
    if odd:
        more = f" (and {len(odd) - 1} more)" * (len(odd) > 1)
        lost.append(f"{odd[0]}{more} must be what JSON can hold: it is left out of the file")
    return kept


def _through_json(value: Any) -> Any:
    """Return what is read of a value after it was written; an error if it cannot be."""
    if type(value) is float or (type(value) is int and abs(value) < 2**63):
        return value
    import json

    def plain(part: Any) -> Any:
        if isinstance(part, (np.generic, np.ndarray)):
            return part.tolist()
        raise TypeError

    return json.loads(json.dumps(value, default=plain))


def _say(lost: list[str]) -> None:
    for sentence in lost:
        check.warn(sentence)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.replace("-", "_").isidentifier()


def _check_run(run: Run) -> None:
    state, order, words = run[:3]
    if not isinstance(state, dict):
        raise TypeError(f"state must be a dict, got {type(state).__name__}")
    if order.dtype != np.int64 or order.ndim != 1:
        raise ValueError(f"order must be int64 (n,), got {order.dtype} {order.shape}")
    if not np.array_equal(np.sort(order), np.arange(len(order))):
        raise ValueError(f"order must be a permutation of range({len(order)})")
    if words.dtype != np.uint32 or words.shape != (_STATE_SIZE,):
        raise ValueError(f"random_state must be uint32 (625,), got {words.dtype} {words.shape}")
    _check_form("history", state.get("history"))
    if words[-1] >= _STATE_SIZE:
        raise ValueError(f"random_state must end in at most 624, got {words[-1]}")
    check.integer("steps", run.steps, 0)


def _rows(arrays: list[Array]) -> Iterator[bytes]:
    """Yield the JSON of matrices, row by row: one call for all would let no Ctrl-C in."""
    import json

    before = "[["
    for array in arrays:
        for row in array:
            yield f"{before}{json.dumps(row.tolist())}".encode()
            before = ", "
        before = "], ["
    yield b"]]"


def _from_json(file: BufferedReader) -> Model:
    """Return what the book, bpnet or a port wrote, whatever its cost is and its other keys."""
    size = _size(file)
    if size > _MOST_JSON:
        raise ValueError(_TOO_LARGE)
    found = npz.decode(file.read(size))
    for name in ("sizes", "weights", "biases"):
        if not isinstance(found.get(name), list):
            raise ValueError(f"{name} must be a list, got {reprlib.repr(found.get(name))}")
        if name != "sizes" and len(found[name]) != len(found["sizes"]) - 1:
            raise ValueError(f"{name} must be one fewer than sizes, got {len(found[name])}")
    if bool in map(type, found["sizes"]):
        raise ValueError("sizes must list integers, got true or false")
    dtype = found.setdefault("dtype", "float64")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype must be float32 or float64, got {dtype!r:.60}")
    sizes = check.layers(found["sizes"])
    biases = [_matrix(found, "biases", l, (n, 1)) for l, n in enumerate(sizes[1:])]
    weights = [_matrix(found, "weights", l, s) for l, s in enumerate(zip(sizes[1:], sizes))]
    cost = found["cost"] if _is_name(found.get("cost")) else None
    book = ("Network2", "sigmoid", _OUTPUTS.get(cost or ""), cost, *_ABSENT)
    known = {k: v for k, v in found.items() if k not in _FORMS or _FORMS[k][0](v)}
    values = {**dict(zip(_VALUES, book)), **known, "cost": cost}
    return Model(sizes, biases, weights, *(values[name] for name in _VALUES))


def _matrix(found: dict[str, Any], name: str, l: int, shape: tuple[int, int]) -> Array:
    """Return rows of numbers as an array; what is true is no number."""
    array, name, dtype = np.array(found[name][l], object), f"{name}[{l}]", found["dtype"]
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape} to match sizes")
    others = {kind.__name__ for kind in set(map(type, array.flat)) - {int, float}}
    if others:
        raise ValueError(f"{name} must hold numbers, got {min(others)}")
    try:
        with np.errstate(all="ignore", over="raise"):
            return array.astype(np.float64).astype(dtype, copy=False)
    except ArithmeticError:
        raise ValueError(f"{name} must hold numbers of {dtype}, got a larger one") from None


def _named(prefix: str, parameters: Parameters | None) -> dict[str, Array]:
    """Return the members that hold parameters."""
    return {
        f"{prefix}{name}_{l}": array
        for name, arrays in zip(("biases", "weights"), parameters or ())
        for l, array in enumerate(arrays)
    }


def _from_npz(file: BufferedReader) -> Model:
    members = _members(file)

    def read(name: str, dtype: Any, shape: tuple[int, ...] | None = None) -> Array:
        if f"{name}.npy" not in members:
            raise ValueError(f"it has no {name}")
        return _read(file, name, members.pop(f"{name}.npy"), np.dtype(dtype), shape)

    def parameters(prefix: str) -> Parameters:
        shapes = list(zip(sizes[1:], sizes))
        biases = [read(f"{prefix}biases_{l}", dtype, (n, 1)) for l, (n, _) in enumerate(shapes)]
        return biases, [read(f"{prefix}weights_{l}", dtype, s) for l, s in enumerate(shapes)]

    if read("format", _FORMAT.dtype, ()).tobytes() != _FORMAT.tobytes():
        raise ValueError("it has another format")
    if not 1 <= (version := int(read("version", np.int64, ()))) <= _VERSION:
        raise ValueError(f"it has version {version}, this bpnet reads 1 to {_VERSION}")
    n_layers = sum(name.startswith("weights_") for name in members)
    sizes = check.layers(read("sizes", np.int64, (n_layers + 1,)).tolist())
    file.seek(members.get("biases_0.npy", (0, 0, 0))[0])
    dtype = np.dtype(np.float32 if b"f4'" in file.read(_LEAST) else np.float64)
    biases, weights = parameters("")
    text = read("json", np.uint8).tobytes() if "json.npy" in members else b"{}"
    values, run = npz.decode(text), None
    if version == 1:  # the cost says which class it is of; momentum is the rule of a velocity
        cost = values.get("cost")
        values |= {"kind": "Network2" if cost else "Network", "hidden": "sigmoid"}
        values["output"] = _OUTPUTS.get(str(cost)) if cost else "quadratic"
        members = {name.replace("velocity", "slots_0"): at for name, at in members.items()}
        values["rule"] = "momentum" if "slots_0_biases_0.npy" in members else "plain"
    if "state" in values:
        order, words = read("order", np.int64), read("random_state", np.uint32, (_STATE_SIZE,))
        steps = int(read("steps", np.int64, ())) if version > 1 else 0
        slots: list[Parameters] = []
        while (prefix := f"slots_{len(slots)}_") + "biases_0.npy" in members:
            slots.append(parameters(prefix))
        best = parameters("best_") if "best_biases_0.npy" in members else None
        run = Run(values["state"], order, words, values.get("rule", ""), steps, slots, best)
    if others := [*members, *values.keys() - {*_VALUES, "rule", "state"}]:
        raise ValueError(f"it has an unknown member {others[0]!r:.60}")
    return Model._make([sizes, biases, weights, *map(values.get, _VALUES), run])


def _size(file: BufferedReader) -> int:
    """Return the bytes of a file, and stay where it is."""
    here = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(here)
    return size


def _members(file: BufferedReader) -> dict[str, tuple[int, int, int]]:
    """Return the (begin, nbytes, crc) of the members of a zip, which must lie end to end."""
    members: dict[str, tuple[int, int, int]] = {}
    size = _size(file)
    while (head := file.read(_LOCAL.size)).startswith(b"PK\3\4"):
        _, flags, method, crc, packed, nbytes, n_name, n_extra = _LOCAL.unpack(head)
        name, extra = file.read(n_name).decode(), file.read(n_extra)
        if packed == nbytes == 2**32 - 1:
            packed, nbytes = _ZIP64.unpack(extra)
        begin = file.tell()
        right = not flags and not method and packed == nbytes and name not in members
        if not right or not _LEAST <= nbytes <= size - begin:
            raise ValueError(f"{name!r:.60} must be there once, whole and not compressed")
        members[name] = begin, nbytes, crc
        file.seek(nbytes, os.SEEK_CUR)
    file.seek(-len(head), os.SEEK_CUR)
    for name, (_, _, crc) in members.items():
        signature, listed, n_name, n_extra, n_comment = _CENTRAL.unpack(file.read(46))
        if (signature, listed, file.read(n_name)) != (b"PK\1\2", crc, name.encode()):
            raise ValueError(f"its directory must list {name!r:.60} as it is")
        file.seek(n_extra + n_comment, os.SEEK_CUR)
    end = file.read(_END64 + _END + 1)
    if len(end) == _END64 + _END and end.startswith(b"PK\6\6"):
        end = end[_END64:]
    if len(end) != _END or not end.startswith(b"PK\5\6"):
        raise ValueError("it must end with the directory of its members")
    return members


def _read(
    file: BufferedReader,
    name: str,
    member: tuple[int, int, int],
    dtype: np.dtype[Any],
    shape: tuple[int, ...] | None,
) -> Array:
    """Return the array of a member, which must have this dtype and shape; None: a vector."""
    begin, nbytes, crc = member
    file.seek(begin)
    start = file.read(10)
    header = file.read(int.from_bytes(start[8:], "little"))
    nbytes -= len(start + header)
    if shape is None:
        shape = (max(nbytes, 0) // dtype.itemsize,)
    # Compared, not parsed: numpy writes no other header for such an array.
    wanted = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    if not start.startswith(b"\x93NUMPY\1\0") or header.rstrip() != wanted.encode():
        raise ValueError(f"{name} must be {dtype} {shape}, got {header.rstrip()!r:.100}")
    if nbytes != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{name} must be {dtype} {shape}, got {nbytes} bytes")
    array = np.empty(shape, dtype)
    raw, found = array.reshape(-1).view(np.uint8).data, zlib.crc32(start + header)
    for k in range(0, nbytes, _CHUNK):
        file.readinto(raw[k : k + _CHUNK])
        found = zlib.crc32(raw[k : k + _CHUNK], found)
    if found != crc:
        raise ValueError(f"{name} is damaged")
    return array
