"""``make false-alarms``: record many models, let equal subjects answer, and count what is called different."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from parity_tests.false_alarms.cases import CASES, CONDITIONS, OURS, QUICK, SAMPLE_LEN, Case, Condition
from parity_tests.false_alarms.page import markdown
from parity_tests.false_alarms.score import content
from parity_tests.record.configurations import MODEL_VARIANTS
from parity_tests.record.draws import MEMBERS
from parity_tests.record.launch import require_oracle, run_official
from parity_tests.record.recording import Recording
from parity_tests.report.out_folder import empty_folder, start_folder, write_results
from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HYPER_SIZES, HParams
from pytorch_sketch_rnn.model.backend import REFERENCE

FILE, TABLE = "false_alarms.json", "false_alarms.md"
PROCESSES = 2
SKETCHES = 400
CHUNK = 56  # recordings judged by one process


class StudyPlan(NamedTuple):
    """What a study records, and how it is judged."""

    cases: Sequence[Case]
    seeds: Sequence[int]
    conditions: Sequence[Condition] = CONDITIONS


LONG = StudyPlan(CASES, (1, 2, 3, 4))  # 224 recordings; about an hour on 2 cores
ROUTINE = StudyPlan(CASES, (5,))  # 56 recordings, less than half an hour
SHORT = StudyPlan(
    QUICK, (1,), tuple(c for c in CONDITIONS if c.name in (OURS, "ours, ATen default") or c.backend != REFERENCE)
)


def run_false_alarms(
    out: Path, plan: StudyPlan = ROUTINE, *, models: Iterable[Path] = (), say: Callable[[str], None] = print
) -> int:
    """Measure the rate of false alarms, and write ``false_alarms.json`` and ``false_alarms.md``.

    Args:
        out: folder for both and for all recordings.
        plan: what is recorded and judged.
        models: more models, in any form that weight_port takes, each recorded on the first of the plan's seeds.
        say: where progress goes.

    Returns:
        0 without a false alarm, else 1; also 1 if nothing was recorded.

    Raises:
        BadInput: when the official code is not installed, its process fails, or the folder cannot be written.
    """
    require_oracle()
    start_folder(out, (FILE, TABLE))
    strokes = out / "kanji.npz"
    write_npz(strokes, kanji_splits(SKETCHES, seed=1, valid_fraction=0.1, test_fraction=0.1))
    seeds = _seeds_of_cases(plan, models, out)
    conditions = [condition for condition in plan.conditions if condition.possible()]
    skipped = [condition.name for condition in plan.conditions if not condition.possible()]
    if skipped:
        say(f"left out, because this machine lacks what they need: {', '.join(skipped)}")
    results, diverged = _Study(out, strokes, plan.seeds, seeds, conditions, say).run()
    found = content(results, skipped, diverged)
    paths = write_results(out, {FILE: json.dumps(found, indent=1, allow_nan=False) + "\n", TABLE: markdown(found)})
    say(found["summary"])
    say(f"wrote {', '.join(map(str, paths))}")
    return 1 if found["different"] or not found["recordings"] else 0


def _seeds_of_cases(plan: StudyPlan, models: Iterable[Path], out: Path) -> dict[Case, Sequence[int]]:
    """The seeds of each case of the plan and of each model from a file.

    Raises:
        BadInput: when two have the same name.
    """
    seeds = dict.fromkeys(plan.cases, plan.seeds) | {_case_of(path, out): plan.seeds[:1] for path in models}
    names = [case.name for case in seeds]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise BadInput(f"--model: two models are called {repeated[0]}; expected another name for each file")
    return seeds


@dataclasses.dataclass
class _Study:
    """Records every case and judges each recording, two processes at a time."""

    out: Path
    strokes: Path
    plan_seeds: Sequence[int]
    seeds: Mapping[Case, Sequence[int]]  # of each case
    conditions: Sequence[Condition]
    say: Callable[[str], None]
    started: float = dataclasses.field(default_factory=time.monotonic)

    def run(self) -> tuple[list[dict[str, Any]], int]:
        """The results of all judgements, and the number of recordings that are missing because training diverged."""
        with ThreadPoolExecutor(PROCESSES) as pool:
            try:
                judging, diverged = self._record_all(pool)
                return self._judge_all(judging), diverged
            finally:
                pool.shutdown(cancel_futures=True)

    def _record_all(self, pool: ThreadPoolExecutor) -> tuple[dict[Future, tuple[Case, Condition]], int]:
        """Record every case; each is judged as soon as it is recorded."""
        recording = {pool.submit(_record, case, self.seeds[case], self.strokes, self.out): case for case in self.seeds}
        judging, diverged, order = {}, 0, list(self.seeds)
        for future in as_completed(recording):
            case, paths = recording[future], future.result()
            diverged += len(self.seeds[case]) * len(case.levels) * len(MODEL_VARIANTS) - len(paths)
            self.say(f"{case.name}: {len(paths)} recordings ({self._seconds()})")
            for condition, some in assigned(self.conditions, self.plan_seeds, order.index(case), paths):
                judged = pool.submit(_judge, case, self.seeds[case], condition, some, self.out)
                judging[judged] = (case, condition)
        return judging, diverged

    def _judge_all(self, judging: Mapping[Future, tuple[Case, Condition]]) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        for done, future in enumerate(as_completed(judging), start=1):
            case, condition = judging[future]
            found = [result | {"condition": condition.name} for result in future.result()]
            results += found
            alarms = sum(bool(result["alarms"]) for result in found)
            self.say(
                f"[{done}/{len(judging)}] {case.name}, {condition.name}: {len(found)} recordings, {alarms} called "
                f"different ({self._seconds()})"
            )
        return results

    def _seconds(self) -> str:
        return f"{time.monotonic() - self.started:.0f} s"


def assigned(
    conditions: Sequence[Condition], seeds: Sequence[int], turn: int, paths: Sequence[Path]
) -> Iterator[tuple[Condition, list[Path]]]:
    """The recordings judged under each condition: all under :data:`OURS`, those of one seed under each other.

    The unit is a recording, so more recordings say more than the same ones under more conditions. Each recording is
    judged with one of the backends.

    Args:
        conditions: that this machine supports.
        seeds: of the plan.
        turn: shifts the seed of each condition; different for each kind of model.
        paths: of the recordings.
    """
    fused = [condition for condition in conditions if condition.backend != REFERENCE]
    for index, condition in enumerate(conditions):
        seed = f"-seed{seeds[(index + turn) % len(seeds)]}-"
        if condition in fused:
            some = list(paths[(fused.index(condition) + turn) % len(fused) :: len(fused)])
        else:
            some = [path for path in paths if condition.name == OURS or seed in path.name]
        if some:
            yield condition, some


def _record(case: Case, seeds: Sequence[int], strokes: Path, out: Path) -> list[Path]:
    folder = out / case.name
    empty_folder(folder)
    job = case.job(seeds=list(seeds), members=MEMBERS, strokes=str(strokes), out=str(folder))
    run_official([job], folder, case.name)
    return sorted(folder.glob("*.h5"))


def _judge(
    case: Case, seeds: Sequence[int], condition: Condition, paths: Sequence[Path], out: Path
) -> list[dict[str, Any]]:
    """Judge the recordings of a case under one condition; one result for each."""
    name = condition.name.replace(" ", "_").replace(",", "")
    folder = out / case.name / name
    folder.mkdir(parents=True, exist_ok=True)
    if condition.subject == "official":
        job = case.job(
            seeds=list(seeds),
            members=0,
            recordings=[str(path) for path in paths],
            shuffle=condition.shuffle,
            out=str(folder),
        )
        run_official([job], folder, name, condition.environment)
    results: list[dict[str, Any]] = []
    for first in range(0, len(paths), CHUNK):
        some = [str(path) for path in paths[first : first + CHUNK]]
        job = {"recordings": some, "answers": None, "threads": condition.threads, "out": str(folder / "found.json")}
        job["backend"] = condition.backend
        environment = condition.environment
        if condition.subject == "official":
            job["answers"], environment = str(folder), {}
        results += _in_process(job, folder / f"{first}.job.json", environment)
    for path in folder.glob("*.h5"):
        path.unlink()  # answers are as large as the recordings, and judged now
    return results


def _in_process(job: dict[str, Any], path: Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    path.write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-m", "parity_tests.false_alarms.judging", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    if ran.returncode != 0:
        last = (ran.stderr.strip().splitlines() or ["no output"])[-1]
        raise BadInput(f"the judging process of {path} failed: {last}")
    return json.loads(Path(job["out"]).read_text(encoding="utf-8"))


def _case_of(path: Path, out: Path) -> Case:
    """A case for a model that is not trained here; it is recorded on the study's kanji."""
    from weight_port.folder import examine
    from weight_port.source import open_source

    with open_source(path) as source:
        inferred, plan = examine(source, None)
        weights = {name: source.variables.read(name) for name in plan.weights}
        values = inferred.hparams.to_dict()
    name = path.name.split(".")[0]
    bare = Recording("weights", "weights", values, {"source": str(path)}, {"weights": weights})
    file = out / f"{name}-weights.h5"
    bare.save(file)
    hparams = {name: values[name] for name in HParams.SHAPE if name not in HYPER_SIZES}
    hparams |= {"batch_size": 4, "max_seq_len": SAMPLE_LEN}
    return Case(name, hparams, {name: values[name] for name in HYPER_SIZES}, levels=(0,), weights=str(file))
