"""``make site``: the pages of ``docs/`` and the README, and the API reference from the docstrings, as one static site.

It is written to ``out/site`` and needs no server: open ``out/site/index.html``.
"""

import html
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import markdown
import pdoc

ROOT = Path(__file__).parents[1]
OUT = ROOT / "out/site"
# titles of the pages in the order of the menu; each page of docs/ is here
MENU = {
    "index.md": "Start",
    "drawing.md": "Drawing",
    "training.md": "Training",
    "stroke_sets.md": "Stroke sets",
    "evaluation.md": "Evaluation",
    "exchange.md": "Magenta's programs",
    "other_programs.md": "Hub and ONNX",
    "mathematics.md": "The mathematics",
    "backends.md": "Backends",
    "bench/bench.md": "Speed",
    "parity.md": "Parity",
    "parity_table.md": "Every quantity",
    "judging.md": "Judging",
    "mutants.md": "Planted bugs",
    "sensitivity.md": "Sensitivity",
    "false_alarms.md": "False alarms",
    "false_alarms_routine.md": "False alarms, every backend",
    "curves/curves.md": "Curves",
    "curves/long-curves.md": "Curves at real size",
    "fuzz.md": "Damaged files",
    "your_own_port.md": "Your own port",
    "ports.md": "Other ports",
    "causes.md": "Causes",
    "contributing.md": "Contributing",
}
MODULES = ("pytorch_sketch_rnn", "weight_port", "parity_tests.adapter")
# they need a GPU's compiler
HIDDEN = ("!pytorch_sketch_rnn.model.fused.triton_kernels", "!pytorch_sketch_rnn.model.fused.triton_pointwise")
_STYLE = """body{margin:0;font:16px/1.5 system-ui,sans-serif;color:#111;display:flex;flex-wrap:wrap}
nav{flex:0 0 15rem;padding:1rem;background:#f4f5f7}
nav a{display:block;padding:.15rem 0;color:#0b4aa2;text-decoration:none}nav a[aria-current]{font-weight:bold}
main{flex:1 1 30rem;min-width:0;max-width:60rem;padding:1rem 2rem}
pre{background:#f4f5f7;padding:.75rem;overflow-x:auto}table{border-collapse:collapse;display:block;overflow-x:auto}
td,th{border:1px solid #ccc;padding:.25rem .5rem;text-align:left}img{max-width:100%}"""


def sources() -> dict[str, str]:
    """The Markdown of each page, by its place in the site; links are to places of the site."""
    found = {"index.md": _moved((ROOT / "README.md").read_text(encoding="utf-8"))}
    found["contributing.md"] = _moved((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    for path in sorted((ROOT / "docs").rglob("*.md")):
        place = path.relative_to(ROOT / "docs").as_posix()
        outside = "../" * (place.count("/") + 1)  # leads out of docs/; the site is one folder deeper in the repository
        found[place] = path.read_text(encoding="utf-8").replace(f"]({outside}", f"](../{outside}")
    return found


def _moved(text: str) -> str:
    """A page of the top folder, whose links into ``docs/`` lose that folder."""
    text = re.sub(r"\]\((?!docs/|https?:|#|\w+\.md)", "](../../", text)  # to files of the repository
    text = re.sub(r"\]\(docs/", "](", text)
    return text.replace("](CONTRIBUTING.md", "](contributing.md").replace("](README.md", "](index.md")


def rendered(place: str, text: str) -> str:
    """A page as HTML."""
    body = markdown.markdown(text, extensions=["tables", "fenced_code", "toc", "md_in_html"])
    body = re.sub(r'href="(?!https?:)([^"#]*)\.md(#[^"]*)?"', r'href="\1.html\2"', body)
    up = "../" * place.count("/")
    links = [
        f'<a href="{up}{_html(other)}"{" aria-current=page" if other == place else ""}>{html.escape(title)}</a>'
        for other, title in MENU.items()
    ]
    links.append(f'<a href="{up}api/index.html">API reference</a>')
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(MENU[place])} - Sketch-RNN in PyTorch</title><style>{_STYLE}</style></head>"
        f"<body><nav>{''.join(links)}</nav><main>{body}</main></body></html>\n"
    )


def _html(place: str) -> str:
    return place.removesuffix(".md") + ".html"


def build(out: Path, *, api: bool = True) -> list[Path]:
    """Write the site; returns its pages.

    Args:
        out: the folder; an earlier site in it is replaced.
        api: whether the API reference is made as well, which imports every module.
    """
    pages = sources()
    if missing := set(pages) ^ set(MENU):
        raise SystemExit(f"docs/build_site.py: MENU and docs/ differ in {', '.join(sorted(missing))}")
    shutil.rmtree(out, ignore_errors=True)
    written = []
    for place, text in pages.items():
        path = out / _html(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rendered(place, text), encoding="utf-8")
        written.append(path)
    for picture in _pictures():
        target = out / picture.relative_to(ROOT / "docs")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, target)
    if api:
        pdoc.pdoc(*MODULES, *HIDDEN, output_directory=out / "api")
        written += sorted((out / "api").rglob("*.html"))
    return written


def _pictures() -> Iterable[Path]:
    return (path for path in (ROOT / "docs").rglob("*") if path.suffix in (".png", ".svg"))


if __name__ == "__main__":
    pages = build(OUT)
    print(f"wrote {OUT.relative_to(ROOT)}: {len(pages)} pages; open {OUT.relative_to(ROOT) / 'index.html'}")
    sys.exit()
