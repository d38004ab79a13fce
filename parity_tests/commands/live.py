"""``make parity``: official Magenta trains, saves and is recorded; each model is converted and compared."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from parity_tests.adapter import EVERYTHING, FAILURES, OURS, Adapter, Arrays, describe_error
from parity_tests.commands.backends import Others, load_ports
from parity_tests.commands.official_runs import official_runs, recorded
from parity_tests.judge.conditions import STRICTLY, conditions, never_strict, without_large_arrays
from parity_tests.judge.continued import HandedBack, hand_back, judge_continued
from parity_tests.judge.conversion import compare_converted, compare_exported
from parity_tests.judge.limits import FLOAT64_ALLOWED
from parity_tests.judge.proof import prove
from parity_tests.judge.row import DIFFERENT, UNTESTED, Row
from parity_tests.judge.training import judge_resumed
from parity_tests.record.configurations import INITIALS, LIVE, SEED, TRAININGS
from parity_tests.record.launch import require_oracle, run_official
from parity_tests.record.recording import Recording
from parity_tests.report.collecting import Collected, report_of
from parity_tests.report.out_folder import remove_results, start_folder
from parity_tests.report.report import Report
from parity_tests.report.score import Scores
from parity_tests.report.writing import STALE
from weight_port.names import GLOBAL_STEP
from weight_port.source import open_source

TITLE = "Parity with official Magenta 2.1.4"
TRAINED = "training with everything switched on: every cell, a validation, a checkpoint continued"
PARTS_ALONE = "every cell alone, the initial weights, and the data loader"
CONVERTED = "every checkpoint converted, and exported again"
HANDED_BACK = "every training exported after a step of ours, and continued by the official code"
# The recordings of parts alone, which PARTS_ALONE requires.
ALONE = {"cell/lstm", "cell/layer_norm", "cell/hyper", "data", "data/joined"}
ALONE |= {f"initial/{initial['name']}" for initial in INITIALS}


def run_parity(
    out: Path,
    spec: str = OURS,
    *,
    seed: int = SEED,
    options: Mapping[str, str | None] | None = None,
    backends: Sequence[str] = (),
    models: bool = True,
    trainings: bool = True,
    say: Callable[[str], None] = print,
) -> Report:
    """Train, record, convert and compare every configuration.

    Args:
        out: folder for all recordings and converted models.
        spec: the port, see :func:`parity_tests.adapter.load_adapter`.
        seed: of the kanji, the weights, the batches and all random numbers.
        options: arguments of the port's constructor, see there.
        backends: of the port; the first is the subject, see :mod:`parity_tests.commands.backends`.
        models: whether single steps of every kind of model are compared.
        trainings: whether whole training runs are compared.
        say: where progress goes.

    Raises:
        BadInput: when the official code is not installed, its process fails, or there is no such port.
    """
    port, others = load_ports(spec, options or {}, backends, say)
    remove_results(out, STALE)
    require_oracle()
    start_folder(out, STALE)
    scores = Scores.load()
    collected = Collected()
    seen: set[str] = set()  # names of all recordings that were compared, and of the checkpoints that were converted
    runs = official_runs(out, seed, models=models, trainings=trainings, say=say)
    handed_back: list[HandedBack] = []
    for name, paths in recorded(runs, say):
        for path in paths:
            seen |= _compare(path, out / name, port, others, collected)
        if port.uses_weight_port and name.startswith("training-"):
            handed_back += [handed for path in paths if (handed := _handed_back(path, port, collected)) is not None]
    if trainings and port.uses_weight_port:
        collected.conditions[HANDED_BACK] = _continued(handed_back, out, collected, say)
    if models:
        collected.conditions |= _model_conditions(collected, seen, port)
    if trainings:
        collected.conditions[TRAINED] = _all_trained(collected, seen, port)
    if loose := never_strict(collected.findings.rows):
        say(f"judged at {FLOAT64_ALLOWED:g} in no recording: {', '.join(loose[:5])} ({len(loose)} in all)")
    collected.conditions[STRICTLY] = not loose
    others.add_to(collected, strictly=models and trainings)
    margin_wanted = port.offers >= EVERYTHING and models and trainings
    return report_of(TITLE, collected, port, scores, margin_wanted=margin_wanted)


def _compare(path: Path, folder: Path, port: Adapter, others: Others, collected: Collected) -> set[str]:
    """Compare a port with one recording; returns the names of what was compared.

    Args:
        path: the recording.
        folder: of its official run, which holds the checkpoint.
        port: the subject.
        others: the same port with other backends.
        collected: takes the recording and the findings.
    """
    recording, findings = Recording.load(path), collected.findings
    findings += prove(recording, port)
    seen = {recording.name}
    collected.recordings.append(without_large_arrays(recording))
    if recording.name == f"{folder.name}/as_is" and port.uses_weight_port:
        with open_source(folder / "magenta") as source:
            findings.rows += compare_converted(source, folder / "pytorch", recording)
            findings.rows += compare_exported(source, folder / "pytorch", folder / "exported", recording)
        seen.add(f"{folder.name}/converted")
    if recording.kind == "training":
        findings.rows += _resumed_rows(recording, path, port)
    others.judge(recording.kind, lambda other: _rows(recording, path, other))
    return seen


def _rows(recording: Recording, path: Path, port: Adapter) -> list[Row]:
    """What a recording proves of a port, except for the conversion of its checkpoint."""
    rows = prove(recording, port).rows
    return rows + _resumed_rows(recording, path, port) if recording.kind == "training" else rows


def _handed_back(path: Path, port: Adapter, collected: Collected) -> HandedBack | None:
    """A recorded training, exported after a step of the port from the checkpoint that was saved half-way."""
    recording = Recording.load(path)
    try:
        return hand_back(recording, path, port, _saved_half_way(recording, path), path.parent)
    except FAILURES as error:
        row = Row.failed(recording.name, "continued/", "float64", DIFFERENT, describe_error(error))
        collected.findings.rows.append(row)
        return None


def _continued(handed_back: list[HandedBack], out: Path, collected: Collected, say: Callable[[str], None]) -> bool:
    """Let the official code continue trainings, and judge them; returns whether all trainings were continued."""
    if handed_back:
        say(f"the official code continues {len(handed_back)} trainings that were exported")
        run_official([handed.task for handed in handed_back], out, "continued")
        collected.findings.rows += [row for handed in handed_back for row in judge_continued(handed)]
    return {handed.recording.name for handed in handed_back} == {f"training/{run.name}" for run in TRAININGS}


def _saved_half_way(recording: Recording, path: Path) -> Arrays:
    """The variables of the checkpoint that the official trainer saved."""
    folder = path.parent / recording.name.removeprefix("training/") / "magenta"
    with open_source(folder / recording.provenance["checkpoint"]) as source:
        return {name: source.variables.read(name) for name in source.variables.names()}


def _resumed_rows(recording: Recording, path: Path, port: Adapter) -> list[Row]:
    """The rows of the step after the checkpoint that the official trainer saved half-way, from its variables."""
    variables = _saved_half_way(recording, path)
    step = int(variables[GLOBAL_STEP])
    try:
        return judge_resumed(recording, port, variables, step)
    except FAILURES as error:
        verdict = UNTESTED if isinstance(error, NotImplementedError) else DIFFERENT
        return [Row.failed(recording.name, "resumed/", "float64", verdict, describe_error(error))]


def _model_conditions(collected: Collected, seen: set[str], port: Adapter) -> dict[str, bool]:
    """The conditions that concern models and parts of them."""
    met = conditions(collected.recordings)
    met[PARTS_ALONE] = seen >= ALONE
    if port.uses_weight_port:
        met[CONVERTED] = seen >= {f"{configuration.name}/converted" for configuration in LIVE}
    return met


def _all_trained(collected: Collected, seen: set[str], port: Adapter) -> bool:
    """Whether every training run was compared, and resumed from its checkpoint if the port can train."""
    wanted = {f"training/{run.name}" for run in TRAININGS}
    resumed_runs = {row.recording for row in collected.findings.rows if row.quantity.startswith("resumed/")}
    return seen >= wanted and ("train_step" not in port.offers or resumed_runs == wanted)
