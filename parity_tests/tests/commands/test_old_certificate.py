"""A certificate and a converted model that an earlier version wrote can still be read and checked.

Both were written by version 0.1.0 before models had a ``scale_factor``.
"""

import json
from pathlib import Path

import pytest

from parity_tests.commands.check import check
from parity_tests.report.certificate import read_certificate
from pytorch_sketch_rnn import SketchRNN

OLD = Path(__file__).parent / "old_certificate"


def test_an_old_certificate_certifies_its_model():
    assert read_certificate(OLD / "certificate.json")["equal"]
    assert check(OLD / "certificate.json", OLD) == []


def test_an_old_certificate_still_notices_another_number(tmp_path):
    model = SketchRNN.from_pretrained(OLD)
    assert model.scale_factor is None
    model.decoder.output_b.data[3] += 1
    model.save_pretrained(tmp_path)
    (difference,) = check(OLD / "certificate.json", tmp_path)
    assert "output_b" in difference


@pytest.mark.parametrize("key", ["equal", "model", "kind"])
def test_an_old_certificate_without_one_of_its_parts_is_refused(tmp_path, key):
    content = json.loads((OLD / "certificate.json").read_text(encoding="utf-8"))
    del content[key]
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"certificate\.json"):
        check(path, OLD)
