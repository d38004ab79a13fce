"""The parser that answers in one line, and commands as a user types them."""

import argparse
import os
import shlex
import subprocess
import sys

import pytest

from pytorch_sketch_rnn import command_line
from pytorch_sketch_rnn.command_line import Parser, number, training_command, true_or_false, typed, whole_number
from pytorch_sketch_rnn.errors import BadInput

WORDS = ["python", "train.py", "--save_dir=my run's", "--data_set=a,b", ""]


def parser() -> Parser:
    result = Parser(prog="owl", allow_abbrev=False)
    result.add_argument("--batch_size", "--batch-size", type=whole_number)
    result.add_argument("--lr", type=number)
    result.add_argument("--resume", action="store_true")
    return result


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--batchsize=3", "--batchsize is no flag of owl; did you mean --batch_size? see owl --help"),
        ("--resum", "--resum is no flag of owl; did you mean --resume? see owl --help"),
        ("--rl=3", "--rl is no flag of owl; see owl --help"),
        ("hoot", "expected flags, which begin with --, got 'hoot'; see owl --help"),
        ("--lr=x", "--lr: expected a number, got 'x'; see owl --help"),
        ("--batch-size=1.5", "--batch_size: expected a whole number, got '1.5'; see owl --help"),
    ],
)
def test_a_wrong_flag_is_one_line_with_the_nearest_flag(flag, message):
    with pytest.raises(BadInput) as caught:
        parser().parse_args([flag])
    assert str(caught.value) == message


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("0", False), ("no", False)])
def test_true_and_false_are_read_as_tensorflow_reads_them(text, value):
    assert true_or_false(text) is value
    with pytest.raises(argparse.ArgumentTypeError, match="expected true or false, got 'owl'"):
        true_or_false("owl")


def test_a_shell_reads_a_printed_command_as_the_same_words(monkeypatch):
    assert shlex.split(typed(WORDS)) == WORDS
    monkeypatch.setattr(command_line.os, "name", "nt")
    assert typed(WORDS) == subprocess.list2cmdline(WORDS) == 'python train.py "--save_dir=my run\'s" --data_set=a,b ""'


def test_the_command_that_trains_is_the_one_that_the_user_typed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/site-packages/pytorch_sketch_rnn/__main__.py", "train", "--demo"])
    assert training_command() == ["python", "-m", "pytorch_sketch_rnn", "train"]
    monkeypatch.setattr(sys, "argv", ["train.py", "--demo"])  # somebody else's name: there is no such file
    assert training_command() == ["python", "-m", "pytorch_sketch_rnn", "train"]
    (tmp_path / "train.py").touch()
    assert training_command() == ["python", "train.py"]
    assert training_command(2) == ["torchrun", "--nproc_per_node=2", "train.py"]
    path = os.path.join("sub", "train.py")
    os.mkdir("sub")
    open(path, "w").close()
    monkeypatch.setattr(sys, "argv", [path])
    assert training_command() == ["python", path]
