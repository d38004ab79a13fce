"""The certificate of a model: the verdict of its comparison with the official code, and the hashes of its weights."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.report.report import Report
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.json_file import read_json
from weight_port.convert import Plan
from weight_port.folder import examine
from weight_port.source import Source

FILE = "certificate.json"
KIND = "certificate of parity with magenta 2.1.4"
SCHEMA = 1
_SHA256 = re.compile("[0-9a-f]{64}")


def hashes(source: Source, plan: Plan | None = None) -> dict[str, str]:
    """SHA-256 of each weight of a model, by its official name.

    Args:
        source: the model in any official form; the form does not change the hashes.
        plan: of its conversion; None: made from the source.
    """
    plan = examine(source, None)[1] if plan is None else plan
    return {name: hash_of(source.variables.read(name)) for name in sorted(plan.weights)}


def hash_of(value: np.ndarray) -> str:
    """SHA-256 of the type, shape and little-endian bytes of an array."""
    head = f"{value.dtype.newbyteorder('<').str} {list(value.shape)}\n".encode()
    little = np.ascontiguousarray(value.astype(value.dtype.newbyteorder("<"), copy=False))
    return hashlib.sha256(head + little.tobytes()).hexdigest()


def write_certificate(folder: Path, report: Report, model: dict[str, Any]) -> Path:
    """Write ``certificate.json``.

    Args:
        folder: must exist.
        report: of the comparison; its verdict, subject, conditions, untested parts and provenance are kept.
        model: ``source``, ``sha256`` (see :func:`hashes`) and ``hparams`` of the model.

    Raises:
        BadInput: when the file cannot be written.
    """
    content = {
        "kind": KIND,
        "schema": SCHEMA,
        "equal": report.passed,
        "verdict": report.verdict(),
        "subject": report.subject,
        "conditions": report.conditions,
        "untested": report.untested_parts(),
        "model": model,
        "provenance": report.provenances(),
    }
    path = folder / FILE
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def read_certificate(path: Path) -> dict[str, Any]:
    """The content of a certificate.

    Raises:
        BadInput: when the file cannot be read, or is not a certificate of this schema.
    """
    content = read_json(path, f"a {FILE} that verify wrote")
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise BadInput(f"{path}: expected a {FILE} that verify wrote, found other JSON")
    if content.get("schema") != SCHEMA:
        raise BadInput(f"{path}: a certificate of schema {content.get('schema')}, expected {SCHEMA}; run verify again")
    sha256 = content["model"].get("sha256") if isinstance(content.get("model"), dict) else None
    if not isinstance(sha256, dict) or not sha256 or not isinstance(content.get("equal"), bool):
        raise BadInput(f"{path}: lacks the hashes of the model or the verdict; run verify again")
    for name, value in sha256.items():
        if not (name.isprintable() and isinstance(value, str) and _SHA256.fullmatch(value)):
            raise BadInput(
                f"{path}: expected a SHA-256 for each weight, found {value!r} for {name!r}; run verify again"
            )
    return content
