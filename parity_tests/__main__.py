"""The command line ``python -m parity_tests``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from parity_tests.adapter import OURS
from parity_tests.record.configurations import SEED
from parity_tests.record.recording import FOLDER
from parity_tests.report.report import Report
from parity_tests.report.writing import save_report, text_of
from pytorch_sketch_rnn.command_line import Parser
from pytorch_sketch_rnn.errors import BadInput, run_command

PRECISIONS = ("highest", "high", "medium")  # the values of torch.set_float32_matmul_precision
MOST_THREADS = 256
LARGEST_SEED = 2**31 - 1  # that NumPy, TensorFlow and `random` all accept
SHOWN_DIFFERENCES = 20
WHY = "why"


def parser() -> Parser:
    """The command line."""
    result = Parser(prog="python -m parity_tests", description="Proof of equality with Magenta.")
    commands = result.add_subparsers(dest="command", required=True)
    _add_parity(commands.add_parser("parity", help="run the whole proof live: train and record Magenta, then compare"))
    _add_verify(commands.add_parser("verify", help="compare one of your models, or recordings, with the official code"))
    _add_check(commands.add_parser("check", help="tell whether a model is the one that a certificate was written for"))
    _add_mutants(commands.add_parser("mutants", help="plant known bugs one by one, and count those that are caught"))
    _add_false_alarms(commands.add_parser("false-alarms", help="compare pairs known to be equal; count false alarms"))
    _add_curves(commands.add_parser("curves", help="train both sides many times, and compare their training curves"))
    _add_long_curves(commands.add_parser("long-curves", help="train each side once at default sizes, or continue that"))
    _add_fuzz(commands.add_parser("fuzz", help="give damaged and hostile files to every command (Linux)"))
    fixtures = commands.add_parser("fixtures", help="record the small recordings that ship with this package again")
    fixtures.add_argument("--out", type=Path, default=FOLDER, help="folder for the recordings")
    # it has a parser of its own, see main
    commands.add_parser(WHY, help="find where a port departs from the recordings, and prove why", add_help=False)
    return result


def _add_parity(parity: argparse.ArgumentParser) -> None:
    parity.add_argument("--only", choices=("models", "training"), help="run only this part of the proof; default: both")
    parity.add_argument("--seed", metavar="N", help=f"seed of all random numbers of the official runs; default: {SEED}")
    _add_port(parity)
    parity.add_argument("--out", type=Path, default=Path("out/parity"), help="folder for the report and all recordings")


def _add_verify(verify: argparse.ArgumentParser) -> None:
    verify.add_argument("source", metavar="SRC", nargs="?", help="a model in any form that weight_port takes")
    verify.add_argument("--member", help="name of the model, if a .zip archive holds several")
    verify.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a hyperparameter, as for weight_port convert"
    )
    verify.add_argument("--data", type=Path, help="stroke set (.npz) to run the model on; default: kanji")
    verify.add_argument(
        "--recording",
        action="append",
        metavar="FILE",
        help="compare with earlier recordings instead of SRC; needs no TensorFlow. A file, a folder (every .h5 in it "
        "and below), the name of a recording that ships with this package, or all; may be repeated",
    )
    _add_port(verify)
    verify.add_argument("--out", type=Path, default=Path("out/verify"), help="folder for the report and the recordings")


def _add_port(command: argparse.ArgumentParser) -> None:
    command.add_argument("--port", default=OURS, metavar="MODULE:CLASS", help=f"the port to test; default: {OURS}")
    command.add_argument("--device", help="device of the port, such as cuda or cuda:1; default: cpu")
    command.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="precision of the port's float32 matrix products; high and medium allow TF32 on a GPU; default: highest",
    )
    command.add_argument(
        "--backend",
        action="append",
        metavar="NAME",
        help="how the port computes sequences: reference, fused, the name of a fused path such as fused:avx2, or all "
        "that this machine has; may be repeated: the report is on the first, the others must be equal too. Default: "
        "all for parity with our own port, else what the port does by itself",
    )
    command.add_argument("--threads", type=int, default=1, metavar="N", help="threads of torch; default: 1")


def _add_check(check: argparse.ArgumentParser) -> None:
    check.add_argument("certificate", metavar="CERTIFICATE", type=Path, help="certificate.json, written by verify")
    check.add_argument(
        "model", metavar="MODEL", type=Path, help="a converted model, or any form that weight_port takes"
    )
    check.add_argument("--member", help="name of the model, if a .zip archive holds several")


def _add_mutants(mutants: argparse.ArgumentParser) -> None:
    mutants.add_argument("--out", type=Path, default=Path("out/mutants"), help="folder for the score and its table")
    mutants.add_argument(
        "--scaled", action="store_true", help="instead measure how small a change of each part is found"
    )
    mutants.add_argument("--fresh", action="store_true", help="start over; default: continue an interrupted run")


def _add_false_alarms(alarms: argparse.ArgumentParser) -> None:
    alarms.add_argument("--out", type=Path, default=Path("out/false-alarms"), help="folder for the rate and its page")
    alarms.add_argument(
        "--form", choices=("short", "routine", "long"), default="routine", help="number of recordings; default: routine"
    )
    alarms.add_argument(
        "--model", action="append", default=[], type=Path, metavar="SRC", help="also record this model; may be repeated"
    )


def _add_curves(curves: argparse.ArgumentParser) -> None:
    curves.add_argument("--out", type=Path, default=Path("out/curves"), help="folder for tables, pictures, recordings")
    curves.add_argument("--quick", action="store_true", help="fewer and shorter runs, to see whether everything works")


def _add_long_curves(curves: argparse.ArgumentParser) -> None:
    curves.add_argument("strokes", metavar="SET", type=Path, help="stroke set (.npz)")
    curves.add_argument("--steps", type=int, default=500, metavar="N", help="length of both trainings; default: 500")
    curves.add_argument("--out", type=Path, default=Path("out/long-curves"), help="folder for the curves and both runs")


def _add_fuzz(fuzz: argparse.ArgumentParser) -> None:
    fuzz.add_argument("--out", type=Path, default=Path("out/fuzz"), help="folder for the score and the faulty mutants")
    fuzz.add_argument("--kind", action="append", metavar="NAME", help="only this kind of input; may be repeated")
    fuzz.add_argument("--count", type=int, default=2000, help="mutants of each kind; default: 2000")
    fuzz.add_argument("--seed", type=int, help="only the mutant of this seed, of one --kind; its files are kept")
    fuzz.add_argument("--workers", type=int, default=2, help="commands at a time; default: 2")


def main(argv: list[str]) -> int:
    """Run the command line; returns 0 if all is equal, 1 if something differs."""
    if argv[:1] == [WHY]:
        from parity_tests.causes.command import main as why

        return why(argv[1:])
    arguments = parser().parse_args(argv)
    if arguments.command in ("parity", "verify", "mutants", "curves", "long-curves", "fuzz"):
        import torch

        # the tensors are small: a second thread costs more time than it saves, and competes with the official processes
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
        "long-curves": _long_curves,
        "fuzz": _fuzz,
        "fixtures": _fixtures,
    }
    return commands[arguments.command](arguments)


def _parity(arguments: argparse.Namespace) -> int:
    from parity_tests.commands.backends import ALL
    from parity_tests.commands.live import run_parity

    report = run_parity(
        arguments.out,
        arguments.port,
        seed=SEED if arguments.seed is None else _seed(arguments.seed),
        options=_port_options(arguments),
        backends=_backends(arguments, (ALL,) if arguments.port == OURS else ()),
        models=arguments.only != "training",
        trainings=arguments.only != "models",
    )
    return _finish(report, arguments.out)


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= LARGEST_SEED):
        raise BadInput(f"--seed is {text!r}, expected a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def _verify(arguments: argparse.Namespace) -> int:
    from parity_tests.commands.one_model import UserModel, verify, verify_recordings
    from parity_tests.report.certificate import write_certificate
    from weight_port.settings_flag import parse_setting

    out, port, options, backends = arguments.out, arguments.port, _port_options(arguments), _backends(arguments, ())
    if (arguments.source is None) == (arguments.recording is None):
        raise BadInput("expected either a model SRC or --recording FILE; see --help")
    if arguments.recording is not None:
        if arguments.member or arguments.set or arguments.data:
            raise BadInput("--member, --set and --data apply to a model SRC, not to a recording")
        return _finish(verify_recordings(arguments.recording, out, spec=port, options=options, backends=backends), out)
    flags = dict(parse_setting(setting) for setting in arguments.set)
    model = UserModel(arguments.source, arguments.member, arguments.data, flags)
    report, described = verify(model, out, spec=port, options=options, backends=backends)
    code = _finish(report, out)
    path = write_certificate(out, report, described)
    print(f"wrote {path}; check a model against it: python -m parity_tests check {path} MODEL")
    return code


def _port_options(arguments: argparse.Namespace) -> dict[str, str | None]:
    """Arguments of the port's constructor; None is not passed on."""
    return {"device": arguments.device, "precision": arguments.precision}


def _backends(arguments: argparse.Namespace, default: Sequence[str]) -> Sequence[str]:
    """Those that were asked for."""
    return default if arguments.backend is None else arguments.backend


def _check(arguments: argparse.Namespace) -> int:
    from parity_tests.commands.check import check

    differences = check(arguments.certificate, arguments.model, arguments.member)
    for difference in differences[:SHOWN_DIFFERENCES]:
        print(difference)
    if len(differences) > SHOWN_DIFFERENCES:
        print(f"... and {len(differences) - SHOWN_DIFFERENCES} more")
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
    from parity_tests.curves.plan import FULL, quick
    from parity_tests.curves.run import run_curves

    return run_curves(arguments.out, quick() if arguments.quick else FULL)


def _long_curves(arguments: argparse.Namespace) -> int:
    from parity_tests.curves.long import run_long

    return run_long(arguments.out, arguments.strokes, arguments.steps)


def _fuzz(arguments: argparse.Namespace) -> int:
    from parity_tests.fuzz.command import fuzz

    return fuzz(arguments.out, arguments.kind, arguments.count, arguments.seed, arguments.workers)


def _fixtures(arguments: argparse.Namespace) -> int:
    from parity_tests.record.shipped import record_fixtures

    for path in record_fixtures(arguments.out):
        print(f"wrote {path} ({path.stat().st_size / 1024:.0f} KB)")
    return 0


def _finish(report: Report, out: Path) -> int:
    print("\n" + text_of(report))
    print("wrote " + ", ".join(map(str, save_report(report, out))))
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(run_command(main))
