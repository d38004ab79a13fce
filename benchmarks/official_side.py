"""Times the official side: ``python -m benchmarks.official_side JOB.json`` prints one line of JSON.

The official code runs unmodified in this process, and leaves a checkpoint at default sizes for the conversion.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory import peak
from parity_tests.official import magenta
from parity_tests.official.session import official_hparams

model, tf = magenta.model, magenta.tf


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Seconds of each training step and of sampling with one decoder."""
    batch = np.load(job["batch"])
    hparams = official_hparams(job["hparams"])
    tf.reset_default_graph()
    trained = model.Model(hparams)
    sampling = model.copy_hparams(hparams)
    sampling.batch_size = sampling.max_seq_len = 1
    sampling.use_recurrent_dropout = sampling.is_training = False
    sampler = model.Model(sampling, reuse=True)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        feed = {trained.input_data: batch["sketches"], trained.sequence_lengths: batch["lengths"]}
        steps = []
        for _ in range(job["warm_up"] + job["repeats"]):
            start = time.perf_counter()
            sess.run([trained.cost, trained.train_op], feed)
            steps.append(time.perf_counter() - start)
        result: dict[str, Any] = {"step": steps[job["warm_up"] :], "peak_mb": peak() / 2**20}
        if job["sampling"]:
            model.sample(sess, sampler, seq_len=20)
            start = time.perf_counter()
            model.sample(sess, sampler, seq_len=job["sample_len"])
            result["sample"] = (time.perf_counter() - start) / job["sample_len"]
        tf.train.Saver(tf.global_variables()).save(sess, job["checkpoint"])
    return result


if __name__ == "__main__":
    print("RESULT " + json.dumps(measure(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))
