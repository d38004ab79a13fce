"""The README and the other pages are right: links, files, targets, tables and scores."""

import json
import re
import subprocess

import pytest
from pages import PAGES, README, ROOT

from parity_tests.mutation.catalogue.harness import HARNESS_MUTANTS
from parity_tests.mutation.catalogue.kernels.every import KERNEL_MUTANTS
from parity_tests.mutation.catalogue.port import MUTANTS
from parity_tests.mutation.catalogue.product import PRODUCT_MUTANTS
from parity_tests.record.recording import FOLDER
from parity_tests.report.score import FalseAlarms, Score

LONGEST_README = 200  # lines: it is for five minutes
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
# What a reader looks for, and what is in the file or folder where the README sends that reader.
ONE_GUESS = {
    "forget bias": "FORGET_BIAS",
    "resumed": "def resume(",
    "stroke format": "read_ndjson(",
    "checksums": "masked_crc32c(",
    "float32": "LOCAL_FACTORS",
}


def section(name):
    return re.search(rf"<!-- {name}:begin -->\n(.*?)<!-- {name}:end -->", README, flags=re.DOTALL)[1]


def test_the_readme_is_short():
    assert len(README.splitlines()) <= LONGEST_README


@pytest.mark.parametrize(("name", "rows"), [("parity", 5), ("speed", 4)])
def test_tables_are_there(name, rows):
    assert section(name).count("\n|") > rows


def test_the_parity_table_counts_every_tensor():
    rows = [row.split(" | ") for row in section("parity").splitlines()[2:] if row.startswith("|")]
    others = int(re.search(r"The other (\d+) tensors", section("parity"))[1])
    assert 10 <= len(rows) <= 14
    compared = int(re.match(r"EQUAL: (\d+) tensors", section("verdict"))[1])
    assert sum(int(row[1].replace(",", "")) for row in rows) + others == compared
    for row in rows:
        error, allowed, bug = (float(number.strip(" |")) for number in row[2:])
        assert error <= allowed < bug, row


@pytest.mark.parametrize("name", ["parity_table", "mutants", "sensitivity", "false_alarms", "curves/curves"])
def test_the_pages_with_the_long_tables_are_there(name):
    assert TEXTS[f"docs/{name}.md"].count("\n|") > 10


def test_the_curves_are_said_to_be_what_their_page_says():
    assert section("curves").strip() in TEXTS["docs/curves/curves.md"]


def test_both_scores_stand_side_by_side():
    """How many planted bugs are found, and how many equal pairs are called different, as the committed files say."""
    shown = section("verdict")
    assert shown.startswith("EQUAL: ")
    assert Score.load(FOLDER / "mutants.json").line() in shown
    assert FalseAlarms.load(FOLDER / "false_alarms.json").line() in shown


def test_the_score_is_that_of_the_bugs_that_are_in_the_catalogue():
    content = json.loads((FOLDER / "mutants.json").read_text())
    assert {row["name"] for row in content["rows"]} == {mutant.name for mutant in MUTANTS}
    assert {bug["name"] for bug in content["harness"]} == {mutant.name for mutant in HARNESS_MUTANTS}
    assert {bug["name"] for bug in content["product"]} == {mutant.name for mutant in PRODUCT_MUTANTS}
    assert {bug["name"] for bug in content["kernels"]} == {mutant.name for mutant in KERNEL_MUTANTS}
    assert all(bug["killed"] for kind in ("harness", "product", "kernels") for bug in content[kind])
    score = Score.load(FOLDER / "mutants.json")
    assert score.killed == score.planted >= 40
    assert score.located >= 0.9 * score.killed
    line = f"{score.killed} of {score.planted} planted port bugs were caught"
    assert line in section("mutants")
    assert line in TEXTS["docs/mutants.md"]


@pytest.mark.parametrize("name", TEXTS)
def test_what_a_page_links_to_is_there(name):
    prose = re.sub(r"^```.*?^```", "", TEXTS[name], flags=re.DOTALL | re.MULTILINE)
    for path in re.findall(r"\]\((?!http)([^)#]+)[^)]*\)", prose):
        assert ((ROOT / name).parent / path).exists(), path


@pytest.mark.parametrize("name", TEXTS)
def test_modules_that_a_page_names_are_there(name):
    for path in re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", TEXTS[name]):
        assert list(ROOT.glob(f"**/{path}")), path


def test_the_folders_of_the_layout_are_there():
    table = re.search(r"\| package \|.*?\n\n", README, flags=re.DOTALL)[0]
    names = re.findall(r"`([a-z_]+)/`", table)
    assert len(names) > 10
    for name in names:
        assert any(
            (ROOT / package / name).is_dir() for package in ("", "pytorch_sketch_rnn", "weight_port", "parity_tests")
        ), name


@pytest.mark.parametrize(("reader", "content"), ONE_GUESS.items())
def test_the_readme_sends_a_reader_to_the_right_place(reader, content):
    (named,) = re.findall(rf"^\| [^|]*{reader}[^|]* \| `([a-z_/]+(?:\.py)?)` \|$", README, flags=re.MULTILINE)
    place = ROOT / named
    modules = place.glob("*.py") if place.is_dir() else [place]
    assert any(content in module.read_text(encoding="utf-8") for module in modules)


def test_every_page_can_be_reached_from_the_readme():
    reached, new = set(), {"README.md"}
    while new:
        reached |= new
        links = [(page, path) for page in new for path in re.findall(r"\]\((?!http)([^)#]+\.md)", TEXTS[page])]
        new = {((ROOT / page).parent / path).resolve().relative_to(ROOT).as_posix() for page, path in links} - reached
    assert reached == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_every_target_that_a_page_names_is_there(name):
    targets = set(re.findall(r"`make ([a-z-]+)", TEXTS[name])) | {"help"}
    if name == "docs/parity.md":
        assert {"parity", "parity-training", "mutants", "test", "fixtures", "bench", "docs"} <= targets
    done = subprocess.run(["make", "-n", *sorted(targets)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
