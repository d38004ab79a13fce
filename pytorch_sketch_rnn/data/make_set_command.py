"""The command ``python -m pytorch_sketch_rnn dataset SRC [SRC ...] OUT``, which makes a stroke set from drawings."""

import argparse
import itertools
import os
import shlex
from pathlib import Path

from pytorch_sketch_rnn.command_line import training_command
from pytorch_sketch_rnn.data.make_set import (
    DTYPES,
    MAX_POINTS,
    PACKED_SUFFIXES,
    Options,
    Summary,
    make_set,
    sheet_path,
)
from pytorch_sketch_rnn.data.sources import kanjivg
from pytorch_sketch_rnn.data.sources.read import KANJI
from pytorch_sketch_rnn.data.sources.simplify import EPSILON
from pytorch_sketch_rnn.data.splitting import parse_split
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser."""
    add = parser.add_argument
    add(
        "sources",
        metavar="SRC",
        nargs="+",
        help=f".ndjson, .bin, .npz, .svg, a folder of .svg files, or the word {KANJI}",
    )
    add("out", metavar="OUT", type=Path, help=".npz, Magenta's format, or .h5, which may be larger than memory")
    add(
        "--epsilon",
        type=float,
        help=f"tolerance of the simplification, 0 for none (default {EPSILON:g} for drawings scaled to 255 units, "
        f"{kanjivg.EPSILON:g} for {KANJI}, whose drawings have 109; a .npz is not simplified by default)",
    )
    add("--max_points", type=int, default=MAX_POINTS, help=f"leave out longer sketches (default {MAX_POINTS})")
    add("--count", type=int, help="stop after this number of sketches, taken from the sources in turns")
    add(
        "--split",
        metavar="TRAIN,VALID,TEST",
        help="sizes, such as 70000,2500,2500, or fractions (default 0.9,0.05,0.05; without --split and --count, a "
        ".npz keeps its own splits)",
    )
    add("--seed", type=int, default=0, help="decides which sketches each split gets (default 0)")
    add("--recognized_only", action="store_true", help="skip QuickDraw's drawings that it did not recognize")
    add("--dtype", choices=DTYPES, default=DTYPES[0], help=f"number type of a .npz (default {DTYPES[0]}, as Magenta's)")
    add("--strict", action="store_true", help="stop at an .svg file that cannot be drawn, instead of counting it")
    add("--force", action="store_true", help="overwrite OUT and the picture beside it")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    sources, out = arguments.sources, arguments.out
    if sources[0] == "pack":
        sources = sources[1:]
        if not sources or out.suffix.lower() not in PACKED_SUFFIXES:
            raise BadInput(f"dataset pack: expected SRC [SRC ...] OUT.h5, got {' '.join([*sources, str(out)])}")
    names = ("epsilon", "max_points", "count", "seed", "recognized_only", "dtype", "strict")
    split = None if arguments.split is None else parse_split(arguments.split)
    options = Options(split=split, **{name: getattr(arguments, name) for name in names})
    summary = make_set(sources, out, options, force=arguments.force)
    print("sketches:", ", ".join(f"{split} {size:,}" for split, size in summary.sizes.items()))
    print(f"points: median {summary.median}, longest {summary.longest}")
    print("left out:", summary.left_out.listed())
    for message in summary.left_out.odd:
        print(f"odd file: {message}")
    for form, number in summary.converted.items():
        print(f"converted: {number:,} sketches from {form}")
    print(f"scale factor: {summary.scale_factor:.4g} (standard deviation of the training offsets)")
    if summary.warning is not None:
        print(f"warning: {summary.warning}")
    print(f"wrote {out}, and a picture of some training sketches to {sheet_path(out)}")
    if summary.shared:
        print("too few drawings to divide: train, valid and test hold the same ones, for `sample --like`")
        return 0
    print("next:", shlex.join(_next_command(out, summary)))
    return 0


def _next_command(out: Path, summary: Summary) -> list[str]:
    """The command that trains on the set."""
    flags: dict[str, object] = {"data_dir": out.parent, "data_set": out.name, "save_dir": _unused_folder(out)}
    defaults = HParams()
    if summary.longest > defaults.max_seq_len:
        flags["max_seq_len"] = summary.longest
    if summary.sizes["train"] < defaults.batch_size:
        flags["batch_size"] = summary.sizes["train"]
    return [*training_command(), *(f"--{name}={value}" for name, value in flags.items())]


def _unused_folder(out: Path) -> Path:
    """A folder for the model that does not exist yet, since training refuses one that holds a run."""
    names = itertools.chain([f"{out.stem}-model"], (f"{out.stem}-model-{number}" for number in itertools.count(2)))
    return next(path for path in map(out.with_name, names) if not os.path.lexists(path))
