"""``make docs``: put the tables of the last ``make parity mutants bench`` into the README and ``docs/``.

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
    "speed": ROOT / "out/bench/bench.md",
}
COPIES = {
    ROOT / "out/mutants/mutants.md": ROOT / "docs/mutants.md",
    ROOT / "out/mutants/mutants.json": ROOT / "fixtures/mutants.json",
}


def refresh(readme: str, name: str, text: str) -> str:
    """The README with what stands between the markers of ``name`` replaced by ``text``."""
    pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
    result, count = re.subn(pattern, lambda match: f"{match[1]}{text.strip()}\n{match[2]}", readme, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"README.md: expected the markers of {name} once, found them {count} times")
    return result


def main() -> None:
    """Refresh every table that was made anew, and say which."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = {name: source for name, source in SOURCES.items() if source.is_file()}
    if not found:
        sys.exit("out/: holds no table; run `make parity mutants bench` first")
    for name, source in found.items():
        readme = refresh(readme, name, re.sub(r"^# .*\n", "", source.read_text(encoding="utf-8")))
    (ROOT / "README.md").write_text(readme, encoding="utf-8")
    for source, copy in COPIES.items():
        if source.is_file():
            shutil.copyfile(source, copy)
    left = [f"{name} (no {source.relative_to(ROOT)})" for name, source in SOURCES.items() if name not in found]
    print(f"wrote README.md: {', '.join(found)}{'; left as they are: ' if left else ''}{', '.join(left)}")


if __name__ == "__main__":
    main()
