"""The table of layers, read from the imports and includes, and the form of the C sources."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE, API = ROOT / "src" / "bpcore", ROOT / "src" / "bpnet"
GENERATED = "_core.c"

C_FILES = sorted({*CORE.glob("*.[ch]")} - {CORE / GENERATED})
PY_FILES = sorted([*API.rglob("*.py"), *CORE.glob("*.py")])
ENGINE_FILES = [path.name for path in C_FILES if re.fullmatch(r"\w+_f(32|64)\.c", path.name)]

by_name = {"ids": lambda path: str(path.relative_to(ROOT / "src"))}

# What an engine is made of, in the order in which one uses what is in those before it.
TEMPLATES = [
    *("dtype.h", "vec.h", "kernels.h", "gemm.h", "activations.h", "outputs.h", "rules.h"),
    *("parts.h", "sparse.h", "first.h", "last.h", "descent.h", "train.h"),
    *("stack.h", "norms.h", "column.h", "distort.h"),
]

# What each file of the core includes, in this order: textual order is dependency order.
INCLUDES = {
    "core.h": ["<stddef.h>", "<stdint.h>", "threads.h"],
    "isa.h": ["<math.h>", "<stddef.h>", "<stdint.h>", "<string.h>"],
    "engine.h": ["core.h", "isa.h", *TEMPLATES],
    **{name: [] for name in TEMPLATES},
    "vec.h": ["<immintrin.h>", "<arm_neon.h>"],
    "threads.h": ["<stddef.h>", "<stdint.h>"],
    "threads.c": ["threads.h", "<time.h>", "<pthread.h>", "<sched.h>"],
    "net.c": ["core.h", "<string.h>"],
    "csr.c": ["core.h"],
    "distort.c": ["core.h", "threads.h"],
    "column.c": ["core.h"],
    "dispatch.c": ["core.h", "<cpuid.h>"],
    "shuffle.c": ["core.h"],
    **{name: ["engine.h"] for name in ENGINE_FILES},
}

# What the inner modules of the API import at module level, the standard library aside: a module
# may import those above it in this table.
RUN = ["check", "data", "serialize", "stopping", "supply", "trainer", "watching"]
NETWORK = [
    "check",
    "data",
    "gradients",
    "predictor",
    "reference",
    "rules",
    "serialize",
    "summary",
    "trainer",
    "training",
    "tracing",
]
BOOK = ["byhand", "check", "data", "mlp", "reference", "rules", "tracing", "trainer"]
FACE = ["book", "byhand", "check", "mlp", "reference", "rules", "serialize", "training"]
CHECKED = ["book", "byhand", "check", "mlp", "reference", "tracing"]
IMPORTS = {
    "reference.py": {"numpy"},
    "check.py": {"numpy"},
    "data.py": {"numpy", "bpcore", "bpnet.check"},
    "wholefile.py": {"bpnet.check"},
    "npz.py": {"numpy"},
    "dataset.py": {
        *("numpy", "bpcore"),
        *("bpnet.check", "bpnet.data", "bpnet.npz", "bpnet.wholefile"),
    },
    "serialize.py": {"numpy", "bpnet.check", "bpnet.npz", "bpnet.wholefile"},
    "rules.py": {"numpy", "bpcore", "bpnet.check", "bpnet.reference"},
    "predictor.py": {"numpy", "bpcore", "bpnet.check", "bpnet.data"},
    "gradients.py": {"numpy", "bpcore", "bpnet.check"},
    "tracing.py": {"numpy"},
    "stopping.py": {"bpnet.check"},
    "watching.py": set(),
    "ahead.py": {"numpy", "bpnet.data"},
    "summary.py": {"numpy", "bpnet.check", "bpnet.reference"},
    "distortion.py": {"numpy", "bpcore", "bpnet.check", "bpnet.data"},
    "supply.py": {"numpy", "bpnet.data"},
    "trainer.py": {"numpy", "bpcore", "bpnet.ahead", "bpnet.check"},
    "training.py": {"numpy", "bpcore", *map("bpnet.{}".format, RUN)},
    "mlp.py": {"numpy", "bpcore", *map("bpnet.{}".format, NETWORK)},
    "estimators.py": {
        *("numpy", "scipy", "sklearn", "bpcore"),
        *("bpnet.check", "bpnet.data", "bpnet.trainer"),
    },
    "byhand.py": {"numpy", "bpnet.check", "bpnet.reference", "bpnet.trainer"},
    "book.py": {"numpy", "bpcore", *map("bpnet.{}".format, BOOK)},
    "network.py": {"numpy", *map("bpnet.{}".format, FACE)},
    "network2.py": {
        "numpy",
        *map("bpnet.{}".format, FACE),
        "bpnet.mnist_loader",
    },
    "gradient_check.py": {"numpy", "bpnet.dataset", *map("bpnet.{}".format, CHECKED)},
}
USES_CORE = {
    API / name for name in [*IMPORTS, "config.py"] if "bpcore" in IMPORTS.get(name, {"bpcore"})
}
# What extras may use of the inner modules, too: files are opened and replaced in one place, and
# arguments checked and named, a script's own steps found out, and progress shown.
SHARED = {
    *("bpnet.wholefile", "bpnet.check", "bpnet.byhand", "bpnet.estimators"),
    *("bpnet.search", "bpnet.watching"),
}
# Imported when they are needed: the bar, and the other class that a file may hold.
LATE = {"tqdm", "bpnet.network2"}
EXTRAS = sorted({*API.rglob("*.py")} - {API / name for name in [*IMPORTS, "__init__.py"]})


def without_comments(path):
    """Return C text with its comments and strings blanked, line by line."""
    hidden = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
    return hidden.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), path.read_text())


def included(path):
    """Return the names that a C file includes, system headers in angle brackets."""
    found = re.findall(r'^\s*#\s*include\s+(?:"([^"]+)"|(<[^>]+>))', path.read_text(), re.M)
    return [own or system for own, system in found]


def imported(nodes):
    """Return the dotted names of what ast nodes import; of bpnet, what is taken from it too."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "bpnet":
                names.update(f"bpnet.{alias.name}" for alias in node.names)
            else:
                names.add(node.module)
    return names


class Runs(ast.NodeTransformer):
    """Leaves out what only a type checker imports."""

    def visit_If(self, node):
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else node


def parsed(path):
    return Runs().visit(ast.parse(path.read_text()))


def everywhere(path):
    return imported(ast.walk(parsed(path)))


def at_module_level(path):
    """Return what is imported when path is: functions are left out."""

    def statements(node):
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                yield child
                yield from statements(child)

    return imported(statements(parsed(path)))


def module(path):
    """Return the dotted name under which path is imported."""
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(
        ".__init__"
    )


def root(name):
    return name.split(".")[0]


def third_party(names):
    """Return names without the standard library's; of other packages, the root."""
    names = {name if root(name) == "bpnet" else root(name) for name in names}
    return names - sys.stdlib_module_names


def public_names():
    """Return __all__ of bpnet, read and not imported."""
    for node in ast.parse((API / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    raise AssertionError("bpnet has no __all__")


@pytest.mark.parametrize("path", C_FILES, **by_name)
def test_each_c_file_includes_what_the_table_says_in_its_order(path):
    assert included(path) == INCLUDES[path.name]


def test_the_binding_sees_the_core_through_its_one_header():
    text = (CORE / "_core.pyx").read_text()
    assert re.findall(r'extern from "([^"]+)"', text) == ["core.h"]
    assert not re.search(r"extern from <|^\s*include\b", text, re.M)


def test_no_c_file_sees_python():
    for path in C_FILES:
        assert not re.search(r"Python\.h|\bPy[A-Z_]\w*", path.read_text()), path.name


def test_only_vec_h_knows_the_compilers_vectors():
    words = r"vector_size|may_alias|always_inline|__builtin_\w+|immintrin|\b_mm\w+"
    for path in C_FILES:
        if path.name != "vec.h":
            assert not re.search(words, without_comments(path)), path.name


def test_what_asks_the_cache_is_inlined():
    """gcc drops the call of a function that does nothing else."""
    found = re.findall(
        r"^(.*)\bvoid \w*fetch\w*\(",
        "\n".join(without_comments(path) for path in C_FILES),
        re.M,
    )
    assert len(found) >= 3
    assert {*found} == {"INLINED "}


def test_only_dtype_h_names_an_item_type():
    # But for the numbers that Python gives, and their products, in whatever item type.
    for path in C_FILES:
        if path.name != "dtype.h":
            text = without_comments(path)
            if path.name == "core.h":
                text = text.replace("typedef double bp_wide;", "")
            assert not re.search(r"\b(float|double)\b", text), path.name


def test_the_core_neither_allocates_nor_prints_nor_fails():
    calls = r"\b([mc]alloc|realloc|free|alloca|abort|exit|assert|\w*printf|puts|errno)\b"
    for path in C_FILES:
        assert not re.search(calls, without_comments(path)), path.name


def test_the_core_has_no_variable_that_changes():
    for path in C_FILES:
        text = re.sub(r"^ *#(?:[^\\\n]|\\\n)*", "", without_comments(path), flags=re.M)
        for declaration in re.findall(r"\bstatic\b([^;{}()=]*)[=;[]", text):
            assert re.search(r"\bconst\b[^*]*$", declaration), (path.name, declaration)
        outside = text
        while re.search(r"\{[^{}]*\}", outside):
            outside = re.sub(r"\{[^{}]*\}", "@", outside)
        for statement in re.split(r";|(?<=\))\s*@", outside):  # functions end without ;
            words = " ".join(statement.split())
            harmless = r"(typedef|enum)\b.*|(extern|static) const .*|const \w+ \w+ = @|.*\)|"
            assert re.fullmatch(harmless, words), (path.name, words)


def functions(path):
    """Yield (name, number of lines from the first of its signature to its closing brace)."""
    lines = without_comments(path).splitlines()
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
            while start > 0 and not re.match(r"\w.*\(", lines[start]):
                start -= 1
        elif line == "}" and start is not None:
            yield lines[start].strip(), i - start + 1
            start = None


def test_functions_fit_a_screen():
    found = [(path.name, *function) for path in C_FILES for function in functions(path)]
    assert len(found) > 30
    assert not [function for function in found if function[2] > 40]


@pytest.mark.parametrize("path", [*C_FILES, CORE / "_core.pyx", *PY_FILES], **by_name)
def test_lines_have_at_most_96_columns_and_no_tabs(path):
    text = path.read_text()
    assert not [line for line in text.splitlines() if len(line) > 96]
    assert "\t" not in text and (not text or text.endswith("\n"))


@pytest.mark.parametrize("name", IMPORTS)
def test_the_inner_modules_import_what_the_table_says(name):
    assert third_party(at_module_level(API / name)) <= IMPORTS[name]


def test_the_reference_needs_numpy_and_random_only():
    assert everywhere(API / "reference.py") == {"numpy", "random"}


def test_the_inner_modules_import_nothing_later():
    for name in IMPORTS:
        late = third_party(everywhere(API / name)) - IMPORTS[name]
        assert late <= LATE


def test_few_modules_touch_the_core():
    for path in PY_FILES:
        if path.parent != CORE and path not in USES_CORE:
            assert "bpcore" not in map(root, everywhere(path)), path.name
    for path in PY_FILES:
        assert path.parent == CORE or "bpcore._core" not in everywhere(path), path.name


def test_the_core_does_not_know_the_api():
    for path in PY_FILES:
        if path.parent == CORE:
            assert "bpnet" not in map(root, everywhere(path)), path.name
    for path in (*CORE.glob("*.pyx"), *CORE.glob("*.pyi"), *C_FILES):
        words = r"\b(import|from|include)\b.*\bbpnet\b"
        assert not re.search(words, path.read_text()), path.name


@pytest.mark.parametrize("path", EXTRAS, **by_name)
def test_extras_import_public_names_only(path):
    public = {"bpnet", *(f"bpnet.{name}" for name in public_names() | {"__version__"})}
    public |= {module(extra) for extra in EXTRAS} | SHARED
    assert {name for name in everywhere(path) if root(name) == "bpnet"} <= public


def test_an_extra_is_imported_when_it_is_first_named():
    script = """
import sys
import bpnet
names = [f"bpnet.{name}" for name in bpnet._EXTRAS]
assert not {*names} & {*sys.modules}, sys.modules.keys()
assert bpnet.search.run and bpnet.table.fold and bpnet.onnx.export
assert bpnet.search is sys.modules["bpnet.search"] and not hasattr(bpnet, "nothing")
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("path", PY_FILES, **by_name)
def test_no_module_takes_anothers_private_names(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and root(node.module) in ("bpnet", "bpcore"):
            if node.module != "bpcore._core":
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                assert not [name for name in names if re.match("_[a-z]", name)]


@pytest.mark.parametrize("path", [*EXTRAS, API / "__init__.py"], **by_name)
def test_what_is_optional_is_imported_when_it_is_needed(path):
    allowed = {"numpy", "bpnet", "bpcore"}
    assert {root(name) for name in third_party(at_module_level(path))} <= allowed


@pytest.mark.parametrize("path", [*PY_FILES, CORE / "_core.pyx"], **by_name)
def test_nothing_imports_tests_or_bench(path):
    words = r"^\s*(from|import)\s+(tests|bench|conftest|engines|pytest)\b"
    assert not re.search(words, path.read_text(), re.M)
