"""The compiled code on ARM64, emulated: it gives the numbers that this machine's form of it gives.

Where a cross compiler or the emulator is missing, these tests are skipped. In Debian they are ``g++-aarch64-linux-gnu``
and ``qemu-user``.
"""

import itertools
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pytorch_sketch_rnn.model.fused import build

CROSS, EMULATOR, LIBRARIES = "aarch64-linux-gnu-g++", "qemu-aarch64", Path("/usr/aarch64-linux-gnu")
PROGRAM = Path(__file__).with_name("arm64_program.cpp")
TOLERANCE = {"double": 1e-14, "float": 1e-5}  # measured: 7e-16 and 4e-7, relative to the largest number of its name


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The commands of the program for this machine and for ARM64."""
    for needed in (CROSS, EMULATOR, "g++"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is missing")
    folder = tmp_path_factory.mktemp("arm64")
    source = folder / "program.cpp"
    source.write_bytes(build.read_source("sampling.cpp") + PROGRAM.read_bytes())
    forms = {
        "here": ["g++", *build._flags_by_level()["scalar"]],
        "arm64": [CROSS, *build._ARCHITECTURES["aarch64"]["neon"]],
        "arm64, scalar": [CROSS, *build._ARCHITECTURES["aarch64"]["scalar"]],
    }
    commands = {}
    for form, compiler in forms.items():
        out = folder / form.replace(", ", "-")
        flags = [flag for flag in build._FLAGS if flag not in ("-fPIC", "-shared")]
        subprocess.run([*compiler, *flags, "-fopenmp", "-Werror=return-type", str(source), "-o", str(out)], check=True)
        commands[form] = [str(out)] if form == "here" else [EMULATOR, "-L", str(LIBRARIES), str(out)]
    return commands


def numbers_of(command, precision):
    """The arrays that a program prints, in order, each with its name."""
    lines = subprocess.run([*command, precision], check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [line.rsplit(" ", 2) for line in lines]
    starts = [place for place, (_, index, _) in enumerate(rows) if index == "0"]
    return [
        (rows[start][0], np.array([float(value) for _, _, value in rows[start:end]]))
        for start, end in itertools.pairwise([*starts, len(rows)])
    ]


@pytest.mark.skipif(platform.machine() == "aarch64", reason="the tests of the backends run on ARM64 itself here")
@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("form", ["arm64", "arm64, scalar"])
def test_arm64_gives_the_numbers_of_this_machine(programs, form, precision):
    ours, theirs = (numbers_of(programs[which], precision) for which in (form, "here"))
    assert [(name, len(values)) for name, values in ours] == [(name, len(values)) for name, values in theirs]
    assert len({name for name, _ in theirs}) == 15
    worst = {}
    for (name, one), (_, other) in zip(ours, theirs, strict=True):
        assert np.isfinite(other).all()
        if name in ("mask", "sketches pens"):
            np.testing.assert_array_equal(one, other)
            assert len(set(other)) == 3
        else:
            worst[name] = max(worst.get(name, 0), np.abs(one - other).max() / max(1.0, np.abs(other).max()))
    assert {name: error for name, error in worst.items() if not error <= TOLERANCE[precision]} == {}
