"""A fuzz test in a process of its own, since it forks: ``python fuzz_script.py WAY OUT``."""

import os
import sys
import time
from pathlib import Path

from parity_tests.fuzz.forked import Limits
from parity_tests.fuzz.kinds import KINDS, Command, Kind, changed
from parity_tests.fuzz.run import run_fuzz
from parity_tests.mutation.bugs import Text
from pytorch_sketch_rnn.errors import BadInput
from weight_port import tensor_bundle

CHANGED = b"changed"


def main(argv):
    """A command that misbehaves, in the way that its argument names, if its input was changed."""
    if Path("cat.ndjson").read_bytes().startswith(CHANGED):
        next(function for function, name in BEHAVIOURS.items() if name == argv[0])()
    return 0


def hang():
    time.sleep(1000)


def spin():
    while True:
        pass


def fill_memory():
    filled = []
    while True:
        filled.append(bytearray(b"x" * 2**24))


def crash():
    os.abort()


def two_lines():
    refuse("one\ntwo")


def escape():
    refuse("\x1b[31mred")


def long_line():
    refuse("x" * 5000)


def refuse(line):
    """A refusal past BadInput, which makes one short and printable line of anything."""
    print(f"error: {line}", file=sys.stderr)
    raise SystemExit(2)


def leave_a_file():
    Path("left").write_text("x")
    raise BadInput("a file is left")


def change_the_input():
    with open("cat.ndjson", "ab") as file:
        file.write(b"x")


def leave_a_temporary_file():
    Path(os.environ["TMPDIR"], "x").touch()


def fail():
    raise KeyError("no such thing")


def other_code():
    raise SystemExit(3)


BEHAVIOURS = {
    function: function.__name__
    for function in (
        hang, spin, fill_memory, crash, two_lines, escape, long_line, leave_a_file, change_the_input,
        leave_a_temporary_file, fail, other_code,
    )
}  # fmt: skip


def misbehaving(out):
    """A command for each behaviour."""
    mutate = changed("cat.ndjson", lambda random, data: CHANGED + data)
    commands = {name: Command("fuzz_script", (name,)) for name in BEHAVIOURS.values()}
    kinds = [Kind(name, ("ndjson",), mutate, (command,)) for name, command in commands.items()]
    return run_fuzz(out, kinds=kinds, seeds=[0], limits=Limits(seconds=1, memory=2**28))


def unchecked(out):
    """A reader of checkpoints that does not check where a variable lies."""
    with Text(
        tensor_bundle, "_check_place", ("if not 0 <= entry.shard < num_shards:", "return\n    if False:")
    ).planted():
        return run_fuzz(out, kinds=[KINDS["signed-index"]], seeds=range(300))


if __name__ == "__main__":
    ways = {"misbehaving": misbehaving, "unchecked": unchecked}
    sys.exit(ways[sys.argv[1]](Path(sys.argv[2])))
