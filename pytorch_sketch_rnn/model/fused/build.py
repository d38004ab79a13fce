"""Compiling the C++ files for this machine, at their first use, into a cache."""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

import torch

from pytorch_sketch_rnn.cache import cache_folder
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path

# What the compiler may use, by the name of the vector level. `scalar` is what every CPU of that architecture has.
_ARCHITECTURES = {
    "x86_64": {
        "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"),
        "avx2": ("-mavx2", "-mfma"),
        "scalar": (),
    },
    "aarch64": {"neon": (), "scalar": ("-fno-tree-vectorize",)},
}
_ALIASES = {"AMD64": "x86_64", "arm64": "aarch64"}
# Neither flag changes a result, and NaN and infinity stay what they are: no flag of -ffast-math that does is here.
_FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math")
_USES = {"sampling.cpp": ("kernels.cpp", "products.cpp")}
_SECONDS = 120  # after which a compiler is given up


class CannotBuild(Exception):
    """The kernels cannot be compiled or loaded here; the message says why."""


def levels() -> tuple[str, ...]:
    """The vector levels that this CPU has, the best first.

    torch's environment variable ``ATEN_CPU_CAPABILITY`` (``default``, ``avx2``) lowers them, as it does torch's own.
    """
    known = tuple(_flags_by_level())
    has = {"AVX512": ("avx512", "avx2", "scalar"), "AVX2": ("avx2", "scalar")}
    capability = torch.backends.cpu.get_cpu_capability()
    if "neon" in known:
        return known if os.environ.get("ATEN_CPU_CAPABILITY") != "default" else ("scalar",)
    return tuple(level for level in known if level in has.get(capability, ("scalar",)))


@functools.cache
def library(source_name: str, level: str) -> ctypes.CDLL:
    """One of the C++ files beside this one, such as ``kernels.cpp``, compiled for a vector level.

    Raises:
        CannotBuild: when there is no compiler, it fails, or what it made cannot be loaded.
    """
    return compiled(source_name, level, read_source(source_name))


def read_source(source_name: str) -> bytes:
    """The text of one of the C++ files beside this one, after those of the files whose functions it uses."""
    names = (*_USES.get(source_name, ()), source_name)
    return b"\n".join((resources.files(__package__) / name).read_bytes() for name in names)


def compiled(source_name: str, level: str, source: bytes, more_flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """A text, compiled for a vector level; it is compiled once and then kept in the cache.

    Args:
        source_name: the file that it is a form of.
        level: one of :func:`levels`.
        source: what is compiled.
        more_flags: for the compiler, after its own.

    Raises:
        CannotBuild: as :func:`library`.
    """
    compiler = _compiler()
    flags = (*_FLAGS, *_flags_by_level()[level], *more_flags)
    made_from = "\0".join((compiler, _version(compiler), platform.machine(), platform.system(), *flags)).encode()
    path = folder() / f"{Path(source_name).stem}-{level}-{hashlib.sha256(made_from + source).hexdigest()[:24]}.so"
    if not path.exists():
        _compile(compiler, source, flags, path)
    try:
        return ctypes.CDLL(str(path))  # after `import torch`, so that both use the same OpenMP threads
    except OSError as error:
        raise CannotBuild(f"the compiled kernels cannot be loaded ({error})") from None


def _flags_by_level() -> dict[str, tuple[str, ...]]:
    machine = platform.machine()
    return _ARCHITECTURES.get(_ALIASES.get(machine, machine), {"scalar": ()})


def _compiler() -> str:
    """The C++ compiler that ``CXX`` names, else one of the usual ones."""
    named = os.environ.get("CXX")
    for name in (named,) if named else ("g++", "clang++", "c++"):
        found = shutil.which(name)
        if found is not None:
            return found
    raise CannotBuild(f"there is no C++ compiler ({named or 'g++, clang++ or c++'})")


def processor() -> str:
    """What the system calls this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(compiler: str) -> str:
    return _run([compiler, "--version"]).stdout


def folder() -> Path:
    """The folder of the compiled kernels, which only its owner can write to: what is in it is run as code."""
    folder = cache_folder() / "kernels"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat()
    except OSError as error:
        raise CannotBuild(f"{folder}: cannot be made ({error.strerror})") from None
    if hasattr(os, "getuid") and (mode.st_uid != os.getuid() or mode.st_mode & 0o022):
        raise CannotBuild(f"{folder}: expected a folder of your own that nobody else can write to")
    return folder


def _compile(compiler: str, source: bytes, flags: tuple[str, ...], path: Path) -> None:
    if not os.access(path.parent, os.W_OK):
        raise CannotBuild(f"{path.parent}: cannot be written")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kernels.cpp").write_bytes(source)
        made = Path(folder) / "kernels.so"
        command = [compiler, *flags, str(Path(folder) / "kernels.cpp"), "-o", str(made)]
        for threads in (["-fopenmp"], []):  # a compiler without OpenMP makes kernels of one thread
            result = _run([*command, *threads])
            if result.returncode == 0:
                break
        else:
            first = next((line for line in result.stderr.splitlines() if "error" in line), "no message")
            raise CannotBuild(f"{compiler} cannot compile the kernels ({first.strip()})")
        try:
            with atomic_path(path, private=True) as temporary:
                shutil.copyfile(made, temporary)
        except BadInput as error:
            raise CannotBuild(str(error)) from None


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuild(f"{command[0]} cannot be run ({error})") from None
