"""The page on the fuzz test: what is done, and the score of each kind of input."""

from typing import Any

from parity_tests.report.markdown import markdown_table

_HEAD = """# Damaged and hostile files

{summary}

`make fuzz` changes valid files at random, 2,000 of each kind, and gives each one to a command that reads it, such as
`weight_port convert` or `train.py --resume`. A command must either work, or end with exit code 2 and one line on
stderr that begins with `error:`, has at most 1,000 characters and no control character among them. It may take 10 s
of processor time more than the unchanged file, and 1 GiB more memory than the process that has imported everything. A
refused command leaves everything as it was, and no command leaves a temporary file. What a successful command wrote
is read back. `verify` and `check` may also end with exit code 1, for "different", and a training for a cost that is
not finite.

A mutation must get past the first check to test the second one, so most checksums are made right again: in the index
of a checkpoint, the members of an archive, the folder of a run, a packed set and the seal of a recording. The table
shows how far the mutants come: the share that the command accepted, the number of different error lines among the
others (names and numbers do not count), and the share of the commonest one.

The changes are made by code of our own (`parity_tests/fuzz/mutators/`). The maintained fuzzers for Python either
generate input from a description or change bytes guided by coverage; neither changes the inside of a file below its
checksums.

The mutant of a kind and a seed is always the same. One is run again, and its files are kept, by

```sh
python -m parity_tests fuzz --kind svg --seed 7
```

Every command runs in a forked process, so this works on Linux alone.
"""
_COLUMNS = (
    "kind", "mutants", "accepted", "refused", "different lines", "commonest", "median", "longest", "memory", "faults",
)  # fmt: skip


def page(summary: str, kinds: dict[str, dict[str, Any]]) -> str:
    """The whole page.

    Args:
        summary: of the run, in one line.
        kinds: the counts of each kind, as :meth:`~parity_tests.fuzz.tally.Tally.to_dict` gives them.
    """
    return f"{_HEAD.format(summary=summary[:1].upper() + summary[1:])}\n{score_table(kinds)}\n"


def score_table(kinds: dict[str, dict[str, Any]]) -> str:
    """One row for each kind."""
    return markdown_table(_COLUMNS, [_row(name, kind) for name, kind in kinds.items()])


def _row(name: str, kind: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{kind['mutants']:,}",
        _share(kind["accepted"], kind),
        _share(kind["refused"], kind),
        str(kind["lines"]),
        _share(kind["commonest"], kind),
        f"{kind['median_seconds']:.2f} s",
        f"{kind['longest_seconds']:.1f} s",
        f"{kind['memory_mib']} MiB",
        str(sum(kind["faults"].values())),
    )


def _share(count: int, kind: dict[str, Any]) -> str:
    return f"{100 * count / max(1, kind['mutants']):.0f} %"
