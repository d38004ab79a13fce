"""What is drawn of an SVG file is what a browser paints, but for the insides of filled shapes.

`make test-browser` runs these. The icons come from npm, or from a folder that ``SVG_ICONS`` names, with a folder
in it for each package. ``SVG_SHEETS`` names a folder for pictures of both sides, to be looked at.
"""

import os
import random
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from browser_pictures import CHROMIUM, agreement, browser_pictures, contact_sheet, our_picture

pytest.importorskip("shapely")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")]

ENOUGH = 0.95  # of the dark pixels lie within 2 pixels of the other's
SHARE = 0.99  # of the icons
ICONS = 300  # of each package
# Package: its version, and where its icons are.
PACKAGES = {
    "feather-icons": ("4.29.2", "package/dist/icons"),
    "lucide-static": ("1.62.0", "package/icons"),
    "@tabler/icons": ("3.52.0", "package/icons/outline"),
}
# Icons that differ, each with the reason.
DIFFERENT = {
    "percentage-80": "a filled sector of a circle, of which we draw the outline",
    "stack-backward": "a filled square, of which we draw the outline",
}

# Each is drawn with round ends and joints 2 units wide, on a paper of 24 units.
STROKE = 'fill="none" stroke="black" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"'
HANDMADE = {
    "transforms": '<g transform="translate(12 12) rotate(30) skewX(10)"><path d="M-8-8H8V8"/></g>',
    "scale that keeps the width": '<path transform="translate(24 0) scale(-1 1)" d="M3 3L20 8 9 20"/>',
    "arcs": '<path d="M3 12a4 7 30 0 1 12 3A4 4 0 1021 5"/><path d="M2 2a1 1 0 012 0"/>',
    "curves": '<path d="M3 3c9 0 0 9 9 9s0 9 9 9M3 20q3-9 6-6t6-3"/>',
    "rects": '<rect x="3" y="3" width="8" height="14" rx="3"/><rect x="14" y="5" width="7" height="15"/>',
    "one radius": '<rect x="3" y="3" width="18" height="14" ry="6"/>',
    "circles": '<circle cx="8" cy="8" r="5"/><ellipse cx="15" cy="17" rx="7" ry="4" transform="rotate(-20 15 17)"/>',
    "polygons": '<polygon points="3,3 20,5 9,9"/><polyline points="3 20, 12 13 21 20"/>',
    "use": '<defs><path id="a" d="M2 2H8V8"/></defs><use href="#a"/><use href="#a" x="9" y="5"/>',
    "use of a group": '<g id="g"><circle cx="5" cy="5" r="3"/><path d="M5 5V11"/></g><use href="#g" x="11" y="10"/>',
    "symbol": '<symbol id="s" viewBox="0 0 12 12"><path d="M2 2H10V10"/></symbol>'
    '<use href="#s" width="12" height="12"/>'
    '<use href="#s" x="12" y="12" width="12" height="12"/>',
    "nested svg": '<svg x="4" y="6" width="12" height="12" viewBox="0 0 12 12"><path d="M2 2H10V10"/></svg>',
    "styles": "<style>.a{stroke:none}#b{display:none}path.c{fill:none}</style>"
    '<path class="a" d="M2 2H22"/><path id="b" d="M2 5H22"/><path class="c" d="M2 12H22V20"/>',
    "style beats attribute": '<path d="M2 2H22" style="stroke:none"/>'
    '<path stroke="none" style="stroke:#000" d="M2 9L22 19"/>',
    "hidden": '<path d="M2 2H22" display="none"/><path d="M2 5H22" visibility="hidden"/>'
    '<path d="M2 8H22" opacity="0"/>'
    '<path d="M2 11H22" stroke="transparent"/><path d="M2 14H22" stroke-width="0"/><path d="M2 20L22 16"/>',
    "visible in hidden": '<g visibility="hidden"><path d="M2 2H22"/><path visibility="visible" d="M2 9H22V20"/></g>',
    "paper": '<rect width="24" height="24" fill="white" stroke="none"/><path d="M4 4L20 9 6 20"/>',
    "a frame that is not painted": '<path stroke="none" d="M0 0h24v24H0z"/><path d="M4 4L20 9 6 20"/>',
    "an error in a path": '<path d="M3 3L20 5L9 9 L x 20 20"/>',
    "percentages": '<line x1="10%" y1="20%" x2="80%" y2="60%"/><circle cx="30%" cy="75%" r="10%"/>',
    "units": '<line x1="3px" y1="0.1in" x2="5mm" y2="15pt"/>',
    "a dot": '<path d="M12 20h.01M12 12v0"/><path d="M5 5H19"/>',
    "beside the paper": '<path d="M3 3L20 20M40 3L60 20"/>',
    "switch": '<switch><path requiredExtensions="urn:x" d="M2 2H22"/><path d="M2 9H22V20"/><path d="M9 2V9"/></switch>',
    "invalid transform": '<path transform="scale(2" d="M3 3L20 5 9 20"/>',
    "other namespaces": '<x:path xmlns:x="urn:x" d="M2 2H22"/><path d="M2 9H22V20"/>',
    "cycle": '<g id="c"><path d="M3 3L20 5 9 20"/><use href="#c" x="3"/></g>',
    "closed again and again": '<path d="M3 3H20V20zzzl9 9"/>',
}  # fmt: skip


def compared(files: list[Path], folder: Path, name: str) -> dict[str, tuple[float, float]]:
    """The agreement on each file, by its name."""
    theirs = browser_pictures(files, folder)
    ours = [our_picture(path, stroke_width=2) for path in files]
    if "SVG_SHEETS" in os.environ:
        pairs = {path.name: pair for path, *pair in zip(files, ours, theirs, strict=True)}
        contact_sheet(dict(list(pairs.items())[:64]), Path(os.environ["SVG_SHEETS"]) / f"{name}.png")
    return {path.stem: agreement(*pair) for path, *pair in zip(files, ours, theirs, strict=True)}


def test_handmade_files_agree(tmp_path):
    files = []
    for number, body in enumerate(HANDMADE.values()):
        files.append(tmp_path / f"{number}.svg")
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" {STROKE}>{body}</svg>'
        files[-1].write_text(svg, encoding="utf-8")
    shares = compared(files, tmp_path, "handmade")
    different = {name: shares[str(n)] for n, name in enumerate(HANDMADE) if min(shares[str(n)]) < ENOUGH}
    assert different == {}


def test_the_comparison_finds_what_is_missing_and_what_is_too_much(tmp_path):
    path = tmp_path / "a.svg"
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" {STROKE}><path d="M3 3H20V20"/></svg>'
    )
    [theirs] = browser_pictures([path], tmp_path)
    ours = our_picture(path, stroke_width=2)
    assert min(agreement(ours, theirs)) == 1
    more, fewer = ours.copy(), ours.copy()
    more[200:220, 40:160] = True
    fewer[:, 100:200] = False
    assert agreement(more, theirs)[0] < ENOUGH
    assert agreement(fewer, theirs)[1] < ENOUGH
    assert min(agreement(np.roll(ours, 5, axis=(0, 1)), theirs)) < ENOUGH


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    """A folder with the unpacked packages."""
    if "SVG_ICONS" in os.environ:
        return Path(os.environ["SVG_ICONS"])
    folder = tmp_path_factory.mktemp("icons")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm, and SVG_ICONS names no folder of icons")
    for name, (version, _) in PACKAGES.items():
        command = [npm, "pack", f"{name}@{version}", "--silent"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot get {name}: {done.stderr.strip()[-200:]}")
        with tarfile.open(folder / done.stdout.split()[-1]) as archive:
            archive.extractall(folder / name, filter="data")
    return folder


@pytest.mark.parametrize("package", PACKAGES)
def test_icons_agree(packages, package, tmp_path):
    folder = packages / package / PACKAGES[package][1]
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    files = sorted(folder.glob("*.svg"))
    files = sorted(random.Random(0).sample(files, min(ICONS, len(files))))
    # The comparison draws all icons with the same pen.
    files = [path for path in files if re.search(r'stroke-width="2"', path.read_text(encoding="utf-8"))]
    assert len(files) > 200
    shares = compared(files, tmp_path, package.replace("/", "-"))
    different = sorted(name for name, both in shares.items() if min(both) < ENOUGH)
    assert len(different) <= (1 - SHARE) * len(files), different
    assert set(different) <= DIFFERENT.keys(), {name: shares[name] for name in different}
