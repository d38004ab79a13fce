"""The catalogue of port bugs: each is planted in the real code, and the harness must name the part that it breaks.

A mutant is a change of source text: the function is compiled anew with the change in it, and the sound function runs
the changed code for as long as the ``with`` lasts, by whatever name it was imported.
"""

import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pytorch_sketch_rnn import cells, encoder, losses, mixture, model, optim


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A bug, and by which comparison it must be caught first."""

    name: str
    owner: Any  # class or module that holds the function
    function: str
    old: str
    new: str
    recording: str  # in which it shows
    departs: str  # the first quantity, in the order of computation, that must differ

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Put the bug into the real code.

        Raises:
            LookupError: when the source does not hold the text to change exactly once.
        """
        raw = inspect.getattr_static(self.owner, self.function)
        sound = getattr(raw, "__func__", None) or getattr(raw, "func", None) or raw  # under classmethod or property
        source = textwrap.dedent(inspect.getsource(sound))
        if source.count(self.old) != 1:
            raise LookupError(f"{self.name}: {self.old!r} stands {source.count(self.old)} times in {self.function}")
        code = sound.__code__
        sound.__code__ = _compiled(sound, source.replace(self.old, self.new)).__code__
        try:
            yield
        finally:
            sound.__code__ = code


def _compiled(sound: Callable, source: str) -> Any:
    """The changed function."""
    namespace: dict[str, Any] = {}
    exec(compile(source, inspect.getsourcefile(sound), "exec"), vars(sys.modules[sound.__module__]), namespace)
    result = namespace[sound.__name__]
    return getattr(result, "__func__", None) or getattr(result, "func", None) or result


MUTANTS = (
    Mutant(
        "two gates swapped",
        cells.LSTMCell, "forward",
        "i, j, f, o =", "i, f, j, o =",
        "cell/lstm", "j",
    ),
    Mutant(
        "forget bias missing",
        cells.LayerNormLSTMCell, "forward",
        "f + FORGET_BIAS", "f",
        "cell/layer_norm", "c",
    ),
    Mutant(
        "layer-norm epsilon 1e-5",
        cells.LayerNorm, "forward",
        "+ LAYER_NORM_EPSILON", "+ 1e-5",
        "cell/layer_norm", "i",
    ),
    Mutant(
        "unbiased variance",
        cells.LayerNorm, "forward",
        "centred.square().mean(dim=2, keepdim=True)", "blocks.var(dim=2, keepdim=True)",
        "cell/layer_norm", "i",
    ),
    Mutant(
        "packed state swapped",
        cells.Cell, "unpack",
        "packed.split(self.state_sizes, dim=1)", "packed.split(self.state_sizes, dim=1)[::-1]",
        "cell/layer_norm", "total",
    ),
    Mutant(
        "inner hyper cell fed x alone",
        cells.HyperLSTMCell, "forward",
        "torch.cat([x, h], dim=1)", "torch.cat([x, torch.zeros_like(h)], dim=1)",
        "cell/hyper", "hyper_cell/total",
    ),
    Mutant(
        "ln_c dropped",
        cells.LayerNormLSTMCell, "forward",
        "self.ln_c(new_c)", "new_c",
        "cell/layer_norm", "normal_c",
    ),
    Mutant(
        "pen block last",
        mixture.Mixture, "from_output",
        "cls(output[..., :3], *output[..., 3:].chunk(6, dim=-1))",
        "cls(output[..., -3:], *output[..., :-3].chunk(6, dim=-1))",
        "lstm/moved", "eval/pi",
    ),
    Mutant(
        "lengths left out of the backward direction",
        encoder.Encoder, "forward",
        "run(self.bw, backwards, bw_start, lengths,", "run(self.bw, backwards, bw_start, None,",
        "lstm/moved", "eval/encoder/bw/final_state",
    ),
    Mutant(
        "Adam as torch computes it",
        optim.TF1Adam, "_step_group",
        "m * float(lr_t) / (v.sqrt() + float(epsilon))",
        "group['lr'] * (m / (1 - power1)) / ((v / (1 - power2)).sqrt() + float(epsilon))",
        "lstm/as_is", "after/vector_rnn/ENC_RNN/fw/LSTMCell/W_xh",
    ),
    Mutant(
        "KL floor for each dimension",
        losses, "kl_cost",
        "return kl.clamp(min=tolerance)",
        "return (-0.5 * (1 + presig - mu.square() - presig.exp())).clamp(min=tolerance).mean()",
        "lstm/moved", "eval/kl_cost",
    ),
    Mutant(
        "density epsilon 1e-5",
        losses, "reconstruction_cost",
        "math.log(DENSITY_EPSILON)", "math.log(1e-5)",
        "lstm/moved", "eval/r_cost",
    ),
    Mutant(
        "output dropout with the keep probability of the input's",
        model.SketchRNN, "decode",
        "hparams.output_dropout_prob", "hparams.input_dropout_prob",
        "mix-all-dropout/moved", "train/keep_prob/decoder/output",
    ),
)  # fmt: skip
