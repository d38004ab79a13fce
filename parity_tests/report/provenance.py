"""Where our side's numbers come from: versions, command, libraries, threads and settings of this process."""

import platform
import re
import sys
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from parity_tests.record.machine import machine


def our_provenance() -> dict[str, Any]:
    """What this process is and how it computes; where a port ran (its device) the port says itself."""
    names = ("torch", "numpy", "h5py", "safetensors")
    return {
        "versions": {name: version(name) for name in names} | {"python": platform.python_version()},
        "command": ["python", "-m", "parity_tests", *sys.argv[1:]],
        **machine(),
        "threads": torch.get_num_threads(),
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "linear algebra": linear_algebra(torch.__config__.show()),
        "NumPy's linear algebra": _of_numpy(),
        "float32 matrix products": torch.get_float32_matmul_precision(),
        **_of_cuda(),
    }


def linear_algebra(config: str) -> str:
    """The libraries that torch multiplies matrices with on the CPU.

    Args:
        config: what ``torch.__config__.show()`` says.
    """
    patterns = {
        "MKL": r"Math Kernel Library Version (\S+?)-",
        "oneDNN": r"MKL-DNN v(\S+)",
    }
    found = {name: re.search(pattern, config) for name, pattern in patterns.items()}
    words = [f"{name} {match[1]}" for name, match in found.items() if match]
    blas = re.search(r"BLAS_INFO=(\w+)", config)
    if blas and blas[1] != "mkl":
        words.insert(0, blas[1])
    return " and ".join(words)


def _of_numpy() -> str:
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', '')} {blas.get('version', '')}".strip()


def _of_cuda() -> dict[str, Any]:
    """What else decides on a GPU; nothing where there is none."""
    if not torch.cuda.is_available():
        return {}
    return {
        "CUDA": torch.version.cuda,
        "TF32": {"matrix products": torch.backends.cuda.matmul.allow_tf32, "cuDNN": torch.backends.cudnn.allow_tf32},
    }
