"""train.py from end to end: what a run leaves, how it goes on, where its data and its first weights come from."""

import functools
import http.server
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from training_sets import random_splits

from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.data.packed import PackedWriter
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.model.losses import Costs
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training import command as train_module
from pytorch_sketch_rnn.training import run_folder as run_module
from pytorch_sketch_rnn.training.checkpoint import OPTIMIZER_FILE, checkpoints, read_state
from pytorch_sketch_rnn.training.command import main
from pytorch_sketch_rnn.training.run_log import read_curves
from pytorch_sketch_rnn.training.settings import Settings
from pytorch_sketch_rnn.training.trainer import Trainer

ROOT = Path(__file__).parents[3]
TINY = ["--enc_rnn_size=4", "--dec_rnn_size=5", "--z_size=3", "--num_mixture=2", "--batch_size=5", "--save_every=3"]


@pytest.fixture
def data(tmp_path):
    write_npz(tmp_path / "set.npz", random_splits(train=20))
    return tmp_path


@pytest.fixture
def interruptible():
    """Ctrl-C as a terminal's program has it: a test run started in the background inherits SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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


def test_best_is_published_again_where_a_run_was_killed_before_it_could(data, monkeypatch):
    whole = train(data, data / "whole", "--num_steps=6")
    publish = run_module.Run._publish

    def killed(self, **arguments):
        if self.trainer.steps_done == 6:
            raise KeyboardInterrupt
        publish(self, **arguments)

    with monkeypatch.context() as patch:
        patch.setattr(run_module.Run, "_publish", killed)
        part = train(data, data / "part", "--num_steps=6", code=130)
    (part / "samples" / "step-00000009.png").write_bytes(b"of a step that was undone")
    train(data, part, "--resume")
    assert_same_weights(part / "best", whole / "best")
    assert_same_weights(part, whole)
    assert {p.name: p.read_bytes() for p in (part / "samples").iterdir()} == {
        p.name: p.read_bytes() for p in (whole / "samples").iterdir()
    }


def test_magenta_leaves_no_sketch_out_and_validates_behind_step_save_every(data, capsys):
    splits = random_splits(train=20)
    splits["train"][0] = np.resize(splits["train"][0], (300, 3))
    write_npz(data / "set.npz", splits)
    argv = [*TINY, f"--data_dir={data}", "--data_set=set.npz", f"--save_dir={data / 'run'}", "--preset=magenta",
            "--num_steps=8"]  # fmt: skip
    assert run_command(main, argv) == 0
    assert "sketches of up to 300 points;" in capsys.readouterr().out
    assert SketchRNN.from_pretrained(data / "run").hparams.max_seq_len == 300
    # Magenta: where step % save_every is 0 and step is not, behind its update; ours at the end as well
    assert read_curves(data / "run" / "curves.csv")["valid"]["step"].tolist() == [3, 6, 7]


def test_a_second_signal_to_end_loses_nothing(data, monkeypatch):
    step = Trainer.step

    def stopped(self):
        if self.steps_done == 4:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self)

    monkeypatch.setattr(Trainer, "step", stopped)
    folder = train(data, data / "run", "--num_steps=8", code=130)
    assert list(checkpoints(folder))[-1] == 5


def test_what_changed_around_a_run_is_told(data, capsys):
    folder = train(data, data / "run", "--num_steps=3")
    state = checkpoints(folder)[3] / "training.json"
    state.write_text(state.read_text().replace('"device": "cpu"', '"device": "cuda"'))
    train(data, folder, "--num_steps=4", "--resume")
    assert "device: cuda before, cpu now: losses will differ, the random numbers are others" in capsys.readouterr().out


def test_a_preset_and_a_resumed_run_exclude_each_other(data, capsys):
    folder = train(data, data / "run", "--num_steps=3")
    train(data, folder, "--preset=magenta", "--resume", code=2)
    assert "--preset starts a run" in capsys.readouterr().err


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


@pytest.mark.parametrize("flags", [["--dec_model=hyper", "--output_dropout=0.2"], ["--unconditional"]])
def test_a_longer_run_is_a_resumed_shorter_one(data, flags, monkeypatch):
    whole = train(data, data / "whole", "--num_steps=8", *flags)
    part = train(data, data / "part", "--num_steps=6", *flags)
    monkeypatch.chdir(data / "part")  # a run knows its data by an absolute path
    assert run_command(main, [f"--save_dir={part}", "--resume", "--num_steps=8"]) == 0
    assert losses(part) == losses(whole)
    assert_same_weights(part, whole)
    assert_same_weights(part / "best", whole / "best")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_saves_what_it_has_and_goes_on(data, monkeypatch, capsys, interruptible, number):
    whole = train(data, data / "whole", "--num_steps=8")
    step = Trainer.step

    def stopped(self):
        if self.steps_done == 4:
            os.kill(os.getpid(), number)
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", stopped)
        part = train(data, data / "part", "--num_steps=8", code=130)
    out = capsys.readouterr().out
    assert f"stopped after step 5; go on with: python train.py --save_dir={part} --resume" in out
    assert list(checkpoints(part))[-1] == 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(data, part, "--num_steps=8", "--resume")
    assert losses(part) == losses(whole)
    assert_same_weights(part, whole)


def test_a_second_interrupt_ends_a_run_at_once(data, monkeypatch, interruptible):
    step = Trainer.step

    def stopped(self):
        if self.steps_done == 4:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return step(self)

    monkeypatch.setattr(Trainer, "step", stopped)
    folder = train(data, data / "run", "--num_steps=8", code=130)
    assert list(checkpoints(folder))[-1] == 3


def test_a_background_run_ignores_interrupts_and_heeds_sigterm(data, monkeypatch, capsys, interruptible):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    step = Trainer.step

    def stopped(self):
        if self.steps_done in (2, 3):
            os.kill(os.getpid(), signal.SIGINT)
        if self.steps_done == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self)

    monkeypatch.setattr(Trainer, "step", stopped)
    folder = train(data, data / "run", "--num_steps=8", code=130)
    assert "stopped after step 5;" in capsys.readouterr().out
    assert list(checkpoints(folder))[-1] == 5
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_finished_run_says_so_and_changes_nothing(data, capsys):
    folder = train(data, data / "run", "--num_steps=3")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    train(data, folder, "--resume")
    assert "3 steps are done already" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_an_existing_folder_is_left_alone(data, capsys):
    (data / "run").mkdir()
    (data / "run" / "owl").write_text("hoot")
    train(data, data / "run", "--num_steps=3", code=2)
    assert "--resume" in capsys.readouterr().err
    assert [path.name for path in (data / "run").iterdir()] == ["owl"]


def test_other_data_are_refused_when_a_run_goes_on(data, capsys):
    folder = train(data, data / "run", "--num_steps=3")
    write_npz(data / "set.npz", random_splits(train=20, seed=1))
    train(data, folder, "--num_steps=5", "--resume", code=2)
    assert "the data are not those of the run" in capsys.readouterr().err


def test_several_sets_are_joined(data, capsys):
    write_npz(data / "other.npz", random_splits(train=15, valid=2, seed=1))
    train(data, data / "run", "--num_steps=1", "--data_set=set.npz,other.npz")
    assert "35 / 9 / 6 sketches" in capsys.readouterr().out


def test_a_packed_set_trains_the_same(data):
    splits = {split: sorted(sketches, key=len) for split, sketches in random_splits(train=20).items()}
    with PackedWriter(data / "set.h5") as writer:
        for split, sketches in splits.items():
            for sketch in sketches:
                writer.add(split, sketch)
    plain = train(data, data / "plain", "--num_steps=4", "--dtype=float64")
    packed = train(data, data / "packed", "--num_steps=4", "--dtype=float64", "--data_set=set.h5")
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
    first = train(data, data / "first", "--num_steps=1", "--dec_model=hyper", "--unconditional")
    argv = [f"--data_dir={data}", "--data_set=set.npz", f"--save_dir={data / 'next'}", "--batch_size=5",
            "--num_steps=1", f"--init_from={first}"]  # fmt: skip
    assert run_command(main, argv) == 0
    hparams = SketchRNN.from_pretrained(data / "next").hparams
    assert (hparams.dec_model, hparams.conditional, hparams.dec_rnn_size) == ("hyper", False, 5)


def test_magentas_habits_are_accepted(data, capsys):
    argv = [f"--log_root={data / 'run'}", f"--data_dir={data}", "--preset=magenta",
            "--hparams=data_set=[set.npz],batch_size=5,num_steps=2,enc_rnn_size=4,dec_rnn_size=5,z_size=3"]  # fmt: skip
    assert run_command(main, argv) == 0
    assert "as Magenta" in capsys.readouterr().out
    hparams = SketchRNN.from_pretrained(data / "run").hparams
    assert (hparams.dec_model, hparams.num_mixture, hparams.kl_weight) == ("lstm", 20, 0.5)


def test_a_number_that_is_not_finite_stops_the_run_and_the_last_state_stays(data, monkeypatch, capsys):
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


def test_two_runs_cannot_share_a_folder(data, capsys):
    folder = train(data, data / "run", "--num_steps=3")
    with run_module.only_run(folder, run_module.Group()):
        train(data, folder, "--num_steps=5", "--resume", code=2)
    assert "another process is training there" in capsys.readouterr().err


def test_the_demo_needs_no_data(tmp_path, monkeypatch, capsys):
    pytest.importorskip("svgelements")
    pytest.importorskip("shapely")
    # drawing them all takes half a minute; `dataset kanjivg` does that in test_commands.py
    monkeypatch.setattr(train_module, "kanji_splits", functools.partial(kanji_splits, 300))
    monkeypatch.chdir(tmp_path)
    assert run_command(main, ["--demo", "--num_steps=4", "--save_every=2", *TINY[:4]]) == 0
    assert "kanjivg" in capsys.readouterr().out
    assert (tmp_path / "model_demo" / "samples" / "step-00000002.png").exists()
