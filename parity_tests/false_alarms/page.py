"""The page on false alarms, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from parity_tests.false_alarms.score import PARITY_RECORDINGS
from parity_tests.report.markdown import markdown_table

STUDY = """\
Pairs that are known to be equal are judged by the same rules as everything else: official Magenta against recordings
of itself, run with another number of threads, without oneDNN, with TensorFlow's graph optimiser, or with hidden units
and batch rows in another order; and this port with other vector instructions, more threads and each of its fused
paths. The models are of every kind, freshly initialised and after 10, 200 and 1000 official training steps, with
their weights as they are and moved by noise. Every "different" is a false alarm. The unit is a recording (a model and
its seed), because rows of one recording are not independent. The first condition is applied to all recordings, each
other one to those of one seed; the fused paths share all recordings among them."""
REPRODUCE = """\
Reproduce with `make false-alarms` (one seed) or `make false-alarms-long` (four seeds). `--model FILE` adds a model of
your own, on one seed and under fewer conditions; the kinds with few recordings below were added in this way."""
TAIL = """\
The absence of alarms in this many recordings bounds their rate only loosely. How close each recording came says more.
Larger tensors average over more numbers, so the closest row of each recording is divided by the median of its kind
({medians}). The largest quarter of these numbers follows a power law,
P(r > x) = {share:.2f} (x / {threshold:.2f})^-{rate:.1f}. An alarm is r > 1 / median: for the {recordings} recordings of
one `make parity` together {predicted:.1e}. A kind that was not studied counts as the one with the largest median."""


def markdown(found: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        found: what :func:`parity_tests.false_alarms.score.content` returns.
    """
    paragraphs = [
        "# False alarms",
        f"**{found['summary']}**",
        STUDY.replace("\n", " "),
        REPRODUCE.replace("\n", " "),
        _machine(found),
        *_tables(found),
    ]
    if found["predicted"] is not None:
        paragraphs += _tail(found)
    if found["alarms"]:
        paragraphs += ["## Alarms", _alarms(found["alarms"])]
    return "\n\n".join(paragraphs) + "\n"


def _machine(found: Mapping[str, Any]) -> str:
    sentences = [
        f"Machine: {found['machine']}.",
        f"The official recordings were made with {' and '.join(found['recorded_with'])}; the condition of that name "
        "runs the same program a second time.",
    ]
    if found["skipped"]:
        sentences.append(f"Not available on this machine: {', '.join(found['skipped'])}.")
    if found["diverged"]:
        sentences.append(f"{found['diverged']} recordings are missing, because official training ended in NaN.")
    return " ".join(sentences)


def _tables(found: Mapping[str, Any]) -> list[str]:
    """By condition, by kind of model, and by rule."""
    conditions = [
        (line["name"], str(line["recordings"]), str(line["different"]), f"{100 * line['closest']:.0f} %")
        for line in found["conditions"]
    ]
    counts = ("recordings", "different", "rows", "not_judged", "overflow")
    models = [
        (line["name"], *(str(line[count]) for count in counts), f"{100 * line['closest']:.0f} %")
        for line in found["models"]
    ]
    rules = [
        (
            kind,
            f"`{row['quantity']}` ({row['measure']})",
            _percent(row["used"]),
            f"{row['recording']}, {row['condition']}",
        )
        for kind, row in sorted(found["kinds"].items())
    ]
    return [
        markdown_table(
            ("condition", "recordings", "called different", "closest row, share of its allowance"), conditions
        ),
        markdown_table(
            ("model", "recordings", "called different", "rows", "not judged", "official overflow", "closest row used"),
            models,
        ),
        markdown_table(("rule", "closest", "of its allowance", "recording, condition"), rules),
    ]


def _tail(found: Mapping[str, Any]) -> list[str]:
    medians = ", ".join(f"{kind} {100 * median:.0f} %" for kind, median in found["medians"].items())
    count = len(PARITY_RECORDINGS)
    text = TAIL.format(**found["tail"], medians=medians, recordings=count, predicted=found["predicted"])
    head = ("rate", "beyond", "expected", "seen", "beyond", "expected", "seen")
    lines = [
        (
            f"{check['rate']:.1f}",
            f"{check['threshold']:.2f}",
            f"{100 * check['expected beyond threshold']:.0f} %",
            f"{100 * check['seen beyond threshold']:.0f} %",
            f"{check['far']:.2f}",
            f"{100 * check['expected beyond far']:.1f} %",
            f"{100 * check['seen beyond far']:.1f} %",
        )
        for check in found["tail_checked"]
    ]
    check = "Fitted on every other seed and checked on the others, and the reverse:"
    return ["## The tail", text.replace("\n", " "), check, markdown_table(head, lines)]


def _alarms(alarms: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        (
            alarm["recording"],
            alarm["condition"],
            f"`{alarm['quantity']}` ({alarm['precision']}, {alarm['measure']})",
            "-" if alarm["used"] is None else f"{alarm['used']:.2f}",
            alarm["note"],
        )
        for alarm in alarms
    ]
    return markdown_table(("recording", "condition", "quantity", "used", "note"), lines)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"
