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
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
CORE = TOP / "src/bpcore"
FLAGS = (
    "-std=gnu11 -O3 -ffp-contract=fast -fno-math-errno -Wall -Wextra -Werror -pthread".split()
)
ARM = "aarch64-linux-gnu-gcc"


def checksums(compiler: str, folder: str, which: list[str]) -> dict[str, list[str]]:
    """Build and run portable.c; return each instruction set's lines."""
    program = str(Path(folder, compiler))
    sources = [str(path) for path in CORE.glob("*.c") if path.name != "_core.c"]
    driver = str(Path(__file__).with_suffix(".c"))
    static, run = (["-static"], ["qemu-aarch64"]) if compiler == ARM else ([], [])
    subprocess.run(
        [compiler, *FLAGS, *static, f"-I{CORE}", driver, *sources, "-o", program, "-lm"],
        check=True,
    )
    done = subprocess.run([*run, program, *which], stdout=subprocess.PIPE, text=True)
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
    """Tell how a compiler's lines compare with the judge's; return what must not be."""
    faults = [f"{compiler}: {line}" for line in found.pop("FAULT:", [])]
    fused = {isa: lines for isa, lines in found.items() if isa != "baseline" or compiler == ARM}
    for isa, lines in fused.items():
        wrong = differing(lines, judge)
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
    faults, told = [], []
    with tempfile.TemporaryDirectory() as folder:
        found = checksums("gcc", folder, which)
        judge = found.get("avx2", [])
        for compiler in ("gcc", "clang", ARM):
            if not shutil.which(compiler) or (
                compiler == ARM and not shutil.which("qemu-aarch64")
            ):
                print(f"{compiler}: skipped, not on this machine")
                continue
            lines = found if compiler == "gcc" else checksums(compiler, folder, which)
            if not judge:
                print("this processor has no AVX2: forms and threads are compared alone")
            faults += faults_of(compiler, lines, judge or next(iter(lines.values())))
            told.append(compiler)
    print(*faults[:20], sep="\n", end="\n" if faults else "")
    print(f"portable: {', '.join(told)}: {len(judge)} cases each, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
