"""The settings of a training run: hyperparameters, options and data; from flags, presets and ``settings.json``."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from pytorch_sketch_rnn.data.sources.read import KANJI
from pytorch_sketch_rnn.download import without_query
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.hparams import EPSILON, LARGEST_SIZE, HParams
from pytorch_sketch_rnn.json_file import read_json
from pytorch_sketch_rnn.training.trainer import Options

SETTINGS_FILE = "settings.json"
# what may change when a run is resumed; a fingerprint of the data shows whether they are the same
FREE = ("num_steps", "num_epochs", "save_every", "keep", "data_dir", "sha256")
DTYPES = ("float32", "float64")
PRODUCTS = ("float32", "tf32")
# settings that older runs lack, and what they stand for
LATER: dict[str, Any] = {"products": "float32", EPSILON: HParams().layer_norm_epsilon}
MOST_EPOCHS = 1e9
_HPARAMS = HParams(data_set=("cat.npz",), dec_model="layer_norm")
_OPTIONS = Options(reg_covar=1e-6)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a run. The defaults are those of the command line, not Magenta's."""

    hparams: HParams = _HPARAMS
    options: Options = _OPTIONS
    data_dir: str | None = None  # a folder or a URL; None: kanji from the package kanjivg
    sha256: tuple[str, ...] = ()  # of the files of data_set
    num_epochs: float | None = 100.0  # None: the length is hparams.num_steps
    dtype: str = "float32"
    products: str = "float32"  # how a GPU computes them
    keep: int = 3  # number of checkpoints

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise _wrong("dtype", self.dtype, " or ".join(DTYPES))
        if self.products not in PRODUCTS:
            raise _wrong("products", self.products, " or ".join(PRODUCTS))
        if type(self.keep) is not int or self.keep < 1:
            raise _wrong("keep", self.keep, "a whole number of checkpoints, at least 1")
        if self.data_dir is not None and not isinstance(self.data_dir, str):
            raise _wrong("data_dir", self.data_dir, "a folder or a URL")
        if not isinstance(self.sha256, tuple) or not all(isinstance(digest, str) for digest in self.sha256):
            raise _wrong("sha256", self.sha256, "a list of texts")
        if self.num_epochs is not None and not (
            isinstance(self.num_epochs, int | float) and 0 < self.num_epochs <= MOST_EPOCHS
        ):
            raise _wrong("num_epochs", self.num_epochs, f"above 0, at most {MOST_EPOCHS:g}")
        if len(set(self.hparams.data_set)) < len(self.hparams.data_set):
            raise BadInput(f"data_set {','.join(self.hparams.data_set)}: names a set twice", name="data_set")
        for name in self.hparams.data_set:
            if Path(name).name != name:
                raise BadInput(
                    f"data_set {name!r}: expected the name of a file in data_dir, without folders", name="data_set"
                )

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """A copy with some fields, hyperparameters or options changed, each by its name."""
        parts: dict[str, dict[str, Any]] = {"hparams": {}, "options": {}, "own": {}}
        for name, value in changes.items():
            parts[_part(name)][name] = value
        return dataclasses.replace(
            self,
            hparams=self.hparams.replace(**parts["hparams"]),
            options=dataclasses.replace(self.options, **parts["options"]),
            **parts["own"],
        )

    def flat(self) -> dict[str, Any]:
        """Every value by its name, ready for JSON."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del own["hparams"], own["options"]
        return self.hparams.to_dict() | dataclasses.asdict(self.options) | own | {"sha256": list(self.sha256)}

    def save(self, folder: Path) -> None:
        """Write ``settings.json``; for its owner alone when the URL of the data has a query, which may be a secret."""
        secret = self.data_dir is not None and without_query(self.data_dir) != self.data_dir
        with atomic_path(folder / SETTINGS_FILE, private=secret) as path:
            path.write_text(json.dumps(self.flat(), indent=1) + "\n", encoding="utf-8")

    def save_if_changed(self, folder: Path) -> None:
        """Write ``settings.json`` unless it holds the same settings already."""
        if Settings.load(folder) != self:
            self.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read ``settings.json``.

        Raises:
            BadInput: when the folder holds none, or a broken one.
        """
        path = folder / SETTINGS_FILE
        values = read_json(path, "a run of train.py")
        known = set(cls().flat())
        values = LATER | values if isinstance(values, dict) else values
        if not isinstance(values, dict) or set(values) != known or not isinstance(values["sha256"], list):
            found = sorted(set(values) ^ known) if isinstance(values, dict) else type(values).__name__
            raise BadInput(f"{path}: expected every setting of a run by its name; wrong or missing: {found}")
        try:
            return cls().changed(values | {"sha256": tuple(values["sha256"])})
        except BadInput as error:
            raise BadInput(f"{path}: {error}", name=error.name) from None

    def resumed(self, changes: Mapping[str, Any], folder: Path) -> Self:
        """The settings of a resumed run.

        Args:
            changes: settings from the command line, by name.
            folder: of the run, for messages.

        Raises:
            BadInput: when a change would make it another run.
        """
        if "data_dir" in changes:  # the digests are those of the old URL; the fingerprint compares the data themselves
            changes = {"sha256": ()} | dict(changes)
        result = self.changed(changes)
        before, after = self.flat(), result.flat()
        other = [name for name in before if before[name] != after[name] and name not in FREE]
        if other:
            name = other[0]
            raise BadInput(
                f"{name} is {after[name]}, but the run in {folder} has {before[name]}; leave it out to resume, or "
                "start another run with --init_from and a checkpoint of this one",
                name=name,
            )
        return result


def _wrong(name: str, value: Any, expected: str) -> BadInput:
    return BadInput(f"{name} is {value!r}, expected {expected}", name=name)


def _part(name: str) -> str:
    for part, kind in (("hparams", HParams), ("options", Options), ("own", Settings)):
        if name in {field.name for field in dataclasses.fields(kind)} - {"hparams", "options"}:
            return part
    raise BadInput(f"unknown setting {name}")


PRESETS: dict[str, Mapping[str, Any]] = {
    # all of Magenta's own defaults
    "magenta": HParams().to_dict()
    # its trainer leaves no sketch out, and takes max_seq_len from the data
    | {"max_seq_len": LARGEST_SIZE, "reg_covar": 0.0, "validate_as_magenta": True, "num_epochs": None},
    # small enough to show progress within minutes on two cores
    "demo": {
        "enc_rnn_size": 64, "dec_rnn_size": 128, "z_size": 16, "num_mixture": 5, "batch_size": 64, "dec_model": "lstm",
        "learning_rate": 0.004, "decay_rate": 0.999, "kl_weight": 0.2, "kl_decay_rate": 0.999,
        "num_epochs": None, "num_steps": 600, "save_every": 100, "max_seq_len": 40, "data_set": (KANJI,),
    },
}  # fmt: skip


def parse_hparams(text: str) -> dict[str, Any]:
    """Parse hyperparameters in the form of Magenta's trainer: ``name=value,name=[value,value]``.

    Raises:
        BadInput: for any other form, and for unknown names.
    """
    fields = {field.name: field for field in dataclasses.fields(HParams)}
    values = {}
    for item in _items(text):
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not name:
            raise BadInput(f"--hparams: {item!r} is no name=value; expected such as batch_size=50,enc_model=hyper")
        if name not in fields:
            raise BadInput(f"--hparams: unknown hyperparameter {name}; known are {', '.join(sorted(fields))}")
        if name in values:
            raise BadInput(f"--hparams: {name} is given twice")
        values[name] = _parsed(name, fields[name].type, value)
    return values


def _items(text: str) -> list[str]:
    """Split at commas outside brackets."""
    items, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            items.append("")
        else:
            items[-1] += character
    return [item for item in items if item.strip()]


def _parsed(name: str, kind: Any, text: str) -> Any:
    if name == "data_set":
        return tuple(part.strip() for part in text.strip("[]").split(",") if part.strip())
    readers: dict[type, Callable[[str], Any]] = {
        bool: lambda t: {"true": True, "1": True, "false": False, "0": False}[t.lower()],
        int: int,
        float: float,
    }
    try:
        return readers.get(kind, str)(text)
    except (ValueError, KeyError):
        expected = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise BadInput(f"--hparams: {name} is {text!r}, expected {expected}") from None
