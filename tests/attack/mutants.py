"""How many small faults in the Python part the tests find: mutmut on a copy, module by module.

    python tests/attack/mutants.py [MODULE ...]   # needs mutmut 3, and the core built in place

A row a module: mutants, those that a test found, and their share; a mutant that never ends was
found, too.  With --survivors, the others as well.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]

# The tests that look at a module.  Those that read its text cannot: a copy has every mutant in
# its text.
TESTS = {
    "bpnet/book.py": "network network2 contract",
    "bpnet/byhand.py": "network network2 contract checkpoint training",
    "bpnet/check.py": "check bad_input data serialize network",
    "bpnet/cli/train.py": "cli_train cli cli_table",
    "bpnet/data.py": "data dataset bad_input training network mlp",
    "bpnet/mlp.py": "mlp contract bad_input",
    "bpnet/mnist/download.py": "mnist_loader",
    "bpnet/mnist/files.py": "mnist_loader",
    "bpnet/mnist_loader.py": "mnist_loader",
    "bpnet/network.py": "network contract",
    "bpnet/network2.py": "network2 contract chapter3",
    "bpnet/rules.py": "rules mlp bad_input network2",
    "bpnet/serialize.py": "serialize checkpoint",
    "bpnet/stopping.py": "stopping",
    "bpnet/table.py": "table cli_table",
    "bpnet/trainer.py": "training checkpoint contract mlp",
    "bpnet/training.py": "training checkpoint stopping contract mlp",
    "bpcore/packing.py": "dataset data tables train",
}

CONFIG = """
[tool.mutmut]
source_paths = ["src/{module}"]
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-p", "no:cacheprovider"]
also_copy = ["src", "tests", "docs", "bench", "README.md", "setup.py"]
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TESTS), metavar="MODULE")
    parser.add_argument("--survivors", action="store_true", help="say what was not found")
    parser.add_argument("--seconds", type=float, default=3600, help="the most for a module")
    arguments = parser.parse_args()
    print(f"{'module':<26}{'mutants':>8}{'found':>8}{'share':>8}", flush=True)
    total = [0, 0]
    for module in arguments.modules:
        with tempfile.TemporaryDirectory() as folder:
            results = mutate(Path(folder), module, arguments.seconds)
            survivors = [name for name, code in results.items() if code == 0]
            found = len(results) - len(survivors)
            total = [total[0] + len(results), total[1] + found]
            print(row(module, len(results), found), flush=True)
            for name in survivors if arguments.survivors else []:
                print(difference(Path(folder), name), flush=True)
    print(row("all", *total))


def row(name: str, n: int, found: int) -> str:
    """Return a line of the table."""
    return f"{name:<26}{n:>8}{found:>8}{found / max(n, 1):>8.1%}"


def mutate(folder: Path, module: str, seconds: float) -> dict[str, int]:
    """Return the exit status of the tests for each mutant that was tried; 0: not found."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=TOP, capture_output=True, check=True).stdout
    for name in [*filter(None, names.decode().split("\0")), *built()]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / name, folder / name)
    tests = [f"tests/test_{name}.py" for name in TESTS[module].split()]
    with (folder / "pyproject.toml").open("a") as file:
        file.write(CONFIG.format(module=module, tests=json.dumps(tests)))
    tried = [sys.executable, "-m", "mutmut", "run"]
    with (folder / "log").open("wb") as log:
        try:
            subprocess.run(tried, cwd=folder, stdout=log, stderr=log, timeout=seconds)
        except subprocess.TimeoutExpired:
            print(f"{module}: not all of them in {seconds:g} s", file=sys.stderr)
    results = json.loads((folder / "mutants" / "src" / f"{module}.meta").read_text())
    return {k: code for k, code in results["exit_code_by_key"].items() if code is not None}


def built() -> list[str]:
    """Return the core's library, which git does not list."""
    return [str(path.relative_to(TOP)) for path in (TOP / "src/bpcore").glob("_core.*.*")]


def difference(folder: Path, name: str) -> str:
    """Return what a mutant changed."""
    shown = [sys.executable, "-m", "mutmut", "show", name]
    lines = subprocess.run(shown, cwd=folder, capture_output=True, text=True).stdout
    return "\n".join(
        line for line in lines.splitlines() if line[:1] in "-+" or "mutmut" in line
    )


if __name__ == "__main__":
    main()
