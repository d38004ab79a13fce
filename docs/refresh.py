"""``make docs``: put the tables of the last ``make parity mutants curves bench`` into the README and ``docs/``.

The mutation score also goes beside the recordings, from where every later report takes the smallest bug of each part.
"""

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
COPIES = {
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


def main() -> None:
    """Refresh every table that was made anew, and say which."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = {name: source for name, source in SOURCES.items() if source.is_file()}
    if not found:
        sys.exit("out/: holds no table; run `make parity mutants curves bench` first")
    for name, source in found.items():
        text = source.read_text(encoding="utf-8")
        text = text.replace("](sensitivity.md)", "](docs/sensitivity.md)")
        readme = refresh(readme, name, shortened(text) if name == "curves" else re.sub(r"^# .*\n", "", text))
    (ROOT / "README.md").write_text(readme, encoding="utf-8")
    for source, copy in COPIES.items():
        if source.is_file():
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, copy)
    for picture in (ROOT / PICTURES[0]).glob("*.png"):
        shutil.copyfile(picture, ROOT / PICTURES[1] / picture.name)
    left = [f"{name} (no {source.relative_to(ROOT)})" for name, source in SOURCES.items() if name not in found]
    print(f"wrote README.md: {', '.join(found)}{'; left as they are: ' if left else ''}{', '.join(left)}")


if __name__ == "__main__":
    main()
