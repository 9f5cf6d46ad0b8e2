"""What runs here: versions, and the core's engine."""

import os
import platform

import numpy as np

import bpcore


def show_config() -> None:
    """Print the versions, the engine that runs, and the engines that could.

    Raises ValueError if the environment variable BPNET_ISA names none of them.
    """
    import bpnet

    available = dict.fromkeys(engine.isa for engine in bpcore.engines())
    engine = bpcore.engine("float64")
    chosen = "named by BPNET_ISA" if os.environ.get("BPNET_ISA") else "the fastest available"
    print(f"bpnet      {bpnet.__version__}")
    print(f"Python     {platform.python_version()}, NumPy {np.__version__}")
    print(f"platform   {platform.system()} {platform.machine()}")
    print(f"compiler   {bpcore.compiler()}")
    print(f"engine     {engine.isa}, {chosen}")
    print(f"engines    {', '.join(available)}")
