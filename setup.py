"""Build bpcore, the compiled core; everything else is in pyproject.toml."""

from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CORE = "src/bpcore"


class BuildCore(build_ext):
    """Give each compiler its own words for the same wishes."""

    def build_extensions(self):
        """Optimise; fuse multiply and add alike on every compiler; export the module only."""
        if self.compiler.compiler_type == "msvc":
            flags = ["/O2", "/std:c11"]
        else:
            # -ffp-contract: gcc fuses nothing under -std=c11 without it.  -fno-math-errno: a
            # square root that may set errno is no vector instruction.
            arithmetic = ["-ffp-contract=fast", "-fno-math-errno"]
            flags = ["-O3", "-g0", *arithmetic, "-fvisibility=hidden"]
        for extension in self.extensions:
            extension.extra_compile_args = flags + extension.extra_compile_args
        super().build_extensions()


setup(
    cmdclass={"build_ext": BuildCore},
    ext_modules=[
        Extension(
            "bpcore._core",
            sources=[
                f"{CORE}/_core.pyx",
                *sorted(set(glob(f"{CORE}/*.c")) - {f"{CORE}/_core.c"}),
            ],
            depends=sorted(glob(f"{CORE}/*.h")),
            include_dirs=[CORE],
        )
    ],
)
