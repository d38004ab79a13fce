"""Open whatever a user may hold of a Sketch-RNN model, and serve its variables under their official names.

Sources of the layouts: TensorFlow's ``checkpoint_state.proto`` (the text file ``checkpoint``), and the folders that
Magenta's trainer writes.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

import numpy as np

from pytorch_sketch_rnn.download import fetch_model, is_url, without_query
from pytorch_sketch_rnn.errors import BadInput, enumerated, excerpt
from pytorch_sketch_rnn.hparams import EPSILON, HParams
from pytorch_sketch_rnn.json_file import read_json
from pytorch_sketch_rnn.regular_file import is_no_folder, open_regular
from weight_port import rfeinman, sketch_rnn_js, zoo
from weight_port.archive import CONFIG_NAME, EXPORT_NAME, unpack_model
from weight_port.tensor_bundle import BUNDLE_FILE, Entry, TensorBundle

MAX_TEXT_BYTES = 2**20

ACCEPTED_FORMS = (
    "a folder with a TensorFlow checkpoint, a checkpoint's prefix (.../vector-1000), its .index or .data-... file, "
    "a .zip archive with such a folder, a sketch-rnn-js .json model, the URL of one of these two, the name of an "
    "official model, such as zoo:bird, or the .pt file of a model of rfeinman/Sketch-RNN"
)

_Value = TypeVar("_Value")


class Variables(Protocol):
    """The variables of a model, whatever its format. An unknown name raises BadInput."""

    def names(self) -> list[str]:
        """The official names of all variables, in the order of the file."""

    def shape(self, name: str) -> tuple[int, ...]:
        """A variable's shape, without reading its value."""

    def dtype(self, name: str) -> np.dtype | None:
        """A variable's type, without reading its value; None where NumPy has no such type."""

    def read(self, name: str) -> np.ndarray:
        """A variable's value. Raises BadInput where it cannot be had."""


@dataclass(frozen=True)
class BundleVariables:
    """The variables of a TensorFlow checkpoint."""

    bundle: TensorBundle

    def names(self) -> list[str]:
        """The official names of all variables, in the order of the index."""
        return list(self.bundle.entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """A variable's shape."""
        return self._entry(name).shape

    def dtype(self, name: str) -> np.dtype | None:
        """A variable's type; None where NumPy has no such type."""
        return self._entry(name).dtype

    def read(self, name: str) -> np.ndarray:
        """A read-only view of the data file, its checksum verified; see :meth:`TensorBundle.read`."""
        return self.bundle.read(name)

    def _entry(self, name: str) -> Entry:
        return _look_up(self.bundle.entries, name, f"{self.bundle.prefix}")


@dataclass(frozen=True)
class ArrayVariables:
    """Variables that are in memory already."""

    arrays: Mapping[str, np.ndarray]
    location: str

    def names(self) -> list[str]:
        """The official names of all variables, in the order of the file."""
        return list(self.arrays)

    def shape(self, name: str) -> tuple[int, ...]:
        """A variable's shape."""
        return self.read(name).shape

    def dtype(self, name: str) -> np.dtype:
        """A variable's type."""
        return self.read(name).dtype

    def read(self, name: str) -> np.ndarray:
        """A variable's value."""
        return _look_up(self.arrays, name, self.location)


@dataclass(frozen=True)
class SourceFile:
    """A file that a source was read from: ``label`` for people, ``path`` while the source is open."""

    label: str
    path: Path

    def sha256(self) -> str:
        """The SHA-256 of the file's bytes, in hexadecimal."""
        try:
            with open_regular(self.path) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BadInput(f"{self.label}: cannot be read ({error.strerror})") from None


@dataclass(frozen=True)
class Source:
    """An open model.

    Attributes:
        format: "tensor bundle", "sketch-rnn-js" or "rfeinman/Sketch-RNN".
        location: What to call the model in messages.
        variables: Its variables under their official names.
        config: The parsed ``model_config.json`` beside the checkpoint, of any form; None if there is none.
        config_path: What to call that file in messages; None if there is none.
        files: The files that the above comes from, those that are there.
        missing: The names of data files that the checkpoint's index asks for and that are not there.
        odd: The names of data files that are there but not as the index says, with what is wrong.
        note: What else a user should know about the model; empty if there is nothing.
        fixed: Hyperparameters that every model of this format has, as far as its weights do not show them.
        info: The ``info`` of a sketch-rnn-js model; of a checkpoint what an export kept beside it, mostly nothing.
    """

    format: str
    location: str
    variables: Variables
    config: object | None = None
    config_path: str | None = None
    files: list[SourceFile] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    odd: dict[str, str] = field(default_factory=dict)
    note: str = ""
    fixed: dict[str, object] = field(default_factory=lambda: {EPSILON: HParams().layer_norm_epsilon})
    info: dict[str, object] = field(default_factory=dict)


@contextmanager
def open_source(given: Path | str, member: str | None = None) -> Iterator[Source]:
    """Open a model in any of the forms of ``ACCEPTED_FORMS``.

    Args:
        given: What the user gave: a path, a URL or the name of an official model.
        member: Which model of a .zip archive: its folder, or its .json file. Needed only if there are several.

    Raises:
        BadInput: There is no model, or it is damaged, or it is not clear which one is meant, or a download fails.
    """
    if isinstance(given, str) and (given.startswith(zoo.PREFIX) or is_url(given)):
        with _open_remote(given, member) as source:
            yield source
        return
    path = Path(given)
    is_file = is_no_folder(path)
    if is_file and path.suffix.lower() == ".zip":
        with _open_archive(path, member) as source:
            yield source
        return
    if member is not None:
        raise BadInput(f"{path}: --member {member} chooses a model in a .zip archive, and this is none")
    if os.path.isdir(path):
        yield _open_folder(path)
    elif is_file and path.suffix.lower() == ".json":
        yield _open_js_model(path)
    elif is_file and path.suffix.lower() in rfeinman.SUFFIXES:
        yield _open_port_model(path)
    else:
        yield _open_bundle(_prefix_of(path))


@contextmanager
def _open_remote(given: str, member: str | None) -> Iterator[Source]:
    """A model by its URL, or an official one by its name; each file is downloaded once.

    The source says where it comes from. Messages name the file in the cache, which can be removed.
    """
    url = given
    if given.startswith(zoo.PREFIX):
        if member is not None:
            raise BadInput(f"{given}: --member {member} chooses a model in a .zip archive, and this names a model")
        url, member = zoo.address(given.removeprefix(zoo.PREFIX))
    shown = without_query(url)
    if PurePosixPath(shown).suffix.lower() not in (".zip", ".json"):
        start = "/".join(shown.split("/")[:3]).rpartition("@")[2]  # the rest may hold a secret
        raise BadInput(f"a URL at {start}: expected that of a .zip archive or of a sketch-rnn-js .json model")
    path = fetch_model(url)
    with open_source(path, member) as source:
        yield replace(
            source,
            location=source.location.replace(str(path), shown),
            config_path=source.config_path and source.config_path.replace(str(path), shown),
            files=[SourceFile(file.label.replace(str(path), shown), file.path) for file in source.files],
        )


def _prefix_of(path: Path) -> Path:
    if is_no_folder(f"{path}.index"):
        return path
    if not is_no_folder(path):
        raise BadInput(f"{path}: does not exist; give {ACCEPTED_FORMS}")
    match = BUNDLE_FILE.fullmatch(path.name)
    if match is None:
        raise BadInput(f"{path}: is of an unknown type; give {ACCEPTED_FORMS}")
    return path.parent / match["prefix"]


def _open_js_model(path: Path) -> Source:
    model = sketch_rnn_js.read_model(path)
    return Source(
        format="sketch-rnn-js",
        location=str(path),
        variables=ArrayVariables(model.variables, str(path)),
        files=[SourceFile(str(path), path)],
        info=model.info,
        note=model.note,
    )


def _open_port_model(path: Path) -> Source:
    model = rfeinman.read_model(path)
    return Source(
        format=rfeinman.FORMAT,
        location=str(path),
        variables=ArrayVariables(model.variables, str(path)),
        files=[SourceFile(str(path), path)],
        note=model.note,
        fixed=model.hparams,
    )


def _open_bundle(prefix: Path) -> Source:
    bundle = TensorBundle.open(prefix)
    missing = bundle.missing_shards
    files = [prefix.parent / f"{prefix.name}.index", *sorted(set(bundle.shard_paths) - set(missing))]
    config_path = prefix.parent / CONFIG_NAME
    config = None
    has_config = is_no_folder(config_path)
    if has_config:
        config = read_json(config_path, limit=MAX_TEXT_BYTES)
        files.append(config_path)
    return Source(
        format="tensor bundle",
        location=str(prefix),
        variables=BundleVariables(bundle),
        config=config,
        config_path=str(config_path) if has_config else None,
        files=[SourceFile(str(path), path) for path in files],
        missing=[path.name for path in missing],
        odd={path.name: what for path, what in bundle.odd_shards().items()},
        info=_kept_by_export(prefix.parent / EXPORT_NAME),
    )


def _kept_by_export(path: Path) -> dict[str, object]:
    """What the record of an export keeps and a checkpoint cannot hold; ``max_seq_len`` is in the config."""
    if not is_no_folder(path):
        return {}
    record = read_json(path, "the record of an export", MAX_TEXT_BYTES)
    record = record if isinstance(record, dict) else {}
    info = record.get("info")
    kept = {key: value for key, value in info.items() if key != "max_seq_len"} if isinstance(info, dict) else {}
    return kept | ({"scale_factor": record["scale_factor"]} if "scale_factor" in record else {})


def _open_folder(folder: Path, *, stay_inside: bool = False) -> Source:
    """The checkpoint that a folder's ``checkpoint`` file names, or its only one.

    ``stay_inside``: never follow a path in ``checkpoint`` to another folder.
    """
    try:
        indexes = sorted(name for name in os.listdir(folder) if name.endswith(".index") and name != ".index")
    except OSError as error:
        raise BadInput(f"{folder}: this folder cannot be read ({error.strerror})") from None
    if is_no_folder(folder / "checkpoint"):
        prefix = _named_prefix(folder, indexes, stay_inside)
    elif len(indexes) == 1:
        prefix = folder / indexes[0].removesuffix(".index")
    elif indexes:
        raise BadInput(
            f"{folder}: has several checkpoints and no file 'checkpoint' to name one; "
            f"give one of {enumerated(indexes, 20)}"
        )
    else:
        raise BadInput(f"{folder}: has no checkpoint, that is no .index file; give {ACCEPTED_FORMS}")
    return _open_bundle(prefix)


def _named_prefix(folder: Path, indexes: list[str], stay_inside: bool) -> Path:
    written = _checkpoint_path(folder / "checkpoint")
    # Training elsewhere leaves paths of another machine, maybe with backslashes; the files came along in this folder.
    inside = folder / re.split(r"[/\\]", written)[-1]
    for prefix in [inside] if stay_inside else [folder / written, inside]:
        if is_no_folder(f"{prefix}.index"):
            return prefix
    raise BadInput(
        f"{folder / 'checkpoint'}: names {excerpt(written)}, but its .index is not there; "
        + (f"there is {enumerated(indexes, 20)}" if indexes else "the folder has no .index file at all")
    )


def _checkpoint_path(path: Path) -> str:
    try:
        with open_regular(path) as file:
            text = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    if len(text) > MAX_TEXT_BYTES:
        raise BadInput(f"{path}: is larger than {MAX_TEXT_BYTES} bytes, so it is no text file of TensorFlow")
    match = re.search(rb'^[ \t]*model_checkpoint_path[ \t]*:[ \t]*"((?:[^"\\\n]|\\.)+)"', text, re.MULTILINE)
    if match is None:
        raise BadInput(f"{path}: has no line 'model_checkpoint_path: \"...\"'; give the .index file itself")
    # A backslash stands before a quote or a backslash, or before the three octal digits of a byte beyond ASCII.
    return re.sub(rb"\\([0-7]{3}|.)", _unescaped, match[1]).decode("utf-8", "replace")


def _unescaped(escape: re.Match[bytes]) -> bytes:
    return bytes([int(escape[1], 8) % 256]) if len(escape[1]) == 3 else escape[1]


@contextmanager
def _open_archive(path: Path, member: str | None) -> Iterator[Source]:
    with tempfile.TemporaryDirectory(prefix="weight-port-", ignore_cleanup_errors=True) as temporary:
        chosen, files = unpack_model(path, member, Path(temporary))
        is_js = files == [chosen]
        home = str(PurePosixPath(chosen).parent) if is_js else chosen

        def in_archive(text: str) -> str:
            """Say where a file is in the archive, not in the temporary folder, which the user never sees."""
            text = text.replace(f"{temporary}{os.sep}", f"{path}!" if home == "." else f"{path}!{home}/")
            return text.replace(temporary, f"{path}!{home}")

        try:
            if is_js:
                source = _open_js_model(Path(temporary, PurePosixPath(chosen).name))
            else:
                source = _open_folder(Path(temporary), stay_inside=True)
            yield replace(
                source,
                location=in_archive(source.location),
                config_path=source.config_path and in_archive(source.config_path),
                files=[SourceFile(in_archive(file.label), file.path) for file in source.files],
            )
        except BadInput as error:
            raise BadInput(in_archive(str(error))) from None


def _look_up(values: Mapping[str, _Value], name: str, location: str) -> _Value:
    if name not in values:
        raise BadInput(f"{location}: the model has no variable {name!r}")
    return values[name]
