"""Several backends in one run: the report is on the first, and the others must be equal too."""

import json

import pytest
import torch

from parity_tests.__main__ import main
from parity_tests.adapter import OURS
from parity_tests.commands.backends import ALL, every_backend, load_ports
from parity_tests.commands.one_model import verify_recordings
from parity_tests.judge.row import failures
from parity_tests.mutation.bugs import Text
from parity_tests.mutation.kernel_source import Unchecked
from parity_tests.report.certificate import write_certificate
from pytorch_sketch_rnn.errors import BadInput, run_command
from pytorch_sketch_rnn.model.fused import aten, build, choice

TORCH_ONLY = "pytorch_sketch_rnn, fused:aten"


def load(*backends, spec=OURS):
    port, others = load_ports(spec, {}, backends, lambda _: None)
    return port.name, list(others.ports)


def test_the_first_backend_is_the_subject_and_each_comes_once():
    assert load() == ("pytorch_sketch_rnn", [])
    assert load("fused:aten") == (TORCH_ONLY, [])
    assert load("fused:aten", "reference", "fused:aten") == (TORCH_ONLY, ["reference"])
    assert load(ALL) == ("pytorch_sketch_rnn", every_backend()[1:])
    assert load("fused:aten", ALL)[1] == [name for name in every_backend() if name != "fused:aten"]
    assert {"reference", "fused:aten"} <= set(every_backend())


def test_what_cannot_be_built_is_said_and_left_out(monkeypatch):
    def library(name, level):
        raise build.CannotBuild("there is no C++ compiler")

    said = []
    monkeypatch.setattr(build, "library", library)
    assert every_backend("cpu", said.append) == ["reference", "fused:aten"]
    names = [name for name in choice.names(torch.device("cpu")) if name != "fused:aten"]
    assert said == [f"{name}: not judged, because there is no C++ compiler" for name in names]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (OURS, "backend is 'owl', which cannot be used on cpu"),
        ("parity_tests.examples.torch_lstm:Adapter", "argument 'backend'"),
    ],
)
def test_a_backend_that_there_is_not_is_refused(spec, words):
    with pytest.raises(BadInput, match=words):
        load("owl", spec=spec)


def test_every_other_backend_is_a_condition_of_the_report(tmp_path, capsys):
    flags = ["--recording", "cell-lstm", "--backend", "reference", "--backend", "fused:aten", "--out", str(tmp_path)]
    assert run_command(main, ["verify", *flags]) == 0
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "parity.json").read_text())
    assert content["subject"] == "pytorch_sketch_rnn"
    (condition,) = content["conditions"]
    assert condition.startswith("the same with the backend fused:aten: ")
    assert content["conditions"][condition] is True
    assert f"seen: {condition}" in printed
    assert condition in (tmp_path / "parity.md").read_text()


def test_what_another_backend_computes_otherwise_fails_the_report_and_is_named(tmp_path):
    bug = Text(aten, "_forward", ("torch.sigmoid(f + FORGET_BIAS)", "torch.sigmoid(f)"))
    with Unchecked(bug).planted():
        report = verify_recordings(["cell-lstm", "data"], tmp_path, backends=["reference", "fused:aten"])
    assert not report.passed
    assert report.verdict().startswith("DIFFERENT: ")
    assert not any(report.conditions.values())
    failed = failures(report.rows)
    assert {row.quantity for row in failed} >= {"output", "state"}
    assert all("with the backend fused:aten" in row.note for row in failed)
    write_certificate(tmp_path, report, {"sha256": {}})
    certificate = json.loads((tmp_path / "certificate.json").read_text())
    assert certificate["conditions"] == report.conditions
    assert certificate["equal"] is False


def test_a_fused_path_alone_is_not_proven_inside(tmp_path):
    report = verify_recordings(["cell-lstm"], tmp_path, backends=["fused:aten"])
    assert report.passed
    assert report.subject == TORCH_ONLY
    assert report.verdict().startswith("EQUAL IN ")
    assert report.provenances()["ours"]["backend"] == "fused:aten"
    assert {row.quantity for row in report.untested} == {"c", "f", "g", "h", "i", "j", "o"}
