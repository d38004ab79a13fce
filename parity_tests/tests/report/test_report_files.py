"""The files of a report hold everything, and an earlier report is removed before a new one is made."""

import json

import numpy as np
import pytest
from report_rows import ABSENT, ALARMS, GOOD, INF, NAN, SCORE, UNTESTED, WORST, a_row

from parity_tests.judge.training import Curves
from parity_tests.report.parts import kind_of, part_of
from parity_tests.report.provenance import our_provenance
from parity_tests.report.report import MARGIN, Report
from parity_tests.report.sentences import describe
from parity_tests.report.writing import FILES, content_of, markdown_of, save_report, table_of, text_of
from pytorch_sketch_rnn.errors import BadInput


def refuse_constant(text: str) -> None:
    raise AssertionError(f"{text} is not JSON")


def test_the_json_is_strict_holds_every_row_and_comes_back(tmp_path):
    odd = {"error": NAN, "allowed": INF, "official_error": -INF, "noise": NAN, "ours": NAN, "theirs": INF}
    odd = a_row("r", "train/cost", "float32", "different", **odd)
    rows = [*GOOD, WORST, ABSENT, UNTESTED, odd]
    curves = Curves("training/mix", {"cost": [1.0, NAN]}, {"cost": [1.0, INF]}, [0.0], [1e-15], [1e-14])
    report = Report(
        *("title", rows, {"a bite": False}),
        provenance={"seed": 1, "nested": {"list": [1.5, INF], "tuple": (NAN,)}},
        subject="my port",
        training=[curves],
        mixtures=[{"recording": "lstm/as_is", "kl_ours": -INF}],
        coverage=[{"model": "lstm/as_is", "float64": "1 of 2"}],
        score=SCORE,
        false_alarms=ALARMS,
    )
    paths = save_report(report, tmp_path)
    assert paths == [tmp_path / name for name in FILES]
    content = json.loads(paths[0].read_text(), parse_constant=refuse_constant)
    assert content == json.loads(json.dumps(content_of(report), allow_nan=False))
    assert (content["title"], content["subject"], content["passed"]) == ("title", "my port", False)
    assert content["conditions"] == {"a bite": False, MARGIN: False}
    assert content["verdict"] == report.verdict()
    assert content["provenance"]["official"] == {"seed": 1, "nested": {"list": [1.5, None], "tuple": [None]}}
    assert content["provenance"]["ours"] == our_provenance()
    assert content["training"] == [curves.to_dict() | {"theirs": {"cost": [1.0, None]}, "ours": {"cost": [1.0, None]}}]
    assert content["mixtures"] == [{"recording": "lstm/as_is", "kl_ours": None}]
    assert content["coverage"] == [{"model": "lstm/as_is", "float64": "1 of 2"}]
    assert content["score"] == SCORE.summary()
    assert [line["part"] for line in content["parts"]] == [line[0] for line in table_of(report)[1:]]
    assert content["first_departure"]["text"] == describe(WORST)
    assert len(content["rows"]) == len(rows)
    for found, wanted in zip(content["rows"], rows, strict=True):
        finite = {n: None if isinstance(v, float) and not np.isfinite(v) else v for n, v in wanted.to_dict().items()}
        assert found == finite | {"part": part_of(wanted), "kind": kind_of(wanted)}
    assert paths[1].read_text() == markdown_of(report)
    assert "<html" in paths[2].read_text()
    with pytest.raises(BadInput, match="cannot be written"):
        save_report(report, tmp_path / "gone")


def test_both_sides_are_named_in_one_line_each():
    official = {"versions": {"tensorflow": "2.21.0"}, "linear algebra": "Eigen, oneDNN on", "processor": "A 7"}
    report = Report("title", GOOD, {}, official, about={"device": "cuda:0 (H100)", "float32 matrix products": "high"})
    theirs, ours = text_of(report).splitlines()[2:4]
    assert theirs == "official: tensorflow 2.21.0, Eigen, oneDNN on, A 7"
    assert ours.startswith("ours: cuda:0 (H100), torch ")
    assert "float32 matrix products high" in ours
    content = content_of(report)
    assert content["sides"] == {"official": theirs.partition(": ")[2], "ours": ours.partition(": ")[2]}
    assert content["provenance"]["ours"] == our_provenance() | dict(report.about)
