"""``python -m parity_tests verify``: a port compared with the official code on one model, or on earlier recordings.

``verify SRC`` runs the official code on a user's model. ``verify --recording FILE`` compares a port with what was
recorded before, and needs neither TensorFlow nor a model.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.adapter import OURS, Adapter
from parity_tests.commands.backends import Others, load_ports
from parity_tests.judge.conditions import conditions
from parity_tests.judge.conversion import compare_converted
from parity_tests.judge.proof import Findings, prove
from parity_tests.record.configurations import LIVE_SKETCHES, MODEL_VARIANTS, SEED, Configuration
from parity_tests.record.form import check_form
from parity_tests.record.launch import OFFICIAL_SHA256, record_task, require_oracle, run_official
from parity_tests.record.recording import FOLDER, Recording, check_seal
from parity_tests.record.shipped import fixture_paths
from parity_tests.report.certificate import hashes
from parity_tests.report.collecting import Collected, report_of
from parity_tests.report.out_folder import remove_results, start_folder
from parity_tests.report.report import Report
from parity_tests.report.score import Scores
from parity_tests.report.writing import STALE
from pytorch_sketch_rnn.data.hdf5_probe import probe_hdf5
from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.npz import read_npz, write_npz
from pytorch_sketch_rnn.errors import BadInput, naming
from pytorch_sketch_rnn.hparams import HYPER_SIZES, HParams
from pytorch_sketch_rnn.regular_file import is_no_folder
from weight_port.convert import Plan
from weight_port.export.variables import check_epsilon
from weight_port.folder import examine
from weight_port.infer import Inferred
from weight_port.source import Source, open_source

BATCH = 4  # sketches recorded
STEPS = 32

# Hyperparameters that shape the graph or change what it computes; the others only guide a training run.
STRUCTURE = (
    *(name for name in HParams.SHAPE if name not in HYPER_SIZES),
    "kl_tolerance", "grad_clip", "use_recurrent_dropout", "recurrent_dropout_prob", "use_input_dropout",
    "input_dropout_prob", "use_output_dropout", "output_dropout_prob",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class UserModel:
    """A model of the user's, and how it is recorded."""

    path: Path | str  # in any form that weight_port takes
    member: str | None = None  # its name in an archive of several
    data: Path | None = None  # a stroke set to run it on; None: kanji
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # hyperparameters the weights do not determine


def verify(
    model: UserModel,
    out: Path,
    *,
    spec: str = OURS,
    options: Mapping[str, str | None] | None = None,
    backends: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> tuple[Report, dict[str, Any]]:
    """Compare a port with the official code on one model, with its weights as they are and moved by noise.

    The model runs on sketches that the official code samples from the model itself, which gives costs and gradients
    like those of real use, and on a stroke set, which it need not have been trained on.

    TensorFlow itself reads a checkpoint on the official side. The weights of a sketch-rnn-js model, which never was a
    checkpoint, are put into the official graph.

    Args:
        model: what is compared.
        out: folder for the recordings and the converted model.
        spec: the port, see :func:`parity_tests.adapter.load_adapter`.
        options: arguments of the port's constructor, see there.
        backends: of the port; the first is the subject, see :mod:`parity_tests.commands.backends`.
        say: where progress goes.

    Returns:
        The report, and the description of the model for its certificate.

    Raises:
        BadInput: when the model cannot be read, or the official side cannot run.
    """
    port, others = load_ports(spec, options or {}, backends, say)
    remove_results(out, STALE)
    require_oracle()
    with open_source(model.path, model.member) as source:
        inferred, plan = examine(source, model.flags)
        with naming(source.location):
            check_epsilon(inferred.hparams)
        if source.missing:
            raise BadInput(f"{source.location}: {', '.join(source.missing)} is missing; put it beside the index")
        start_folder(out, STALE)
        strokes = out / "strokes.npz"
        write_npz(strokes, kanji_splits(LIVE_SKETCHES, seed=SEED) if model.data is None else _usable(model.data))
        recordings = _recorded(source, inferred, plan, strokes, out, say)
        findings = Findings()
        if port.uses_weight_port:
            findings.rows += compare_converted(source, out / "pytorch", recordings[0], model.flags)
        described = {"source": source.location, "sha256": hashes(source, plan), "hparams": inferred.hparams.to_dict()}
    title = f"Parity of {described['source']} with official Magenta 2.1.4"
    return _report(title, Collected(recordings, findings), port, others), described


def verify_recordings(
    names: Sequence[str],
    out: Path,
    *,
    spec: str = OURS,
    options: Mapping[str, str | None] | None = None,
    backends: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> Report:
    """Compare a port with recordings.

    Args:
        names: files, folders, or names of recordings that ship with this package.
        out: folder for the report.
        spec: the port, see :func:`parity_tests.adapter.load_adapter`.
        options: arguments of the port's constructor, see there.
        backends: of the port; the first is the subject, see :mod:`parity_tests.commands.backends`.
        say: where notices go.

    Raises:
        BadInput: when a recording is missing, damaged or of another version.
    """
    port, others = load_ports(spec, options or {}, backends, say)
    paths = [path for name in names for path in recording_paths(name)]
    remove_results(out, STALE)
    recordings = [_official(path) for path in paths]
    start_folder(out, STALE)
    title = f"Parity with recordings of official Magenta 2.1.4: {', '.join(recording.name for recording in recordings)}"
    return _report(title, Collected(recordings), port, others)


def recording_paths(name: str) -> list[Path]:
    """The recordings that a name stands for.

    Args:
        name: of a file, of a recording that ships, or of a folder, which is searched with the folders below it;
            ``all`` stands for all recordings that ship.

    Raises:
        BadInput: when there is none.
    """
    if is_no_folder(name):
        return [Path(name)]
    shipped = {path.stem: path for path in fixture_paths()}
    if name == "all":
        return list(shipped.values())
    if name in shipped:
        return [shipped[name]]
    if name and Path(name).is_dir():
        found = sorted(path for path in Path(name).rglob("*.h5") if is_no_folder(path))
        if not found:
            raise BadInput(f"--recording {name}: no recording (*.h5) in this folder or below it")
        return found
    raise BadInput(
        f"--recording {name}: no such file or folder, and none of the recordings in {FOLDER}; expected one of "
        f"{', '.join(shipped)}, or all"
    )


def _official(path: Path) -> Recording:
    """A recording, which must be one of the official code that this package knows."""
    if path.parent != FOLDER:  # those that ship are locked
        check_seal(path)
        probe_hdf5(path, numbers=True)
    recording = Recording.load(path)
    if not isinstance(recording.provenance, dict) or recording.provenance.get("sha256") != OFFICIAL_SHA256:
        raise BadInput(f"{path}: recorded from files that are not those of magenta 2.1.4; record it again")
    try:
        check_form(recording)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    return recording


def _report(title: str, collected: Collected, port: Adapter, others: Others) -> Report:
    for recording in collected.recordings:
        collected.findings += prove(recording, port)
        others.judge(recording.kind, lambda other, recording=recording: prove(recording, other).rows)  # type: ignore[misc]
    collected.conditions |= conditions(_in_both_variants(collected.recordings))
    others.add_to(collected)
    # one model need not have every part, so the margin is shown but not required
    return report_of(title, collected, port, Scores.load(), margin_wanted=False)


def _in_both_variants(recordings: list[Recording]) -> list[Recording]:
    """The models that were recorded in both variants of their weights; others cannot have met all conditions."""
    names = {recording.name for recording in recordings}
    return [r for r in recordings if names >= {f"{r.name.split('/')[0]}/{variant}" for variant in MODEL_VARIANTS}]


def _usable(data: Path) -> dict[str, list[np.ndarray]]:
    """A user's stroke set, which must be enough for a batch."""
    splits = read_npz(data)
    if len(splits["train"]) < BATCH or not any(np.ptp(sketch[:, :2]) for sketch in splits["train"]):
        raise BadInput(f"{data}: expected at least {BATCH} training sketches that are not all one point")
    return splits


def _recorded(
    source: Source, inferred: Inferred, plan: Plan, strokes: Path, out: Path, say: Callable[[str], None]
) -> list[Recording]:
    """Run the official code on a model, and load what it recorded."""
    weights = _official_weights(source, plan.weights, inferred.hparams, out)
    defaults = [f"{name}={value}" for name, value in inferred.named("default").items() if name in STRUCTURE]
    if defaults:
        say(f"not known, Magenta's default taken (change with --set): {', '.join(defaults)}")
    say(f"running the official code on {source.location}")
    names = ("model-own", "model")  # on sketches that it samples itself, and on those of the stroke set
    paths = [out / f"{name}-{variant}.h5" for name in names for variant in MODEL_VARIANTS]
    for earlier in paths:
        earlier.unlink(missing_ok=True)
    task = record_task(_configuration(inferred.hparams), weights, strokes, out, SEED, own=True)
    run_official([task], out, "verify")
    return [Recording.load(path) for path in paths]


def _configuration(hparams: HParams) -> Configuration:
    values = hparams.to_dict()
    return Configuration(
        "model",
        {name: values[name] for name in STRUCTURE},
        hyper={name: values[name] for name in HYPER_SIZES},
        batch=BATCH,
        steps=STEPS,
    )


def _official_weights(source: Source, names: Mapping[str, str], hparams: HParams, out: Path) -> str:
    """Where the official side reads the weights: the prefix of the checkpoint, or a file that is written here."""
    if source.format == "tensor bundle":
        index = next(file.path for file in source.files if file.path.suffix == ".index")
        return str(index.with_suffix(""))
    variables = {name: source.variables.read(name) for name in names}
    bare = Recording("weights", "weights", hparams.to_dict(), {"source": source.location}, {"weights": variables})
    bare.save(out / "weights.h5")
    return str(out / "weights.h5")
