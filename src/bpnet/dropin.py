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
        for form in _TOLD.keys() & set(forms.values()):
            _warn(f"bpnet stands in for {theirs.origin}, whose {_TOLD[form]}")
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd in a text of Python 2
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
            is_text = isinstance(node, ast.Expr) and _is_text(node.value)
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
    """Yield names, numbers, operators and statements in their order, and where blocks end.

    Without texts (but for names of files), what is printed around values, annotations,
    ``list`` and how the versions of Python, and of readers, write the same thing.
    """
    within: list[Any] = []
    if isinstance(node, str):
        within = [node]
    elif isinstance(node, list):
        within = node
    elif isinstance(node, ast.arg):
        within = [node.arg]
    elif isinstance(node, ast.Name):
        name = modules.get(node.id, node.id)
        within = [] if name == "print" else [_SAME.get(name, name)]
    elif isinstance(node, ast.Constant):
        within = _constant(node.value)
    elif isinstance(node, ast.Slice):  # with its gaps: [1:] is not [:1]
        within = [node.lower or "", ":", node.upper or "", ":", node.step or ""]
    elif isinstance(node, ast.Attribute):
        within = [node.value, "T" if node.attr == "transpose" else node.attr]
    elif isinstance(node, ast.Call):
        named = [(k.arg or "", k.value) for k in node.keywords if k.arg != "encoding"]
        within = ["(", node.args, *(part for pair in named for part in pair), ")"]
        if re.fullmatch("list|print|['\"].*[.]format", ast.unparse(node.func)):
            within = node.args
        elif not (isinstance(node.func, ast.Attribute) and node.func.attr == "transpose"):
            within = [node.func, *within]
        else:
            within = [node.func]
    elif isinstance(node, ast.BinOp) and _is_text(node.left):  # "..." % values
        within = [node.right]
    elif isinstance(node, ast.Assign):
        target, value = ([*_words(part, modules)] for part in (node.targets, node.value))
        if target != value:  # x = list(x)
            within = value if target == ["_"] else ["Assign", *target, *value]
    else:
        within = [] if isinstance(node, _SILENT) else [type(node).__name__]
        for _, part in ast.iter_fields(node):
            if isinstance(part, list) and part and isinstance(part[0], ast.stmt):
                within += ["{", *part, "}"]
            elif isinstance(part, (list, ast.AST)):
                within.append(part)
    for part in within:
        if isinstance(part, str):
            yield part
        else:
            yield from _words(part, modules)


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _constant(value: Any) -> list[str]:
    if isinstance(value, str):
        is_file = re.fullmatch(r"[^\s]*\.\w+", value)
        return [re.split(r"[/\\]", value)[-1]] if is_file else []
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [repr(float(value))]
    return [] if value is Ellipsis else [repr(value)]


# What _forms finds in the book, Python 2 and 3, from 2014 on, and in ports to Python 3.
_BOOK = {
    "network": {
        "Network.__init__": "83a82087",
        "Network.feedforward": "d9d2a1f5",
        "Network.SGD": "dd814661 b29a1852 6a687489",
        "Network.update_mini_batch": "e668c97a",
        "Network.backprop": "3b932288",
        "Network.evaluate": "f7410621",
        "Network.cost_derivative": "a4ea1d84",
        "sigmoid": "c618921c",
        "sigmoid_vec": "ed036c34",
        "sigmoid_prime": "b5956a23",
        "sigmoid_prime_vec": "80f79e3c",
    },
    "network2": {
        "QuadraticCost.fn": "59a5c797",
        "QuadraticCost.delta": "eec774fb",
        "CrossEntropyCost.fn": "088b46da cb98fe45",
        "CrossEntropyCost.delta": "94a439a6",
        "Network.__init__": "2d574cfa",
        "Network.default_weight_initializer": "2adef3ca",
        "Network.large_weight_initializer": "4fcadf47",
        "Network.feedforward": "d9d2a1f5",
        "Network.SGD": "d630a82b eedc6c05 d86b4c25",
        "Network.update_mini_batch": "c3c5530d",
        "Network.backprop": "c741a3a2",
        "Network.accuracy": "f93dd8c0 20c60dd1",
        "Network.total_cost": "d2cf2e19 ef21f641",
        "Network.save": "9e4caf3a",
        "load": "5bba75a8",
        "vectorized_result": "f4034a9f",
        "sigmoid": "c618921c",
        "sigmoid_vec": "ed036c34",
        "sigmoid_prime": "b5956a23",
        "sigmoid_prime_vec": "80f79e3c",
    },
    "mnist_loader": {
        "load_data": "386ffc85 3788fa6d 689cdc01 88f68650 be5d14cb",
        "load_data_wrapper": "240a6683",
        "vectorized_result": "f4034a9f",
    },
}

# Of these a warning says what is not the same in bpnet.
_TOLD = {
    "ef21f641": "total_cost adds the L2 term for each example, bpnet's once, as the book's",
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
