"""The provenance of our side's numbers: versions, command, libraries, threads and settings of this process."""

import platform
import re
import sys
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from parity_tests.record.machine import machine


def our_provenance() -> dict[str, Any]:
    """What this process runs on and how it computes. The device is not here: a port states it in its ``about``."""
    versions = {name: version(name) for name in ("numpy", "h5py", "safetensors")}
    return {
        # torch itself tells a build for CUDA from one for the CPU
        "versions": {"torch": torch.__version__, **versions, "python": platform.python_version()},
        "command": ["python", "-m", "parity_tests", *sys.argv[1:]],
        **machine(),
        "threads": torch.get_num_threads(),
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "linear algebra": linear_algebra(torch.__config__.show()),
        "NumPy's linear algebra": _numpy_blas(),
        "float32 matrix products": torch.get_float32_matmul_precision(),
        **_cuda_settings(),
    }


def linear_algebra(config: str) -> str:
    """The libraries with which torch multiplies matrices on the CPU.

    Args:
        config: the text of ``torch.__config__.show()``.
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


def _numpy_blas() -> str:
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', '')} {blas.get('version', '')}".strip()


def _cuda_settings() -> dict[str, Any]:
    """Settings that decide how a GPU computes; empty without one."""
    if not torch.cuda.is_available():
        return {}
    return {
        "CUDA": torch.version.cuda,
        "TF32": {"matrix products": torch.backends.cuda.matmul.allow_tf32, "cuDNN": torch.backends.cudnn.allow_tf32},
    }
