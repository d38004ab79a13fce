"""``python -m parity_tests why`` is the same command as ``python -m parity_tests.why``."""

import pytest
from command_line import TORCH, run

from parity_tests import why
from parity_tests.__main__ import main
from parity_tests.causes.command import main as own_main
from pytorch_sketch_rnn.errors import run_command


def test_both_ways_give_the_same_answer(capsys):
    code, out, err = run(capsys, "why", "--port", TORCH, "--recording", "cell/lstm")
    assert (code, err) == (1, "")
    assert out.startswith("cell/lstm: ")
    assert run_command(own_main, ["--port", TORCH, "--recording", "cell/lstm"]) == 1
    assert capsys.readouterr().out == out
    assert why.main is own_main


def test_its_help_is_its_own_and_the_common_help_names_it(capsys):
    for arguments, words in ((["why", "--help"], "--pairs"), (["--help"], "    why ")):
        with pytest.raises(SystemExit) as caught:
            run_command(main, arguments)
        assert caught.value.code == 0
        assert words in capsys.readouterr().out
