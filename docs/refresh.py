"""``make docs``: put the results of the last runs into ``README.md`` and ``docs/``.

The README has short forms of them, each between a pair of markers, ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``.
The full tables are pages of their own in ``docs/``. The scores are also copied to ``fixtures/``, where later reports
read them. A study of false alarms replaces the committed one only if it judged at least as many recordings; a smaller
one becomes a page of its own.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ALARMS = ROOT / "out/false-alarms/false_alarms.json"
SMALLER_STUDY = ROOT / "docs/false_alarms_routine.md"
COPIES = {
    ROOT / "out/parity/parity.md": ROOT / "docs/parity_table.md",
    ROOT / "out/false-alarms/false_alarms.md": ROOT / "docs/false_alarms.md",
    ALARMS: ROOT / "fixtures/false_alarms.json",
    ROOT / "out/mutants/mutants.md": ROOT / "docs/mutants.md",
    ROOT / "out/mutants/mutants.json": ROOT / "fixtures/mutants.json",
    ROOT / "out/mutants/sensitivity.md": ROOT / "docs/sensitivity.md",
    ROOT / "out/mutants/sensitivity.json": ROOT / "fixtures/sensitivity.json",
    ROOT / "out/curves/curves.md": ROOT / "docs/curves/curves.md",
    ROOT / "out/long-curves/long-curves.md": ROOT / "docs/curves/long-curves.md",
    ROOT / "out/long-curves/long-curves.json": ROOT / "docs/curves/long-curves.json",
    ROOT / "out/fuzz/fuzz.md": ROOT / "docs/fuzz.md",
    ROOT / "out/bench/bench.md": ROOT / "docs/bench/bench.md",
    ROOT / "out/bench/bench.json": ROOT / "docs/bench/bench.json",
}
PICTURES = {"out/curves": "docs/curves", "out/long-curves": "docs/curves", "out/bench": "docs/bench"}

# The rows of the README's parity table: a title, and the parts of the report that it stands for.
COMPONENTS = (
    ("checkpoints: converted, loaded, exported", r"checkpoint: .*|weights as loaded"),
    ("initial weights that are not random; dropout rates", r"initial weights, constant.*|dropout, keep .*"),
    ("LSTM, layer-norm LSTM and HyperLSTM cells, alone", r".* cell alone"),
    ("every step and function, from official values", r"local: .*"),
    ("encoder, mu, presig, z", r"encoder, .*|mu|presig|z"),
    ("decoder and mixture", r"decoder.*|head|pi|mu[12]|sigma[12]|corr|pen|pen_logits|the first points of a sketch"),
    ("costs and likelihood", r"r_cost, .*|kl_cost|cost|likelihood of the strokes"),
    ("gradients, before and after clipping", r"gradients.*"),
    ("Adam, and the weights after a step", r"Adam: .*|weights after a step"),
    ("sampling", r"sampling.*"),
    ("data loader, batches of a training", r"data loader|training: batches"),
    ("whole trainings: schedules and costs", r"training: (learning rate .*|(validation )?costs)"),
    ("whole trainings: gradients, Adam, weights", r"training: (gradients.*|Adam's .*|weights|the .*|drift .*)"),
)
# Random numbers that the two sides cannot share are compared as distributions. An error has no meaning for them.
DISTRIBUTIONS = r"initial weights, distribution .*|dropout, values of a mask"


def refresh(readme: str, name: str, text: str) -> str:
    """The README with ``text`` between the markers of ``name``.

    Raises:
        SystemExit: if the README does not have exactly one pair of these markers.
    """
    pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
    result, count = re.subn(pattern, lambda match: f"{match[1]}{text.strip()}\n{match[2]}", readme, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"README.md: expected the markers of {name} once, found them {count} times")
    return result


def without_title(page: str) -> str:
    """A page without its heading."""
    return re.sub(r"^# .*\n", "", page).strip()


def first_section(page: str) -> str:
    """What stands between a page's heading and the next one."""
    return without_title(page).partition("\n## ")[0]


def first_paragraph(page: str) -> str:
    """The first paragraph after the heading."""
    return without_title(page).partition("\n\n")[0]


def verdict(page: str) -> str:
    """The verdict of a parity report and both scores: everything above its table."""
    return without_title(page).partition("\n|")[0]


def summary(report: str) -> str:
    """The README's parity table: one row for each of COMPONENTS.

    Args:
        report: the text of ``parity.json``.

    Raises:
        SystemExit: if a part of the report belongs to no component.
    """
    parts = json.loads(report)["parts"]
    lines = ["| component | tensors | worst error | allowed | smallest bug found |", "| --- | --- | --- | --- | --- |"]
    left = [part for part in parts if not re.fullmatch(DISTRIBUTIONS, part["part"])]
    drawn = sum(part["tensors"] for part in parts) - sum(part["tensors"] for part in left)
    for title, pattern in COMPONENTS:
        found = [part for part in left if re.fullmatch(pattern, part["part"])]
        left = [part for part in left if part not in found]
        if found:
            lines.append(f"| {title} | {' | '.join(numbers(found))} |")
    if left:
        raise SystemExit(f"docs/refresh.py: {left[0]['part']!r} belongs to no row of the README's table")
    if drawn:
        lines += ["", f"The other {drawn} tensors are random draws, which are compared as distributions."]
    return "\n".join(lines)


def numbers(parts: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Tensors, error, allowance and smallest bug of some parts; the error is the one closest to its allowance."""
    parts = list(parts)
    judged = [part["float64"] for part in parts if "float64" in part]
    worst = max(judged, key=lambda row: row["error"] / row["allowed"] if row["allowed"] else row["error"])
    bugs = [part["smallest_bug"]["effect"] for part in parts if "smallest_bug" in part]
    shown = (worst["error"], worst["allowed"], *([min(bugs)] if bugs else []))
    texts = ["0" if value == 0 else f"{value:.1e}" for value in shown]
    return (f"{sum(part['tensors'] for part in parts):,}", *texts, *([] if bugs else [""]))


# markers in the README: where their text comes from, and how it is made
SECTIONS: dict[str, tuple[Path, Callable[[str], str]]] = {
    "verdict": (ROOT / "out/parity/parity.md", verdict),
    "parity": (ROOT / "out/parity/parity.json", summary),
    "mutants": (ROOT / "out/mutants/mutants.md", first_paragraph),
    "curves": (ROOT / "out/curves/curves.md", first_paragraph),
    "speed": (ROOT / "out/bench/bench.md", first_section),
}


def recordings_judged(path: Path) -> int:
    """How many recordings a study of false alarms judged; 0 if there is no such file."""
    return json.loads(path.read_text(encoding="utf-8"))["recordings"] if path.is_file() else 0


def main() -> None:
    """Refresh every section and page whose source exists, and say which."""
    sources = {name: source for name, (source, _) in SECTIONS.items()}
    if not any(source.is_file() for source in (*sources.values(), *COPIES)):
        sys.exit("out/: holds no results; run `make parity mutants false-alarms curves bench` first")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = [name for name, source in sources.items() if source.is_file()]
    for name in found:
        source, shorten = SECTIONS[name]
        readme = refresh(readme, name, shorten(source.read_text(encoding="utf-8")))
    (ROOT / "README.md").write_text(readme, encoding="utf-8")
    smaller = 0 < recordings_judged(ALARMS) < recordings_judged(COPIES[ALARMS])
    for source, copy in COPIES.items():
        if source.is_file() and not (smaller and source.parent == ALARMS.parent):
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, copy)
    if smaller:
        shutil.copyfile(ALARMS.with_suffix(".md"), SMALLER_STUDY)
    for folder, copy in PICTURES.items():
        for picture in (ROOT / folder).glob("*.png"):
            shutil.copyfile(picture, ROOT / copy / picture.name)
    missing = [f"{name} (no {source.relative_to(ROOT)})" for name, source in sources.items() if name not in found]
    print(f"README.md: wrote {', '.join(found) or 'nothing'}; left as they are: {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    main()
