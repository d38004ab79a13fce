"""Changes of safetensors files. Source of the format: the README of safetensors."""

import json
from random import Random

import numpy as np
import safetensors.numpy

from parity_tests.fuzz.mutators.arrays import mutate_array
from parity_tests.fuzz.mutators.documents import ODD_TEXTS, mutate_json
from parity_tests.fuzz.mutators.raw import NUMBERS, mutate_bytes

_LENGTH_BYTES = 8  # of the header, in front of it


def mutate_weights(random: Random, data: bytes) -> bytes:
    """A changed file: one of its arrays, the names, the JSON header, or any bytes.

    Args:
        random: decides everything.
        data: a valid file.
    """
    change = random.random()
    if change < 0.55:
        return _change_arrays(random, safetensors.numpy.load(data))
    size = int.from_bytes(data[:_LENGTH_BYTES], "little")
    header, values = data[_LENGTH_BYTES : _LENGTH_BYTES + size], data[_LENGTH_BYTES + size :]
    if change < 0.8:
        header = mutate_json(random, json.loads(header))
        length = len(header) if random.random() < 0.9 else random.choice(NUMBERS)
        return (length % 2**64).to_bytes(_LENGTH_BYTES, "little") + header + values
    return mutate_bytes(random, data)


def _change_arrays(random: Random, arrays: dict[str, np.ndarray]) -> bytes:
    name = random.choice(sorted(arrays))
    change = random.random()
    if change < 0.7:
        arrays[name] = mutate_array(random, arrays[name])
    elif change < 0.8:
        del arrays[name]
    elif change < 0.9:
        arrays[random.choice(ODD_TEXTS).encode("utf-8", "replace").decode()] = arrays.pop(name)
    else:
        other = random.choice(sorted(arrays))
        arrays[name], arrays[other] = arrays[other], arrays[name]
    contiguous = {key: np.ascontiguousarray(native(value)) for key, value in arrays.items()}
    return safetensors.numpy.save({key: value for key, value in contiguous.items() if value.dtype.kind != "c"})


def native(array: np.ndarray) -> np.ndarray:
    """The same numbers in the byte order of this machine."""
    return array.astype(array.dtype.newbyteorder("="))
