"""train.py refuses wrong flags, data, checkpoints and resumes: one clear line, exit code 2, every file as it was.

A test that is marked as wrong holds what should happen and does not yet; it names what happens instead.
"""

import fcntl
import json
import os
import resource
import shlex
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch
from _pytest.mark.structures import ParameterSet

from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.data.packed_writer import PackedWriter
from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.training import run_folder as run
from pytorch_sketch_rnn.training.command import main

ROOT = Path(__file__).parents[3]
TINY = ["--enc_rnn_size=4", "--dec_rnn_size=5", "--z_size=2", "--num_mixture=2", "--batch_size=4"]
NEW = [*TINY, "--data_dir=data", "--save_dir=new"]
RESUME = ["--save_dir=run", "--resume", "--num_steps=3"]
COUNTS = {"train": 12, "valid": 4, "test": 4}
LONGEST = 8
CAT, LAST = Path("data/cat.npz"), Path("run/checkpoints/step-00000002")
ADDRESS_SPACE = 1 << 40  # bytes: more than any of these models needs, less than one that is refused
no_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")


class Began(AssertionError):
    """A training began that should have been refused."""


def case(name: str, *parts: Any, marks: Any = ()) -> ParameterSet:
    """A row of a table."""
    return pytest.param(*parts, id=name, marks=marks)


def sketches(count: int, seed: int = 0) -> list[np.ndarray]:
    """Sketches int16 [n, 3] of 3 to 8 points."""
    random = np.random.default_rng(seed)
    made = [random.integers(-50, 51, (length, 3)) for length in random.integers(3, LONGEST + 1, count)]
    for sketch in made:
        sketch[:, 2] = random.integers(0, 2, len(sketch))
    return [sketch.astype(np.int16) for sketch in made]


SETS = {split: sketches(count, seed) for seed, (split, count) in enumerate(COUNTS.items())}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a stroke set, ``data/cat.npz``, and a run of two steps, ``run``."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "data").mkdir()
    write_npz(folder / CAT, SETS)
    flags = [f"--data_dir={folder / 'data'}", f"--save_dir={folder / 'run'}", "--num_steps=2"]
    assert main([*TINY, *flags]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(made, tmp_path, monkeypatch) -> Path:
    """The working folder of a test, with a copy of what was made; its run has a data_dir of its own."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings(data_dir=str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def no_training(monkeypatch) -> None:
    """Whatever gets as far as a first step fails the test at once."""

    def begin(self: run.Run, num_steps: int) -> bool:
        raise Began(f"a training of {num_steps} steps began")

    monkeypatch.setattr(run.Run, "train", begin)


def everything() -> dict[str, Any]:
    """All that is in the working folder, links and hidden files too: the bytes of each file that can be read."""
    found: dict[str, Any] = {}
    for path in sorted(Path().rglob("*")):
        if path.is_symlink():
            found[str(path)] = os.readlink(path)
        else:
            readable = path.is_file() and os.access(path, os.R_OK)
            found[str(path)] = path.read_bytes() if readable else path.stat().st_mode
    return found


def assert_refused(capsys: pytest.CaptureFixture, argv: Sequence[str], words: Sequence[str]) -> None:
    """One line with these words, exit code 2, nothing written."""
    before = everything()
    capsys.readouterr()
    assert run_command(main, list(argv)) == 2
    assert_one_line(capsys.readouterr().err, words)
    assert everything() == before


def assert_one_line(stderr: str, words: Sequence[str]) -> None:
    assert stderr.endswith("\n")
    [line] = stderr.splitlines()
    assert line.startswith("error: ")
    assert [word for word in words if word not in line] == [], line


# Flags --------------------------------------------------------------------------------------------------------------


NOT_FINITE = "expected a finite number"
SIZE = "expected 1 to 1000000"
EPOCHS = "expected above 0, at most 1e+09"
TWO_LENGTHS = "num_steps and --num_epochs both say how long"

FLAGS = [
    # sizes and counts
    case("a batch of none", "--batch_size=0", "batch_size is 0", SIZE),
    case("a negative batch", "--batch_size=-4", "batch_size is -4", SIZE),
    case("a batch beyond the set", "--batch_size=13", "/data: cat.npz: ",
         "the train split has 12 sketches", "a batch of 13", "smaller"),
    case("no units in the encoder", "--enc_rnn_size=0", "enc_rnn_size is 0", SIZE),
    case("no units in the decoder", "--dec_rnn_size=-1", "dec_rnn_size is -1", SIZE),
    case("a size beyond reason", "--dec_rnn_size=1000000000", "dec_rnn_size is 1000000000", SIZE),
    case("no latent vector", "--z_size=0", "z_size is 0", SIZE),
    case("no component", "--num_mixture=0", "num_mixture is 0", SIZE),
    case("no points", "--max_seq_len=0", "max_seq_len is 0", SIZE),
    case("no steps", "--num_steps=0", "num_steps is 0", "at least 1"),
    case("negative steps", "--num_steps=-5", "num_steps is -5", "at least 1"),
    case("no epochs", "--num_epochs=0", "num_epochs is 0", EPOCHS),
    case("epochs that are no number", "--num_epochs=nan", "num_epochs is nan", EPOCHS),
    case("epochs without end", "--num_epochs=inf", "num_epochs is inf", EPOCHS),
    case("epochs whose steps leave a float", "--num_epochs=1e308", "num_epochs is 1e+308", EPOCHS),
    case("no saves", "--save_every=0", "save_every is 0", "at least 1"),
    case("nothing kept", "--keep=0", "keep is 0", "a whole number of checkpoints, at least 1"),
    case("a negative seed", "--seed=-1", "seed is -1", "0 to 2147483647"),
    case("a seed beyond 31 bits", f"--seed={2**40}", "seed is 1099511627776", "0 to 2147483647"),
    # rates and weights
    case("no learning rate", "--lr=0", "--lr: learning_rate is 0.0", "a positive number"),
    case("a negative learning rate", "--lr=-0.001", "--lr: learning_rate is -0.001", "a positive number"),
    case("a learning rate that is no number", "--lr=nan", "--lr: learning_rate is nan", NOT_FINITE),
    case("an infinite learning rate", "--lr=inf", "--lr: learning_rate is inf", NOT_FINITE),
    case("a learning rate beyond float32", "--lr=1e300", "--lr: learning_rate is 1e+300", "up to 1e30"),
    case("a negative last learning rate", "--min_lr=-1e-9", "--min_lr: min_learning_rate is -1e-09", "at least 0"),
    case("a learning rate that grows", "--lr_decay=1.5", "--lr_decay: decay_rate is 1.5", "(0, 1]"),
    case("a learning rate that ends at once", "--lr_decay=0", "--lr_decay: decay_rate is 0.0", "(0, 1]"),
    case("a decay that is no number", "--kl_decay_rate=nan", "kl_decay_rate is nan", NOT_FINITE),
    case("a KL decay beyond 1", "--kl_decay_rate=1.1", "kl_decay_rate is 1.1", "(0, 1]"),
    case("a negative KL weight", "--kl_weight=-0.5", "kl_weight is -0.5", "at least 0"),
    case("an infinite KL weight", "--kl_weight=inf", "kl_weight is inf", NOT_FINITE),
    case("a negative first KL weight", "--kl_weight_start=-1", "kl_weight_start is -1.0", "at least 0"),
    case("a negative KL floor", "--kl_tolerance=-1", "kl_tolerance is -1.0", "at least 0"),
    case("a KL floor beyond float32", "--kl_tolerance=1e300", "kl_tolerance is 1e+300", "up to 1e30"),
    case("a negative reg_covar", "--reg_covar=-1", "reg_covar is -1.0", "expected 0 to 0.0001"),
    case("a reg_covar that sampling would have to know", "--reg_covar=0.01", "reg_covar is 0.01", "0 to 0.0001"),
    case("a reg_covar that is no number", "--reg_covar=nan", "reg_covar is nan", NOT_FINITE),
    case("an infinite reg_covar", "--reg_covar=inf", "reg_covar is inf", NOT_FINITE),
    case("no gradients", "--grad_clip=0", "grad_clip is 0.0", "a positive number"),
    case("an infinite bound of gradients", "--grad_clip=inf", "grad_clip is inf", NOT_FINITE),
    case("a bound of gradients beyond float32", "--grad_clip=1e300", "grad_clip is 1e+300",
         "up to 1e30"),
    case("all dropped", "--r_dropout=1", "--r_dropout is 1.0", "a drop probability in [0, 1)"),
    case("less than nothing dropped", "--r_dropout=-0.1", "--r_dropout is -0.1", "[0, 1)"),
    case("a dropout that is no number", "--input_dropout=nan", "--input_dropout is nan", "[0, 1)"),
    case("an infinite dropout", "--output_dropout=inf", "--output_dropout is inf", "[0, 1)"),
    case("an augmentation beyond 1", "--random_scale_factor=2", "random_scale_factor is 2.0", "[0, 1]"),
    case("a negative augmentation", "--augment_stroke_prob=-0.1", "augment_stroke_prob is -0.1", "[0, 1]"),
    # names
    case("an unknown encoder", "--enc_model=gru", "enc_model is 'gru'", "lstm, layer_norm, hyper"),
    case("an unknown decoder", "--dec_model=", "dec_model is ''", "lstm, layer_norm, hyper"),
    case("an unknown dtype", "--dtype=float16", "dtype is 'float16'", "float32 or float64"),
    case("an unknown device", "--device=tpu", "--device tpu cannot be used", "cpu, cuda or cuda:1"),
    case("a GPU that is not there", "--device=cuda:99", "--device cuda:99 cannot be used"),
    case("a device without numbers", "--device=meta", "--device meta cannot be used"),
    # --hparams
    case("no name=value", "--hparams=garbage", "--hparams: 'garbage'", "name=value", "batch_size=50"),
    case("an unknown hyperparameter", "--hparams=lr=1", "--hparams: unknown hyperparameter lr", "learning_rate"),
    case("a hyperparameter twice", "--hparams=z_size=2,z_size=3", "--hparams: z_size is given twice"),
    case("a hyperparameter of another type", "--hparams=z_size=2.5", "--hparams: z_size is '2.5'", "a whole number"),
    case("a hyperparameter that is no number", "--hparams=learning_rate=fast", "learning_rate is 'fast'", "a number"),
    case("neither true nor false", "--hparams=conditional=maybe", "conditional is 'maybe'", "true or false"),
    case("a hyperparameter out of range", "--hparams=decay_rate=2", "decay_rate is 2.0", "(0, 1]"),
    case("an empty list of sets", "--hparams=data_set=[]", "data_set is ()", "a list of file names"),
    # names of data sets
    case("no set", "--data_set=,", "data_set is ()", "a list of file names"),
    case("a set in a folder", "--data_set=data/cat.npz", "data_set 'data/cat.npz'", "without folders"),
    case("a set above", "--data_set=../cat.npz", "data_set '../cat.npz'", "without folders"),
    case("a set twice", "--data_set=cat.npz,cat.npz", "data_set cat.npz,cat.npz", "names a set twice"),
    case("no such set", "--data_set=dog.npz", "data/dog.npz: no such file", "there are cat.npz", "--data_set"),
    case("a set without its ending", "--data_set=cat", "data/cat: no such file", "there are cat.npz", "--data_set"),
    case("a name beyond the file system", f"--data_set={'a' * 300}", "data/" + "a" * 300),
    # folders
    case("no such folder of data", "--data_dir=nowhere", "--data_dir ", "nowhere: no such folder", "stroke sets"),
    case("a file as folder of data", f"--data_dir={CAT}", "--data_dir ", f"{CAT}: is a file", "expected a folder"),
    case("a folder without sets", "--data_dir=run", "run/cat.npz: no such file", "there are none",
         "--data_set"),
    case("another kind of URL", "--data_dir=ftp://localhost/sets", "--data_dir ftp://localhost/sets: ", "http",),
    case("the URL of a secret", "--data_dir=http://me:secret@localhost/", "user name and password", "leave them out"),
    case("a URL without host", "--data_dir=http:///sets", "http(s)://host/folder"),
    case("a digest that is none", f"--data_dir=http://localhost/ --sha256={'g' * 64}", "cat.npz", "64 hexadecimal"),
    case("more digests than sets", "--data_dir=http://localhost/ --sha256=a,b", "--sha256: 2", "1 files of --data_set"),
    case("a digest of a local set", f"--sha256={'0' * 64}", "--sha256: is checked after a download", "leave it out"),
    case("the run's folder is there", "--save_dir=run", "run: exists already", "--resume", "another --save_dir"),
    case("the run's folder is a file", f"--save_dir={CAT}", f"{CAT}: exists already", "another --save_dir"),
    case("the run's folder is another one", "--save_dir=data", "data: exists already", "another --save_dir"),
    case("the run's folder has no name", "--save_dir=", "exists already", "another --save_dir"),
    case("the run's folder is in a file", f"--save_dir={CAT}/new", f"{CAT}/new: cannot be made", "another --save_dir"),
    case("the run's folder is where no folder can be", "--save_dir=/proc/new", "/proc/new: cannot be made",
         "another --save_dir"),
    case("the run's name is beyond the file system", f"--save_dir={'a' * 300}", "a" * 300,
         "File name too long"),
    # flags that contradict each other
    case("two lengths", "--num_steps=1 --num_epochs=1", TWO_LENGTHS, "leave one of them out"),
    case("two lengths, one in --hparams", "--hparams=num_steps=1 --num_epochs=1", TWO_LENGTHS,
         "leave one of them out"),
    case("a demo of given data", "--demo", "--demo draws its own data", "--data_dir"),
    case("a demo of Magenta's defaults", "--demo --preset=magenta", "--demo and --preset", "leave one of them out"),
    case("a start and a resume", "--init_from=run --resume", "--init_from starts a run", "--resume goes on"),
]  # fmt: skip


def _by_words(rows: list[ParameterSet]) -> list[ParameterSet]:
    return [pytest.param(row.values[0], row.values[1:], id=row.id, marks=row.marks) for row in rows]


@pytest.mark.parametrize(("flags", "words"), _by_words(FLAGS))
def test_a_wrong_flag_is_refused(flags, words, capsys, no_training):
    assert_refused(capsys, [*NEW, *shlex.split(flags)], words)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        case("nothing", [], ["--save_dir is missing", "such as --save_dir=model1_save"]),
        case("no folder of data", ["--save_dir=new"], ["--data_dir is missing", "folder or URL", "--demo"]),
        case("no folder to resume", ["--resume"], ["--save_dir is missing"]),
        case("a demo to resume that never was", ["--demo", "--resume"], ["model_demo/settings.json", "no run"]),
    ],
)
def test_a_missing_flag_is_named(argv, words, capsys, no_training):
    assert_refused(capsys, argv, words)


NUMBERS = [
    "enc_rnn_size", "dec_rnn_size", "z_size", "num_mixture", "max_seq_len", "kl_weight", "kl_weight_start",
    "kl_tolerance", "kl_decay_rate", "reg_covar", "batch_size", "lr", "lr_decay", "min_lr", "grad_clip",
    "random_scale_factor", "augment_stroke_prob", "num_epochs", "num_steps", "save_every", "keep", "seed",
    "r_dropout", "input_dropout", "output_dropout",
]  # fmt: skip


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        *(case(f"--{name}=many", f"--{name}=many", [f"--{name}", "invalid", "'many'"]) for name in NUMBERS),
        case("half a unit", "--z_size=2.5", ["--z_size", "invalid int value: '2.5'"]),
        case("a number without digits", "--lr=", ["--lr", "invalid float value: ''"]),
        case("an unknown flag", "--batchsize=4", ["unrecognized arguments: --batchsize=4"]),
        case("an abbreviated flag", "--batch=4", ["unrecognized arguments: --batch=4"]),
        case("an abbreviated switch", "--res", ["unrecognized arguments: --res"]),
        case("a word", "data", ["unrecognized arguments: data"]),
        case("a flag without its value", "--save_dir", ["--save_dir", "expected one argument"]),
        case("a switch with a value", "--resume=yes", ["--resume", "ignored explicit argument 'yes'"]),
        case("an unknown preset", "--preset=google", ["--preset", "invalid choice: 'google'", "magenta"]),
    ],
)
def test_a_flag_that_cannot_be_read_is_refused_with_the_usage(flag, words, capsys, no_training):
    before = everything()
    with pytest.raises(SystemExit) as ended:
        run_command(main, [*NEW, flag])
    assert ended.value.code == 2
    *usage, line = capsys.readouterr().err.splitlines()
    assert usage[0].startswith("usage: train.py")
    assert line.startswith("train.py: error: ")
    assert [word for word in words if word not in line] == [], line
    assert everything() == before


@pytest.fixture
def bounded() -> None:
    """No more address space than is sane, so that a huge allocation fails here, however the machine overcommits."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        case("decoder", ["--dec_rnn_size=900000"], "dec_rnn_size"),
        case("encoder", ["--enc_rnn_size=900000"], "enc_rnn_size"),
        case("inner cell", ["--dec_model=hyper", "--hparams=hyper_num_units=900000"], "hyper_num_units",),
    ],
)  # fmt: skip
def test_a_model_beyond_memory_is_refused(flags, word, capsys, no_training, bounded):
    assert_refused(capsys, [*NEW, *flags], [word, "memory"])


def test_a_dangling_link_in_the_place_of_the_run_is_refused(capsys, no_training):
    Path("new").symlink_to("nowhere")
    assert_refused(capsys, NEW, ["new: exists already", "another --save_dir"])


def test_a_server_that_does_not_answer_is_named(capsys, no_training, monkeypatch, here):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = here / "cache" / "pytorch-sketch-rnn"
    folder.mkdir(parents=True)
    assert run_command(main, [*NEW, "--data_dir=http://127.0.0.1:1/sets"]) == 2
    assert_one_line(capsys.readouterr().err, ["http://127.0.0.1:1/sets/cat.npz", "connection failed", "check"])
    assert not Path("new").exists()
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        case("no number of processes", {"RANK": "0", "WORLD_SIZE": "two"}, ["torchrun", "cannot be joined"]),
        case("no address", {"RANK": "0", "WORLD_SIZE": "2"}, ["torchrun", "cannot be joined", "MASTER_ADDR"]),
    ],
)
def test_a_broken_environment_of_torchrun_is_refused(variables, words, capsys, no_training, monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert_refused(capsys, NEW, words)


# Stroke sets ---------------------------------------------------------------------------------------------------------


def with_bytes(change: Callable[[bytes], bytes]) -> None:
    CAT.write_bytes(change(CAT.read_bytes()))


def objects(items: Sequence[Any]) -> np.ndarray:
    """A 1-D object array."""
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def with_split(split: str, items: Any) -> None:
    """Write the set anew, with other sketches, or an array, in one split."""
    sets = {name: objects(each) for name, each in SETS.items()}
    np.savez(CAT, **sets | {split: objects(items) if isinstance(items, list) else items})


def with_sketch(sketch: Any, split: str = "train") -> None:
    """Write the set anew, its third sketch another one."""
    with_split(split, [*SETS[split][:2], sketch, *SETS[split][3:]])


def without_split(split: str) -> None:
    write_npz(CAT, {name: items for name, items in SETS.items() if name != split})


def plain_array() -> None:
    """What np.save writes, under the name of an archive."""
    np.save("data/cat.npy", np.arange(3))
    Path("data/cat.npy").replace(CAT)


def encrypted(data: bytes) -> bytes:
    """Mark all members so, in the directory of the archive."""
    changed = bytearray(data)
    place = -1
    while (place := data.find(b"PK\x01\x02", place + 1)) >= 0:
        changed[place + 8] |= 1
    return bytes(changed)


class Hostile:
    """A pickle of it runs a command when it is loaded."""

    def __reduce__(self):
        return os.system, ("touch ran",)


def declare_gigabytes() -> None:
    """A small archive that says it unpacks to 5 GiB."""
    with zipfile.ZipFile(CAT) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(CAT, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.infolist()[0].file_size = 5 << 30


def in_its_place(make: Callable[[Path], Any]) -> None:
    CAT.unlink()
    make(CAT)


def as_floats(value: float) -> np.ndarray:
    sketch = SETS["train"][2].astype(np.float64)
    sketch[1, 0] = value
    return sketch


def all_alike(count: int = 3) -> None:
    alike = {split: [np.full((count, 3), 1, np.int16)] * number for split, number in COUNTS.items()}
    write_npz(CAT, alike)


def lengthen(split: str) -> None:
    """All sketches of a split, or of all, are of 20 points."""
    long = [np.tile(sketch, (7, 1))[:20] for sketch in SETS[split]]
    write_npz(CAT, SETS | {split: long})


TRAIN = "data/cat.npz: train.npy"
BROKEN = "expected an intact .npz file"
NO_FILE = ("data/cat.npz: is no file", "there are none", "--data_set")

NPZ = [
    case("cut short", partial(with_bytes, lambda data: data[: len(data) // 2]), "data/cat.npz: ", BROKEN),
    case("empty", partial(with_bytes, lambda data: b""), "data/cat.npz: ", BROKEN),
    case("text", partial(with_bytes, lambda data: b"a cat\n"), "data/cat.npz: ", BROKEN, "not a zip"),
    case("an array", plain_array, "data/cat.npz: ", BROKEN, "not a zip"),
    case("damaged", partial(with_bytes, lambda data: data[:200] + b"damage" + data[206:]), TRAIN, BROKEN),
    case("encrypted", partial(with_bytes, encrypted), TRAIN, "unencrypted", "unpack it"),
    case("without training set", partial(without_split, "train"), TRAIN, "no such member", "valid.npy"),
    case("without validation set", partial(without_split, "valid"), "data/cat.npz: valid.npy", "no such member"),
    case("without test set", partial(without_split, "test"), "data/cat.npz: test.npy", "no such member"),
    case("hostile", partial(with_sketch, Hostile()), TRAIN, "system", "could run code", "do not trust this file"),
    case("of objects", partial(with_sketch, {}), TRAIN, "pickle of NumPy arrays only", "do not trust"),
    case("of texts", partial(with_sketch, "a cat"), TRAIN, "sketch 2", "expected a NumPy array, got str"),
    case("of nothing", partial(with_sketch, None), TRAIN, "sketch 2", "expected a NumPy array, got NoneType"),
    case("of lists", partial(with_sketch, [[0, 0, 1]]), TRAIN, "sketch 2", "expected a NumPy array, got list"),
    case("of complex numbers", partial(with_sketch, np.zeros((3, 3), complex)), TRAIN, "sketch 2", "'<c16'"),
    case("of truths", partial(with_sketch, np.zeros((3, 3), bool)), TRAIN, "sketch 2", "integers or floats"),
    case("without pen", partial(with_sketch, np.ones((3, 2), np.int16)), TRAIN, "sketch 2", "[n, 3]", "(3, 2)"),
    case("of four columns", partial(with_sketch, np.ones((3, 4), np.int16)), TRAIN, "sketch 2", "[n, 3]", "(3, 4)"),
    case("of one row", partial(with_sketch, np.ones(3, np.int16)), TRAIN, "sketch 2", "[n, 3]", "(3,)"),
    case("one array of two columns", partial(with_split, "train", np.ones((5, 3, 2))), TRAIN, "[n, 3]", "(3, 2)"),
    case("a number", partial(with_split, "train", np.array(3)), TRAIN, "object array [N]", "shape ()"),
    case("a sketch without points", partial(with_sketch, np.ones((0, 3), np.int16)), TRAIN, "sketch 2", "none"),
    case("NaN", partial(with_sketch, as_floats(np.nan)), TRAIN, "sketch 2", "finite numbers", "NaN"),
    case("infinity", partial(with_sketch, as_floats(-np.inf)), TRAIN, "sketch 2", "finite numbers", "infinity"),
    case("a pen that is neither up nor down", partial(with_sketch, np.full((3, 3), 5, np.int16)), TRAIN, "sketch 2",
         "expected 0 or 1 in its third column"),
    case("no training sketches", partial(with_split, "train", []), TRAIN, "empty split"),
    case("no validation sketches", partial(with_split, "valid", []), "data/cat.npz: valid.npy", "empty split"),
    case("no test sketches", partial(with_split, "test", []), "data/cat.npz: test.npy", "empty split"),
    case("a zip bomb", declare_gigabytes, TRAIN, "needs more than", "4294967296 bytes"),
    case("a loop of links", partial(in_its_place, lambda path: path.symlink_to("cat.npz")), *NO_FILE),
    case("a link to nothing", partial(in_its_place, lambda path: path.symlink_to("dog.npz")), *NO_FILE),
    case("a folder", partial(in_its_place, Path.mkdir), *NO_FILE),
    case("a pipe", partial(in_its_place, os.mkfifo), *NO_FILE),
    case("not readable", lambda: CAT.chmod(0), "data/cat.npz: ", "Permission denied", marks=no_root),
    case("in a folder that is closed", lambda: CAT.parent.chmod(0), "/data", "Permission denied", marks=no_root),
    case("without scale", all_alike, "/data: cat.npz: ", "offsets are all the same", "no scale to normalise by"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), _by_words(NPZ))
def test_a_broken_npz_is_refused(make, words, capsys, no_training):
    make()
    try:
        assert_refused(capsys, NEW, words)
    finally:
        CAT.parent.chmod(0o755)


@pytest.mark.parametrize(
    ("split", "flags", "words"),
    [
        case("training", "train", ["--max_seq_len=10"], ["train split has 0 sketches (12 longer than 10 points",
                                                  "raise max_seq_len"]),
        case("validation", "valid", ["--max_seq_len=10"], ["valid split is empty (4 longer than 10 points"]),
        case("test", "test", ["--max_seq_len=10"], ["test split is empty (4 longer than 10 points"]),
    ],
)  # fmt: skip
def test_a_split_all_of_whose_sketches_are_too_long_is_refused(split, flags, words, capsys, no_training):
    lengthen(split)
    assert_refused(capsys, [*NEW, *flags], ["/data: cat.npz: ", *words])


def test_what_is_left_out_is_counted_where_too_few_are_left_for_a_batch(capsys, no_training):
    kept = sum(len(sketch) <= 4 for sketch in SETS["train"])
    assert 0 < kept < 12
    out = sum(len(sketch) > 4 for items in SETS.values() for sketch in items)
    words = [f"the train split has {kept} sketches ({out} longer than 4 points", "a batch of 12", "raise max_seq_len"]
    assert_refused(capsys, [*NEW, "--max_seq_len=4", "--batch_size=12"], words)


def test_the_broken_one_of_several_sets_is_named(capsys, no_training):
    Path("data/dog.npz").write_bytes(CAT.read_bytes()[:-30])
    assert_refused(capsys, [*NEW, "--data_set=cat.npz,dog.npz"], ["data/dog.npz: ", BROKEN])


def test_an_offset_beyond_float32_is_clamped_without_a_word(capsys):
    with_sketch(as_floats(1e300))
    assert run_command(main, [*NEW, "--num_steps=1"]) == 0
    assert capsys.readouterr().err == ""


# Packed sets ---------------------------------------------------------------------------------------------------------


PACKED = Path("data/cat.h5")


def pack(**changed: list[np.ndarray]) -> None:
    with PackedWriter(PACKED) as writer:
        for split, items in (SETS | changed).items():
            for sketch in items:
                writer.add(split, sketch)


def packed_with(change: Callable[[bytes], bytes]) -> None:
    pack()
    PACKED.write_bytes(change(PACKED.read_bytes()))


def damage(index: int, **changed: list[np.ndarray]) -> None:
    """Pack the set, the points of one training sketch with a pen of 9."""
    pack(**changed)
    with h5py.File(PACKED) as file:
        place = file["train_points"].id.get_offset()
    lengths = list(map(len, (SETS | changed)["train"]))
    point = struct.Struct("<3h")
    with PACKED.open("r+b") as file:
        file.seek(place + point.size * sum(lengths[:index]))
        file.write(point.pack(1, 1, 9) * lengths[index])


def other_hdf5() -> None:
    with h5py.File(PACKED, "w") as file:
        file["points"] = np.arange(3)


def of_version_2() -> None:
    pack()
    with h5py.File(PACKED, "r+") as file:
        file.attrs["version"] = np.int64(2)


ANEW = "create it again with `python -m pytorch_sketch_rnn dataset`"
HDF5 = [
    case("cut short", partial(packed_with, lambda data: data[: len(data) // 2]), "", "data/cat.h5: ", ANEW),
    case("without its last byte", partial(packed_with, lambda data: data[:-1]), "", "data/cat.h5: ", ANEW),
    case("empty", partial(packed_with, lambda data: b""), "", "data/cat.h5: ", "another kind of file", ANEW),
    case("text", partial(packed_with, lambda data: b"a cat\n"), "", "data/cat.h5: ", "another kind of file", ANEW),
    case("other HDF5", other_hdf5, "", "data/cat.h5: ", "HDF5 without the attribute 'format'", ANEW),
    case("of a later version", of_version_2, "", "data/cat.h5: ", "expected version 1", "got 2", ANEW),
    case("an .npz under its name", lambda: shutil.copy(CAT, PACKED), "", "data/cat.h5: ", "another kind of file"),
    case("under the name of an .npz", lambda: (pack(), PACKED.replace("data/dog.npz")), "--data_set=dog.npz",
         "data/dog.npz: ", BROKEN),
    case("mixed with an .npz", pack, "--data_set=cat.h5,cat.npz", "--data_set cat.h5,cat.npz", "stands alone", "pack"),
    case("twice", pack, "--data_set=cat.h5,cat.h5", "data_set cat.h5,cat.h5", "names a set twice"),
    case("with sketches that are too long", pack, "--max_seq_len=5", "/data: cat.h5: ",
         f"up to {LONGEST} points", "at most max_seq_len, 5", "raise max_seq_len", "--max_points"),
    case("with too few for a batch", partial(pack, train=SETS["train"][:3]), "", "/data: cat.h5: ", "has 3 sketches",
         "a batch of 4"),
    case("without validation set", partial(pack, valid=[]), "", "/data: cat.h5: ", "the valid split is empty"),
    case("without test set", partial(pack, test=[]), "", "/data: cat.h5: ", "the test split is empty"),
    case("damaged where the run's fingerprint looks", lambda: damage(0), "", "data/cat.h5: train: sketch 0: ",
         "expected as pen 0 or 1", ANEW),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "flags", "words"),
    [pytest.param(*row.values[:2], row.values[2:], id=row.id, marks=row.marks) for row in HDF5],
)
def test_a_broken_packed_set_is_refused(make, flags, words, capsys, no_training):
    make()
    assert_refused(capsys, [*NEW, "--data_set=cat.h5", *flags.split()], words)


def test_damage_that_shows_only_in_training_is_told_and_the_last_checkpoint_stays(capsys):
    count = 130  # the fingerprint of a run is of 64 of them, and all are in a batch
    damage(1, train=sketches(count))
    assert run_command(main, [*NEW, "--data_set=cat.h5", "--num_steps=1", f"--batch_size={count}"]) == 2
    assert_one_line(capsys.readouterr().err, ["data/cat.h5: train: sketch 1: ", "expected as pen 0 or 1", ANEW])
    assert [path.name for path in Path("new/checkpoints").iterdir()] == ["step-00000000"]


# Resuming ------------------------------------------------------------------------------------------------------------


def settings(**changed: Any) -> None:
    path = Path("run/settings.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def settings_without(name: str) -> None:
    path = Path("run/settings.json")
    values = json.loads(path.read_text())
    del values[name]
    path.write_text(json.dumps(values))


def state(**changed: Any) -> None:
    path = LAST / "training.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def state_without(name: str) -> None:
    path = LAST / "training.json"
    values = json.loads(path.read_text())
    del values[name]
    path.write_text(json.dumps(values))


def cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def other_model() -> None:
    """The checkpoint is one of another model."""
    main([*NEW, "--dec_rnn_size=6", "--num_steps=1"])
    for name in ("config.json", "model.safetensors", "optimizer.safetensors"):
        shutil.copy(Path("new/checkpoints/step-00000000") / name, LAST)
    shutil.rmtree("new")


def optimizer_without_slot() -> None:
    path = LAST / "optimizer.safetensors"
    arrays = safetensors.torch.load_file(path)
    del arrays["m.decoder.output_b"]
    safetensors.torch.save_file(arrays, path)


def optimizer_of_another_step() -> None:
    shutil.copy("run/checkpoints/step-00000000/optimizer.safetensors", LAST)


def whole_number_weights() -> None:
    path = LAST / "model.safetensors"
    safetensors.torch.save_file({name: v.int() for name, v in safetensors.torch.load_file(path).items()}, path)


def mirrored() -> None:
    """Other data of the same counts, lengths and deviation."""
    write_npz(CAT, {split: [np.stack([s[:, 1], s[:, 0], s[:, 2]], 1) for s in items] for split, items in SETS.items()})


def elsewhere() -> None:
    """Such data in another folder."""
    Path("other").mkdir()
    mirrored()
    CAT.replace("other/cat.npz")


def no_checkpoints() -> None:
    shutil.rmtree("run/checkpoints")


DOUBLE = np.array([2, 2, 1], np.int16)
SETTINGS = "run/settings.json: "
EVERY_SETTING = "expected every setting of a run by its name; wrong or missing: "
RESUMES = [
    # what to resume
    case("no folder", None, "--save_dir=nowhere", "nowhere/settings.json", "no run of train.py"),
    case("no run", None, "--save_dir=data", "data/settings.json", "no run of train.py"),
    case("a file", None, f"--save_dir={CAT}", f"{CAT}/settings.json", "no run of train.py"),
    case("a checkpoint", None, f"--save_dir={LAST}", f"{LAST}/settings.json", "no run of train.py"),
    # other flags
    case("another learning rate", None, "--lr=0.5", "learning_rate is 0.5", "run has 0.001", "leave it out to resume",
         "--init_from"),
    case("another batch", None, "--batch_size=5", "batch_size is 5", "has 4", "leave it out"),
    case("another seed", None, "--seed=1", "seed is 1", "has 0", "leave it out"),
    case("another dtype", None, "--dtype=float64", "dtype is float64", "has float32", "leave it out"),
    case("another model", None, "--dec_rnn_size=6", "dec_rnn_size is 6", "has 5", "leave it out"),
    case("another loss", None, "--reg_covar=0", "reg_covar is 0", "has 1e-06", "leave it out"),
    case("other dropout", None, "--r_dropout=0.2", "recurrent_dropout_prob is 0.8", "has 0.9", "leave it out"),
    case("a folder without the data", None, "--data_dir=run", "run/cat.npz: no such file", "there are none"),
    case("a folder of other data", elsewhere, "--data_dir=other", "the data are not those of the run in run",
         "crc32_of_some"),
    case("another set", None, "--data_set=dog.npz", "data_set is ", "dog.npz", "leave it out"),
    case("another preset", None, "--preset=magenta", "--preset starts a run", "leave --preset out"),
    case("no steps", None, "--num_steps=0", "num_steps is 0", "at least 1"),
    # data that changed
    case("data that are gone", CAT.unlink, "", "data/cat.npz: no such file"),
    case("fewer data", lambda: write_npz(CAT, SETS | {"valid": SETS["valid"][:3]}), "", "the data are not those",
         "'valid': 4", "'valid': 3"),
    case("scaled data", lambda: write_npz(CAT, {k: [s * DOUBLE for s in v] for k, v in SETS.items()}), "",
         "the data are not those", "scale_factor"),
    case("mirrored data", mirrored, "", "the data are not those", "crc32_of_some"),
    # settings.json
    case("settings cut short", partial(cut, Path("run/settings.json")), "", SETTINGS, "expected JSON"),
    case("settings that are empty", partial(write, Path("run/settings.json"), b""), "", SETTINGS, "expected JSON"),
    case("settings that are no text", partial(write, Path("run/settings.json"), b"\xff\xfe"), "", SETTINGS, "utf-8"),
    case("settings that are a list", partial(write, Path("run/settings.json"), b"[]"), "", SETTINGS,
         f"{EVERY_SETTING}list"),
    case("settings that lack one", partial(settings_without, "learning_rate"), "", SETTINGS,
         f"{EVERY_SETTING}['learning_rate']"),
    case("settings of an unknown name", partial(settings, speed=1), "", SETTINGS, f"{EVERY_SETTING}['speed']"),
    case("settings out of range", partial(settings, learning_rate=-1), "", SETTINGS, "learning_rate is -1"),
    case("settings of another type", partial(settings, keep="three"), "", SETTINGS, "keep is 'three'",
         "a whole number"),
    case("settings with half a seed", partial(settings, seed=0.5), "", SETTINGS, "seed is 0.5", "a whole number"),
    case("settings with a number as folder", partial(settings, data_dir=5), "", SETTINGS, "data_dir is 5",
         "a folder or a URL"),
    case("settings of another model", partial(settings, dec_rnn_size=6), "", f"{LAST}/model.safetensors: ",
         "other cells or sizes"),
    # checkpoints
    case("no checkpoint", no_checkpoints, "", "run: holds no checkpoint", "run/checkpoints"),
    case("a file as checkpoint", lambda: write(Path("run/checkpoints/step-00000009"), b""), "", "step-00000009",
         "cannot be read", "expected a checkpoint"),
    case("an empty checkpoint", lambda: Path("run/checkpoints/step-00000009").mkdir(), "", "step-00000009",
         "training.json", "expected a checkpoint"),
    case("config missing", (LAST / "config.json").unlink, "", f"{LAST}/config.json: cannot be read"),
    case("config cut short", partial(cut, LAST / "config.json"), "", f"{LAST}/config.json: expected JSON"),
    case("weights missing", (LAST / "model.safetensors").unlink, "", f"{LAST}/model.safetensors: expected weights"),
    case("weights cut short", partial(cut, LAST / "model.safetensors"), "", f"{LAST}/model.safetensors: expected"),
    case("weights that are empty", partial(write, LAST / "model.safetensors", b""), "", f"{LAST}/model.safetensors: "),
    case("weights in whole numbers", whole_number_weights, "", f"{LAST}/model.safetensors: ", "float32", "int32"),
    case("a checkpoint of another model", other_model, "", f"{LAST}/model.safetensors: ", "other cells or sizes"),
    case("Adam's state missing", (LAST / "optimizer.safetensors").unlink, "", f"{LAST}/optimizer.safetensors: "),
    case("Adam's state cut short", partial(cut, LAST / "optimizer.safetensors"), "",
         f"{LAST}/optimizer.safetensors: expected Adam's state"),
    case("Adam's state without a slot", optimizer_without_slot, "", f"{LAST}/optimizer.safetensors: does not fit",
         "m.decoder.output_b"),
    case("Adam's state of another step", optimizer_of_another_step, "", f"{LAST}/optimizer.safetensors: ",
         "of another step", f"remove {LAST}"),
    case("state missing", (LAST / "training.json").unlink, "", f"{LAST}/training.json: cannot be read"),
    case("state cut short", partial(cut, LAST / "training.json"), "", f"{LAST}/training.json: expected JSON"),
    case("state that is no text", partial(write, LAST / "training.json", b"\xff"), "", f"{LAST}/training.json: "),
    case("state that is a list", partial(write, LAST / "training.json", b"[]"), "", "training.json: expected the state",
         "remove this checkpoint"),
    case("state nested without end", partial(write, LAST / "training.json", b"[" * 100_000), "", "training.json: "),
    case("state of a negative step", partial(state, step=-1), "", "training.json: expected the state"),
    case("state of another step", partial(state, step=1), "", f"{LAST}: says that it is of step 1", "remove it"),
    case("state without data", partial(state_without, "data"), "", "the data are not those", "they were None"),
    case("state without the best", partial(state_without, "best"), "", f"{LAST}: ", "best", "remove it"),
    case("state with an empty best", partial(state, best={}), "", f"{LAST}: ", "best", "remove it"),
    case("state with a best in words", partial(state, best={"step": 2, "valid_cost": "low", "test_cost": 1.0}), "",
         f"{LAST}: ", "best", "remove it"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "flags", "words"),
    [pytest.param(*row.values[:2], row.values[2:], id=row.id, marks=row.marks) for row in RESUMES],
)
def test_a_wrong_resume_is_refused(make, flags, words, capsys, request):
    if make is not None:
        make()
    request.getfixturevalue("no_training")
    assert_refused(capsys, [*RESUME, *flags.split()], words)


def test_a_second_run_in_the_same_folder_is_refused(capsys, no_training):
    with Path("run/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert_refused(capsys, RESUME, ["run: another process is training there", "stop it"])


def test_nothing_is_lost_where_the_steps_are_done_already(capsys, no_training):
    before = everything()
    assert run_command(main, ["--save_dir=run", "--resume", "--num_steps=2"]) == 0
    assert "2 steps are done already" in capsys.readouterr().out
    assert everything() == before


# Starting from another model -----------------------------------------------------------------------------------------


def config(text: str) -> None:
    Path("run/config.json").write_text(text)


def config_with(**changed: Any) -> None:
    path = Path("run/config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


STARTS = [
    case("a file", None, f"--init_from={LAST}/model.safetensors", "is a file, expected a folder",
         "weight_port convert"),
    case("nothing", None, "--init_from=nowhere", "nowhere/config.json: cannot be read", "hyperparameters"),
    case("no model", None, "--init_from=data", "data/config.json: cannot be read"),
    case("other sizes", None, "--init_from=run --dec_rnn_size=6", "dec_rnn_size is 6", "model in run has 5",
         "leave it out"),
    case("other cells", None, "--init_from=run --dec_model=hyper", "dec_model is hyper", "has layer_norm"),
    case("another kind", None, "--init_from=run --unconditional", "conditional is False", "has True", "leave it out"),
    case("a config cut short", partial(cut, Path("run/config.json")), "--init_from=run",
         "run/config.json: expected JSON"),
    case("a config of names alone", partial(config, '["z_size"]'), "--init_from=run", "run/config.json: ",
         "names without values", "weight_port"),
    case("a config of an unknown name", partial(config_with, speed=1), "--init_from=run", "run/config.json: ",
         "unknown hyperparameter speed"),
    case("a config of other weights", partial(config_with, num_mixture=3), "--init_from=run --num_mixture=3",
         "run/model.safetensors: does not fit config.json", "decoder.output_b"),
    case("weights cut short", partial(cut, Path("run/model.safetensors")), "--init_from=run",
         "run/model.safetensors: expected weights"),
    case("no weights", Path("run/model.safetensors").unlink, "--init_from=run", "run/model.safetensors: expected"),
    case("Adam's state cut short", partial(cut, LAST / "optimizer.safetensors"), f"--init_from={LAST}",
         f"{LAST}/optimizer.safetensors: expected Adam's state"),
    case("a name beyond the file system", None, f"--init_from={'a' * 300}", "a" * 300, "File name too long"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "flags", "words"),
    [pytest.param(*row.values[:2], row.values[2:], id=row.id, marks=row.marks) for row in STARTS],
)
def test_a_wrong_start_is_refused(make, flags, words, capsys, no_training):
    if make is not None:
        make()
    assert_refused(capsys, [*NEW, *flags.split()], words)


# Places --------------------------------------------------------------------------------------------------------------


@no_root
def test_a_place_that_cannot_be_written_is_refused(capsys, no_training):
    Path("closed").mkdir(mode=0o500)
    assert_refused(capsys, [*NEW, "--save_dir=closed/new"], ["closed/new: cannot be made", "Permission denied"])


def test_the_parents_of_the_run_are_made(no_training):
    with pytest.raises(Began):
        main([*NEW, "--save_dir=a/b/new"])
    assert sorted(path.name for path in Path("a/b/new").iterdir()) == [
        ".lock", "checkpoints", "config.json", "model.safetensors", "settings.json",
    ]  # fmt: skip


def test_a_cost_that_is_not_finite_after_the_last_step_does_not_replace_the_model(capsys):
    assert_stopped(capsys, ["--lr=1e30"], "step 0: the validation cost after the step is not finite")


def test_weights_that_leave_float32_at_the_last_step_do_not_replace_the_model(capsys):
    path = LAST / "optimizer.safetensors"
    arrays = safetensors.torch.load_file(path)
    arrays["m.decoder.output_b"] += 3e38
    safetensors.torch.save_file(arrays, path)
    why = "step 0: the weight decoder.output_b, after the step, is not finite"
    assert_stopped(capsys, [f"--init_from={LAST}", "--lr=1e6"], why)


def assert_stopped(capsys: pytest.CaptureFixture, flags: Sequence[str], why: str) -> None:
    """The only step of a new run is not kept: exit code 1, one line, and everything as it was before the step."""
    began = Path("new/checkpoints/step-00000000")
    capsys.readouterr()
    assert run_command(main, [*NEW, "--num_steps=1", *flags]) == 1
    assert_one_line(capsys.readouterr().err, [why, f"stays in {began}", f"--init_from={began}", "a lower --lr"])
    assert [path.name for path in Path("new/checkpoints").iterdir()] == [began.name]
    assert Path("new/model.safetensors").read_bytes() == (began / "model.safetensors").read_bytes()
    assert not Path("new/best").exists()
    weights = safetensors.torch.load_file("new/model.safetensors")
    assert [name for name, value in weights.items() if not bool(torch.isfinite(value).all())] == []


# The program itself --------------------------------------------------------------------------------------------------


def train_py(*argv: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "train.py"), *argv]
    # matplotlib keeps its list of fonts in the same cache
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def test_the_program_gives_one_line_and_exit_code_2_and_runs_nothing_of_a_hostile_set():
    with_sketch(Hostile())
    before = everything()
    done = train_py(*NEW)
    assert done.returncode == 2
    assert done.stdout == ""
    assert_one_line(done.stderr, [TRAIN, "could run code", "do not trust this file"])
    assert everything() == before


@pytest.mark.parametrize("name", ["cat.npz", "cat.h5"])
def test_what_all_of_this_breaks_is_sound(name, no_training, bounded):
    """Lest the tests above pass for another reason than theirs."""
    with_split("train", SETS["train"])
    pack()
    with pytest.raises(Began):
        main([*NEW, f"--data_set={name}"])
    with pytest.raises(Began):
        main(RESUME)
