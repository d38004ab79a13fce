"""Times our side: ``python -m benchmarks.our_side JOB.json`` prints one line of JSON."""

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.around_a_step import measure_batch, measure_draws, random_sketches
from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.sampling import sample, sample_batch
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.trainer import Trainer
from weight_port.folder import convert_source
from weight_port.source import open_source


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each training step and of sampling with one decoder; seconds and memory of its conversion."""
    converted = Path(job["converted"])
    result = measure_conversion(Path(job["checkpoint"]), converted)
    model = SketchRNN.from_pretrained(converted)
    model.hparams = HParams.from_dict(model.hparams.to_dict() | job["hparams"])
    sketches = random_sketches(10 * model.hparams.batch_size, model.hparams.max_seq_len)
    sets = Sets.from_splits({"train": sketches, "valid": sketches[:1], "test": sketches[:1]}, model.hparams)
    trainer = Trainer(model, sets)
    steps = []
    for _ in range(job["warm_up"] + job["repeats"]):
        start = time.perf_counter()
        trainer.step()
        trainer.check()
        steps.append(time.perf_counter() - start)
    model.eval()
    sample(model, 20)
    start = time.perf_counter()
    sample(model, job["sample_len"], uniform=random.Random(1), normal=np.random.RandomState(1))
    one = (time.perf_counter() - start) / job["sample_len"]
    start = time.perf_counter()
    drawn = sample_batch(model, job["sample_batch"], job["sample_len"])
    many = (time.perf_counter() - start) / max(1, sum(map(len, drawn)))
    result |= {"step": steps[job["warm_up"] :], "sample": one, "sample_batch": many}
    hparams = model.hparams
    return result | {"draws": measure_draws(hparams), "batch": measure_batch(sets.train, hparams.batch_size)}


def measure_conversion(checkpoint: Path, converted: Path) -> dict[str, float]:
    """Seconds, and the growth of resident memory in MiB and relative to the checkpoint, mapped pages included."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = _status("VmRSS")
    start = time.perf_counter()
    with open_source(checkpoint) as source:
        convert_source(source, converted, force=converted.exists())
        size = sum(file.path.stat().st_size for file in source.files if ".data-" in file.path.name)
    seconds = time.perf_counter() - start
    grown = _status("VmHWM") - before
    return {"convert": seconds, "convert_mb": grown / 2**20, "checkpoint_mb": size / 2**20, "ratio": grown / size}


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


if __name__ == "__main__":
    print("RESULT " + json.dumps(measure(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
