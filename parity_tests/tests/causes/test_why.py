"""The command that names proven causes."""

from pathlib import Path

import pytest

from parity_tests.adapter import Adapter as AnyPort
from parity_tests.causes import command
from parity_tests.ours import Adapter
from pytorch_sketch_rnn.errors import run_command


def main(arguments: list[str]) -> int:
    return run_command(command.main, arguments)


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_names_the_cause_of_a_real_port(capsys):
    assert main(["--port", "parity_tests.examples.torch_lstm:Adapter", "--recording", "cell/lstm"]) == 1
    said = capsys.readouterr().out
    assert "cell/lstm: 2 of 2 quantities depart, 2 of them with a proven cause" in said
    assert "in the LSTM, there is no recurrent dropout" in said
    documented = (Path(__file__).parents[3] / "docs" / "causes.md").read_text(encoding="utf-8")
    assert "\n".join(said.splitlines()[:2]) in documented


def test_the_command_on_a_port_that_is_right(capsys):
    port = "parity_tests.examples.numpy_port:Adapter"
    assert main(["--port", port, "--recording", "cell/layer_norm"]) == 0
    assert "0 of 11 quantities depart" in capsys.readouterr().out


def test_the_command_refuses_an_unknown_recording(capsys):
    assert main(["--port", "parity_tests.examples.numpy_port:Adapter", "--recording", "cell/none"]) == 2
    assert "--recording cell-none: expected one of cell-hyper" in capsys.readouterr().err


class Broken(Adapter):
    """A port whose cells fail."""

    def step_cell(self, *_):
        raise RuntimeError("no cell\ntoday")


class Silent(AnyPort):
    """A port that offers nothing."""


class Single(Adapter):
    """A port with float32 only."""

    precisions = ("float32",)


def test_a_port_that_fails_does_not_pass(capsys):
    assert main(["--port", f"{__name__}:Broken", "--recording", "cell/lstm"]) == 1
    assert "  step_cell failed: RuntimeError: no cell today" in capsys.readouterr().out


@pytest.mark.parametrize(("port", "said"), [("Silent", "answers nothing"), ("Single", "offers float32 alone")])
def test_a_port_that_cannot_be_asked_is_bad_input(port, said, capsys):
    assert main(["--port", f"{__name__}:{port}", "--recording", "cell/lstm"]) == 2
    assert said in capsys.readouterr().err


def test_the_command_takes_no_recording_of_initial_weights(capsys):
    assert main(["--port", "parity_tests.examples.numpy_port:Adapter", "--recording", "initial-lstm"]) == 2
    assert "initial-lstm: expected one of cell-hyper" in capsys.readouterr().err
    assert main(["--port", "parity_tests.examples.numpy_port:Adapter", "--recording"]) == 2
    assert "see python -m parity_tests why --help" in capsys.readouterr().err
