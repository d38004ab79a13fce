"""``make parity``: official Magenta trains, saves and is recorded; each model is converted and compared."""

import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from parity_tests.adapter import EVERYTHING, FAILURES, OURS, Adapter, Arrays, describe_error, load_adapter
from parity_tests.judge.compare import compare
from parity_tests.judge.coverage import coverage
from parity_tests.judge.limits import FLOAT64_ALLOWED
from parity_tests.judge.proof import Findings, prove
from parity_tests.judge.row import DIFFERENT, EQUAL, UNTESTED, Row
from parity_tests.judge.training import judge_resumed
from parity_tests.record.configurations import (
    DATA_HPARAMS,
    HYPER_DEFAULT,
    INITIALS,
    LIVE,
    TRAINING_SKETCHES,
    TRAININGS,
    Configuration,
    TrainingRun,
    cell_jobs,
)
from parity_tests.record.launch import record_task, require_oracle, run_official, short_kanji, train_task, training_task
from parity_tests.record.recording import Recording
from parity_tests.report.report import Report, remove_stale, start_report
from parity_tests.report.score import FalseAlarms, Score
from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.saved_model import WEIGHTS_FILE
from pytorch_sketch_rnn.training.optimizer_file import OPTIMIZER_FILE
from weight_port.folder import convert_source
from weight_port.names import GLOBAL_STEP, table
from weight_port.source import Source, open_source

SEED = 1
PROVENANCE = (
    "official", "versions", "sha256", "machine", "processor", "vector instructions", "cores", "threads",
    "linear algebra", "environment", "command", "seed",
)  # fmt: skip
SKETCHES = 400  # kanji; enough for a batch of every split
PROCESSES = 2
BELOW_FLOOR = "the KL cost below its floor, in every conditional model"
ABOVE_FLOOR = "the KL cost above a floor that is not zero, in every conditional model"
CLIPPED = "gradients that the clip cuts, in every model"
SPARED = "gradients that the clip leaves alone, in every model"
STRICTLY = f"every float64 quantity judged at {FLOAT64_ALLOWED:g} in at least one recording"
ROUNDED = 1 + 1e-9  # a bound is multiplied by the scale of a tensor, and divided by it again
SAME_QUANTITY = re.compile(r"^(steps|fresh|resumed|fed/optimizer)/")
TRAINED = "training with everything switched on: every cell, a validation, a checkpoint continued"
ALONE = {"cell/lstm", "cell/layer_norm", "cell/hyper", "data", "data/joined"}
ALONE |= {f"initial/{initial['name']}" for initial in INITIALS}


def run_parity(
    out: Path,
    spec: str = OURS,
    *,
    seed: int = SEED,
    options: Mapping[str, str | None] | None = None,
    models: bool = True,
    trainings: bool = True,
    say: Callable[[str], None] = print,
) -> Report:
    """Train, record, convert and compare every configuration; everything lands below ``out``.

    Args:
        out: folder for the report and all recordings.
        spec: the port, see :func:`parity_tests.adapter.load_adapter`.
        seed: of the kanji that are drawn, the weights, the batches and all draws.
        options: what the port is given, see there.
        models: whether single steps of every kind of model are compared.
        trainings: whether whole training runs are.
        say: where progress goes.

    Raises:
        BadInput: when the official code is not installed, or its process fails, or there is no such port.
    """
    port = load_adapter(spec, **options or {})
    remove_stale(out)
    require_oracle()
    start_report(out)
    scores = Score.load(), FalseAlarms.load()
    findings = Findings()
    recordings: list[Recording] = []
    seen: set[str] = set()
    for name, paths in _recorded(out, _official_work(out, seed, models=models, trainings=trainings, say=say), say):
        for path in paths:
            recording = Recording.load(path)
            findings += prove(recording, port)
            seen.add(recording.name)
            recordings.append(_small_part(recording))
            if recording.name == f"{name}/as_is" and port.uses_weight_port:
                with open_source(out / name / "magenta") as source:
                    findings.rows += compare_converted(source, out / name / "pytorch", recording)
                seen.add(f"{name}/converted")
            if recording.kind == "training":
                findings.rows += _continued(recording, path, port)
    met = {}
    if models:
        met |= conditions(recordings)
        met["every cell alone, the initial weights, and the data loader"] = seen >= ALONE
        if port.uses_weight_port:
            met["every checkpoint converted"] = seen >= {f"{configuration.name}/converted" for configuration in LIVE}
    if trainings:
        resumed_runs = {row.recording for row in findings.rows if row.quantity.startswith("resumed/")}
        wanted = {f"training/{run.name}" for run in TRAININGS}
        met[TRAINED] = seen >= wanted and ("train_step" not in port.offers or resumed_runs == wanted)
    loose = never_strict(findings.rows)
    if loose:
        say(f"judged at {FLOAT64_ALLOWED:g} in no recording: {', '.join(loose[:5])} ({len(loose)} in all)")
    met[STRICTLY] = not loose
    margin_wanted = port.offers >= EVERYTHING and models and trainings
    title = "Parity with official Magenta 2.1.4"
    return report_of(title, recordings, findings, met, port, scores, margin_wanted=margin_wanted)


def report_of(
    title: str,
    recordings: list[Recording],
    findings: Findings,
    met: dict[str, bool],
    port: Adapter,
    scores: tuple[Score | None, FalseAlarms | None],
    *,
    margin_wanted: bool,
) -> Report:
    """What came of some recordings, as a report; see :class:`parity_tests.report.report.Report` for the arguments."""
    return Report(
        title,
        findings.rows,
        met,
        provenance_of(recordings),
        subject=port.name,
        partial=not port.offers_everything,
        training=findings.training,
        mixtures=findings.mixtures,
        coverage=coverage(recordings, findings.rows),
        score=scores[0],
        false_alarms=scores[1],
        margin_wanted=margin_wanted,
        about=port.about,
    )


def never_strict(rows: Iterable[Row]) -> list[str]:
    """Quantities that no recording was judged on at the strict bound, whose wider ones prove less.

    A step of a training, and the optimizer alone on official gradients, compute what a single training step does: where
    one of them is judged strictly, so is the quantity.
    """
    wanted, strict = {}, set()
    for row in rows:
        whole = not row.quantity.startswith("free run: ") and not row.quantity.endswith("/")
        if row.precision == "float64" and row.compared and whole:
            quantity = SAME_QUANTITY.sub("", row.quantity)
            wanted[quantity] = None
            if row.verdict == EQUAL and row.allowed <= FLOAT64_ALLOWED * ROUNDED:
                strict.add(quantity)
    return [name for name in wanted if name not in strict]


def provenance_of(recordings: list[Recording]) -> dict[str, Any]:
    """Where recordings of one run come from; what one of them alone was given is left out."""
    return {name: value for name, value in recordings[0].provenance.items() if name in PROVENANCE}


def _continued(recording: Recording, path: Path, port: Adapter) -> list[Row]:
    """The step behind the checkpoint that the official trainer left half-way, from its converted variables."""
    folder = path.parent / recording.name.removeprefix("training/") / "magenta"
    with open_source(folder / recording.provenance["checkpoint"]) as source:
        variables: Arrays = {name: source.variables.read(name) for name in source.variables.names()}
    step = int(variables[GLOBAL_STEP])
    try:
        return judge_resumed(recording, port, variables, step)
    except FAILURES as error:
        verdict = UNTESTED if isinstance(error, NotImplementedError) else DIFFERENT
        return [Row.failed(recording.name, "resumed/", "float64", verdict, describe_error(error))]


def conditions(recordings: Iterable[Recording]) -> dict[str, bool]:
    """What every model that it concerns must have met in one of its recordings, lest a bug hide."""
    seen: dict[str, set[str]] = {name: set() for name in (BELOW_FLOOR, ABOVE_FLOOR, CLIPPED, SPARED)}
    models, conditional = set(), set()
    for recording in recordings:
        if recording.kind != "model":
            continue
        official, model = recording["float64"], recording.name.split("/")[0]
        models.add(model)
        if recording.hparams["conditional"]:
            conditional.add(model)
            at_floor = float(official["train/kl_cost"]) == recording.hparams["kl_tolerance"] > 0
            seen[BELOW_FLOOR if at_floor else ABOVE_FLOOR].add(model)
        for name in official:
            if name.startswith("gradient/"):
                same = official[name] == official[name.replace("gradient/", "clipped/", 1)]
                if not same.all():
                    seen[CLIPPED].add(model)
                if same.any():
                    seen[SPARED].add(model)
    wanted = {BELOW_FLOOR: conditional, ABOVE_FLOOR: conditional, CLIPPED: models, SPARED: models}
    return {name: seen[name] == wanted[name] for name in wanted if wanted[name]}


Work = dict[str, Callable[[], list[Path]]]


def _official_work(out: Path, seed: int, *, models: bool, trainings: bool, say: Callable[[str], None]) -> Work:
    """What the official side has to do, the longest first, so that the two processes end together."""
    work: Work = {}
    if trainings:
        strokes = out / "kanji-short.npz"
        say(f"drawing {TRAINING_SKETCHES['sketches']} short kanji from the package kanjivg into {strokes}")
        write_npz(strokes, short_kanji(**TRAINING_SKETCHES, seed=seed))
        for run in sorted(TRAININGS, key=lambda run: run.name != "hyper"):
            work[f"training-{run.name}"] = lambda r=run: _record_training(r, out / f"training-{r.name}", strokes, seed)
    if models:
        strokes_of_models = out / "kanji.npz"
        say(f"drawing {SKETCHES} kanji from the package kanjivg into {strokes_of_models}")
        write_npz(strokes_of_models, kanji_splits(SKETCHES, seed=seed, valid_fraction=0.1, test_fraction=0.1))
        slow = ("default-sizes", "hyper", "hyper-unconditional")
        for configuration in sorted(LIVE, key=lambda configuration: configuration.name not in slow):
            work[configuration.name] = lambda c=configuration: _train_and_record(
                c, out / c.name, strokes_of_models, seed
            )
        work["cells"] = lambda: _record_cells(out / "cells", strokes_of_models, seed)
    return work


def _recorded(out: Path, work: Work, say: Callable[[str], None]) -> Iterable[tuple[str, list[Path]]]:
    """Run the official side, two processes at a time; yield what each piece of work left, as it comes."""
    started = time.monotonic()
    with ThreadPoolExecutor(PROCESSES) as pool:
        running = {pool.submit(do): name for name, do in work.items()}
        try:
            for done, future in enumerate(as_completed(running), start=1):
                name, paths = running[future], future.result()
                say(f"[{done}/{len(work)}] {name}: official run recorded ({time.monotonic() - started:.0f} s)")
                yield name, paths
        finally:
            pool.shutdown(cancel_futures=True)


def fresh_folder(folder: Path) -> None:
    """An empty folder: nothing that an earlier run left may be taken for this run's.

    Raises:
        BadInput: when there is something in it that no earlier run left.
    """
    try:
        if folder.exists() and not (folder / f"{folder.name}.job.json").is_file() and any(folder.iterdir()):
            raise BadInput(f"{folder}: holds something else than an earlier run; choose another --out")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made anew ({error.strerror}); choose another --out") from None


def _train_and_record(configuration: Configuration, folder: Path, strokes: Path, seed: int) -> list[Path]:
    fresh_folder(folder)
    prefix = folder / "magenta" / f"vector-{configuration.train_steps}"
    tasks = [
        train_task(configuration, strokes, prefix.parent, seed),
        record_task(configuration, str(prefix), strokes, folder, seed),
    ]
    run_official(tasks, folder, configuration.name)
    return [folder / f"{configuration.name}-{variant}.h5" for variant in ("as_is", "moved")]


def _record_training(run: TrainingRun, folder: Path, strokes: Path, seed: int) -> list[Path]:
    fresh_folder(folder)
    run_official([training_task(run, strokes, folder, seed)], folder, folder.name)
    return [folder / f"training-{run.name}.h5"]


def _record_cells(folder: Path, strokes: Path, seed: int) -> list[Path]:
    fresh_folder(folder)
    task = {"do": "record", "seed": seed, "out": str(folder), "strokes": str(strokes), "data": DATA_HPARAMS}
    task["cells"] = cell_jobs(units=48, batch=5, steps=20, hyper=HYPER_DEFAULT)
    task["initial"] = list(INITIALS)
    run_official([task], folder, "cells")
    return sorted(folder.glob("*.h5"))


def compare_converted(
    source: Source, converted: Path, recording: Recording, flags: Mapping[str, Any] | None = None
) -> list[Row]:
    """Convert a model, and hold every array in the folder against what the official side read, bit for bit."""
    inferred, plan = convert_source(source, converted, flags, force=converted.exists())
    ours = safetensors.numpy.load_file(converted / WEIGHTS_FILE)
    if plan.optimizer:
        ours |= safetensors.numpy.load_file(converted / OPTIMIZER_FILE)
    names = table(inferred.hparams)
    ours = {f"converted/{names.official(name)}": value for name, value in ours.items()}
    theirs = {f"converted/{name}": value for name, value in recording["weights"].items() if name not in plan.skipped}
    if not plan.optimizer:  # the official graph has slots of its own then
        theirs = {name: value for name, value in theirs.items() if name.removeprefix("converted/") in names.weights}
    bare = Recording("model", recording.name, recording.hparams, recording.provenance, {"exact": theirs})
    return compare(ours, bare, "exact")


def _small_part(recording: Recording) -> Recording:
    """What :func:`conditions` and coverage look at, so that large recordings need not all stay in memory."""
    if recording.kind != "model":
        return Recording(recording.kind, recording.name, recording.hparams, recording.provenance, {})
    names = ("train/kl_cost", "gradient/", "clipped/")
    nothing = np.empty(0)
    kept = {n: value if n.startswith(names) else nothing for n, value in recording["float64"].items()}
    single = dict.fromkeys(recording["float32"], nothing)
    groups = {"float64": kept, "float32": single}
    return Recording(recording.kind, recording.name, recording.hparams, recording.provenance, groups)
