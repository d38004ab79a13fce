"""The machine that numbers come from, as seen by the process of either side; no torch or TensorFlow."""

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")
# Instruction sets by which libraries choose their kernels; each rounds differently.
VECTOR = re.compile(r"(avx\w*|fma\w*|sse4_\d|amx_\w+|asimd\w*|sve\w*|bf16|fphp)")
# Environment variables that change how either side computes.
VARIABLES = (
    "ATEN_CPU_CAPABILITY", "CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "DNNL_MAX_CPU_ISA", "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS", "MKL_NUM_THREADS", "NVIDIA_TF32_OVERRIDE", "OFFICIAL_OPTIMISER",
    "OFFICIAL_THREADS", "OMP_NUM_THREADS", "ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """Processor, vector instructions, cores that this process may use, and environment variables that are set."""
    return {
        "machine": platform.machine(),
        "processor": processor(),
        "vector instructions": vector_instructions(),
        "cores": cores(),
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def processor() -> str:
    """The name of the processor, from Linux or else from Python."""
    return _field("model name") or platform.processor() or platform.machine()


def vector_instructions() -> str:
    """The vector instructions of the processor; empty if unknown."""
    flags = (_field("flags") or _field("Features") or "").split()
    return " ".join(sorted(flag for flag in flags if VECTOR.fullmatch(flag)))


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_words(side: Mapping[str, Any]) -> str:
    """One side's provenance in one line: device, precision, libraries, instructions, threads, processor.

    Entries that are missing, as in recordings of earlier versions, are left out.
    """
    versions = side.get("versions", {})
    library = next((f"{name} {versions[name]}" for name in ("torch", "tensorflow") if name in versions), "")
    precision = side.get("float32 matrix products")
    instructions = side.get("kernels") or _widest(side.get("vector instructions", ""))
    threads = side.get("threads")
    words = [
        side.get("device", ""),
        library,
        side.get("linear algebra", ""),
        f"float32 matrix products {precision}" if precision else "",
        instructions,
        f"{threads} thread{'' if threads == 1 else 's'}" if threads else "",
        side.get("processor") or side.get("machine", ""),
    ]
    settings = [f"{name}={value}" for name, value in side.get("environment", {}).items()]
    return ", ".join(filter(None, [*words, *settings]))


def _widest(instructions: str) -> str:
    """The widest vector instructions of a processor."""
    names = instructions.split()
    wide = ("avx512f", "avx2", "avx", "sve", "asimd")
    return next((f"processor with {name.upper()}" for name in wide if name in names), "")


def _field(name: str) -> str | None:
    try:
        text = CPUINFO.read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return found[1].strip() if found else None
