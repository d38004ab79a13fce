"""Records batches of the official data loader."""

from typing import Any

import numpy as np

from parity_tests.official.provenance import provenance
from parity_tests.official.standin import utils
from parity_tests.recording import Recording


def record_data(strokes: dict[str, list[np.ndarray]], hparams: dict[str, Any], seed: int) -> Recording:
    """Batches of the official loader: random ones with augmentation, and one of the validation set."""
    batch, limit = hparams["batch_size"], hparams["max_seq_len"]
    strokes = {split: [sketch.copy() for sketch in strokes[split]] for split in ("train", "valid")}
    strokes["train"][0][0, :2] = 1500, -1500  # beyond the clamp
    train = utils.DataLoader(
        strokes["train"],
        batch,
        limit,
        random_scale_factor=hparams["random_scale_factor"],
        augment_stroke_prob=hparams["augment_stroke_prob"],
    )
    valid = utils.DataLoader(strokes["valid"], batch, limit)
    groups: dict[str, dict[str, np.ndarray]] = {"inputs": {}, "exact": {}}
    for split in ("train", "valid"):
        kept = [sketch for sketch in strokes[split] if len(sketch) <= limit]
        groups["inputs"][f"{split}/offsets"] = np.cumsum([0, *map(len, strokes[split])])
        groups["inputs"][f"{split}/points"] = np.concatenate(strokes[split])
        groups["inputs"][f"{split}/order"] = np.argsort([len(sketch) for sketch in kept])
    scale = train.calculate_normalizing_scale_factor()
    groups["exact"]["scale_factor"] = np.asarray(scale)
    for loader in (train, valid):
        loader.normalize(scale)
    np.random.seed(seed)
    # a validation batch in between: it draws from the same stream
    batches = {"train/0": train.random_batch, "valid/0": lambda: valid.get_batch(0), "train/1": train.random_batch}
    for name, draw in batches.items():
        sketches, padded, lengths = draw()
        groups["exact"] |= {
            f"{name}/strokes": np.concatenate(sketches),
            f"{name}/sketches": padded,
            f"{name}/lengths": lengths,
        }
    return Recording("data", "data", hparams, provenance(seed), groups)
