"""The models recorded for the study of false alarms, and the conditions under which they are judged."""

import dataclasses
from typing import Any

from parity_tests.record.configurations import ALL_DROPOUT, HYPER_SMALL, NOISE
from parity_tests.record.machine import vector_instructions
from pytorch_sketch_rnn.model.backend import REFERENCE

LEVELS = (0, 10, 200, 1000)  # official training steps after which a model is recorded
SAMPLE_LEN = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A kind of model, recorded with several seeds and at several levels of training."""

    name: str
    hparams: dict[str, Any]  # official names; others keep their default
    hyper: dict[str, int]
    levels: tuple[int, ...] = LEVELS
    weights: str | None = None  # a recording with the weights, for a model that is not trained here
    padding: int = 0

    def job(self, **more: Any) -> dict[str, Any]:
        """A task of kind ``study`` for the official process, with further entries."""
        common = {"noise": NOISE, "sample_len": SAMPLE_LEN}
        return dataclasses.asdict(self) | common | {"do": "study"} | more


def _case(name: str, enc: str, dec: str, sizes: tuple[int, int, int, int], **more: Any) -> Case:
    names = ("enc_rnn_size", "dec_rnn_size", "z_size", "num_mixture")
    hparams = dict(zip(names, sizes, strict=True)) | {"enc_model": enc, "dec_model": dec}
    # at the default rate of 1e-3, official training on so few points often ends in NaN: the two offsets of a straight
    # stroke are perfectly correlated
    hparams |= {"batch_size": 4, "max_seq_len": 16, "learning_rate": 3e-4} | more.pop("hparams", {})
    return Case(name, hparams, {"hyper_num_units": 12, "hyper_embedding_size": 4}, **more)


_MEDIUM, _SMALL = (16, 24, 8, 5), (7, 9, 5, 3)
CASES = (
    _case("lstm", "lstm", "lstm", _MEDIUM),
    _case("layer_norm", "layer_norm", "layer_norm", _MEDIUM, padding=3),
    _case("hyper", "hyper", "hyper", _SMALL),
    _case("lstm-unconditional", "lstm", "lstm", _MEDIUM, hparams={"conditional": False}),
    _case("layer_norm-unconditional", "layer_norm", "layer_norm", _SMALL, hparams={"conditional": False}),
    _case("hyper-unconditional", "hyper", "hyper", _SMALL, hparams={"conditional": False}),
    _case("mix-all-dropout", "layer_norm", "hyper", _SMALL, hparams=ALL_DROPOUT),
)
QUICK = (dataclasses.replace(CASES[1], name="quick", hparams=CASES[4].hparams, hyper=HYPER_SMALL, levels=(0, 10)),)


@dataclasses.dataclass(frozen=True)
class Condition:
    """How a subject runs while it answers the recordings."""

    name: str
    subject: str  # "official" or "ours"
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    threads: int = 1
    shuffle: bool = False
    backend: str = REFERENCE  # of ours; the recordings are divided among the conditions with another one

    def possible(self) -> bool:
        """Whether this machine has the vector instructions and the backend that the condition needs."""
        if self.backend != REFERENCE:
            from parity_tests.commands.backends import every_backend

            return self.backend in every_backend()
        wanted = self.environment.get("ATEN_CPU_CAPABILITY", "default")
        found = vector_instructions().split()
        return wanted == "default" or any(name.startswith(wanted) for name in found)


OURS = "ours"
CONDITIONS = (
    Condition(OURS, "ours"),
    Condition("official, 2 threads", "official", {"OFFICIAL_THREADS": "2"}),
    # one of these two is how the recordings themselves ran, because TensorFlow's default depends on the processor
    Condition("official, oneDNN off", "official", {"TF_ENABLE_ONEDNN_OPTS": "0"}),
    Condition("official, oneDNN on", "official", {"TF_ENABLE_ONEDNN_OPTS": "1"}),
    Condition("official, graph optimiser on", "official", {"OFFICIAL_OPTIMISER": "1"}),
    Condition("official, another order of units and rows", "official", shuffle=True),
    Condition("ours, 2 threads", "ours", threads=2),
    Condition("ours, ATen default", "ours", {"ATEN_CPU_CAPABILITY": "default"}),
    Condition("ours, ATen avx2", "ours", {"ATEN_CPU_CAPABILITY": "avx2"}),
    Condition("ours, MKL sse4.2", "ours", {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}),
    *(
        Condition(f"ours, fused:{level}", "ours", backend=f"fused:{level}")
        for level in ("avx512", "avx2", "neon", "scalar", "aten")
    ),
)
