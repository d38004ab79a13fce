"""``python -m parity_tests parity``: the whole proof, live. ``python -m parity_tests verify SRC``: one model."""

import argparse
import sys
from pathlib import Path

from parity_tests.adapter import OURS
from parity_tests.record.recording import FOLDER
from parity_tests.report.report import Report
from pytorch_sketch_rnn.errors import BadInput, run_command

PRECISIONS = ("highest", "high", "medium")  # as torch.set_float32_matmul_precision knows them
MOST_THREADS = 256
LARGEST_SEED = 2**31 - 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m parity_tests", description="Proof of equality with Magenta.")
    commands = result.add_subparsers(dest="command", required=True)
    parity = commands.add_parser("parity", help="let official Magenta train and record; convert and compare all of it")
    verify = commands.add_parser("verify", help="compare one model of yours with the official code run on it")
    check = commands.add_parser("check", help="say whether a model is the one that a certificate was written for")
    mutants = commands.add_parser("mutants", help="plant port bugs, one by one, and see each of them caught")
    alarms = commands.add_parser("false-alarms", help="judge pairs that are known to be equal; count the alarms")
    curves = commands.add_parser("curves", help="train both sides many times over, and compare their curves")
    record = commands.add_parser("fixtures", help="record the small fixtures again")
    parity.add_argument("--only", choices=("models", "training"), help="a part of the proof; default: both")
    parity.add_argument("--seed", metavar="N", help="of everything that the official runs draw; default: 1")
    verify.add_argument("source", metavar="SRC", type=Path, nargs="?", help="any form that weight_port takes")
    verify.add_argument("--member", help="which model of a .zip archive")
    verify.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as for weight_port convert")
    verify.add_argument("--data", type=Path, help="a stroke set (.npz) to run it on; default: kanji")
    verify.add_argument(
        "--recording",
        action="append",
        metavar="FILE",
        help="instead of SRC: what was recorded before. A file, a folder (every .h5 in it and below), the name of a "
        "recording that ships with this package, or all of those; needs no TensorFlow",
    )
    for command in (parity, verify):
        command.add_argument("--port", default=OURS, metavar="MODULE:CLASS", help=f"whom to test; default: {OURS}")
        command.add_argument("--device", help="where the port runs, such as cuda or cuda:1; default: cpu")
        command.add_argument(
            "--precision",
            choices=PRECISIONS,
            help="of the port's float32 matrix products: all but highest let a GPU use TF32; default: highest",
        )
        command.add_argument("--threads", type=int, default=1, metavar="N", help="threads of torch; default: 1")
    check.add_argument("certificate", metavar="CERTIFICATE", type=Path, help="certificate.json, which verify wrote")
    check.add_argument("model", metavar="MODEL", type=Path, help="any form that weight_port takes, or a converted one")
    check.add_argument("--member", help="which model of a .zip archive")
    parity.add_argument("--out", type=Path, default=Path("out/parity"), help="folder for the report and all recordings")
    verify.add_argument("--out", type=Path, default=Path("out/verify"), help="folder for the report and the recordings")
    mutants.add_argument("--out", type=Path, default=Path("out/mutants"), help="folder for the score and its table")
    alarms.add_argument("--out", type=Path, default=Path("out/false-alarms"), help="folder for the rate and its page")
    alarms.add_argument("--form", choices=("short", "routine", "long"), default="routine", help="how much is recorded")
    alarms.add_argument(
        "--model", action="append", default=[], type=Path, metavar="SRC", help="record this model as well; repeatable"
    )
    mutants.add_argument("--scaled", action="store_true", help="measure how small a change of each part is found")
    mutants.add_argument("--fresh", action="store_true", help="start over; default: continue an interrupted run")
    curves.add_argument("--out", type=Path, default=Path("out/curves"), help="folder for tables, pictures, recordings")
    curves.add_argument("--quick", action="store_true", help="shorter and fewer runs: a look at whether all works")
    record.add_argument("--out", type=Path, default=FOLDER, help="folder for the recordings")
    return result


def main(argv: list[str]) -> int:
    """Run the command line; returns 0 where all is equal, 1 where something differs."""
    arguments = parser().parse_args(argv)
    if arguments.command in ("parity", "verify", "mutants", "curves"):
        import torch

        # these tensors are small: a second thread costs more than it gives, the more so beside the official processes
        threads = getattr(arguments, "threads", 1)
        if not 1 <= threads <= MOST_THREADS:
            raise BadInput(f"--threads is {threads}, expected 1 to {MOST_THREADS}")
        torch.set_num_threads(threads)
    commands = {
        "parity": _parity,
        "verify": _verify,
        "check": _check,
        "mutants": _mutants,
        "false-alarms": _false_alarms,
        "curves": _curves,
        "fixtures": _fixtures,
    }
    return commands[arguments.command](arguments)


def _parity(arguments: argparse.Namespace) -> int:
    from parity_tests.commands.live import SEED, run_parity

    report = run_parity(
        arguments.out,
        arguments.port,
        seed=SEED if arguments.seed is None else _seed(arguments.seed),
        options=_options(arguments),
        models=arguments.only != "training",
        trainings=arguments.only != "models",
    )
    return _finish(report, arguments.out)


def _seed(text: str) -> int:
    """The number, where NumPy, TensorFlow and `random` all take it for a seed."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST_SEED):
        raise BadInput(f"--seed is {text!r}, expected a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def _verify(arguments: argparse.Namespace) -> int:
    from parity_tests.commands.certificate import write_certificate
    from parity_tests.commands.one_model import verify, verify_recordings
    from weight_port.__main__ import parse_setting

    if (arguments.source is None) == (arguments.recording is None):
        raise BadInput("expected either a model SRC, or --recording FILE; see --help")
    if arguments.recording is not None:
        if arguments.member or arguments.set or arguments.data:
            raise BadInput("--member, --set and --data belong to a model SRC; a recording has its own")
        report = verify_recordings(arguments.recording, arguments.out, spec=arguments.port, options=_options(arguments))
        return _finish(report, arguments.out)
    flags = dict(parse_setting(setting) for setting in arguments.set)
    report, model = verify(
        arguments.source,
        arguments.out,
        member=arguments.member,
        data=arguments.data,
        flags=flags,
        spec=arguments.port,
        options=_options(arguments),
    )
    code = _finish(report, arguments.out)
    path = write_certificate(arguments.out, report, model)
    print(f"wrote {path}; check a model against it: python -m parity_tests check {path} MODEL")
    return code


def _options(arguments: argparse.Namespace) -> dict[str, str | None]:
    """What the port's constructor is given; None is not given."""
    return {"device": arguments.device, "precision": arguments.precision}


def _check(arguments: argparse.Namespace) -> int:
    from parity_tests.commands.certificate import check

    differences = check(arguments.certificate, arguments.model, arguments.member)
    for difference in differences[:20]:
        print(difference)
    if len(differences) > 20:
        print(f"... and {len(differences) - 20} more")
    print(f"{'DIFFERS' if differences else 'THE SAME'}: {arguments.model} and the model of {arguments.certificate}")
    return 1 if differences else 0


def _mutants(arguments: argparse.Namespace) -> int:
    if arguments.scaled:
        from parity_tests.sensitivity.run import run_sensitivity

        return run_sensitivity(arguments.out, fresh=arguments.fresh)
    from parity_tests.mutation.run import run_mutants

    return run_mutants(arguments.out, fresh=arguments.fresh)


def _false_alarms(arguments: argparse.Namespace) -> int:
    from parity_tests.false_alarms.run import LONG, ROUTINE, SHORT, run_false_alarms

    plan = {"short": SHORT, "routine": ROUTINE, "long": LONG}[arguments.form]
    return run_false_alarms(arguments.out, plan, models=arguments.model)


def _curves(arguments: argparse.Namespace) -> int:
    from parity_tests.curves.run import FULL, quick, run_curves

    return run_curves(arguments.out, quick() if arguments.quick else FULL)


def _fixtures(arguments: argparse.Namespace) -> int:
    from parity_tests.record.shipped import record_fixtures

    for path in record_fixtures(arguments.out):
        print(f"wrote {path} ({path.stat().st_size / 1024:.0f} KB)")
    return 0


def _finish(report: Report, out: Path) -> int:
    print("\n" + report.text())
    print("wrote " + ", ".join(map(str, report.save(out))))
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(run_command(main))
