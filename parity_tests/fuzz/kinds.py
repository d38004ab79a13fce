"""The kinds of input: what a mutant of each is, and the commands that read it."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

from parity_tests.fuzz.inputs import CONFIG, CONFIGS, DATA, INDEX, PREFIX, RECORDINGS, STEPS
from parity_tests.fuzz.mutators.archives import mutate_archive, mutate_strokes
from parity_tests.fuzz.mutators.arrays import mutate_array
from parity_tests.fuzz.mutators.bundle import mutate_index
from parity_tests.fuzz.mutators.documents import ODD_TEXTS, mutate_json
from parity_tests.fuzz.mutators.drawings import mutate_svg
from parity_tests.fuzz.mutators.hdf5 import mutate_packed, mutate_recording
from parity_tests.fuzz.mutators.raw import mutate_bytes
from parity_tests.fuzz.mutators.state_dicts import mutate_state_dict
from parity_tests.fuzz.mutators.weights import mutate_weights, native
from parity_tests.fuzz.outputs import whole_drawing, whole_model, whole_report, whole_run, whole_set
from pytorch_sketch_rnn.data.npz import read_npz
from pytorch_sketch_rnn.errors import BadInput
from weight_port.tensor_bundle import TensorBundle
from weight_port.tensor_bundle_writer import write_bundle

Mutate = Callable[[Random, Path], None]


@dataclasses.dataclass(frozen=True)
class Command:
    """A command that reads the mutant.

    Attributes:
        module: has the command's own ``main(argv)``. It is imported by name, since some command lines import this one.
        arguments: with paths relative to the folder of the mutant.
        writes: the paths that it may write there; everything else must stay as it was.
        whole: reads what was written, and raises an exception if it is not complete.
        codes: exit codes besides 2, which goes with one line on stderr.
    """

    module: str
    arguments: tuple[str, ...]
    writes: tuple[str, ...] = ()
    whole: Callable[[], None] = lambda: None
    codes: tuple[int, ...] = (0,)


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
        name: what it is called on the command line.
        inputs: the folders of valid input, one of which is copied for each mutant.
        mutate: changes a file in that copy.
        commands: one of them is run.
        seconds: of processor time that the unchanged input may take; the time limit comes on top of it.
    """

    name: str
    inputs: tuple[str, ...]
    mutate: Mutate
    commands: tuple[Command, ...]
    seconds: int = 0


def changed(name: str, change: Callable[[Random, bytes], bytes]) -> Mutate:
    """A mutator of one file's bytes."""

    def mutate(random: Random, folder: Path) -> None:
        (folder / name).write_bytes(change(random, (folder / name).read_bytes()))

    return mutate


def changed_in_place(name: str, change: Mutate) -> Mutate:
    """A mutator of a file that ``change`` opens itself."""
    return lambda random, folder: change(random, folder / name)


def changed_json(name: str) -> Mutate:
    """A mutator of a JSON file."""
    return changed(name, lambda random, data: mutate_json(random, json.loads(data)))


def _data(random: Random, folder: Path) -> None:
    """The data file: any bytes, or other arrays with right checksums."""
    if random.random() < 0.4:
        changed(DATA, mutate_bytes)(random, folder)
        return
    bundle = TensorBundle.open(folder / PREFIX)
    arrays = {name: bundle.read(name).copy() for name in bundle.entries}
    for _ in range(random.choice((1, 1, 3))):
        name = random.choice(sorted(arrays))
        match random.randrange(6):
            case 0:
                del arrays[name]
            case 1:
                arrays[random.choice(ODD_TEXTS)] = arrays[name]
            case _:
                arrays[name] = native(mutate_array(random, arrays[name]))
    try:
        write_bundle(folder / PREFIX, arrays, num_shards=random.choice((1, 1, 2)))
    except BadInput:  # a name that no checkpoint can hold
        changed(DATA, mutate_bytes)(random, folder)


def _zip_member(random: Random, name: str, content: bytes) -> bytes:
    if name.endswith(".index") and random.random() < 0.7:
        return mutate_index(random, content)
    return mutate_json(random, json.loads(content)) if name.endswith(".json") else mutate_bytes(random, content)


def _npz(random: Random, folder: Path) -> None:
    path = folder / "set.npz"
    splits = read_npz(path)

    def member(random: Random, name: str, content: bytes) -> bytes:
        return mutate_strokes(random, content, splits[name.removesuffix(".npy")])

    path.write_bytes(mutate_archive(random, path.read_bytes(), member))


def _saved_model(random: Random, folder: Path) -> None:
    if random.random() < 0.5:
        changed_json("model/config.json")(random, folder)
    else:
        changed("model/model.safetensors", mutate_weights)(random, folder)


def _run_folder(random: Random, folder: Path) -> None:
    """A file of the run: changed, emptied, removed, or a folder in its place."""
    last = max(path for path in (folder / "run" / "checkpoints").iterdir())
    # what a resumed run reads comes first and twice
    files = [folder / "run" / "settings.json", *sorted(path for path in last.iterdir() if path.is_file())] * 2
    files += sorted(path for path in (folder / "run").rglob("*") if path.is_file() and path.suffix != ".png")
    path = random.choice(files)
    change = random.random()
    if change < 0.1:
        path.unlink()
        if change < 0.03:
            path.mkdir()
    elif path.suffix == ".json":
        changed_json(str(path.relative_to(folder)))(random, folder)
    else:
        path.write_bytes((mutate_weights if path.suffix == ".safetensors" else mutate_bytes)(random, path.read_bytes()))
    if random.random() < 0.7:
        _right_checksums(path.parent)


def _right_checksums(folder: Path) -> None:
    """Make the checksums in a folder, if it has any, those of the changed files."""
    recorded = folder / "SHA256SUMS"
    if recorded.is_file():
        names = re.findall(r"^[0-9a-f]{64}  (.+)$", recorded.read_text(errors="replace"), re.MULTILINE)
        there = {path.name: path for path in folder.iterdir() if path.is_file()}
        files = [there[name] for name in names if name in there]  # a changed name may be too long for any file
        lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
        recorded.write_text("".join(lines))


def _ndjson(random: Random, data: bytes) -> bytes:
    lines = data.splitlines()
    for _ in range(random.choice((1, 1, 3))):
        place = random.randrange(len(lines))
        if random.random() < 0.8:
            lines[place] = mutate_json(random, json.loads(data.splitlines()[place]))
        else:
            lines[place] = random.choice(
                (b"", lines[place] * 2, lines[place][:-1], b"[" * 100_000, b"\xef\xbb\xbf", b"0")
            )
    text = random.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r", b"\n\n")).join(lines)
    return mutate_bytes(random, text) if random.random() < 0.2 else text


PORT, SKETCHES, PARITY, TRAIN = (
    "weight_port.__main__", "pytorch_sketch_rnn.__main__", "parity_tests.__main__",
    "pytorch_sketch_rnn.training.command",
)  # fmt: skip


def _converted(source: str) -> tuple[Command, ...]:
    convert = Command(PORT, ("convert", source, "out"), ("out",), lambda: whole_model("out"))
    return (convert, convert, convert, Command(PORT, ("inspect", source)))


def _made(*arguments: str) -> Command:
    return Command(SKETCHES, ("dataset", *arguments, "out.npz"), ("out.npz", "out.svg"), lambda: whole_set("out.npz"))


def _drawn(*arguments: str) -> Command:
    """Few and short sketches, since their number is not what is tested."""
    few = ("--count", "2", "--max-len", "4", "-o", "out.svg")
    return Command(SKETCHES, ("sample", "model", *few, *arguments), ("out.svg",), lambda: whole_drawing("out.svg"))


def _resumed(steps: int) -> Command:
    # 1: a cost that is not finite, which the run reports in one line
    flags = ("--save_dir=run", "--resume", f"--num_steps={steps}")
    return Command(TRAIN, flags, ("run",), lambda: whole_run("run"), (0, 1))


_MEASURED = Command(PORT, ("convert", "checkpoint", "out", "--data", "set.npz"), ("out",), lambda: whole_model("out"))
_MEASURED_PACKED = dataclasses.replace(_MEASURED, arguments=("convert", "checkpoint", "out", "--data", "set.h5"))
_TRAINED = Command(
    TRAIN,
    ("--data_dir=.", "--data_set=set.h5", "--save_dir=new", "--num_steps=1", "--enc_rnn_size=3", "--dec_rnn_size=4",
     "--z_size=2", "--num_mixture=2", "--batch_size=4", "--max_seq_len=20"),
    ("new",), lambda: whole_run("new"), (0, 1),
)  # fmt: skip
# 1: different
_COMPARED = Command(
    PARITY, ("verify", "--recording", "recording.h5", "--out", "out"), ("out",), lambda: whole_report("out"), (0, 1)
)
_CHECKED = Command(PARITY, ("check", "certificate.json", "model"), codes=(0, 1))

_CHECKPOINT, _SAVED, _SETS = ("checkpoint-dict",), ("saved",), ("sets",)
_ZIP = changed("models.zip", lambda random, data: mutate_archive(random, data, _zip_member))

# The last one is the largest, and takes as long as twenty of the others.
_RECORDINGS = RECORDINGS[:-1] * 2 + RECORDINGS[-1:]
_ALL = (
    Kind("index", _CHECKPOINT, changed(INDEX, mutate_bytes), _converted(".")),
    Kind("signed-index", _CHECKPOINT, changed(INDEX, mutate_index), _converted(".")),
    Kind("data", _CHECKPOINT, _data, _converted(PREFIX)),
    *(Kind(f"config-{form}", (f"checkpoint-{form}",), changed_json(CONFIG), _converted(".")) for form in CONFIGS),
    Kind("js", ("js",), changed_json("bird.gen.json"), _converted("bird.gen.json")),
    Kind("state-dict", ("state-dict",), changed("model.pt", mutate_state_dict), _converted("model.pt")),
    Kind("zip", ("zip",), _ZIP, _converted("models.zip")),
    Kind(
        "npz",
        _SETS,
        _npz,
        (_made("set.npz"), _made("set.npz", "--split", "4,2,2"), _drawn("--like", "set.npz"), _MEASURED),
    ),
    Kind("packed", _SETS, changed_in_place("set.h5", mutate_packed), (_TRAINED, _MEASURED_PACKED)),
    Kind("model", _SAVED, _saved_model, (_drawn(), _drawn(), _drawn(), _CHECKED)),
    Kind("run", ("run",), _run_folder, (_resumed(STEPS), _resumed(STEPS), _resumed(STEPS + 1))),
    Kind("ndjson", ("ndjson",), changed("cat.ndjson", _ndjson), (_made("cat.ndjson"),)),
    Kind("svg", ("svg",), changed("icons/a.svg", mutate_svg), (_made("icons"), _made("icons", "--strict"))),
    Kind("recording", _RECORDINGS, changed_in_place("recording.h5", mutate_recording), (_COMPARED,), 12),
    Kind("certificate", _SAVED, changed_json("certificate.json"), (_CHECKED,)),
)
KINDS = {kind.name: kind for kind in _ALL}
