"""What the tests of the command line share: ports that depart, a way to run a command, and what it leaves."""

import json
from pathlib import Path

from parity_tests import ours
from parity_tests.__main__ import main
from pytorch_sketch_rnn.errors import run_command

NUMPY, TORCH = "parity_tests.examples.numpy_port:Adapter", "parity_tests.examples.torch_lstm:Adapter"
REPORT = ["parity.json", "parity.md", "report.html"]
WRITTEN = [*REPORT, "certificate.json"]


class WrongDecoder(ours.Adapter):
    """A port whose mixture is a little off."""

    def decode(self, inputs, z, draws):
        answer = super().decode(inputs, z, draws)
        return answer | {"pi": answer["pi"] * answer["pi"].dtype.type(1.001)}


class Breaks(ours.Adapter):
    """A port that fails in the middle."""

    def sample(self, seq_len, temperature, greedy, uniform, normal):
        raise RuntimeError("no owl")


class Interrupted(ours.Adapter):
    """A port during which the user presses Ctrl-C."""

    def load(self, hparams, variables):
        raise KeyboardInterrupt


def port(name):
    """The flag for one of the ports above."""
    return ["--port", f"command_line:{name}"]


def run(capsys, *arguments):
    """The exit code of a command, its output and its error output."""
    capsys.readouterr()
    code = run_command(main, list(map(str, arguments)))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def read(out):
    """The JSON report, which must hold neither NaN nor infinity."""

    def no_constant(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads((out / "parity.json").read_text(encoding="utf-8"), parse_constant=no_constant)


def leave_stale(folder: Path) -> Path:
    """Write the files that an earlier run may have left, and another one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*WRITTEN, "notes.txt"):
        (folder / name).write_text("stale")
    return folder


def refused(capsys, folder, *arguments):
    """The one line of an error; nothing may have been written or changed."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return err.removeprefix("error: ").rstrip("\n")
