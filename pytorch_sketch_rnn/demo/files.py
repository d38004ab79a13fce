"""The files of the page, with the engine that draws: behind the page, or in it."""

from pathlib import Path

FOLDER = Path(__file__).parent / "page"
INDEX = "index.html"
_MARK = "<!-- engine -->"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
BEHIND = ("server_engine.js",)  # scripts that the page loads before its own
INSIDE = ("model.js", "local_engine.js")


def page_files(scripts: tuple[str, ...]) -> dict[str, bytes]:
    """The content of each file by its name; of the scripts, those that are files of this package."""
    tags = "\n".join(f'<script src="{name}"></script>' for name in scripts)
    files = {
        path.name: path.read_bytes() for path in FOLDER.iterdir() if path.name in ("page.css", "page.js", *scripts)
    }
    index = (FOLDER / INDEX).read_text(encoding="utf-8").replace(_MARK, tags)
    return files | {INDEX: index.encode()}
