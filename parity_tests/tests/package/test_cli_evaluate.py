"""``python -m pytorch_sketch_rnn evaluate``: a table or JSON of costs, and one line for bad input."""

import json
import math

import pytest
import torch
from training_sets import SMALL, make_trainer, random_splits

from pytorch_sketch_rnn.__main__ import main
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.data.stroke_set import open_set
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.evaluation import evaluate_as_magenta, evaluate_as_trained
from pytorch_sketch_rnn.training.trainer import Options

SIZES = {"train": 12, "valid": 13, "test": 4}  # batches of 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, saved in the middle of its training, and its set."""
    folder = tmp_path_factory.mktemp("evaluate")
    splits = random_splits(**SIZES)
    write_npz(folder / "set.npz", splits)
    trainer = make_trainer(SMALL, Options(seed=0, reg_covar=1e-6), splits=splits, dtype="float32")
    trainer.step()
    trainer.model.hparams = trainer.sets.hparams
    trainer.model.scale_factor = 55.0
    trainer.model.save_pretrained(folder / "model")
    (folder / "validation.json").write_text(json.dumps(trainer.validate("valid")))
    SketchRNN(SMALL.replace(conditional=False), 1).save_pretrained(folder / "unconditional")
    return folder


def run(*arguments):
    return run_command(main, ["evaluate", *map(str, arguments)])


def test_the_table_names_both_forms_and_counts_what_is_left_out(folder, capsys):
    assert run(folder / "model", folder / "set.npz") == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    model = SketchRNN.from_pretrained(folder / "model")
    with open_set(folder / "set.npz") as stroke_set:
        magenta = evaluate_as_magenta(model, stroke_set)
        ours = evaluate_as_trained(model, stroke_set, options=Options(reg_covar=1e-6))
    assert captured.err == ""
    assert lines[0] == f"{folder}/model on {folder}/set.npz"
    assert lines[1] == f"scale factor {magenta.scale_factor:.6g}, of the set; that of the model is 55"
    assert lines[2].startswith("as Magenta evaluates: total = reconstruction + 0.01 * KL; whole batches of 5, ")
    assert lines[7].startswith("as our training validates: total = reconstruction + 0.5 * KL; every sketch of up to ")
    for at, form in ((3, magenta), (8, ours)):
        assert lines[at].split() == ["sketches", "reconstruction", "KL", "total", "left", "out"]
        for line, (name, split) in zip(lines[at + 1 : at + 4], form.splits.items(), strict=True):
            cost, r_cost, kl_cost = split.costs or [math.nan] * 3
            values = [f"{value:.4f}" if split.costs else "-" for value in (r_cost, kl_cost, cost)]
            left = f"{split.no_batch} do not fill a batch" if split.no_batch else "none"
            assert line.split(maxsplit=5) == [name, str(split.sketches), *values, left]
    assert lines[6].split()[1:] == ["0", "-", "-", "-", "4", "do", "not", "fill", "a", "batch"]


def test_our_form_is_the_validation_of_the_training(folder, capsys):
    assert run(folder / "model", folder / "set.npz", "--json", "-", "--backend=reference") == 0  # as it was trained
    found = json.loads(capsys.readouterr().out)["forms"]["ours"]["splits"]["valid"]
    expected = json.loads((folder / "validation.json").read_text())
    assert [found[name] for name in ("total", "reconstruction", "kl")] == expected


def test_json_holds_what_the_table_shows(folder, tmp_path, capsys):
    assert run(folder / "model", folder / "set.npz", "--split", "test", "--split", "valid", "--json", "-") == 0
    printed = capsys.readouterr().out
    assert run(folder / "model", folder / "set.npz", "--json", tmp_path / "all.json", "--seed", 3) == 0
    assert capsys.readouterr().out.startswith(f"{folder}/model on ")
    found, everything = json.loads(printed), json.loads((tmp_path / "all.json").read_text())
    assert (found["model"], found["set"], found["seed"]) == (f"{folder}/model", f"{folder}/set.npz", 0)
    assert found["scale"] == {"used": "set", "model": 55.0}
    for form in ("magenta", "ours"):
        assert list(found["forms"][form]["splits"]) == ["valid", "test"]
        assert list(everything["forms"][form]["splits"]) == ["train", "valid", "test"]
    test = found["forms"]["magenta"]["splits"]["test"]
    left_out = {"longer than max_seq_len": 0, "do not fill a batch": 4}
    assert test == {"reconstruction": None, "kl": None, "total": None, "sketches": 0, "left_out": left_out}
    same, other = (each["forms"]["ours"]["splits"]["valid"]["reconstruction"] for each in (found, everything))
    assert same != other  # another seed, other latent noise


def test_scale_and_batch_size_reach_the_evaluation(folder, capsys):
    found = []
    for options in ((), ("--scale", "model"), ("--batch-size", 4)):
        assert run(folder / "model", folder / "set.npz", *options, "--json", "-") == 0
        found.append(json.loads(capsys.readouterr().out))
    usual, scaled, small = found
    assert scaled["scale"]["used"] == "model"
    assert {form["scale_factor"] for form in scaled["forms"].values()} == {55.0}
    assert scaled["forms"] != usual["forms"]
    assert small["batch_size"] == 4
    assert small["forms"]["magenta"]["splits"]["test"]["sketches"] == 4


def test_an_unconditional_model_has_no_kl(folder, capsys):
    assert run(folder / "unconditional", folder / "set.npz", "--split", "valid") == 0
    assert capsys.readouterr().out.count("total = reconstruction (the model is unconditional)") == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("{folder}/none", "{folder}/set.npz"), "none/config.json: cannot be read (No such file"),
        (("{folder}/model", "{folder}/none.npz"), "none.npz: expected a .npz file, but there is no such file"),
        (("{folder}/model", "{folder}/none.h5"), "none.h5: expected a packed stroke set, but there is no such file"),
        (("{folder}/model", "{folder}/set.npz", "--seed", "-1"), "--seed is -1, expected 0 to "),
        (("{folder}/model", "{folder}/set.npz", "--batch-size", "0"), "--batch-size is 0, expected 1 to 1000000"),
        (("{folder}/model", "{folder}/set.npz", "--reg-covar", "1"), "reg_covar is 1.0, expected 0 to 0.0001"),
        (("{folder}/model", "{folder}/set.npz", "--json", "{folder}/no/a.json"), "no/a.json: cannot be written, "),
        (("{folder}/model", "{folder}/set.npz", "--device", "toaster"), "--device toaster cannot be used: "),
        (("{folder}/unconditional", "{folder}/set.npz", "--scale", "model"), "unconditional has no scale_factor in "),
    ],
)
def test_bad_input_is_one_line(folder, capsys, arguments, expected):
    assert run(*(argument.replace("{folder}", str(folder)) for argument in arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert expected in captured.err
    assert captured.err.count("\n") == 1


def test_costs_that_are_not_finite_are_one_line_and_no_json(folder, tmp_path, capsys):
    model = SketchRNN.from_pretrained(folder / "model")
    with torch.no_grad():
        model.decoder.output_w *= 1e38
        model.decoder.output_b.fill_(torch.finfo(torch.float32).max)
    model.save_pretrained(tmp_path / "model")
    assert run(tmp_path / "model", folder / "set.npz", "--json", tmp_path / "all.json") == 2
    expected = f"error: {tmp_path}/model: its costs of the train split are not finite: the weights are too large\n"
    assert capsys.readouterr() == ("", expected)
    assert not (tmp_path / "all.json").exists()
