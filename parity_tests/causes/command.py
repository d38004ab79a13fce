"""``python -m parity_tests.why``: where a port departs from the shipped recordings, and why, if that is proven."""

from collections.abc import Sequence

from parity_tests.adapter import load_adapter
from parity_tests.causes.explain import as_text, explain
from parity_tests.causes.prove import PAIRS
from parity_tests.record.recording import Recording
from parity_tests.record.shipped import fixture_paths
from pytorch_sketch_rnn.command_line import Parser
from pytorch_sketch_rnn.errors import BadInput


def parser() -> Parser:
    """The command line."""
    result = Parser(prog="python -m parity_tests why", description=__doc__.partition(": ")[2])
    result.add_argument("--port", required=True, help="the class of an adapter, such as my_package.my_module:Adapter")
    result.add_argument(
        "--recording", nargs="+", help="names of recordings that ship, such as cell/hyper; default: all but initial-*"
    )
    result.add_argument(
        "--pairs", type=int, default=PAIRS, help="pairs of bugs tried for what is computed together (%(default)s)"
    )
    result.add_argument("--seconds", type=float, help="time limit for the search in each recording")
    return result


def main(arguments: list[str]) -> int:
    """Run the command line.

    Returns:
        0 if nothing departs, 1 if something does or the port fails.

    Raises:
        BadInput: for a wrong flag, and a port that cannot be loaded, offers no float64 or answers nothing.
    """
    options = parser().parse_args(arguments)
    port = load_adapter(options.port)
    if "float64" not in port.precisions:
        raise BadInput(f"--port {options.port}: offers {', '.join(port.precisions)} alone, expected float64")
    recordings = _shipped(options.recording)
    departs, compared = False, 0
    for explained in explain(port, recordings, pairs=options.pairs, seconds=options.seconds):
        departs |= bool(explained.departures or explained.broken)
        compared += explained.compared
        print(as_text(explained), flush=True)
    if not compared and not departs:
        raise BadInput(f"--port {options.port}: answers nothing of these recordings")
    return int(departs)


def _shipped(names: Sequence[str] | None) -> list[Recording]:
    """The recordings that ship with these names; None: all but those of initial weights."""
    paths = {path.stem: path for path in fixture_paths() if not path.stem.startswith("initial-")}
    stems = list(paths) if names is None else [name.replace("/", "-") for name in names]
    if unknown := [stem for stem in stems if stem not in paths]:
        raise BadInput(f"--recording {unknown[0]}: expected one of {', '.join(paths)}")
    return [Recording.load(paths[stem]) for stem in stems]
