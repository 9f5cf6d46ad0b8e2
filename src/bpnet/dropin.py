"""bpnet in the place of the book's modules: an old script needs only this import.

    import bpnet.dropin
    import mnist_loader, network, network2      # are bpnet's from here on

So are ``src.network`` and ``from .network import Network`` where the file is the book's, and
old pickles load, too.  A module of the user's own stays in its place, and a warning says so.
``install`` is for the rest: another module all the same, or a package that is not there.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
import types
import warnings
import zlib
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from typing import Any

from bpnet import mnist_loader, network, network2

__all__ = ["install"]

_OURS = {"network": network, "network2": network2, "mnist_loader": mnist_loader}
_told: set[str] = set()  # of which names there was a warning
# Without it, a module of that name has nothing to do with the book.
_HEART = {"network": "Network.SGD", "network2": "Network.SGD", "mnist_loader": "load_data"}


def install(*names: str, under: str = "") -> None:
    """Put bpnet's modules of these names into the package under, or at the top.

    A module that is named is replaced, whatever it is.  Without names it is all three, but for
    those of the user's own, of which a warning tells.  The package need not exist.  Raises
    ValueError if a name is not one of the book's, or under cannot be the name of a package.
    """
    for name in names:
        if name not in _OURS:
            raise ValueError(f"names must be among {', '.join(_OURS)}, got {name!r}")
    if not isinstance(under, str) or not re.fullmatch(r"(\w+(\.\w+)*)?", under):
        raise ValueError(f'under must be the name of a package, as "src", got {under!r}')
    chosen = [f"{under}.{name}" if under else name for name in names or _OURS]
    if not names:
        chosen = [fullname for fullname in chosen if _is_free(fullname, _located(fullname))]
    for fullname in chosen:  # before their package is imported, which may import them
        sys.modules[fullname] = _ours(fullname)
    for fullname in chosen:
        _bind(fullname)


class _Finder:
    """Finds bpnet's module where a script imports the book's, from whatever package."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        package, _, name = fullname.rpartition(".")
        if name not in _OURS or package == "bpnet":
            return None
        theirs = _theirs(fullname, path)
        if (theirs is None and package) or not _is_free(fullname, theirs):
            return None
        return ModuleSpec(fullname, _Loader(_ours(fullname)))  # type: ignore[arg-type]


class _Loader:
    """Gives a module that is there already, and leaves it as it is."""

    def __init__(self, module: types.ModuleType):
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return self.module

    def exec_module(self, module: types.ModuleType) -> None:
        module.__spec__ = self.spec


def _ours(fullname: str) -> types.ModuleType:
    return _OURS[fullname.rpartition(".")[2]]


def _theirs(fullname: str, path: Any) -> ModuleSpec | None:
    """Return where the import system finds a module without this one; a bare folder is none."""
    for finder in sys.meta_path:
        if not isinstance(finder, _Finder) and hasattr(finder, "find_spec"):
            spec = finder.find_spec(fullname, path, None)
            if spec is not None:
                return spec if spec.loader is not None and spec.origin is not None else None
    return None


def _located(fullname: str) -> ModuleSpec | None:
    """Return where a module would be found; its packages are not imported."""
    path, parts = None, fullname.split(".")
    for k in range(1, len(parts)):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:k]), path)
        if spec is None or spec.submodule_search_locations is None:
            return None
        path = spec.submodule_search_locations
    return _theirs(fullname, path)


def _bind(fullname: str) -> None:
    """Make a module an attribute of its package, which is made if there is none."""
    package, _, name = fullname.rpartition(".")
    if not package:
        return
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):
            raise
        empty = ModuleSpec(package, None, is_package=True)
        sys.modules[package] = importlib.util.module_from_spec(empty)
        _bind(package)
    setattr(sys.modules[package], name, sys.modules[fullname])


# Which modules are the book's


def _is_free(fullname: str, theirs: ModuleSpec | None) -> bool:
    """Whether bpnet's module may stand here: there is none, or the book's; else a warning."""
    package, _, name = fullname.rpartition(".")
    if theirs is None:
        return True
    forms = _forms(theirs)
    differing = [key for key, form in forms.items() if form not in _BOOK[name].get(key, "")]
    if not differing and _HEART[name] in forms:
        return True
    if (_HEART[name] in forms or not package) and fullname not in _told:
        _told.add(fullname)
        what = " and ".join(differing[:4] or ["content"]) + " and more" * (len(differing) > 4)
        named = f"{name!r}, under={package!r}" if package else repr(name)
        _warn(
            f"{theirs.origin} stays in its place: its {what} is not the book's. "
            f"bpnet.dropin.install({named}), before it is imported, replaces it all the same"
        )
    return False


def _warn(message: str) -> None:
    """Warn at the line of the script that imports, or calls."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        frame.f_globals.get("__name__") == __name__ or "importlib" in frame.f_code.co_filename
    ):
        frame = frame.f_back
    warnings.warn_explicit(
        message, UserWarning, frame.f_code.co_filename, frame.f_lineno, __name__
    )


def _forms(spec: ModuleSpec) -> dict[str, str]:
    """Return a checksum of what each function of a module does, read from its source.

    Nothing is run.  What does not matter is left out: see _words.  It is empty where there is
    no source that can be read.
    """
    try:
        source = importlib.util.decode_source(spec.loader.get_data(spec.origin))  # type: ignore
        tree = _parsed(source)
    except (AttributeError, OSError, SyntaxError, UnicodeError, ValueError):
        return {}
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            origin = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            modules |= {each.asname or each.name: origin + each.name for each in node.names}
    words = _statements(tree.body, modules)
    return {key: f"{zlib.crc32(' '.join(form).encode()):08x}" for key, form in words}


def _parsed(source: str) -> ast.Module:
    """Return the tree of a source of Python 3, or of Python 2 whose statement print it has."""
    try:
        return ast.parse(source)
    except SyntaxError:
        as_value = re.sub(r"^([ \t]*)print(?=[ \t]+[^\s(=])", r"\1_ =", source, flags=re.M)
        return ast.parse(as_value)


def _statements(body: list[Any], modules: dict[str, str], inside: str = "") -> Iterator[Any]:
    """Yield (name, words) of each function and of whatever else is run by an import."""
    for node in body:
        if isinstance(node, ast.FunctionDef):
            names = modules | _locals(node)
            yield inside + node.name, [*_words([node.args, node.body], names)]
        elif isinstance(node, ast.ClassDef):
            bases = [*_words(node.bases, modules)]
            if bases not in ([], ["object"]):
                yield node.name, bases
            yield from _statements(node.body, modules, f"{inside}{node.name}.")
        elif isinstance(node, ast.Try):
            yield from _statements([*node.body, *node.handlers], modules, inside)
        elif isinstance(node, ast.ExceptHandler):
            yield from _statements(node.body, modules, inside)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield inside + node.targets[0].id, [*_words(node.value, modules)]
        elif not isinstance(node, (ast.Import, ast.ImportFrom, ast.Pass)):
            is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if not is_text and not ast.unparse(node).startswith("if __name__ =="):
                yield f"{inside}line {node.lineno}", [*_words(node, modules)]


def _locals(function: ast.FunctionDef) -> dict[str, str]:
    """Return a number for each name that a function assigns to, but for its arguments."""
    given = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    names = [
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name)
        and isinstance(node.ctx, ast.Store)
        and node.id not in given | {"_"}
    ]
    return {name: str(k) for k, name in enumerate(dict.fromkeys(names))}


_SAME = {
    **{"cPickle": "pickle", "_pickle": "pickle", "xrange": "range"},
    **{"sigmoid_vec": "sigmoid", "sigmoid_prime_vec": "sigmoid_prime"},  # until 2015
}
_SILENT = (ast.Expr, ast.Tuple, ast.JoinedStr, ast.FormattedValue, ast.expr_context)


def _words(node: Any, modules: dict[str, str]) -> Iterator[str]:
    """Yield names, numbers, operators and statements in their order.

    Without texts (but for names of files), what is printed around values, annotations,
    ``list`` and how the versions of Python, and of readers, write the same thing.
    """
    within = []
    if isinstance(node, list):
        within = node
    elif isinstance(node, ast.Name):
        name = modules.get(node.id, node.id)
        within = [] if name == "print" else [_SAME.get(name, name)]
    elif isinstance(node, str):
        yield node
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Constant):
        yield from _constant(node.value)
    elif isinstance(node, ast.Slice):  # with its gaps: [1:] is not [:1]
        within = ["[", node.lower or "", ":", node.upper or "", ":", node.step or "", "]"]
    elif isinstance(node, ast.Attribute):
        texts = isinstance(node.value, ast.Constant)  # "...".format
        within = (
            [node.value]
            if texts
            else [node.value, "T" if node.attr == "transpose" else node.attr]
        )
    elif isinstance(node, ast.Call):
        function = ast.unparse(node.func)
        named = [
            part for k in node.keywords if k.arg != "encoding" for part in (k.arg, k.value)
        ]
        within = [[] if function in ("list", "print") else node.func, node.args, named]
    elif isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant):
        is_text = isinstance(node.left.value, str)  # "..." % values
        within = [node.right] if is_text else ["BinOp", node.left, node.op, node.right]
    elif isinstance(node, ast.Assign):
        target, value = ([*_words(part, modules)] for part in (node.targets, node.value))
        if target != value:  # x = list(x)
            within = [value] if target == ["_"] else ["Assign", target, value]
    else:
        if not isinstance(node, _SILENT):
            yield type(node).__name__
        within = [*ast.iter_child_nodes(node)]
    for part in within:
        yield from _words(part, modules) if not isinstance(part, str) else [part]


def _constant(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if re.fullmatch(r"[^\s]*\.\w+", value):  # the name of a file
            yield re.split(r"[/\\]", value)[-1]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield repr(float(value))
    elif value is not Ellipsis:
        yield repr(value)


# What _forms finds in the book, Python 2 and 3, from 2013 on, and in its most read ports.
_BOOK = {
    "mnist_loader": {
        "load_data": "0bc55c9e 7a1d2197 b4397773 053ea8ea 74833c3a",
        "load_data_wrapper": "6791f0cd",
        "vectorized_result": "b3f85251",
    },
    "network": {
        "Network.__init__": "b296728c",
        "Network.feedforward": "f3a0d1d1",
        "Network.SGD": "e7984267 0d159493 03660f78",
        "Network.update_mini_batch": "00ef6c8e",
        "Network.backprop": "d7114a62",
        "Network.evaluate": "b1b39165",
        "Network.cost_derivative": "a4ea1d84",
        "sigmoid": "0ee842ca",
        "sigmoid_vec": "8e76edc6",
        "sigmoid_prime": "34de8eaa",
        "sigmoid_prime_vec": "6c79d4c6",
    },
    "network2": {
        "QuadraticCost.fn": "7143fb84",
        "QuadraticCost.delta": "175c66a5",
        "CrossEntropyCost.fn": "f0ce858a 198fd7bf",
        "CrossEntropyCost.delta": "94a439a6",
        "Network.__init__": "65a23a1b",
        "Network.default_weight_initializer": "3bb563f8",
        "Network.large_weight_initializer": "9fe132e5",
        "Network.feedforward": "f3a0d1d1",
        "Network.SGD": "bd1cd773 ca6839d6 f7700ae7",
        "Network.update_mini_batch": "85776239",
        "Network.backprop": "278bf3bb",
        "Network.accuracy": "09f68bfc 0c3646b3",
        "Network.total_cost": "40dbf4c5",
        "Network.save": "1dc1378c",
        "load": "70b9dcf2",
        "vectorized_result": "b3f85251",
        "sigmoid": "0ee842ca",
        "sigmoid_vec": "8e76edc6",
        "sigmoid_prime": "34de8eaa",
        "sigmoid_prime_vec": "6c79d4c6",
    },
}


def _take_over() -> None:
    """Stand before the other finders, and replace what was imported already."""
    sys.meta_path[:] = [f for f in sys.meta_path if type(f).__module__ != __name__]
    sys.meta_path.insert(0, _Finder())
    for fullname, module in list(sys.modules.items()):
        package, _, name = fullname.rpartition(".")
        if name not in _OURS or package == "bpnet" or module in (None, _OURS[name]):
            continue
        spec = getattr(module, "__spec__", None)
        if spec is not None and _is_free(fullname, spec):
            sys.modules[fullname] = _OURS[name]
            _bind(fullname)
            _warn(
                f"{fullname} was imported before bpnet.dropin: what imported it keeps the "
                f"module of {spec.origin}; put import bpnet.dropin first"
            )


_take_over()
