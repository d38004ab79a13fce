"""``python -m parity_tests verify SRC``: the official code run on a user's own model, and a port held against it.

``verify --recording FILE`` holds a port against what was recorded before; it needs neither TensorFlow nor a model.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.adapter import OURS, Adapter, load_adapter
from parity_tests.commands.certificate import hashes
from parity_tests.commands.live import SEED, SKETCHES, compare_converted, conditions, report_of
from parity_tests.judge.proof import Findings, prove
from parity_tests.record.configurations import Configuration
from parity_tests.record.form import check_form
from parity_tests.record.launch import OFFICIAL_SHA256, record_task, require_oracle, run_official
from parity_tests.record.recording import FOLDER, Recording
from parity_tests.record.shipped import fixture_paths
from parity_tests.report.report import Report, remove_stale, start_report
from parity_tests.report.score import FalseAlarms, Score
from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.npz import read_npz, write_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HYPER_SIZES, HParams
from weight_port.folder import examine
from weight_port.source import Source, open_source

BATCH = 4  # sketches recorded

# What shapes the graph, and what changes its numbers; the other hyperparameters only guide a training.
STRUCTURE = (
    *(name for name in HParams.SHAPE if name not in HYPER_SIZES),
    "kl_tolerance", "grad_clip", "use_recurrent_dropout", "recurrent_dropout_prob", "use_input_dropout",
    "input_dropout_prob", "use_output_dropout", "output_dropout_prob",
)  # fmt: skip


def verify(
    path: Path,
    out: Path,
    *,
    member: str | None = None,
    data: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    spec: str = OURS,
    options: Mapping[str, str | None] | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Report, dict[str, Any]]:
    """Compare one model with the official code run on it, its weights as they are and moved by noise.

    It runs on sketches that the official code draws from the model itself, where costs and gradients are those of real
    use, and on a stroke set, which may be strange to it.

    A checkpoint is read by TensorFlow itself on the official side; a sketch-rnn-js model never was one, so its weights
    are put into the official graph.

    Args:
        path: any form that weight_port takes.
        out: folder for the report and the recordings.
        member: which model of an archive.
        data: a stroke set to run it on; None: kanji.
        flags: hyperparameters that the weights do not tell.
        spec: the port, see :func:`parity_tests.adapter.load_adapter`.
        options: what the port is given, see there.
        say: where progress goes.

    Returns:
        The report, and what the certificate says of the model.

    Raises:
        BadInput: when the model cannot be read, or the official side cannot run.
    """
    port = load_adapter(spec, **options or {})
    remove_stale(out)
    require_oracle()
    with open_source(path, member) as source:
        inferred, plan = examine(source, flags)
        if source.missing:
            raise BadInput(f"{source.location}: {', '.join(source.missing)} is missing; put it beside the index")
        start_report(out)
        strokes = out / "strokes.npz"
        write_npz(strokes, kanji_splits(SKETCHES, seed=SEED) if data is None else _fit_to_run(data))
        weights = _official_weights(source, plan.weights, inferred.hparams, out)
        configuration = _configuration(inferred.hparams)
        defaults = [f"{n}={v}" for n, v in inferred.named("default").items() if n in STRUCTURE]
        if defaults:
            say(f"not known, Magenta's default taken (change with --set): {', '.join(defaults)}")
        say(f"running the official code on {source.location}")
        names = ("model-own", "model")  # on sketches that it draws itself, and on those of a stroke set
        paths = [out / f"{name}-{variant}.h5" for name in names for variant in ("as_is", "moved")]
        for stale in paths:
            stale.unlink(missing_ok=True)
        run_official([record_task(configuration, weights, strokes, out, SEED, own=True)], out, "verify")
        recordings = [Recording.load(path) for path in paths]
        findings = Findings()
        if port.uses_weight_port:
            findings.rows += compare_converted(source, out / "pytorch", recordings[0], flags)
        model = {"source": source.location, "sha256": hashes(source, plan), "hparams": inferred.hparams.to_dict()}
    return _report(f"Parity of {model['source']} with official Magenta 2.1.4", recordings, findings, port, spec), model


def verify_recordings(
    names: Sequence[str], out: Path, *, spec: str = OURS, options: Mapping[str, str | None] | None = None
) -> Report:
    """Compare a port with recordings.

    Args:
        names: files, folders, or names of recordings that ship with this package.
        out: folder for the report.
        spec: the port, see :func:`parity_tests.adapter.load_adapter`.
        options: what the port is given, see there.

    Raises:
        BadInput: when a recording is missing, damaged or of another version.
    """
    port = load_adapter(spec, **options or {})
    paths = [path for name in names for path in recording_paths(name)]
    remove_stale(out)
    recordings = [_official(path) for path in paths]
    start_report(out)
    titles = ", ".join(recording.name for recording in recordings)
    return _report(f"Parity with recordings of official Magenta 2.1.4: {titles}", recordings, Findings(), port, spec)


def _official(path: Path) -> Recording:
    """A recording, where it is one of the official code that this package knows."""
    recording = Recording.load(path)
    if not isinstance(recording.provenance, dict) or recording.provenance.get("sha256") != OFFICIAL_SHA256:
        raise BadInput(f"{path}: recorded from other files than those of magenta 2.1.4; record it anew")
    try:
        check_form(recording)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    return recording


def recording_paths(name: str) -> list[Path]:
    """The file of that name, the shipped recording of that name, or all recordings in that folder and below.

    Args:
        name: of a file, a shipped recording or a folder; ``all`` is all that ship.

    Raises:
        BadInput: when there is none.
    """
    if Path(name).is_file():
        return [Path(name)]
    shipped = {path.stem: path for path in fixture_paths()}
    if name == "all":
        return list(shipped.values())
    if name in shipped:
        return [shipped[name]]
    if name and Path(name).is_dir():
        found = sorted(path for path in Path(name).rglob("*.h5") if path.is_file())
        if not found:
            raise BadInput(f"--recording {name}: no recording (*.h5) in this folder or below it")
        return found
    raise BadInput(
        f"--recording {name}: no such file or folder, and none of the recordings in {FOLDER}; these are "
        f"{', '.join(shipped)}, or all"
    )


def _report(title: str, recordings: list[Recording], findings: Findings, port: Adapter, spec: str) -> Report:
    for recording in recordings:
        findings += prove(recording, port)
    met = conditions(_in_both_variants(recordings))
    # of one model not every part need be there, so the margin is shown, not judged
    scores = Score.load(), FalseAlarms.load()
    return report_of(title, recordings, findings, met, port, scores, margin_wanted=False)


def _in_both_variants(recordings: list[Recording]) -> list[Recording]:
    """The models that were recorded as they are and moved: only they can have met all conditions."""
    names = {recording.name for recording in recordings}
    variants = ("as_is", "moved")
    return [r for r in recordings if names >= {f"{r.name.split('/')[0]}/{variant}" for variant in variants}]


def _fit_to_run(data: Path) -> dict[str, list[np.ndarray]]:
    """A user's stroke set, where a batch can be made of it."""
    splits = read_npz(data)
    if len(splits["train"]) < BATCH or not any(np.ptp(sketch[:, :2]) for sketch in splits["train"]):
        raise BadInput(f"{data}: expected at least {BATCH} training sketches that are not all one point")
    return splits


def _configuration(hparams: HParams) -> Configuration:
    values = hparams.to_dict()
    return Configuration(
        "model",
        {name: values[name] for name in STRUCTURE},
        hyper={name: values[name] for name in HYPER_SIZES},
        batch=BATCH,
        steps=32,
    )


def _official_weights(source: Source, names: dict[str, str], hparams: HParams, out: Path) -> str:
    """Where the official side finds the weights: the checkpoint's prefix, or a file with the model's variables."""
    if source.format == "tensor bundle":
        index = next(file.path for file in source.files if file.path.suffix == ".index")
        return str(index.with_suffix(""))
    variables = {name: source.variables.read(name) for name in names}
    bare = Recording("weights", "weights", hparams.to_dict(), {"source": source.location}, {"weights": variables})
    bare.save(out / "weights.h5")
    return str(out / "weights.h5")
