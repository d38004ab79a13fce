"""Shared by the tests that run ``train.py`` from end to end: a tiny run, and what two runs must have in common."""

import torch

from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.command import main
from pytorch_sketch_rnn.training.run_log import read_curves

TINY = ["--enc_rnn_size=4", "--dec_rnn_size=5", "--z_size=3", "--num_mixture=2", "--batch_size=5", "--save_every=3"]


def train(data, save_dir, *flags, code=0):
    argv = [*TINY, f"--data_dir={data}", "--data_set=set.npz", f"--save_dir={save_dir}", *flags]
    assert run_command(main, argv) == code
    return save_dir


def losses(save_dir):
    curves = read_curves(save_dir / "curves.csv")
    return {(s, n): v.tolist() for s, by_name in curves.items() for n, v in by_name.items() if n != "seconds"}


def weights(folder):
    return SketchRNN.from_pretrained(folder).state_dict()


def assert_same_weights(one, other):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
