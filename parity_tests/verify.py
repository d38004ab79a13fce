"""``python -m parity_tests verify SRC``: the official code run on a user's own model, and ours held against it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.configurations import Configuration
from parity_tests.oracle import record_task, require_oracle, run_official
from parity_tests.parity import SEED, SKETCHES, compare_converted, compare_recording, conditions
from parity_tests.recording import Recording
from parity_tests.report import Report, start_report
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.kanji import kanji_splits
from pytorch_sketch_rnn.npz import read_npz, write_npz
from weight_port.folder import examine
from weight_port.infer import HYPER_SIZES
from weight_port.source import Source, open_source

BATCH = 4  # sketches recorded

# What shapes the graph, and what changes what is computed; the rest of the hyperparameters only guides a training.
STRUCTURE = (
    "enc_model", "dec_model", "enc_rnn_size", "dec_rnn_size", "z_size", "num_mixture", "conditional",
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
    say: Callable[[str], None] = print,
) -> Report:
    """Compare one model with the official code run on it, its weights as they are and moved by noise.

    A checkpoint is read by TensorFlow itself on the official side; a sketch-rnn-js model never was one, so its weights
    are put into the official graph.

    Args:
        path: any form that weight_port takes.
        out: folder for the report and the recordings.
        member: which model of an archive.
        data: a stroke set to run it on; None: kanji.
        flags: hyperparameters that the weights do not tell.
        say: where progress goes.

    Raises:
        BadInput: when the model cannot be read, or the official side cannot run.
    """
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
        paths = [out / f"model-{variant}.h5" for variant in ("as_is", "moved")]
        for stale in paths:
            stale.unlink(missing_ok=True)
        run_official([record_task(configuration, weights, strokes, out, SEED)], out, "verify")
        recordings = [Recording.load(path) for path in paths]
        rows = compare_converted(source, out / "pytorch", recordings[0], flags)
    for recording in recordings:
        rows += compare_recording(recording)
    seen = conditions(recordings)
    return Report(f"Parity of {source.location} with official Magenta 2.1.4", rows, seen, recordings[0].provenance)


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
