"""``make docs``: put the tables of the last runs into the README and ``docs/``.

Of planted bugs the README has the score alone. The full table of the parity report is a page of its own,
``docs/parity_table.md``. In the README the markers ``parity`` take that table, the markers ``verdict`` the verdict and
both scores alone; either pair, or both, may stand there.

Both scores also go beside the recordings, where every later report reads them; that of false alarms unless the
committed one judged more recordings.
"""

import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = {
    "parity": ROOT / "out/parity/parity.md",
    "mutants": ROOT / "out/mutants/mutants.md",
    "curves": ROOT / "out/curves/curves.md",
    "speed": ROOT / "out/bench/bench.md",
}
ALARMS = ROOT / "out/false-alarms/false_alarms.json"
COPIES = {
    ROOT / "out/parity/parity.md": ROOT / "docs/parity_table.md",
    ROOT / "out/false-alarms/false_alarms.md": ROOT / "docs/false_alarms.md",
    ALARMS: ROOT / "fixtures/false_alarms.json",
    ROOT / "out/mutants/mutants.md": ROOT / "docs/mutants.md",
    ROOT / "out/mutants/mutants.json": ROOT / "fixtures/mutants.json",
    ROOT / "out/mutants/sensitivity.md": ROOT / "docs/sensitivity.md",
    ROOT / "out/mutants/sensitivity.json": ROOT / "fixtures/sensitivity.json",
    ROOT / "out/curves/curves.md": ROOT / "docs/curves/curves.md",
}
PICTURES = ("out/curves", "docs/curves")
IN_DETAIL = re.compile(r"\| \w+ \| \w+/(r_cost|kl_cost) \|")  # rows that the README leaves to docs/curves


def refresh(readme: str, name: str, text: str) -> str:
    """The README with what stands between the markers of ``name`` replaced by ``text``."""
    pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
    result, count = re.subn(pattern, lambda match: f"{match[1]}{text.strip()}\n{match[2]}", readme, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"README.md: expected the markers of {name} once, found them {count} times")
    return result


def shortened(curves: str) -> str:
    """Of the report on curves the verdict and the tables, without the rows on parts of a cost."""
    paragraphs = re.sub(r"^# .*\n", "", curves).strip().split("\n\n")
    tables = [paragraph for paragraph in paragraphs if paragraph.startswith("|")]
    rows = ["\n".join(row for row in table.splitlines() if not IN_DETAIL.match(row)) for table in tables]
    return "\n\n".join([paragraphs[0], *rows])


def sections(name: str, text: str, readme: str) -> dict[str, str]:
    """What the README says of a source, by the name of its markers."""
    if name == "curves":
        return {"curves": shortened(text)}
    text = re.sub(r"^# .*\n", "", text)
    if name == "mutants":
        return {name: text.strip().partition("\n")[0]}
    if name != "parity":
        return {name: text}
    both = {"parity": text, "verdict": text.partition("\n|")[0]}
    found = {marker: said for marker, said in both.items() if f"<!-- {marker}:begin -->" in readme}
    return found or {"parity": text}


def judged(path: Path) -> int:
    """How many recordings a study of false alarms judged; 0 without a file."""
    return json.loads(path.read_text(encoding="utf-8"))["recordings"] if path.is_file() else 0


def main() -> None:
    """Refresh every table that was made since, and say which."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = {name: source for name, source in SOURCES.items() if source.is_file()}
    if not any(source.is_file() for source in (*SOURCES.values(), *COPIES)):
        sys.exit("out/: holds no table; run `make parity mutants false-alarms curves bench` first")
    for name, source in found.items():
        text = source.read_text(encoding="utf-8")
        for marker, said in sections(name, text, readme).items():
            readme = refresh(readme, marker, said)
    (ROOT / "README.md").write_text(readme, encoding="utf-8")
    less = judged(ALARMS) < judged(COPIES[ALARMS])
    for source, copy in COPIES.items():
        if source.is_file() and not (less and source.parent == ALARMS.parent):
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, copy)
    for picture in (ROOT / PICTURES[0]).glob("*.png"):
        shutil.copyfile(picture, ROOT / PICTURES[1] / picture.name)
    left = [f"{name} (no {source.relative_to(ROOT)})" for name, source in SOURCES.items() if name not in found]
    print(
        f"wrote README.md: {', '.join(found) or 'as it was'}{'; left as they are: ' if left else ''}{', '.join(left)}"
    )


if __name__ == "__main__":
    main()
