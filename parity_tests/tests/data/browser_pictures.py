"""Pictures of SVG files: those of a browser, and ours of the lines that we read."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pytorch_sketch_rnn.data.sources.simplify import EPSILON, scale_lines, simplify_lines, sketch_of
from pytorch_sketch_rnn.data.sources.svg.budget import Budget
from pytorch_sketch_rnn.data.sources.svg.document import parse_document
from pytorch_sketch_rnn.data.sources.svg.read import unscaled_lines
from pytorch_sketch_rnn.data.sources.svg.transforms import fit, view_box
from pytorch_sketch_rnn.data.strokes import strokes_to_lines

SIZE = 256  # pixels of a side
_COLUMNS = 16
_ROWS = 20  # more would exceed what a browser draws at once
_FINER = 4  # pixels of a side that become one of ours, for smooth edges
_NEAR = 2  # pixels
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--force-color-profile=srgb",
    "--force-device-scale-factor=1",
)  # fmt: skip


def browser_pictures(files: Sequence[Path], folder: Path) -> list[np.ndarray]:
    """What the browser shows of each file, as dark pixels, bool [SIZE, SIZE]; many are drawn in each start of it."""
    most = _COLUMNS * _ROWS
    sheets = [files[start : start + most] for start in range(0, len(files), most)]
    return [picture for number, sheet in enumerate(sheets) for picture in _sheet(sheet, folder / str(number))]


def _sheet(files: Sequence[Path], folder: Path) -> list[np.ndarray]:
    folder.mkdir()
    images = "".join(f'<img src="{path.resolve().as_uri()}">' for path in files)
    css = f"body{{margin:0;font-size:0;width:{_COLUMNS * SIZE}px}}img{{width:{SIZE}px;height:{SIZE}px}}"
    (folder / "page.html").write_text(f"<!DOCTYPE html><style>{css}</style>{images}", encoding="utf-8")
    rows = -(-len(files) // _COLUMNS)
    places = [f"--user-data-dir={folder / 'profile'}", f"--screenshot={folder / 'page.png'}"]
    window = f"--window-size={_COLUMNS * SIZE},{rows * SIZE}"
    command = [str(CHROMIUM), *_FLAGS, *places, window, (folder / "page.html").as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    with Image.open(folder / "page.png") as image:
        page = np.asarray(image.convert("L")) < 128
    grid = [divmod(number, _COLUMNS) for number in range(len(files))]
    return [page[row * SIZE : (row + 1) * SIZE, column * SIZE : (column + 1) * SIZE] for row, column in grid]


def our_picture(path: Path, stroke_width: float) -> np.ndarray:
    """What is drawn of a file with a view box, as dark pixels: its sketch, put back where the file has it."""
    data = path.read_bytes()
    box = view_box(parse_document(data, Budget()).attributes.get("viewBox"))
    assert box is not None
    scale, *_, left, top = fit(box, SIZE, SIZE, "")
    lines = unscaled_lines(data)[0]
    points = np.concatenate(lines)
    extent = np.ptp(points, axis=0).max() or 1.0
    sketch = sketch_of(simplify_lines(scale_lines(lines), EPSILON), np.dtype(np.int16))
    # The first offset of a sketch is (0, 0), so its first point tells where all of it was.
    drawn = [np.array(line) / 255 * extent + lines[0][0] for line in strokes_to_lines(sketch)]
    pixels = [(line * scale + (left, top)) * _FINER for line in drawn]
    return _drawn(pixels, stroke_width * scale * _FINER)


def _drawn(lines: Sequence[np.ndarray], width: float) -> np.ndarray:
    image = Image.new("L", (SIZE * _FINER, SIZE * _FINER))
    draw = ImageDraw.Draw(image)
    radius = width / 2
    for line in lines:
        draw.line([tuple(point) for point in line], fill=255, width=max(1, round(width)))
        for x, y in line:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX)) >= 128


def agreement(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """The share of each picture's dark pixels that lie near a dark one of the other's; 0 if either has none."""
    if not (ours.any() and theirs.any()):
        return 0.0, 0.0
    return float(_grown(theirs)[ours].mean()), float(_grown(ours)[theirs].mean())


def _grown(picture: np.ndarray) -> np.ndarray:
    padded = np.pad(picture, _NEAR)
    grown = np.zeros_like(picture)
    for down in range(-_NEAR, _NEAR + 1):
        for right in range(-_NEAR, _NEAR + 1):
            if down**2 + right**2 <= _NEAR**2:
                rows, columns = slice(_NEAR + down, _NEAR + down + SIZE), slice(_NEAR + right, _NEAR + right + SIZE)
                grown |= padded[rows, columns]
    return grown


def contact_sheet(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path, columns: int = 8) -> None:
    """Write pairs of pictures, ours and the browser's, side by side; a person looks at them."""
    rows = -(-len(pairs) // columns)
    sheet = np.full((rows * (SIZE + 8), columns * (2 * SIZE + 24)), 255, dtype=np.uint8)
    for number, pair in enumerate(pairs.values()):
        row, column = divmod(number, columns)
        for side, picture in enumerate(pair):
            left = column * (2 * SIZE + 24) + side * (SIZE + 4)
            sheet[row * (SIZE + 8) : row * (SIZE + 8) + SIZE, left : left + SIZE] = np.where(picture, 0, 235)
    Image.fromarray(sheet).resize((sheet.shape[1] // 2, sheet.shape[0] // 2)).save(path)
