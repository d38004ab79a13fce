"""``make bench``: time training and sampling at default sizes, with our code and the official code.

Both sides run in turns, each in its own processes, because TensorFlow and torch must not share one. Machines are noisy:
read the ratios, which compare times of the same round.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.cases import Case, cases
from benchmarks.machine import machine
from benchmarks.page import page
from benchmarks.plots import plot_growth, plot_ratios
from benchmarks.turns import run_job, run_turns
from pytorch_sketch_rnn.command_line import Parser
from pytorch_sketch_rnn.errors import BadInput, run_command

OUT = Path("out/bench/bench.md")


def main(argv: list[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = Parser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="one case and two rounds, in less than five minutes")
    parser.add_argument("--case", metavar="NAME", action="append", help="only this case; may be repeated")
    parser.add_argument("--steps", type=int, default=128, help="points of the longest sketch (default 128)")
    parser.add_argument("--batch", type=int, default=100, help="sketches in a batch (default 100)")
    parser.add_argument("--rounds", type=int, help="turns of each side (default 3; quick 2)")
    parser.add_argument("--repeats", type=int, default=3, help="timed training steps in a turn (default 3)")
    parser.add_argument("--sample-batch", type=int, default=1000, help="sketches drawn at once (default 1000)")
    arguments = parser.parse_args(argv)
    rounds = arguments.rounds if arguments.rounds is not None else 2 if arguments.quick else 3
    for name, value in (
        ("rounds", rounds),
        *((n, getattr(arguments, n)) for n in ("batch", "repeats", "sample_batch")),
    ):
        if value < 1:
            raise BadInput(f"--{name.replace('_', '-')} is {value}, expected at least 1")
    if arguments.steps < 4:
        raise BadInput(f"--steps is {arguments.steps}, expected at least 4")
    results: dict[str, Any] = {"machine": machine(), "cases": {}}
    for case in _chosen(arguments):
        turns: dict[str, list[dict[str, Any]]] = {}
        with tempfile.TemporaryDirectory() as folder:
            options = {"repeats": arguments.repeats, "sample_batch": arguments.sample_batch}
            for side, turn in run_turns(case, Path(folder), rounds=rounds, **options, first=not results["cases"]):
                turns.setdefault(side, []).append(turn)
                steps = ", ".join(f"{seconds:#.3g}" for seconds in turn["step"])
                print(f"{case.name}, round {len(turns[side])} of {rounds}, {side}: {steps} s a step", flush=True)
        results["cases"][case.name] = turns
    if not (arguments.quick or arguments.case):
        print("how the time grows with each size", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            results["growth"] = run_job("growth", {"hparams": {}, "repeats": arguments.repeats}, Path(folder))
    text = page(results)
    print(f"\n{text}")
    _write(results, text)
    print(f"wrote {OUT.parent}: {', '.join(sorted(path.name for path in OUT.parent.iterdir()))}")
    return 0


def _write(results: dict[str, Any], text: str) -> None:
    """The page, its figures and its pictures; pictures of an earlier run are removed."""
    OUT.parent.mkdir(parents=True, exist_ok=True)
    for picture in OUT.parent.glob("*.png"):
        picture.unlink()
    OUT.write_text(text, encoding="utf-8")
    OUT.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    plot_ratios(results["cases"], OUT.with_suffix(".png"))
    if "growth" in results:
        plot_growth(results["growth"], OUT.with_name("growth.png"))


def _chosen(arguments: argparse.Namespace) -> list[Case]:
    known = {case.name: case for case in cases(arguments.steps, arguments.batch)}
    names = arguments.case or (["layer_norm"] if arguments.quick else list(known))
    for name in names:
        if name not in known:
            raise BadInput(f"--case is {name}, expected one of: {'; '.join(known)}")
    return [known[name] for name in names]


if __name__ == "__main__":
    sys.exit(run_command(main))
