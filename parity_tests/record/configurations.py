"""Which models the official code trains and records."""

import dataclasses
from typing import Any

HYPER_DEFAULT = {"hyper_num_units": 256, "hyper_embedding_size": 32}
HYPER_SMALL = {"hyper_num_units": 10, "hyper_embedding_size": 4}
SEED = 1  # of all random numbers of the official runs, unless another is asked for
LIVE_SKETCHES = 400  # kanji of `make parity`; enough for a batch of every split
NOISE = 0.3  # scale of the noise on the weights of the "moved" variant, see official/inputs.py
ALL_DROPOUT = {
    "use_input_dropout": True,
    "input_dropout_prob": 0.8,
    "use_output_dropout": True,
    "output_dropout_prob": 0.7,
}


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A model that official Magenta trains, and the size of the batch that is recorded."""

    name: str
    hparams: dict[str, Any]  # official names; the rest stays at its default
    hyper: dict[str, int] = dataclasses.field(default_factory=lambda: dict(HYPER_DEFAULT))
    train_batch: int = 20
    train_steps: int = 10
    batch: int = 6  # sketches recorded
    steps: int = 24  # steps recorded
    sample_len: int = 30
    padding: int = 0  # steps after the end of the longest sketch


def _sizes(enc: int, dec: int, z: int, mixtures: int) -> dict[str, int]:
    return {"enc_rnn_size": enc, "dec_rnn_size": dec, "z_size": z, "num_mixture": mixtures}


def _cells(enc: str, dec: str) -> dict[str, str]:
    return {"enc_model": enc, "dec_model": dec}


_MEDIUM = _sizes(24, 32, 16, 8)
_SMALL = _sizes(7, 9, 5, 3)

# What `make parity` trains. All hyper cells have their official inner size of 256.
LIVE = (
    Configuration("lstm", _cells("lstm", "lstm") | _MEDIUM),
    Configuration("layer_norm", _cells("layer_norm", "layer_norm") | _MEDIUM, padding=3),
    Configuration("hyper", _cells("hyper", "hyper") | _MEDIUM, batch=4, steps=16),
    Configuration("lstm-unconditional", {"dec_model": "lstm", "conditional": False} | _MEDIUM),
    Configuration("layer_norm-unconditional", {"dec_model": "layer_norm", "conditional": False} | _MEDIUM),
    Configuration("hyper-unconditional", {"dec_model": "hyper", "conditional": False} | _MEDIUM, batch=4, steps=16),
    Configuration("mix-all-dropout", _cells("layer_norm", "hyper") | _MEDIUM | ALL_DROPOUT, batch=4, steps=16),
    Configuration("default-sizes", _cells("lstm", "layer_norm"), batch=4, steps=32),
)

# Runs of the official trainer with all dropout and augmentation on, and schedules that change within this few steps.
_TRAINING = _sizes(12, 16, 8, 5) | {
    "use_input_dropout": True, "input_dropout_prob": 0.9, "use_output_dropout": True, "output_dropout_prob": 0.8,
    "batch_size": 8, "learning_rate": 0.01, "min_learning_rate": 0.001, "decay_rate": 0.98, "kl_decay_rate": 0.97,
    "kl_weight": 0.5, "kl_tolerance": 0.02, "grad_clip": 0.1, "augment_stroke_prob": 0.3,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """A run of the official trainer on a small stroke set."""

    name: str
    hparams: dict[str, Any]
    hyper: dict[str, int] = dataclasses.field(default_factory=dict)


def _training(name: str, enc: str, dec: str, steps: int, sizes: dict[str, Any], hyper: dict[str, int]) -> TrainingRun:
    """A run with one validation and one checkpoint, half-way."""
    hparams = _cells(enc, dec) | sizes | {"num_steps": steps, "save_every": steps // 2}
    return TrainingRun(name, hparams, hyper)


TRAININGS = (
    _training("lstm", "lstm", "lstm", 200, _TRAINING, {}),
    _training("layer_norm", "layer_norm", "layer_norm", 200, _TRAINING, {}),
    _training("hyper", "hyper", "hyper", 50, _TRAINING, {"hyper_num_units": 20, "hyper_embedding_size": 5}),
)
_FEW = _TRAINING | _SMALL | {"batch_size": 4}
TRAINING_FIXTURES = (
    _training("layer_norm", "layer_norm", "layer_norm", 6, _FEW, {}),
    _training("mix", "lstm", "hyper", 6, _FEW, HYPER_SMALL),
)
TRAINING_SKETCHES = {"sketches": 80, "longest": 30}  # number of kanji, and their largest number of points
TRAINING_FIXTURE_SKETCHES = {"sketches": 30, "longest": 26}

# What `make curves` trains many times, with schedules that change within this few steps, so that their errors show.
# Dropout, augmentation and batch size are Magenta's defaults; the validation set is exactly one batch.
_CURVES = _sizes(32, 48, 16, 5) | {
    "batch_size": 100, "num_steps": 301, "save_every": 50, "learning_rate": 0.003, "min_learning_rate": 0.0003,
    "decay_rate": 0.99, "kl_decay_rate": 0.99, "kl_tolerance": 0.05,
}  # fmt: skip
CURVES = tuple(
    TrainingRun(cell, _cells(cell, cell) | _CURVES, {"hyper_num_units": 20, "hyper_embedding_size": 5})
    for cell in ("lstm", "layer_norm", "hyper")
)
CURVE_RUNS = 8  # of each side, for each configuration
CURVE_SKETCHES = {"sketches": 500, "longest": 26}

# Initial weights: each cell in encoder and decoder. With 20 mixtures the output bias, a vector, is long enough to tell
# its distribution from one that is scaled by the fans of the output matrix.
_INITIAL = _sizes(7, 9, 5, 20)
INITIALS = tuple(
    {"name": cell, "hparams": _cells(cell, cell) | _INITIAL, "hyper": HYPER_SMALL}
    for cell in ("lstm", "layer_norm", "hyper")
)
INITIAL_DRAWS = 20  # of each variable that TensorFlow draws, so that even small ones have a distribution

# What `make fixtures` records: small enough for the repository, still with each cell in encoder and decoder.
FIXTURES = tuple(
    dataclasses.replace(configuration, hyper=dict(HYPER_SMALL), batch=4, steps=9, sample_len=12)
    for configuration in (
        Configuration("lstm", _cells("lstm", "lstm") | _SMALL),
        Configuration("layer_norm", _cells("layer_norm", "layer_norm") | _SMALL, padding=2),
        Configuration("layer_norm-unconditional", {"dec_model": "layer_norm", "conditional": False} | _SMALL),
        Configuration("mix-all-dropout", _cells("layer_norm", "hyper") | _SMALL | ALL_DROPOUT),
        Configuration("mix-hyper-encoder", _cells("hyper", "lstm") | _SMALL),
    )
)


def cell_jobs(units: int, batch: int, steps: int, hyper: dict[str, int]) -> list[dict[str, Any]]:
    """The three cells on their own."""
    sizes = {"input": 6, "units": units, "batch": batch, "steps": steps}
    return [{"kind": kind, "sizes": sizes, "hyper": hyper} for kind in ("lstm", "layer_norm", "hyper")]


DATA_HPARAMS = {"batch_size": 10, "max_seq_len": 60, "random_scale_factor": 0.15, "augment_stroke_prob": 0.3}

DTYPES = ("float64", "float32")  # in which everything is recorded
CELL_KEEP_PROB = 0.9  # of the recurrent dropout of a cell on its own

MODEL_VARIANTS = ("as_is", "moved")  # of the weights of a recorded model: unchanged, and with noise
# Official sampling is run and replayed in these modes, with these seeds of `random` (uniform) and NumPy (normal).
SAMPLING_MODES = {
    "greedy": {"temperature": 1.0, "greedy_mode": True},
    "sampled": {"temperature": 0.6, "greedy_mode": False},
}
SAMPLING_SEEDS = {"uniform": 17, "normal": 23}
