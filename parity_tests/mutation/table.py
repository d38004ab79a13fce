"""The score of ``make mutants`` in one line, and its tables in Markdown."""

from collections.abc import Iterable
from typing import Any

from parity_tests.mutation.catalogue.port import LEFT_OUT
from parity_tests.report.markdown import markdown_table


def score_line(content: dict[str, Any]) -> str:
    """How many bugs of each kind were caught."""
    harness, product, kernels = (
        f"{sum(row['killed'] for row in content[kind])} of {len(content[kind])}"
        for kind in ("harness", "product", "kernels")
    )
    return (
        f"{content['killed']} of {content['planted']} planted port bugs were caught, {content['located']} of them with "
        f"the right part named; {harness} bugs planted in the harness itself, {product} planted in what surrounds the "
        f"model (trainer, batches, checkpoints, files) and {kernels} planted in the fused paths made unit tests fail."
    )


def markdown(content: dict[str, Any]) -> str:
    """The score in one line, then tables; the long ones are folded.

    Args:
        content: what ``mutants.json`` holds.
    """
    never = ", ".join(content["never_touched"]) or "none"
    smallest = [(part, bug["bug"], _number(bug["effect"])) for part, bug in content["smallest"].items()]
    pieces = [
        "# Planted bugs",
        f"**{score_line(content)}**",
        *([f"On this machine, {content['left_out']}."] if content["left_out"] else []),
        "How small a change of each part is still found: [sensitivity.md](sensitivity.md).",
        *_folded(
            "Every planted port bug, the comparison that caught it first, and the part that was named",
            ("bug", "family", "caught by", "off by", "part named", "cause suggested"),
            map(_port_row, content["rows"]),
        ),
        *_folded("The smallest bug that showed in each part", ("part", "bug", "off by"), smallest),
        f"Parts in which no bug was seen (float32 is not judged here): {never}.",
        *_folded(
            "Every bug planted in the harness, and the self-test that caught it",
            ("bug", "caught by"),
            ((_name(row), _caught_by(row)) for row in content["harness"]),
        ),
        *_folded(
            "Every bug planted in what surrounds the model, and the unit test that caught it",
            ("bug", "family", "caught by"),
            ((_name(row), row["family"], _caught_by(row)) for row in content["product"]),
        ),
        *_folded(
            "Every bug planted in the fused paths, and the test that caught it",
            ("bug", "family", "caught by"),
            ((_name(row), row["family"], _caught_by(row)) for row in content["kernels"]),
        ),
        *_folded("Not planted, for no recording could tell it from the sound code", ("bug", "why"), LEFT_OUT.items()),
    ]
    return "\n\n".join(pieces) + "\n"


def _port_row(row: dict[str, Any]) -> tuple[str, ...]:
    if not row["killed"]:
        return _name(row), row["family"], _caught_by(row), "", row["part"], row["cause"] or ""
    part = row["part"] if row["located"] else f"{row['part']} (**not the right part**)"
    return _name(row), row["family"], _caught_by(row), _number(row["effect"]), part, row["cause"] or ""


def _name(row: dict[str, Any]) -> str:
    """A survivor stands out."""
    return row["name"] if row["killed"] else f"**{row['name']}**"


def _caught_by(row: dict[str, Any]) -> str:
    return f"`{row['by']}`" if row["killed"] else f"**survived**: {row['by']}"


def _folded(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A table that opens when its title is clicked."""
    return [f"<details><summary>{title}</summary>", markdown_table(head, rows), "</details>"]


def _number(value: float | None) -> str:
    """An error; None, where shape, type or name differ, is a dash."""
    return "-" if value is None else f"{value:.1e}"
