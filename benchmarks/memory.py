"""Resident memory of this process, as Linux counts it."""

from pathlib import Path


def resident() -> int:
    """Bytes that are resident now."""
    return _status("VmRSS")


def peak() -> int:
    """Most bytes that were resident at a time, since the start or :func:`reset_peak`."""
    return _status("VmHWM")


def reset_peak() -> None:
    """Let the peak count from here."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)
