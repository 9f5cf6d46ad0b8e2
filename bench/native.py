"""C compiled for this CPU when it is needed, and the OpenBLAS that NumPy brings along."""

import atexit
import ctypes
import os
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np


def compiled(source, dtype):
    """Return the library made of a C file beside this one for `real` of dtype, or None."""
    compiler = shutil.which("cc")
    if compiler is None:
        print(f"{source}: skipped, no C compiler")
        return None
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = os.path.join(folder, "library.so")
    real = "float" if np.dtype(dtype).itemsize == 4 else "double"
    flags = "-O3 -march=native -fno-math-errno -fno-trapping-math -shared -fPIC".split()
    path = pathlib.Path(__file__).with_name(source)
    subprocess.run([compiler, *flags, f"-DREAL={real}", str(path), "-o", library], check=True)
    return ctypes.CDLL(library)


def openblas():
    """Return NumPy's own OpenBLAS, or None where it brings none with 64-bit integers."""
    folder = pathlib.Path(np.__file__).parents[1] / "numpy.libs"
    for path in folder.glob("libscipy_openblas64_*"):
        return ctypes.CDLL(str(path))
    print("OpenBLAS: skipped, not bundled with this NumPy")
    return None


def pointer(array):
    """Return the address of a C-contiguous array."""
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


def pointers(arrays):
    """Return an array of the addresses of C-contiguous arrays."""
    return (ctypes.c_void_p * len(arrays))(*[pointer(array) for array in arrays])
