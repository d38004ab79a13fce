"""``make false-alarms``: record many models, let equal subjects answer them, and count what is called different."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from parity_tests.false_alarms.cases import CASES, CONDITIONS, OURS, QUICK, SAMPLE_LEN, Case, Condition
from parity_tests.false_alarms.score import content, markdown
from parity_tests.record.configurations import MODEL_VARIANTS
from parity_tests.record.draws import MEMBERS
from parity_tests.record.launch import require_oracle, run_official
from parity_tests.record.recording import Recording
from pytorch_sketch_rnn.data.kanji import kanji_splits
from pytorch_sketch_rnn.data.npz import write_npz
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.hparams import HYPER_SIZES, HParams

FILE, TABLE = "false_alarms.json", "false_alarms.md"
PROCESSES = 2
SKETCHES = 400
CHUNK = 56  # recordings that one judging process takes


class Plan(NamedTuple):
    """How much is recorded."""

    cases: Sequence[Case]
    seeds: Sequence[int]
    conditions: Sequence[Condition] = CONDITIONS


LONG = Plan(CASES, (1, 2, 3, 4))  # 224 recordings; about an hour on 2 cores
ROUTINE = Plan(CASES, (5,))  # 56 recordings, under half an hour
SHORT = Plan(QUICK, (1,), tuple(c for c in CONDITIONS if c.name in (OURS, "ours, ATen default")))


def run_false_alarms(
    out: Path, plan: Plan = ROUTINE, *, models: Iterable[Path] = (), say: Callable[[str], None] = print
) -> int:
    """Measure the rate, and write ``false_alarms.json`` and ``false_alarms.md``.

    Args:
        out: folder for both and for all recordings.
        plan: how much.
        models: more models, in any form that weight_port takes, each recorded on the first of the plan's seeds.
        say: where progress goes.

    Returns:
        0 without a false alarm, else 1; 1 as well where nothing was recorded.

    Raises:
        BadInput: when the official code is not installed or its process fails, or the folder cannot be written.
    """
    require_oracle()
    started = time.monotonic()
    strokes = _start(out)
    write_npz(strokes, kanji_splits(SKETCHES, seed=1, valid_fraction=0.1, test_fraction=0.1))
    from_files = [_case_of(path, out) for path in models]
    cases = [*plan.cases, *from_files]
    names = [case.name for case in cases]
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadInput(f"--model: two models are called {twice[0]}; expected another name for each file")
    seeds = {case: plan.seeds[:1] if case in from_files else plan.seeds for case in cases}
    conditions = [condition for condition in plan.conditions if condition.possible()]
    skipped = [condition.name for condition in plan.conditions if not condition.possible()]
    if skipped:
        say(f"left out, since this processor lacks the vector instructions: {', '.join(skipped)}")
    results: list[dict[str, Any]] = []
    diverged = 0
    with ThreadPoolExecutor(PROCESSES) as pool:
        recording = {pool.submit(_record, case, seeds[case], strokes, out): case for case in cases}
        judging = {}
        try:
            for future in as_completed(recording):
                case, paths = recording[future], future.result()
                diverged += len(seeds[case]) * len(case.levels) * len(MODEL_VARIANTS) - len(paths)
                say(f"{case.name}: {len(paths)} recordings ({time.monotonic() - started:.0f} s)")
                for condition, some in dealt(conditions, plan.seeds, cases.index(case), paths):
                    judging[pool.submit(_judge, case, seeds[case], condition, some, out)] = (case, condition)
            for done, future in enumerate(as_completed(judging), start=1):
                case, condition = judging[future]
                found = [result | {"condition": condition.name} for result in future.result()]
                results += found
                alarms = sum(bool(result["alarms"]) for result in found)
                say(
                    f"[{done}/{len(judging)}] {case.name}, {condition.name}: {len(found)} recordings, {alarms} called "
                    f"different ({time.monotonic() - started:.0f} s)"
                )
        finally:
            pool.shutdown(cancel_futures=True)
    found = content(results, skipped, diverged)
    _write(out, found)
    say(found["summary"])
    say(f"wrote {out / FILE}, {out / TABLE}")
    return 1 if found["different"] or not found["recordings"] else 0


def dealt(
    conditions: Sequence[Condition], seeds: Sequence[int], turn: int, paths: Sequence[Path]
) -> Iterator[tuple[Condition, list[Path]]]:
    """Which recordings are judged under which condition: all as this machine runs us, and each other on one seed.

    The unit is a recording, and more of them say more than the same ones under more conditions.

    Args:
        conditions: that this machine has.
        seeds: of the plan.
        turn: which seed is first; another for each kind of model.
        paths: of recordings.
    """
    for index, condition in enumerate(conditions):
        seed = f"-seed{seeds[(index + turn) % len(seeds)]}-"
        some = [path for path in paths if condition.name == OURS or seed in path.name]
        if some:
            yield condition, some


def _start(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in (FILE, TABLE):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written ({error.strerror}); choose another --out") from None
    return out / "kanji.npz"


def _record(case: Case, seeds: Sequence[int], strokes: Path, out: Path) -> list[Path]:
    folder = out / case.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = case.job(seeds=list(seeds), members=MEMBERS, strokes=str(strokes), out=str(folder))
    run_official([job], folder, case.name)
    return sorted(folder.glob("*.h5"))


def _judge(
    case: Case, seeds: Sequence[int], condition: Condition, paths: Sequence[Path], out: Path
) -> list[dict[str, Any]]:
    """What is found of a case's recordings under one condition."""
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
    """A model that is not trained here, on the study's kanji."""
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
    hparams = {name: values[name] for name in HParams.SHAPE if name not in HYPER_SIZES} | {
        "batch_size": 4,
        "max_seq_len": SAMPLE_LEN,
    }
    return Case(name, hparams, {name: values[name] for name in HYPER_SIZES}, levels=(0,), weights=str(file))


def _write(out: Path, found: dict[str, Any]) -> None:
    texts = {FILE: json.dumps(found, indent=1, allow_nan=False) + "\n", TABLE: markdown(found)}
    for name, text in texts.items():
        with atomic_path(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
