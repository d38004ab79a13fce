"""``docs/refresh.py`` puts results into the README and the pages."""

import json
import re
import runpy
import shutil

import pytest
from pages import README, ROOT

from parity_tests.report.parts import PARTS

PARITY = "# Parity\n\nEQUAL: 9 tensors.\n\nPlanted bugs: 3 of 3\n\n| quantity |\n| --- |\n| mu |\n\n- seen: this\n"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(ROOT / "docs/refresh.py"))


def part(name, error, allowed=1e-10, tensors=2, **more):
    return {"part": name, "tensors": tensors, "float64": {"error": error, "noise": None, "allowed": allowed}, **more}


def report(*parts):
    return json.dumps({"parts": parts})


def test_a_text_goes_between_its_markers(script):
    changed = script["refresh"](README, "speed", "| new |")
    assert "<!-- speed:begin -->\n| new |\n<!-- speed:end -->" in changed
    before = re.search(r"speed:begin -->\n(.*?)<!-- speed", README, re.DOTALL)[1]
    assert script["refresh"](changed, "speed", before) == README
    with pytest.raises(SystemExit, match="markers of other"):
        script["refresh"](README, "other", "")


def test_the_verdict_ends_where_the_table_begins(script):
    assert script["verdict"](PARITY).strip() == "EQUAL: 9 tensors.\n\nPlanted bugs: 3 of 3"


def test_of_other_reports_the_first_paragraph_is_taken(script):
    assert script["first_paragraph"]("# Title\n\nAll of it\nis well.\n\n| a |\n") == "All of it\nis well."
    assert script["without_title"]("# Speed\n| a |\n") == "| a |"


def test_a_row_of_the_table_shows_the_error_closest_to_its_allowance_and_the_smallest_bug(script):
    bugs = [{"smallest_bug": {"bug": "a", "effect": effect}} for effect in (1e-3, 2e-8)]
    parts = [part("mu", 5e-12, 1e-11, **bugs[0]), part("z", 9e-12, 1e-10, 3, **bugs[1]), part("presig", 0.0)]
    table = script["summary"](report(*parts, part("data loader", 0.0, 0.0, 1000))).splitlines()
    assert table[2:] == [
        "| encoder, mu, presig, z | 7 | 5.0e-12 | 1.0e-11 | 2.0e-08 |",
        "| data loader, batches of a training | 1,000 | 0 | 0 |  |",
    ]


def test_an_exact_row_that_differs_is_the_worst(script):
    parts = [part("data loader", 0.25, 0.0), part("training: batches", 0.0, 0.0)]
    assert "| 2.5e-01 | 0 |" in script["summary"](report(*parts))


def test_random_draws_are_counted_below_the_table(script):
    table = script["summary"](report(part("dropout, values of a mask", 0.01, 0.1), part("mu", 0.0)))
    assert table.endswith("\n\nThe other 2 tensors are random draws, which are compared as distributions.")
    assert "1.0e-02" not in table


def test_every_part_of_the_report_has_its_row_and_an_unknown_one_is_refused(script):
    unnamed = ["mu", "presig", "z", "head", "pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen", "pen_logits"]
    names = [title for _, title in PARTS if title] + [*unnamed, "kl_cost", "cost"]
    table = script["summary"](report(*(part(name, 0.0) for name in names)))
    counts = [int(row.split(" | ")[1].replace(",", "")) for row in table.splitlines()[2:] if row.startswith("|")]
    assert len(counts) == len(script["COMPONENTS"])
    assert sum(counts) + 4 == 2 * len(names)  # two parts are random draws
    with pytest.raises(SystemExit, match="'colour' belongs to no row"):
        script["summary"](report(part("colour", 0.0)))


@pytest.fixture
def copy(tmp_path):
    """A repository with the script, and results of a proof and of a study of false alarms."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "fixtures").mkdir()
    shutil.copy(ROOT / "docs/refresh.py", tmp_path / "docs")
    markers = "".join(f"<!-- {name}:begin -->\n<!-- {name}:end -->\n" for name in ("verdict", "parity"))
    (tmp_path / "README.md").write_text(markers)
    for folder, name in (("parity", "parity.md"), ("false-alarms", "false_alarms.md")):
        (tmp_path / "out" / folder).mkdir(parents=True)
        (tmp_path / "out" / folder / name).write_text(PARITY)
    (tmp_path / "out/parity/parity.json").write_text(report(part("mu", 0.0)))
    return tmp_path


def run(copy):
    runpy.run_path(str(copy / "docs/refresh.py"), run_name="__main__")


def test_a_run_writes_the_readme_and_the_pages(copy, capsys):
    run(copy)
    readme = (copy / "README.md").read_text()
    assert "Planted bugs: 3 of 3\n<!-- verdict:end -->" in readme
    assert "| encoder, mu, presig, z | 2 | 0 |" in readme
    assert "| mu |" not in readme
    assert (copy / "docs/parity_table.md").read_text() == PARITY
    said = capsys.readouterr().out
    assert "wrote verdict, parity;" in said
    assert "speed (no out/bench/bench.md)" in said


@pytest.mark.parametrize(("new", "kept"), [(224, 224), (56, 224), (300, 300)])
def test_a_smaller_study_of_false_alarms_replaces_no_larger_one(copy, new, kept):
    (copy / "fixtures/false_alarms.json").write_text(json.dumps({"recordings": 224}))
    (copy / "docs/false_alarms.md").write_text("224")
    (copy / "out/false-alarms/false_alarms.json").write_text(json.dumps({"recordings": new}))
    (copy / "out/false-alarms/false_alarms.md").write_text(f"{new}")
    run(copy)
    assert json.loads((copy / "fixtures/false_alarms.json").read_text()) == {"recordings": kept}
    assert (copy / "docs/false_alarms.md").read_text() == str(kept)
    routine = copy / "docs/false_alarms_routine.md"
    assert (routine.read_text() if routine.exists() else None) == (None if new == kept else str(new))


def test_without_results_it_says_which_commands_make_them(copy):
    shutil.rmtree(copy / "out")
    with pytest.raises(SystemExit, match="make parity mutants false-alarms curves bench"):
        run(copy)
