"""Build bpcore, the compiled core; everything else is in pyproject.toml."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CORE = "src/bpcore"
BINDING = "_core.c"  # as Cython writes it


def files(pattern):
    """Return the core's files as setuptools and Cython spell them on every system."""
    return sorted(path.as_posix() for path in Path(CORE).glob(pattern) if path.name != BINDING)


def turn(source):
    """Return the place of a file in the order of compilation: what takes longest is first."""
    return Path(source).name != BINDING, "avx512" not in source, source


class BuildCore(build_ext):
    """Compile files side by side, and give each compiler its own words for the same wishes."""

    def build_extensions(self):
        """Optimise; fuse multiply and add where that is written; export the module only."""
        self.binding_flags = []
        if self.compiler.compiler_type == "msvc":
            flags = ["/O2", "/std:c11"]
            if not self.compiler.initialized:  # else each thread would, and may only once
                self.compiler.initialize()
        else:
            # -ffp-contract: what is fused is written (vec.h), or bits would be the compiler's.
            # -fno-math-errno: a square root that may set errno is no vector instruction.
            arithmetic = ["-ffp-contract=off", "-fno-math-errno"]
            flags = ["-O3", "-g0", *arithmetic, "-fvisibility=hidden"]
            self.binding_flags = ["-O1"]  # it computes nothing: -O3 only takes longer
        for extension in self.extensions:
            extension.extra_compile_args = flags + extension.extra_compile_args
        self.compile_files = self.compiler.compile
        self.compiler.compile = self.compile_side_by_side
        super().build_extensions()

    def compile_side_by_side(self, sources, extra_postargs=(), **words):
        """Return the objects' names.  Raises CompileError after the compiler's words."""

        def compile_file(source):
            own = self.binding_flags if Path(source).name == BINDING else []
            return self.compile_files([source], extra_postargs=[*extra_postargs, *own], **words)

        with ThreadPoolExecutor(self.parallel or os.cpu_count()) as threads:
            objects = threads.map(compile_file, sorted(sources, key=turn))
            return [name for names in objects for name in names]


setup(
    cmdclass={"build_ext": BuildCore},
    ext_modules=[
        Extension(
            "bpcore._core",
            sources=[f"{CORE}/_core.pyx", *files("*.c")],
            depends=files("*.h"),
            include_dirs=[CORE],
        )
    ],
)
