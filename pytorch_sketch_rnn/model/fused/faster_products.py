"""Whether our own matrix products or those of torch's library are faster on this machine: measured once."""

import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.model.fused import build
from pytorch_sketch_rnn.model.fused.aten import add_library_product, library_product
from pytorch_sketch_rnn.model.fused.native import Native, PackedProduct, add_product

_FILE = "products.json"
_WORTH_IT = 1.05  # so much faster our own must be: the library's are better known
_TURNS = 15
_SHAPES = ((100, 528, 2048), (100, 2048, 512))  # rows, K, N: a step of the default decoder, forward and backward
_STEPS = 8  # whose rows the weights' gradients take together


def own_products_are_faster(level: str, *, adds: bool) -> bool:
    """Whether the products compiled for a vector level are faster than the library's, on this machine.

    The answer is kept in the cache, so that it stays the same: another one changes the rounding of a training.

    Args:
        level: one of :func:`build.levels`.
        adds: whether the weights' gradients would be products of our own, too.

    Raises:
        CannotBuild: when the products cannot be compiled.
        BadInput: when the cache cannot be written.
    """
    path = build.folder() / _FILE
    key = f"{level}, {torch.get_num_threads()} threads, torch {torch.__version__}, {build.processor()}"
    if adds:
        key += ", with the weights' gradients"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    if not isinstance(known, dict):
        known = {}
    if not isinstance(known.get(key), dict) or not isinstance(known[key].get("own"), bool):
        known[key] = _measured(level, adds=adds)
        with atomic_path(path, private=True) as temporary:
            temporary.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return bool(known[key]["own"])


def _measured(level: str, *, adds: bool) -> dict[str, object]:
    """Medians of both, in turns, in milliseconds for a step forward and back."""
    products = build.library("products.cpp", level)
    new = partial(torch.rand, dtype=torch.float32)
    own_ms = library_ms = 0.0
    for rows, K, N in _SHAPES:
        a, weights, out = _in_gapped_rows(rows, K), new(1, K, N), _in_gapped_rows(rows, N)
        own, library = _in_turns(
            partial(PackedProduct(products, weights), a, out), partial(library_product, weights, a, out)
        )
        own_ms, library_ms = own_ms + own, library_ms + library
    if adds:
        rows, M, N = _SHAPES[0]
        Z, d_total, d_W = new(1, _STEPS * rows, M), _in_gapped_rows(_STEPS * rows, N), new(1, M, N)
        own, library = _in_turns(
            partial(add_product, products, Z, d_total, d_W), partial(add_library_product, Z, d_total, d_W)
        )
        own_ms, library_ms = own_ms + own / _STEPS, library_ms + library / _STEPS
    return {"own": own_ms * _WORTH_IT < library_ms, "own_ms": own_ms, "library_ms": library_ms}


def _in_gapped_rows(rows: int, columns: int) -> Tensor:
    """Random numbers [1, rows, columns], in rows that are as far apart as the pre-activations of a sequence."""
    return torch.rand(1, rows, columns + Native.spread, dtype=torch.float32)[..., :columns]


def _in_turns(*functions: Callable[[], None]) -> list[float]:
    """The median of each, in milliseconds."""
    taken: list[list[float]] = [[] for _ in functions]
    for _ in range(_TURNS):
        for function, each in zip(functions, taken, strict=True):
            start = time.perf_counter()
            function()
            each.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(each) for each in taken]
