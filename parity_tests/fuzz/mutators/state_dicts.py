"""Changes of state dicts in files of ``torch.save``: an archive of a pickle and the bytes of each tensor."""

import io
import zipfile
from random import Random
from typing import Any

import torch

from parity_tests.fuzz.mutators.archives import PICKLE, mutate_archive
from parity_tests.fuzz.mutators.arrays import mutate_array
from parity_tests.fuzz.mutators.documents import ODD_TEXTS
from parity_tests.fuzz.mutators.raw import mutate_bytes
from parity_tests.fuzz.mutators.weights import native

_LARGE = 2**20  # numbers


def mutate_state_dict(random: Random, data: bytes) -> bytes:
    """A changed file: its tensors, its pickle or another member, or any bytes.

    Args:
        random: decides everything.
        data: a valid file.
    """
    if random.random() < 0.4:
        return mutate_archive(random, data, _member, (zipfile.ZIP_STORED,) * 9 + (zipfile.ZIP_DEFLATED,))
    tensors: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
    for _ in range(random.choice((1, 1, 3))):
        name = random.choice(sorted(name for name in tensors if not name.startswith("decoder.")))
        _change(random, tensors, name)
        if f"decoder.{name}" in tensors and name in tensors and random.random() < 0.9:
            tensors[f"decoder.{name}"] = tensors[name]
    file = io.BytesIO()
    torch.save(tensors, file)
    return file.getvalue()


def _member(random: Random, name: str, content: bytes) -> bytes:
    return mutate_bytes(random, content, PICKLE if name.endswith(".pkl") else ())


def _is_plain(value: object) -> bool:
    return (
        type(value) is torch.Tensor
        and (value.layout, value.dtype) == (torch.strided, torch.float32)
        and value.numel() < _LARGE
    )


def _change(random: Random, tensors: dict[str, Any], name: str) -> None:
    value = tensors[name]
    change = random.random()
    if change < 0.6 and _is_plain(value):
        tensors[name] = torch.from_numpy(native(mutate_array(random, value.numpy())).copy())
    elif change < 0.7:
        del tensors[name]
    elif change < 0.8:
        tensors[random.choice(ODD_TEXTS)] = tensors.pop(name)
    else:
        odd: tuple[Any, ...] = (
            None, 3, "x" * 2000, [1, 2], {"a": torch.zeros(2)}, torch.zeros(1).expand(2**40), torch.zeros(2**10, 2**10),
            torch.zeros(3, 4).to_sparse(), torch.zeros(2, dtype=torch.bfloat16), torch.zeros(8).half(),
            torch.nn.Parameter(torch.zeros(2)),
        )  # fmt: skip
        tensors[name] = random.choice(odd)
