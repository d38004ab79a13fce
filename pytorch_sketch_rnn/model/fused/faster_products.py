"""Whether our own matrix products or those of torch's library are faster on this machine: measured once."""

import json
import statistics
import time
from functools import partial

import torch

from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.model.fused import build
from pytorch_sketch_rnn.model.fused.aten import library_product
from pytorch_sketch_rnn.model.fused.native import PackedProduct

_FILE = "products.json"
_WORTH_IT = 1.05  # so much faster our own must be: the library's are better known
_TURNS = 15
_SHAPES = ((100, 528, 2048), (100, 2048, 512))  # rows, K, N: a step of the default decoder, forward and backward


def own_products_are_faster(level: str) -> bool:
    """Whether the products compiled for a vector level are faster than the library's, on this machine.

    The answer is kept in the cache, so that it stays the same: another one changes the rounding of a training.

    Raises:
        CannotBuild: when the products cannot be compiled.
        BadInput: when the cache cannot be written.
    """
    path = build.folder() / _FILE
    key = f"{level}, {torch.get_num_threads()} threads, torch {torch.__version__}, {build.processor()}"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    if not isinstance(known, dict):
        known = {}
    if not isinstance(known.get(key), dict) or not isinstance(known[key].get("own"), bool):
        known[key] = _measured(level)
        with atomic_path(path, private=True) as temporary:
            temporary.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return bool(known[key]["own"])


def _measured(level: str) -> dict[str, object]:
    """Medians of both, in turns, in milliseconds for a step forward and back."""
    products = build.library("products.cpp", level)
    new = partial(torch.rand, dtype=torch.float32)
    own_ms = library_ms = 0.0
    for rows, K, N in _SHAPES:
        a, weights, out = new(1, rows, K), new(1, K, N), new(1, rows, N)
        packed = PackedProduct(products, weights)
        own, library = [], []
        for _ in range(_TURNS):
            start = time.perf_counter()
            packed(a, out)
            middle = time.perf_counter()
            library_product(weights, a, out)
            own.append(middle - start)
            library.append(time.perf_counter() - middle)
        own_ms += 1e3 * statistics.median(own)
        library_ms += 1e3 * statistics.median(library)
    return {"own": own_ms * _WORTH_IT < library_ms, "own_ms": own_ms, "library_ms": library_ms}
