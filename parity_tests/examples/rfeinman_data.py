"""The data set and the draws of sampling of rfeinman/Sketch-RNN, fed from given streams of random numbers."""

import contextlib
import importlib
import io
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from parity_tests.adapter import Arrays, Batch, Data
from parity_tests.examples.numpy_port import pick
from parity_tests.examples.rfeinman_values import mixture_of
from pytorch_sketch_rnn.data.npz import SPLITS


def load(
    port: ModuleType,
    sets: Sequence[Mapping[str, list[np.ndarray]]],
    hparams: Mapping[str, Any],
    rng: np.random.RandomState,
    order: Mapping[str, np.ndarray],
) -> Data:
    """The port's data sets of these sketches, and batches of them."""
    dataset = importlib.import_module(f"{port.__name__}.dataset")
    with contextlib.redirect_stdout(io.StringIO()):
        strokes, longest = _load_strokes(dataset, sets)
        limit = hparams["max_seq_len"] or longest
        augmented = {name: hparams[name] for name in ("random_scale_factor", "augment_stroke_prob")}
        made: dict[str, Any] = {}
        for split in SPLITS:
            options = augmented if split == "train" else {"scale_factor": made["train"].scale_factor}
            with mock.patch.object(dataset.np, "argsort", _sorted_as(order[split])):
                made[split] = dataset.SketchRNNDataset(strokes[split], max_len=limit, **options)
    size = hparams["batch_size"]

    def batch(split: str, indices: Sequence[int]) -> Batch:
        with mock.patch.object(torch, "rand", side_effect=lambda _: torch.tensor(rng.random_sample())):
            sketches = [made[split][int(index)] for index in indices]
        padded, lengths = dataset.collate_drawings(sketches, limit)
        # the port's batches are float32; Magenta's hold the same numbers as float64
        return [sketch.numpy() for sketch in sketches], padded.double().numpy(), lengths.numpy()

    def in_order(split: str) -> Callable[[int], Batch]:
        return lambda index: batch(split, range(index * size, (index + 1) * size))

    return Data(
        made["train"].scale_factor.numpy(),
        lambda: batch("train", rng.permutation(len(made["train"]))[:size]),
        in_order("valid"),
        in_order("test"),
    )


def _load_strokes(
    dataset: ModuleType, sets: Sequence[Mapping[str, list[np.ndarray]]]
) -> tuple[dict[str, np.ndarray], int]:
    """What the port's loader reads from files that hold these sets, and the length of the longest sketch."""
    with tempfile.TemporaryDirectory() as folder:
        hps = SimpleNamespace(data_set=[f"{index}.npz" for index in range(len(sets))])
        for name, splits in zip(hps.data_set, sets, strict=True):
            np.savez(Path(folder) / name, **{split: _objects(sketches) for split, sketches in splits.items()})
        strokes = dataset.load_strokes(folder, hps)
    return dict(zip(("train", "valid", "test"), strokes, strict=True)), hps.max_seq_len


def _objects(sketches: list[np.ndarray]) -> np.ndarray:
    result = np.empty(len(sketches), object)
    result[:] = sketches
    return result


def _sorted_as(order: np.ndarray) -> Callable[[Sequence[int]], np.ndarray]:
    """How Magenta sorted the sketches, equal lengths included; the port's own way where it kept others."""
    argsort = np.argsort

    def sort(lengths: Sequence[int]) -> np.ndarray:
        return order if len(order) == len(lengths) else argsort(lengths)

    return sort


class Pen(Tensor):
    """A pen state that does not end the port's loop, since Magenta's goes on after the end of a sketch."""

    def item(self) -> int:
        """No state."""
        return -1


class Streams:
    """Draws for the port's sampling from Magenta's two streams.

    Of the two uniform numbers of a step the first is the component's, though the port asks for the pen first.
    """

    def __init__(self, port: ModuleType, uniform: random.Random, normal: np.random.RandomState) -> None:
        self.covariances = port.utils.compute_cov2d
        self.uniform, self.normal = uniform, normal
        self.mixtures: list[Arrays] = []

    def note_mixture(self, layer: nn.Module) -> Callable[..., None]:
        """A hook that notes the mixture at temperature 1, as Magenta returns it."""

        def note(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            params = layer.forward(*arguments, T=1)
            self.mixtures.append({name: value.numpy().copy() for name, value in mixture_of(params).items()})

        return note

    def categorical(self, probabilities: Tensor) -> SimpleNamespace:
        """The pen's distribution."""
        self.component = self.uniform.random()
        pen = pick(self.uniform.random(), probabilities[0].numpy(), 1.0, False)
        return SimpleNamespace(sample=lambda: torch.tensor([pen]).as_subclass(Pen))

    def sample_gmm(self, log_pi: Tensor, means: Tensor, scales: Tensor, corrs: Tensor) -> Tensor:
        """The point, rounded to float32 as the port runs."""
        component = pick(self.component, log_pi[0].exp().numpy(), 1.0, False)
        covariance = self.covariances(scales, corrs)[0, component].double().numpy()
        point = self.normal.multivariate_normal(means[0, component].double().numpy(), covariance)
        return torch.tensor(point.astype(np.float32)).to(means.dtype).unsqueeze(0)
