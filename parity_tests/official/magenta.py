"""TensorFlow, and the official Sketch-RNN modules imported unmodified.

``import magenta`` would import Magenta's music half and everything that it needs, so an empty package takes its place.
"""

import importlib.metadata
import os
import sys
import types
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # the cells derive from the RNNCell of Keras 2
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow.compat.v1 as tf

if "torch" in sys.modules:
    raise RuntimeError("torch and TensorFlow must not share a process")

tf.disable_v2_behavior()
tf.logging.set_verbosity(tf.logging.ERROR)

# The graph runs as Magenta wrote it, without TensorFlow's graph optimiser, on as many threads as the environment says.
# The optimiser rewrites the loops over time without benefit; without it, runs are four times as fast here.
THREADS = int(os.environ.get("OFFICIAL_THREADS", "1"))
CONFIG = tf.ConfigProto(intra_op_parallelism_threads=THREADS, inter_op_parallelism_threads=THREADS)
CONFIG.graph_options.rewrite_options.disable_meta_optimizer = os.environ.get("OFFICIAL_OPTIMISER", "0") != "1"

SOURCE_FOLDER = "magenta/models/sketch_rnn"


def official_folder() -> Path:
    """The folder of the official Sketch-RNN in the installed package magenta."""
    return Path(str(importlib.metadata.distribution("magenta").locate_file(SOURCE_FOLDER)))


def _import_official() -> tuple[Any, ...]:  # modules; names in them are replaced
    package = types.ModuleType("magenta")
    package.__path__ = [str(official_folder().parents[1])]
    sys.modules["magenta"] = package
    from magenta.models.sketch_rnn import model, rnn, sketch_rnn_train, utils

    return model, rnn, sketch_rnn_train, utils


model, rnn, sketch_rnn_train, utils = _import_official()
