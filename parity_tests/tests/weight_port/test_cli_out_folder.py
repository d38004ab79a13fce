"""``python -m weight_port convert``: the folder that it writes is whole or as it was before."""

import re
import resource

import pytest
from model_files import WEIGHTS_ALONE, assert_holds, call, content, names_in, write_checkpoint
from sample_models import tiny, weights

from pytorch_sketch_rnn.hparams import HParams


def test_an_out_that_exists_is_refused_and_force_replaces_a_converted_model(tmp_path, capsys):
    first, second = write_checkpoint(tmp_path / "a"), write_checkpoint(tmp_path / "b", weights(tiny("hyper", "lstm")))
    out = tmp_path / "out"
    assert call("convert", first, out) == 0
    before = content(tmp_path)
    capsys.readouterr()
    assert call("convert", second, out) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == (
        "",
        f"error: {out}: exists already; choose another name, or replace it with --force\n",
    )
    assert content(tmp_path) == before
    assert call("convert", second, out, "--force") == 0
    assert names_in(out) == WEIGHTS_ALONE  # nothing of the old model is left
    assert_holds(out, weights(tiny("hyper", "lstm")), tiny("hyper", "lstm"))
    assert names_in(tmp_path) == ["a", "b", "out"]


OUTS = {
    "an empty folder": lambda out: out.mkdir(),
    "a folder of someone's": lambda out: (out.mkdir(), (out / "thesis.txt").write_text("years of work")),
    "a project with a config": lambda out: (out.mkdir(), (out / "config.json").write_text("{}")),
    "a file": lambda out: out.write_text("text"),
    "a link to nothing": lambda out: out.symlink_to("nowhere"),
    "a link to someone's folder": lambda out: (
        (out.parent / "elsewhere").mkdir(),
        (out.parent / "elsewhere/thesis.txt").write_text("years of work"),
        out.symlink_to("elsewhere"),
    ),
}


@pytest.mark.parametrize("make", OUTS.values(), ids=OUTS)
def test_force_replaces_nothing_but_a_converted_model(tmp_path, capsys, make):
    source, out = write_checkpoint(tmp_path / "magenta"), tmp_path / "out"
    make(out)
    before, names = content(tmp_path), names_in(tmp_path)
    for options, message in (([], "exists already"), (["--force"], "is not a converted model")):
        assert call("convert", source, out, *options) == 2
        told = capsys.readouterr()
        assert told.err.startswith(f"error: {out}: {message}")
        assert told.out == ""
        assert (content(tmp_path), names_in(tmp_path)) == (before, names)


def test_a_link_to_a_converted_model_is_replaced_and_what_it_points_to_stays(tmp_path):
    source = write_checkpoint(tmp_path / "magenta")
    assert call("convert", source, tmp_path / "first") == 0
    before = content(tmp_path / "first")
    (tmp_path / "out").symlink_to("first")
    assert call("convert", source, tmp_path / "out", "--force", "--set", "max_seq_len=7") == 0
    assert content(tmp_path / "first") == before
    assert HParams.load(tmp_path / "out/config.json").max_seq_len == 7


@pytest.mark.parametrize("limit", [100, 2000])  # smaller than config.json, smaller than the weights
@pytest.mark.parametrize("exists", [True, False])
def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path, capsys, exists, limit):
    source, out = write_checkpoint(tmp_path / "magenta"), tmp_path / "out"
    if exists:
        assert call("convert", source, out) == 0
    before, names = content(tmp_path), names_in(tmp_path)
    capsys.readouterr()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))  # no file may grow beyond that
        code = call("convert", source, out, "--force")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert re.fullmatch(rf"error: {out}: cannot be written \(.*File too large.*\)\n", printed.err)
    assert (content(tmp_path), names_in(tmp_path)) == (before, names)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("magenta/checkpoint/out", r"magenta/checkpoint/out: cannot be written \((Not a directory|File exists)\)"),
        ("x" * 300, r"x{300}: cannot be written \(File name too long\)"),
    ],
)
def test_an_out_that_cannot_be_made_is_refused(tmp_path, capsys, out, message):
    source = write_checkpoint(tmp_path / "magenta")
    before = content(tmp_path)
    assert call("convert", source, tmp_path / out) == 2
    assert re.search(message, capsys.readouterr().err)
    assert content(tmp_path) == before
