"""Times our side: ``python -m benchmarks.our_side JOB.json`` prints one line of JSON."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.around_a_step import measure_batch, measure_draws, measure_save, random_sketches
from benchmarks.memory import peak, reset_peak, resident
from benchmarks.parts import measure_parts
from benchmarks.products import measure_products
from pytorch_sketch_rnn.data.batches import Sets
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.fused.sequence import Fused
from pytorch_sketch_rnn.model.sampling import sample, sample_batch
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN
from pytorch_sketch_rnn.training.trainer import Trainer
from weight_port.folder import convert_source
from weight_port.source import open_source


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each training step, and whatever else the job asks for."""
    hparams = HParams(**job["hparams"])
    model = SketchRNN(hparams, 0, backend=job["backend"])
    result: dict[str, Any] = {"backend": model.usable_backend().name}
    sketches = random_sketches(10 * hparams.batch_size, hparams.max_seq_len)
    sets = Sets.from_splits({"train": sketches, "valid": sketches[:1], "test": sketches[:1]}, hparams)
    trainer = Trainer(model, sets)

    def step() -> None:
        trainer.step()
        trainer.check()

    seconds = []
    for _ in range(job["warm_up"] + job["repeats"]):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    result |= {"step": seconds[job["warm_up"] :], "peak_mb": peak() / 2**20}
    if job["products"]:
        result |= measure_products(step, job["repeats"])
        backend = model.usable_backend()
        if isinstance(backend, Fused):
            result |= measure_parts(step, backend, job["repeats"])
    if job["around"]:
        result |= {"draws": measure_draws(hparams), "batch": measure_batch(sets.train, hparams.batch_size)}
        result["save"] = measure_save(hparams)
    if job["sampling"]:
        result |= measure_sampling(model, job)
    if job["convert"]:
        result |= measure_conversion(Path(job["checkpoint"]), Path(job["converted"]))
    return result


def measure_sampling(model: SketchRNN, job: dict[str, Any]) -> dict[str, float]:
    """Seconds for each point of one sketch, with Magenta's random numbers and with ours, and of many drawn at once."""
    model.eval()
    with torch.no_grad():
        model.decoder.output_b[2] = -100  # no sketch ends, so that all sides draw as many points
    length = job["sample_len"]
    result = {}
    for name, draw, points in (
        ("sample", lambda steps: sample(model, steps), length),
        ("sample_one", lambda steps: sample_batch(model, 1, steps), length),
        ("sample_batch", lambda steps: sample_batch(model, job["sample_batch"], steps), length // 4),
    ):
        draw(20)
        start = time.perf_counter()
        draw(points)
        result[name] = (time.perf_counter() - start) / points
    return result | {"sample_batch": result["sample_batch"] / job["sample_batch"]}


def measure_conversion(checkpoint: Path, converted: Path) -> dict[str, float]:
    """Seconds, and the growth of resident memory in MiB and relative to the checkpoint, mapped pages included."""
    reset_peak()
    before = resident()
    start = time.perf_counter()
    with open_source(checkpoint) as source:
        convert_source(source, converted, force=converted.exists())
        size = sum(file.path.stat().st_size for file in source.files if ".data-" in file.path.name)
    seconds = time.perf_counter() - start
    grown = peak() - before
    return {"convert": seconds, "convert_mb": grown / 2**20, "checkpoint_mb": size / 2**20, "ratio": grown / size}


if __name__ == "__main__":
    print("RESULT " + json.dumps(measure(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
