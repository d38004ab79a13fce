"""``make clean`` removes what the targets made, and nothing of the user's. No environment is needed."""

import re
import shutil
import subprocess

import pytest
from pages import COMMANDS, ROOT

from benchmarks.__main__ import OUT as BENCH
from benchmarks.packed import OUT as PACKED
from parity_tests.__main__ import parser

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
MADE = [".venv/bin/python", "build/lib/a.py", "a.egg-info/PKG-INFO", ".pytest_cache/a", ".ruff_cache/a"]
OF_THE_USER = [
    "models/bird/model.safetensors", "out/bird/model.safetensors", "out/verify/certificate.json", "out/kanji.npz",
    "out/parity.old/report.html", "out/parity-of-mine/report.html", "kanji.npz", "dist/a.whl", "fixtures/data.h5",
    "docs/curves/curves.md",
]  # fmt: skip


def written():
    """The folders that the commands of the targets write, relative to the repository."""
    commands = re.findall(r"^\t\$\(BIN\)/python -m parity_tests (.*)$", MAKEFILE, flags=re.MULTILINE)
    folders = [parser().parse_args(command.split()).out for command in commands if command != "fixtures"]
    assert len(folders) == 8
    return sorted({path.as_posix() for path in [*folders, BENCH.parent, PACKED]})


def test_the_commands_write_below_out():
    assert all(re.fullmatch(r"out/[a-z-]+", folder) for folder in written())


@pytest.fixture
def checkout(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in [*MADE, *(f"{folder}/report/a.json" for folder in written())]:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    return tmp_path


def clean(checkout):
    done = subprocess.run(["make", "clean"], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(path.relative_to(checkout).as_posix() for path in checkout.rglob("*") if path.is_file())


def test_clean_removes_what_the_targets_made(checkout):
    assert clean(checkout) == ["Makefile"]
    assert [path.name for path in checkout.iterdir()] == ["Makefile"]
    assert clean(checkout) == ["Makefile"]  # a second time, when there is nothing left


def test_clean_keeps_what_the_user_made(checkout):
    for name in OF_THE_USER:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    assert clean(checkout) == sorted(["Makefile", *OF_THE_USER])


def test_the_pages_put_models_where_clean_does_not_look():
    """A model that a command of the pages writes is below models/."""
    written_models = [
        word.removeprefix("--save_dir=")
        for command in COMMANDS
        for number, word in enumerate(command.split())
        if word.startswith("--save_dir=") or ("weight_port convert" in command and number == 5)
    ]
    assert len(written_models) > 6
    assert all(path.startswith("models/") for path in written_models)


def test_help_lists_every_target():
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)[1].split()
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    assert sorted(listed) == sorted(phony)
    assert all(len(line) <= 120 for line in done.stdout.splitlines())
