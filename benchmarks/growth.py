"""How a training step's time grows with the length of sketches, the size of a batch and the size of the decoder.

``python -m benchmarks.growth JOB.json`` prints one line of JSON.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.around_a_step import random_sketches
from benchmarks.products import measure_products
from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.trainer import Trainer

SIZES = {"max_seq_len": (32, 64, 128, 250), "batch_size": (25, 50, 100, 200), "dec_rnn_size": (128, 256, 512, 1024)}
DEFAULTS = {"max_seq_len": 128, "batch_size": 100, "dec_rnn_size": 512}


def measure(job: dict[str, Any]) -> dict[str, list[dict[str, float]]]:
    """For each size, its values, the seconds of a step, and the GFLOP of its products."""
    defaults = DEFAULTS | {"dec_model": "layer_norm"} | job["hparams"]
    return {
        name: [{"value": value, **_step(defaults | {name: value}, job["repeats"])} for value in values]
        for name, values in (job.get("sizes") or SIZES).items()
    }


def _step(hparams_given: dict[str, Any], repeats: int) -> dict[str, float]:
    hparams = HParams(**hparams_given)
    sketches = random_sketches(4 * hparams.batch_size, hparams.max_seq_len)
    sets = Sets.from_splits({"train": sketches, "valid": sketches[:1], "test": sketches[:1]}, hparams)
    trainer = Trainer(SketchRNN(hparams, 0), sets)

    def step() -> None:
        trainer.step()
        trainer.check()

    step()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return {"step": statistics.median(seconds), "gflop": measure_products(step, 1)["gflop"]}


if __name__ == "__main__":
    print("RESULT " + json.dumps(measure(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
