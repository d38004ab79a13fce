"""One step of a decoder as a function of tensors alone: for ``torch.export``, and for what is made from it.

A program that draws with it keeps the state, and feeds back each point that it has drawn from the mixture.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.model.decoder import Decoder
from pytorch_sketch_rnn.model.mixture import PARAMETERS
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

BATCH = "batch"  # the dimension that stays free
STEP_FILE, START_FILE = "decoder_step.onnx", "initial_state.onnx"


class DecoderStep(nn.Module):
    """The mixture of the next point, and the new state.

    Inputs: ``point``, stroke-5 [B, 5]; of a conditional model ``z`` [B, z]; then the fields of the cell's state [B, n],
    in packed order. Outputs: Magenta's mixture parameters, [B, M] each and ``pen`` [B, 3], then the state's fields.
    """

    def __init__(self, model: SketchRNN) -> None:
        super().__init__()
        self.decoder = model.decoder
        self.conditional = model.hparams.conditional

    def forward(self, point: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        z, state = (more[0], more[1:]) if self.conditional else (None, more)
        cell = self.decoder.cell
        mixture, after = self.decoder(point.unsqueeze(1), z, cell.state_type(*state))
        return (*(getattr(mixture, name)[:, 0] for name in PARAMETERS), *after)


class InitialState(nn.Module):
    """The fields of a conditional decoder's first state [B, n] from ``z`` [B, z]."""

    def __init__(self, model: SketchRNN) -> None:
        super().__init__()
        self.decoder: Decoder = model.decoder

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return tuple(self.decoder.initial_state(z, z.shape[0]))


def state_names(model: SketchRNN) -> tuple[str, ...]:
    """The fields of the state, in packed order."""
    return model.decoder.cell.state_type._fields


def example_inputs(model: SketchRNN, batch: int = 2) -> dict[str, Tensor]:
    """Inputs of :class:`DecoderStep` by name, all zero."""
    like, hparams = model.decoder.output_w, model.hparams
    latent = {"z": like.new_zeros(batch, hparams.z_size)} if hparams.conditional else {}
    state = model.decoder.cell.zero_state(batch, like)
    return {"point": like.new_zeros(batch, 5), **latent, **dict(zip(state_names(model), state, strict=True))}


def export_step(model: SketchRNN) -> torch.export.ExportedProgram:
    """:class:`DecoderStep` of a model by ``torch.export``, for any batch size."""
    return _exported(DecoderStep(model), example_inputs(model))


def export_onnx(model: SketchRNN, folder: Path | str) -> list[Path]:
    """Write the step of a model's decoder and, of a conditional model, its initial state, as ONNX.

    Args:
        model: in eval mode.
        folder: for ``decoder_step.onnx`` and ``initial_state.onnx``; it is made if it does not exist.

    Returns:
        The files.

    Raises:
        BadInput: when the packages of the extra ``onnx`` are missing, or a file cannot be written.
    """
    try:
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError:
        raise BadInput('ONNX needs more packages: pip install "pytorch-sketch-rnn[onnx]"') from None
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be made ({error.strerror})") from None
    inputs = example_inputs(model)
    fields = state_names(model)
    after = [f"new_{field}" for field in fields]
    written = [_write(DecoderStep(model), inputs, [*PARAMETERS, *after], folder / STEP_FILE)]
    if "z" in inputs:
        written.append(_write(InitialState(model), {"z": inputs["z"]}, list(fields), folder / START_FILE))
    return written


def _shapes(inputs: Mapping[str, Tensor]) -> tuple[Any, ...]:
    """The first dimension of every input is free, and the same for all."""
    batch = torch.export.Dim(BATCH)
    first, *more = ({0: batch} for _ in inputs)
    return (first, tuple(more)) if more else (first,)


def _exported(module: nn.Module, inputs: Mapping[str, Tensor]) -> torch.export.ExportedProgram:
    with torch.no_grad():
        return torch.export.export(module.eval(), tuple(inputs.values()), dynamic_shapes=_shapes(inputs))


def _write(module: nn.Module, inputs: Mapping[str, Tensor], outputs: list[str], path: Path) -> Path:
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's exporter uses what torch has deprecated
        program = torch.onnx.export(
            _exported(module, inputs),
            input_names=list(inputs),
            output_names=outputs,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(str(temporary))
    return path
