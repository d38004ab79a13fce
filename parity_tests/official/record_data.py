"""Records batches of the official data loader."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from parity_tests.official.magenta import sketch_rnn_train, utils
from parity_tests.official.provenance import provenance
from parity_tests.record.recording import Recording
from pytorch_sketch_rnn.data.npz import write_npz

Sets = list[dict[str, list[np.ndarray]]]


def record_data(strokes: dict[str, list[np.ndarray]], hparams: dict[str, Any], seed: int) -> Recording:
    """The official loader on one set, with augmentation, a limit on the length and offsets beyond the clamp."""
    batch, limit = hparams["batch_size"], hparams["max_seq_len"]
    strokes = {split: [sketch.copy() for sketch in sketches] for split, sketches in strokes.items()}
    strokes["train"][0][0, :2] = 1500, -1500  # beyond the clamp
    augmentation = {name: hparams[name] for name in ("random_scale_factor", "augment_stroke_prob")}
    train = utils.DataLoader(strokes["train"], batch, limit, **augmentation)
    valid = utils.DataLoader(strokes["valid"], batch, limit)
    scale = train.calculate_normalizing_scale_factor()
    for loader in (train, valid):
        loader.normalize(scale)
    return _recording("data", [strokes], hparams, seed, train, valid, scale, limit)


def record_joined(strokes: dict[str, list[np.ndarray]], hparams: dict[str, Any], seed: int) -> Recording:
    """The official ``load_dataset`` on two files, each with half of the sketches."""
    sets = [{split: sketches[half::2] for split, sketches in strokes.items()} for half in range(2)]
    values = sketch_rnn_train.sketch_rnn_model.get_default_hparams()
    for name, value in hparams.items():
        values.set_hparam(name, value)
    with tempfile.TemporaryDirectory() as folder:
        values.data_set = [f"{index}.npz" for index in range(len(sets))]
        for name, content in zip(values.data_set, sets, strict=True):
            write_npz(Path(folder) / name, content)
        train, valid, _, values, *_ = sketch_rnn_train.load_dataset(folder, values)
    # the loader does not keep its scale factor, so another loader computes it again
    factors = utils.DataLoader([s for content in sets for s in content["train"]], 1, values.max_seq_len)
    scale = factors.calculate_normalizing_scale_factor()
    return _recording("data/joined", sets, hparams, seed, train, valid, scale, None)


def _recording(
    name: str, sets: Sets, hparams: dict[str, Any], seed: int, train: Any, valid: Any, scale: Any, limit: int | None
) -> Recording:
    groups: dict[str, dict[str, np.ndarray]] = {"inputs": given(sets, limit), "exact": {}}
    groups["exact"]["scale_factor"] = np.asarray(scale)
    np.random.seed(seed)
    # a validation batch in between, because it draws from the same random numbers
    batches = {"train/0": train.random_batch, "valid/0": lambda: valid.get_batch(0), "train/1": train.random_batch}
    for batch, draw in batches.items():
        sketches, padded, lengths = draw()
        groups["exact"] |= {
            f"{batch}/strokes": np.concatenate(sketches),
            f"{batch}/sketches": padded,
            f"{batch}/lengths": lengths,
        }
    claims = hparams | ({} if limit is not None else {"max_seq_len": None})
    return Recording("data", name, claims, provenance(seed), groups)


def given(sets: Sets, limit: int | None) -> dict[str, np.ndarray]:
    """The sketches of each file and split, and the order in which the official loader sorted those that it kept."""
    inputs = {}
    for index, content in enumerate(sets):
        for split, strokes in content.items():
            inputs[f"{index}/{split}/points"] = np.concatenate(strokes)
            inputs[f"{index}/{split}/offsets"] = np.cumsum([0, *map(len, strokes)])
    for split in sets[0]:
        lengths = [len(sketch) for content in sets for sketch in content[split]]
        inputs[f"{split}/order"] = np.argsort([n for n in lengths if limit is None or n <= limit])
    return inputs
