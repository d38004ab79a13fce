"""Take one model out of a .zip archive that a stranger made.

Source of the layout: Magenta's published ``sketch_rnn.zip``, whose folders such as ``sketch_rnn/catbus/lstm`` hold one
model each. Archives of sketch-rnn-js ``.json`` models are taken too.
"""

import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from pytorch_sketch_rnn.errors import BadInput, enumerated, excerpt
from pytorch_sketch_rnn.regular_file import open_regular
from weight_port.tensor_bundle import BUNDLE_FILE

CONFIG_NAME = "model_config.json"
EXPORT_NAME = "export.json"  # the record of an export, beside the checkpoint
# An official model with Adam's slots takes 26 MB; the limit only keeps a hostile archive from filling the disk.
MAX_UNPACKED_BYTES = 2 * 2**30
_COPY_CHUNK_BYTES = 2**20
# What zipfile raises for damaged archives, by no documented rule; OSError also where the disk is full.
_ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError)


def unpack_model(path: Path, member: str | None, target: Path) -> tuple[str, list[str]]:
    """Unpack the files of one model, and no others, straight into the folder ``target``.

    A model is a folder with an ``.index`` or a ``.json`` file; ``member`` names it, if there are several.

    Returns:
        The model's name in the archive ("." for its top folder), and the names of the files unpacked.

    Raises:
        BadInput: The archive is damaged, hostile or too large, or it is not clear which model is meant.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            _check_members(path, infos)
            models = _list_models([info.filename for info in infos])
            chosen = _choose_model(path, models, member)
            _unpack(path, archive, models[chosen], target)
    except BadInput:
        raise
    except _ARCHIVE_ERRORS as error:
        raise BadInput(f"{path}: this .zip archive cannot be unpacked ({error}); get it again") from None
    return chosen, models[chosen]


def _check_members(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Refuse the whole archive if a single member is hostile, since one author made them all."""
    seen: set[str] = set()
    for info in infos:
        name = info.filename.removesuffix("/")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            reason = "is a link or a special file"
        elif info.flag_bits & 0x1:
            reason = "is encrypted"
        elif name in seen:
            reason = "comes twice"
        elif not (_is_plain(info.filename) and _is_plain(info.orig_filename)):
            reason = "has a name that is no plain path inside the archive"
        else:
            seen.add(name)
            continue
        raise BadInput(f"{path}: the member {excerpt(info.orig_filename)} {reason}; the archive is not used")


def _is_plain(name: str) -> bool:
    parts = name.removesuffix("/").split("/")
    return name.isprintable() and not any(
        part in ("", ".", "..") or "\\" in part or re.match("[A-Za-z]:", part) for part in parts
    )


def _list_models(names: list[str]) -> dict[str, list[str]]:
    """Each model of an archive and the members it is made of: a folder with checkpoints, or a .json file."""
    folders: dict[str, list[str]] = {}
    models: dict[str, list[str]] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        # macOS adds a shadow of every file.
        if name.endswith("/") or "__MACOSX" in path.parts or path.name.startswith("._"):
            continue
        if path.name in ("checkpoint", CONFIG_NAME) or BUNDLE_FILE.fullmatch(path.name):
            folders.setdefault(str(path.parent), []).append(name)
        elif path.suffix.lower() == ".json":
            models[name] = [name]
    has_index = {folder: any(name.endswith(".index") for name in files) for folder, files in folders.items()}
    return models | {folder: files for folder, files in folders.items() if has_index[folder]}


def _choose_model(path: Path, models: dict[str, list[str]], member: str | None) -> str:
    if not models:
        raise BadInput(f"{path}: this archive holds no model, that is no folder with an .index and no .json model")
    if member is None:
        if len(models) > 1:
            raise BadInput(f"{path}: holds several models; choose one with --member: {enumerated(sorted(models), 30)}")
        return next(iter(models))
    chosen = member.removesuffix("/")
    alike = [model for model in models if model.endswith(f"/{chosen}")]  # an archive may have one more folder around
    if chosen not in models and len(alike) == 1:
        return alike[0]
    if chosen not in models:
        raise BadInput(f"{path}: holds no model {member!r} (--member); it holds {enumerated(sorted(models), 30)}")
    return chosen


def _unpack(path: Path, archive: zipfile.ZipFile, names: list[str], target: Path) -> None:
    infos = [archive.getinfo(name) for name in names]
    too_large = BadInput(f"{path}: the model takes more than {MAX_UNPACKED_BYTES} bytes, which is the limit")
    if sum(info.file_size for info in infos) > MAX_UNPACKED_BYTES:
        raise too_large
    left = MAX_UNPACKED_BYTES
    for info in infos:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadInput(f"{path}: the member {info.filename} is not compressed by 'deflate'; make the archive again")
        with archive.open(info) as packed, (target / PurePosixPath(info.filename).name).open("xb") as unpacked:
            while chunk := packed.read(_COPY_CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise too_large
                unpacked.write(chunk)
