"""train.py from end to end: what a run leaves, and where its data and its first weights come from."""

import functools
import http.server
import threading

import numpy as np
import pytest
import safetensors.torch
import torch
from train_runs import TINY, assert_same_weights, losses, train, weights
from training_sets import random_splits

from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.losses import Costs
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training import stroke_sets
from pytorch_sketch_rnn.training.checkpoint import OPTIMIZER_FILE, checkpoints, read_state
from pytorch_sketch_rnn.training.command import main
from pytorch_sketch_rnn.training.run_log import read_curves
from pytorch_sketch_rnn.training.settings import Settings
from pytorch_sketch_rnn.training.trainer import Trainer


def test_a_run_leaves_models_curves_and_pictures(data, capsys):
    folder = train(data, data / "deep" / "run", "--num_steps=7")
    out = capsys.readouterr().out
    assert "20 / 7 / 3 sketches" in out
    assert "layer_norm" in out
    assert "step 6: validation cost" in out
    assert f"sample {folder / 'best'}" in out
    curves = read_curves(folder / "curves.csv")
    assert curves["train"]["step"].tolist() == list(range(7))
    assert curves["valid"]["step"].tolist() == [2, 5, 6]
    assert list(checkpoints(folder)) == [3, 6, 7]  # the first one, of step 0, is older than the last three
    assert_same_weights(folder, checkpoints(folder)[7])
    for name in ("curves.png", "samples/step-00000003.png", "samples/step-00000006.png", "samples/step-00000007.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    assert list((folder / "tensorboard").iterdir())
    state = read_state(checkpoints(folder)[7])
    best = min(zip(curves["valid"]["cost"], (3, 6, 7), strict=True))
    assert (state["best"]["valid_cost"], state["best"]["step"]) == best
    assert state["best"]["test_cost"] == curves["test"]["cost"][-1]
    assert weights(folder / "best")


def test_best_is_the_model_of_the_lowest_validation_cost(data, monkeypatch):
    costs = iter([3.0, 2.0, 2.5, 2.0])

    def validate(self, split):
        cost = next(costs) if split == "valid" else 7.0
        return Costs(cost, 10 - cost, 0.0)

    monkeypatch.setattr(Trainer, "validate", validate)
    folder = train(data, data / "run", "--num_steps=12", "--keep=9")
    assert_same_weights(folder / "best", checkpoints(folder)[6])
    assert read_state(checkpoints(folder)[12])["best"] == {"step": 6, "valid_cost": 2.0, "test_cost": 7.0}
    assert read_curves(folder / "curves.csv")["test"]["step"].tolist() == [2, 5]


def test_preset_magenta_leaves_no_sketch_out_and_validates_after_step_save_every(data, capsys):
    splits = random_splits(train=20)
    splits["train"][0] = np.resize(splits["train"][0], (300, 3))
    write_npz(data / "set.npz", splits)
    argv = [*TINY, f"--data_dir={data}", "--data_set=set.npz", f"--save_dir={data / 'run'}", "--preset=magenta",
            "--num_steps=8"]  # fmt: skip
    assert run_command(main, argv) == 0
    assert "sketches of up to 300 points;" in capsys.readouterr().out
    assert SketchRNN.from_pretrained(data / "run").hparams.max_seq_len == 300
    # Magenta: when step % save_every is 0 and step is not, after the update; ours at the end as well
    assert read_curves(data / "run" / "curves.csv")["valid"]["step"].tolist() == [3, 6, 7]


def test_the_query_of_a_url_is_shown_nowhere(data, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(data / "cache"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(data))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/?token=SECRET"
        folder = train(url, data / "run", "--num_steps=1")
        train(url, data / "other", "--num_steps=1", "--batch_size=500", code=2)
        server.shutdown()
    said = capsys.readouterr()
    assert "SECRET" not in said.out + said.err
    assert (folder / "settings.json").stat().st_mode & 0o077 == 0


def test_an_epoch_is_the_training_set_once(data):
    folder = train(data, data / "run", "--num_epochs=1.5")
    assert len(read_curves(folder / "curves.csv")["train"]["step"]) == 6  # 1.5 x 20 / 5


def test_an_existing_folder_is_left_alone(data, capsys):
    (data / "run").mkdir()
    (data / "run" / "owl").write_text("hoot")
    train(data, data / "run", "--num_steps=3", code=2)
    assert "--resume" in capsys.readouterr().err
    assert [path.name for path in (data / "run").iterdir()] == ["owl"]


def test_several_sets_are_joined(data, capsys):
    write_npz(data / "other.npz", random_splits(train=15, valid=2, seed=1))
    train(data, data / "run", "--num_steps=1", "--data_set=set.npz,other.npz")
    assert "35 / 9 / 6 sketches" in capsys.readouterr().out


def test_a_packed_set_trains_the_same(data):
    splits = {split: sorted(sketches, key=len) for split, sketches in random_splits(train=20).items()}
    with PackedWriter(data / "set.H5") as writer:
        for split, sketches in splits.items():
            for sketch in sketches:
                writer.add(split, sketch)
    plain = train(data, data / "plain", "--num_steps=4", "--dtype=float64")
    packed = train(data, data / "packed", "--num_steps=4", "--dtype=float64", "--data_set=set.H5")
    for name, values in losses(plain).items():
        np.testing.assert_allclose(losses(packed)[name], values, rtol=1e-5, err_msg=str(name))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_data_come_from_a_url_once(data, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(data / "cache"))
    local = train(data, data / "local", "--num_steps=2")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(data))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        first = train(url, data / "first", "--num_steps=2")
        server.shutdown()
    second = train(url, data / "second", "--num_steps=2")  # from the cache: the server is gone
    assert losses(first) == losses(second) == losses(local)


def test_a_run_starts_from_another_models_weights_and_slots(data, capsys):
    still = ["--lr_decay=1", "--kl_decay_rate=1", "--random_scale_factor=0", "--augment_stroke_prob=0", "--r_dropout=0"]
    first = train(data, data / "first", "--num_steps=6", *still)
    again = train(data, data / "again", "--num_steps=3", f"--init_from={checkpoints(first)[6]}", *still)
    assert "with its Adam slots" in capsys.readouterr().out
    slots = safetensors.torch.load_file(checkpoints(again)[3] / OPTIMIZER_FILE)
    assert float(slots["beta1_power"]) == pytest.approx(0.9**10, rel=1e-6)  # of nine steps in all
    bare = train(data, data / "bare", "--num_steps=3", f"--init_from={first / 'best'}", *still)
    assert "no Adam slots" in capsys.readouterr().out
    assert Settings.load(bare).hparams.dec_model == Settings.load(again).hparams.dec_model == "layer_norm"
    before, after, other = (weights(path) for path in (checkpoints(first)[6], again, bare))
    assert not all(torch.equal(before[name], after[name]) for name in before)
    assert not all(torch.equal(other[name], after[name]) for name in before)


def test_the_shape_of_a_run_is_that_of_its_first_model(data):
    first = train(
        data,
        data / "first",
        "--num_steps=1",
        "--dec_model=hyper",
        "--unconditional",
        "--hparams=layer_norm_epsilon=1e-5",
    )
    argv = [f"--data_dir={data}", "--data_set=set.npz", f"--save_dir={data / 'next'}", "--batch_size=5",
            "--num_steps=1", f"--init_from={first}"]  # fmt: skip
    assert run_command(main, argv) == 0
    hparams = SketchRNN.from_pretrained(data / "next").hparams
    assert (hparams.dec_model, hparams.conditional, hparams.dec_rnn_size) == ("hyper", False, 5)
    assert hparams.layer_norm_epsilon == 1e-5
    by_preset = [argument.replace("next", "preset") for argument in argv]
    assert run_command(main, [*by_preset, "--preset=magenta"]) == 0  # it says nothing of what the model determines
    preset = SketchRNN.from_pretrained(data / "preset").hparams
    assert {name: getattr(preset, name) for name in HParams.OF_A_MODEL} == {
        name: getattr(hparams, name) for name in HParams.OF_A_MODEL
    }
    assert preset.kl_weight_start == HParams().kl_weight_start


def test_magentas_flags_are_accepted(data, capsys):
    argv = [f"--log_root={data / 'run'}", f"--data_dir={data}", "--preset=magenta",
            "--hparams=data_set=[set.npz],batch_size=5,num_steps=2,enc_rnn_size=4,dec_rnn_size=5,z_size=3"]  # fmt: skip
    assert run_command(main, argv) == 0
    assert "as Magenta" in capsys.readouterr().out
    hparams = SketchRNN.from_pretrained(data / "run").hparams
    assert (hparams.dec_model, hparams.num_mixture, hparams.kl_weight) == ("lstm", 20, 0.5)


def test_a_non_finite_number_stops_the_run_and_the_last_checkpoint_stays(data, monkeypatch, capsys):
    step = Trainer.step

    def broken(self):
        if self.steps_done == 5:
            with torch.no_grad():
                self.model.decoder.output_w[0, 0] = torch.nan
        return step(self)

    monkeypatch.setattr(Trainer, "step", broken)
    folder = train(data, data / "run", "--num_steps=9", code=1)
    error = capsys.readouterr().err
    assert "step 5: the weight decoder.output_w is not finite" in error
    assert f"--init_from={checkpoints(folder)[3]}" in error
    assert all(torch.isfinite(value).all() for value in weights(folder).values())
    assert list(checkpoints(folder)) == [0, 3]


def test_the_demo_needs_no_data(tmp_path, monkeypatch, capsys):
    pytest.importorskip("shapely")
    # drawing them all takes half a minute; `dataset kanjivg` does that in test_commands.py
    monkeypatch.setattr(stroke_sets, "kanji_splits", functools.partial(kanji_splits, 300))
    monkeypatch.chdir(tmp_path)
    assert run_command(main, ["--demo", "--num_steps=4", "--save_every=2", *TINY[:4]]) == 0
    assert "kanjivg" in capsys.readouterr().out
    assert (tmp_path / "model_demo" / "samples" / "step-00000002.png").exists()
    assert SketchRNN.from_pretrained(tmp_path / "model_demo" / "best").hparams.data_set == ("kanjivg",)
