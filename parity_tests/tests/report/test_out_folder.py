"""Output folders, strict JSON and Markdown tables, which all commands write."""

import json
from pathlib import Path

import numpy as np
import pytest

from parity_tests.report.json_values import json_ready
from parity_tests.report.markdown import markdown_table
from parity_tests.report.out_folder import empty_folder, remove_results, start_folder, write_results
from parity_tests.report.writing import FILES, STALE
from pytorch_sketch_rnn.errors import BadInput


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_earlier_report_is_removed_before_a_new_one_begins(tmp_path):
    folder = tmp_path / "deep" / "out"
    start_folder(folder, STALE)
    assert names_in(folder) == set()
    for name in (*STALE, "other.txt"):
        (folder / name).write_text("old")
    assert set(FILES) < set(STALE)
    start_folder(folder, STALE)
    assert names_in(folder) == {"other.txt"}
    with pytest.raises(BadInput, match=r"other\.txt: cannot be written .*; choose another --out"):
        start_folder(folder / "other.txt", STALE)


def test_results_are_removed_from_a_folder_that_exists_and_no_folder_is_made(tmp_path):
    remove_results(tmp_path / "out", ["a"])
    assert not (tmp_path / "out").exists()
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").mkdir()
    remove_results(tmp_path, ["a", "b", "c"])
    assert names_in(tmp_path) == {"b"}


def test_results_are_written_under_their_names_in_order(tmp_path):
    assert write_results(tmp_path, {"b.md": "größe", "a.json": "{}"}) == [tmp_path / "b.md", tmp_path / "a.json"]
    assert (tmp_path / "b.md").read_text(encoding="utf-8") == "größe"
    assert names_in(tmp_path) == {"a.json", "b.md"}
    with pytest.raises(BadInput, match="cannot be written"):
        write_results(tmp_path / "gone", {"a": ""})


def test_the_folder_of_an_official_process_is_emptied(tmp_path):
    folder = tmp_path / "deep" / "lstm"
    empty_folder(folder)
    for name in ("lstm.job.json", "lstm-as_is.h5"):
        (folder / name).write_text("old")
    empty_folder(folder)
    assert names_in(folder) == set()


def test_a_folder_with_files_that_no_earlier_run_wrote_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("old")
    with pytest.raises(BadInput, match="holds files that no earlier run wrote; choose another --out"):
        empty_folder(tmp_path)
    assert names_in(tmp_path) == {"thesis.tex"}
    with pytest.raises(BadInput, match=r"thesis\.tex: cannot be replaced .*; choose another --out"):
        empty_folder(tmp_path / "thesis.tex")


def test_json_gets_lists_for_arrays_and_none_for_what_is_not_finite():
    value = {"a": np.array([[1.5, np.nan]]), "b": (np.float64("inf"), -float("inf"), "x", 2, True), "c": {"d": None}}
    ready = json_ready(value)
    assert ready == {"a": [[1.5, None]], "b": [None, None, "x", 2, True], "c": {"d": None}}
    assert json.loads(json.dumps(ready, allow_nan=False)) == ready


def test_a_table_has_a_head_a_rule_and_as_many_cells_in_each_line():
    table = markdown_table(("a", "b"), [("1", "x|y"), ("", "z")])
    assert table == "| a | b |\n| --- | --- |\n| 1 | x&#124;y |\n|  | z |"
