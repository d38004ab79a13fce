"""The certificate of a model: that it was compared with the official code, and by which hashes it is known again."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from parity_tests.report.report import Report
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.json_file import read_json
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE, WEIGHTS_FILE
from weight_port.convert import Plan
from weight_port.folder import examine
from weight_port.names import inverse, table
from weight_port.source import Source, open_source

FILE = "certificate.json"
KIND = "certificate of parity with magenta 2.1.4"
SCHEMA = 1


def hashes(source: Source, plan: Plan | None = None) -> dict[str, str]:
    """SHA-256 of each weight of a model by its official name: type, shape and bytes, whatever file it stands in."""
    plan = examine(source, None)[1] if plan is None else plan
    return {name: _sha256(source.variables.read(name)) for name in sorted(plan.weights)}


def _sha256(value: np.ndarray) -> str:
    head = f"{value.dtype.newbyteorder('<').str} {list(value.shape)}\n".encode()
    little = np.ascontiguousarray(value.astype(value.dtype.newbyteorder("<"), copy=False))
    return hashlib.sha256(head + little.tobytes()).hexdigest()


def write_certificate(folder: Path, report: Report, model: dict[str, Any]) -> Path:
    """Write ``certificate.json``: what was compared, with what result, and the model's hashes."""
    content = {
        "kind": KIND,
        "schema": SCHEMA,
        "equal": report.passed,
        "verdict": report.verdict(),
        "subject": report.subject,
        "untested": report.untested_parts(),
        "model": model,
        "provenance": report.provenances(),
    }
    path = folder / FILE
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def check(certificate: Path, model: Path, member: str | None = None) -> list[str]:
    """Hold a model against its certificate.

    Args:
        certificate: the file that ``verify`` wrote.
        model: in any form that weight_port takes, or a folder that it or ``save_pretrained`` wrote.
        member: which model of an archive.

    Returns:
        What differs; nothing where it is the certified model.

    Raises:
        BadInput: when the certificate or the model cannot be read, or the certificate certifies nothing.
    """
    certified = _read(certificate)
    if not certified["equal"]:
        raise BadInput(f"{certificate}: says that the model was found different; nothing is certified by it")
    wanted: dict[str, str] = certified["model"]["sha256"]
    found = _converted_hashes(model) if (model / WEIGHTS_FILE).is_file() else _source_hashes(model, member)
    differences = [f"{name} is missing" for name in sorted(set(wanted) - set(found))]
    differences += [f"{name} is not in the certificate" for name in sorted(set(found) - set(wanted))]
    changed = sorted(name for name in set(wanted) & set(found) if wanted[name] != found[name])
    return differences + [f"{name} holds other numbers" for name in changed]


def _source_hashes(model: Path, member: str | None) -> dict[str, str]:
    with open_source(model, member) as source:
        return hashes(source)


def _converted_hashes(folder: Path) -> dict[str, str]:
    """Those of a converted model, under the official names."""
    officials = inverse(table(HParams.load(folder / CONFIG_FILE)).weights)
    try:
        weights = safetensors.numpy.load_file(folder / WEIGHTS_FILE)
    except (OSError, KeyError, TypeError, safetensors.SafetensorError) as error:  # NumPy lacks some of its types
        raise BadInput(f"{folder / WEIGHTS_FILE}: expected weights in safetensors form, but {error}") from None
    return {officials.get(name, name): _sha256(value) for name, value in weights.items()}


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path, f"a {FILE} that verify wrote")
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise BadInput(f"{path}: expected a {FILE} that verify wrote, found other JSON")
    if content.get("schema") != SCHEMA:
        raise BadInput(f"{path}: a certificate of schema {content.get('schema')}, expected {SCHEMA}; verify anew")
    sha256 = content["model"].get("sha256") if isinstance(content.get("model"), dict) else None
    if not isinstance(sha256, dict) or not sha256 or not isinstance(content.get("equal"), bool):
        raise BadInput(f"{path}: lacks the hashes of the model or the verdict; verify anew")
    return content
