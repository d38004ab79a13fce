"""``make docs``: put the tables of the last ``make parity`` and ``make bench`` into the README."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = {"parity": ROOT / "out/parity/parity.md", "speed": ROOT / "out/bench/bench.md"}


def refresh(readme: str, name: str, text: str) -> str:
    """The README with what stands between the markers of ``name`` replaced by ``text``."""
    pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
    result, count = re.subn(pattern, lambda match: f"{match[1]}{text.strip()}\n{match[2]}", readme, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"README.md: expected the markers of {name} once, found them {count} times")
    return result


def main() -> None:
    """Refresh every table whose source is there; say which are not."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, source in SOURCES.items():
        if not source.is_file():
            sys.exit(f"{source.relative_to(ROOT)}: is missing; run `make parity bench` first")
        text = source.read_text(encoding="utf-8")
        readme = refresh(readme, name, re.sub(r"^# .*\n", "", text))
    (ROOT / "README.md").write_text(readme, encoding="utf-8")
    print("wrote README.md")


if __name__ == "__main__":
    main()
