"""The score of ``make mutants`` in one line, and its tables in Markdown."""

from collections.abc import Iterable
from typing import Any

from parity_tests.mutation.catalogue import LEFT_OUT
from parity_tests.report.markdown import markdown_table


def score_line(content: dict[str, Any]) -> str:
    """How many bugs of each kind were caught."""
    harness, product = content["harness"], content["product"]
    return (
        f"{content['killed']} of {content['planted']} planted port bugs were caught, {content['located']} of them with "
        f"the right part named; {sum(row['killed'] for row in harness)} of {len(harness)} bugs planted in the harness "
        f"itself and {sum(row['killed'] for row in product)} of {len(product)} planted in what surrounds the model "
        "(trainer, batches, checkpoints, files) made the unit tests fail."
    )


def markdown(content: dict[str, Any]) -> str:
    """A line for the score, then tables; the long ones are folded."""
    rows = [
        (
            row["name"] if row["killed"] else f"**{row['name']}**",
            row["family"],
            f"`{row['by']}`" if row["killed"] else f"**survived**: {row['by']}",
            _number(row["effect"]) if row["killed"] else "",
            row["part"] if row["located"] or not row["killed"] else f"{row['part']} (**not the right part**)",
            row["cause"] or "",
        )
        for row in content["rows"]
    ]
    smallest = [(part, bug["bug"], _number(bug["effect"])) for part, bug in content["smallest"].items()]
    harness, product = (
        [
            (
                row["name"] if row["killed"] else f"**{row['name']}**",
                row.get("family", ""),
                f"`{row['by']}`" if row["killed"] else f"**survived**: {row['by']}",
            )
            for row in content[kind]
        ]
        for kind in ("harness", "product")
    )
    never = ", ".join(content["never_touched"]) or "none"
    pieces = [
        "# Planted bugs",
        f"**{score_line(content)}**",
        "How small a change of each part is still found: [sensitivity.md](sensitivity.md).",
        *_folded(
            "Every planted port bug, the comparison that caught it first, and the part that was named",
            ("bug", "family", "caught by", "off by", "part named", "cause suggested"),
            rows,
        ),
        *_folded("The smallest bug that showed in each part", ("part", "bug", "off by"), smallest),
        f"Parts in which no bug was seen (float32 is not judged here): {never}.",
        *_folded(
            "Every bug planted in the harness, and the self-test that caught it",
            ("bug", "caught by"),
            [(bug, by) for bug, _, by in harness],
        ),
        *_folded(
            "Every bug planted in what surrounds the model, and the unit test that caught it",
            ("bug", "family", "caught by"),
            product,
        ),
        *_folded("Not planted, for no recording could tell it from the sound code", ("bug", "why"), LEFT_OUT.items()),
    ]
    return "\n\n".join(pieces) + "\n"


def _folded(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A table that opens on demand."""
    return [f"<details><summary>{title}</summary>", markdown_table(head, rows), "</details>"]


def _number(value: float | None) -> str:
    """An error; another shape, type or name has none."""
    return "-" if value is None else f"{value:.1e}"
