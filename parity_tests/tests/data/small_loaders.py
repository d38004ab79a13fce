"""Synthetic sketches, loaders for them, and everything that a loader returns as arrays by name."""

from pathlib import Path

import numpy as np

from pytorch_sketch_rnn.data.magenta_loader import Batch, DataLoader, Dataset
from pytorch_sketch_rnn.data.npz import write_npz

SEED, BATCH, MAX_LEN = 7, 8, 40


def sketches(count: int, seed: int, longest: int = MAX_LEN, dtype: str = "int16") -> list[np.ndarray]:
    """Sketches with runs of pen down and some large gaps, many of equal length."""
    rng = np.random.RandomState(seed)
    made = []
    for length in rng.randint(1, longest + 1, count):
        sketch = np.zeros((length, 3))
        sketch[:, :2] = rng.normal(size=(length, 2)) * 10.0 ** rng.uniform(0, 3.5, size=(length, 1))
        sketch[:, 2] = rng.random_sample(length) < 0.15
        sketch[-1, 2] = 1
        made.append(np.clip(sketch, -3000, 3000).astype(dtype))
    return made


MADE = {"train": sketches(200, 1, MAX_LEN + 10), "valid": sketches(30, 2), "test": sketches(25, 3)}
OTHER = {split: sketches(20, seed, 60) for seed, split in enumerate(MADE)}


def write_sets(folder: Path) -> None:
    write_npz(folder / "one.npz", MADE)
    write_npz(folder / "two.npz", OTHER)


def batch_arrays(name: str, batch: Batch) -> dict[str, np.ndarray]:
    return {
        f"{name}/strokes": np.concatenate(batch.strokes),
        f"{name}/sketches": batch.sketches,
        f"{name}/lengths": batch.lengths,
    }


def loader_arrays(name: str, loader: DataLoader) -> dict[str, np.ndarray]:
    lengths = np.array([len(sketch) for sketch in loader.strokes])
    return {f"{name}/points": np.concatenate(loader.strokes), f"{name}/order": lengths}


def some_batches(name: str, train: DataLoader, valid: DataLoader) -> dict[str, np.ndarray]:
    result = batch_arrays(f"{name}/random0", train.random_batch())
    result |= batch_arrays(f"{name}/valid0", valid.get_batch(0))
    result |= batch_arrays(f"{name}/random1", train.random_batch())
    result |= batch_arrays(f"{name}/last", valid.get_batch(valid.num_batches - 1))
    result |= batch_arrays(f"{name}/train0", train.get_batch(0))
    result |= batch_arrays(f"{name}/random2", train.random_batch())
    return result


def made_loaders(augment: float, scale: float, **orders: np.ndarray) -> tuple[DataLoader, DataLoader]:
    rng = np.random.RandomState(SEED)
    train = DataLoader(
        MADE["train"], BATCH, MAX_LEN, rng, random_scale_factor=scale, augment_stroke_prob=augment,
        order=orders.get("train"),
    )  # fmt: skip
    valid = DataLoader(MADE["valid"], BATCH, MAX_LEN, rng, order=orders.get("valid"))
    return train, valid


def made_arrays(augment: float, scale: float, **orders: np.ndarray) -> dict[str, np.ndarray]:
    name = f"made/{augment}/{scale}"
    train, valid = made_loaders(augment, scale, **orders)
    factor = train.calculate_normalizing_scale_factor()
    for loader in (train, valid):
        loader.normalize(factor)
    result = {f"{name}/factor": factor} | loader_arrays(f"{name}/train", train)
    return result | some_batches(name, train, valid)


def set_arrays(name: str, data: Dataset) -> dict[str, np.ndarray]:
    result = {
        f"{name}/max_seq_len": np.array(data.hparams.max_seq_len),
        f"{name}/num_batches": np.array([data.train.num_batches, data.valid.num_batches, data.test.num_batches]),
        f"{name}/factor": data.scale_factor,
    }
    for split in ("train", "valid", "test"):
        result |= loader_arrays(f"{name}/{split}", getattr(data, split))
    result |= some_batches(name, data.train, data.valid)
    return result | batch_arrays(f"{name}/test0", data.test.get_batch(0))
