"""Do other compilers and processors compute the bits that this one does?

portable.c, the core without Python, is built by each compiler that is here and run; what is
built for aarch64 runs under qemu.  Within a program the instruction sets with a fused
multiply-add (avx2, avx512, aarch64's baseline) must print the same checksums, and aarch64's
must be gcc's of this machine; of another compiler's it is only told, because each may
choose which of two products it fuses with their sum.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
CORE = TOP / "src/bpcore"
FLAGS = (
    "-std=gnu11 -O3 -ffp-contract=fast -fno-math-errno -Wall -Wextra -Werror -pthread".split()
)
ARM = "aarch64-linux-gnu-gcc"


def build(compiler: str, folder: str) -> None:
    """Build portable.c and the core, without a warning."""
    sources = [str(path) for path in CORE.glob("*.c") if path.name != "_core.c"]
    driver = str(Path(__file__).with_suffix(".c"))
    static = ["-static"] if compiler == ARM else []
    program = str(Path(folder, compiler))
    command = [compiler, *FLAGS, *static, f"-I{CORE}", driver, *sources, "-o", program, "-lm"]
    subprocess.run(command, check=True)


def checksums(compiler: str, folder: str, which: list[str]) -> dict[str, list[str]]:
    """Run what build made; return each instruction set's lines."""
    command = [str(Path(folder, compiler)), *which]
    if compiler == ARM:
        command.insert(0, "qemu-aarch64")
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    lines: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        engine, case = line.split(" ", 1)
        lines.setdefault(engine, []).append(case)
    if done.returncode:
        lines.setdefault("FAULT:", []).append(f"exit status {done.returncode}")
    return lines


def differing(these: list[str], others: list[str]) -> list[str]:
    """Return the lines that only one of two lists has in its place."""
    pairs = [line for line, other in zip(these, others) if line != other]
    return pairs + ([] if len(these) == len(others) else ["a different number of lines"])


def faults_of(compiler: str, found: dict[str, list[str]], judge: list[str]) -> list[str]:
    """Tell how a compiler's lines compare with the judge's; return what must not be.

    Without a judge, on a processor without AVX2, forms and threads are compared alone.
    """
    faults = [f"{compiler}: {line}" for line in found.pop("FAULT:", [])]
    fused = {isa: lines for isa, lines in found.items() if isa != "baseline" or compiler == ARM}
    for isa, lines in fused.items():
        wrong = differing(lines, judge or lines)
        print(f"{compiler} {isa}: {len(lines)} cases, {len(wrong)} differ from gcc's avx2")
        own = differing(lines, next(iter(fused.values())))
        must = wrong if compiler in ("gcc", ARM) else own
        faults += [f"{compiler} {isa}: {line}" for line in must]
    return faults


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--all", action="store_true", help="every case: ten minutes of qemu")
    which = ["all"] if parser.parse_args().all else []
    if not shutil.which("gcc"):
        print("portable: skipped, there is no gcc")
        return 0
    compilers = [name for name in ("gcc", "clang", ARM) if shutil.which(name)]
    faults: list[str] = []
    judge: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda name: build(name, folder), compilers))
        if ARM in compilers and not shutil.which("qemu-aarch64"):
            print(f"{ARM}: builds, is not run: there is no qemu-aarch64")
            compilers.remove(ARM)
        for compiler in compilers:
            found = checksums(compiler, folder, which)
            if compiler == "gcc":
                judge = found.get("avx2", [])
            faults += faults_of(compiler, found, judge)
    print(*faults[:20], sep="\n", end="\n" if faults else "")
    print(f"portable: {', '.join(compilers)}: {len(judge)} cases each, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
