"""``python -m parity_tests parity``: the whole proof, live. ``python -m parity_tests verify SRC``: one model."""

import argparse
import sys
from pathlib import Path

from parity_tests.report import Report
from pytorch_sketch_rnn.errors import run_command


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m parity_tests", description="Proof of equality with Magenta.")
    commands = result.add_subparsers(dest="command", required=True)
    parity = commands.add_parser("parity", help="let official Magenta train and record; convert and compare all of it")
    verify = commands.add_parser("verify", help="compare one model of yours with the official code run on it")
    record = commands.add_parser("fixtures", help="record the small fixtures anew")
    verify.add_argument("source", metavar="SRC", type=Path, help="any form that weight_port takes")
    verify.add_argument("--member", help="which model of a .zip archive")
    verify.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as for weight_port convert")
    verify.add_argument("--data", type=Path, help="a stroke set (.npz) to run it on; default: kanji")
    parity.add_argument("--out", type=Path, default=Path("out/parity"), help="folder for the report and all recordings")
    verify.add_argument("--out", type=Path, default=Path("out/verify"), help="folder for the report and the recordings")
    record.add_argument("--out", type=Path, default=Path("fixtures"), help="folder for the recordings")
    return result


def main(argv: list[str]) -> int:
    """Run the command line; returns 0 where all is equal, 1 where something differs."""
    arguments = parser().parse_args(argv)
    if arguments.command == "fixtures":
        from parity_tests.fixtures import record_fixtures

        for path in record_fixtures(arguments.out):
            print(f"wrote {path} ({path.stat().st_size / 1024:.0f} KB)")
        return 0
    if arguments.command == "verify":
        from parity_tests.verify import verify
        from weight_port.__main__ import parse_setting

        flags = dict(parse_setting(setting) for setting in arguments.set)
        report = verify(arguments.source, arguments.out, member=arguments.member, data=arguments.data, flags=flags)
        return _finish(report, arguments.out)
    from parity_tests.parity import run_parity

    return _finish(run_parity(arguments.out), arguments.out)


def _finish(report: Report, out: Path) -> int:
    print("\n" + report.text())
    print("wrote " + ", ".join(map(str, report.save(out))))
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(run_command(main))
