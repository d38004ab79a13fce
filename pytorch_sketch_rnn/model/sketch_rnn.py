"""Sketch-RNN: encoder, latent vector, decoder and losses; saving and loading.

Source: Magenta ``model.py``; Ha & Eck 2017 (arXiv 1704.03477).
"""

import importlib.util
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from pytorch_sketch_rnn.device import on_device, usable_device
from pytorch_sketch_rnn.distributed import Group
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.backend import AUTO, Backend, backend_for
from pytorch_sketch_rnn.model.cells import Cell, HyperLSTMCell, LayerNormLSTMCell, LSTMCell
from pytorch_sketch_rnn.model.decoder import Decoder
from pytorch_sketch_rnn.model.draws import Draws, Mask, TorchDraws
from pytorch_sketch_rnn.model.encoder import Encoder
from pytorch_sketch_rnn.model.initializers import gaussian_, glorot_uniform_
from pytorch_sketch_rnn.model.losses import Costs, kl_cost, reconstruction_cost
from pytorch_sketch_rnn.model.mixture import Mixture
from pytorch_sketch_rnn.model.saved_model import WEIGHTS_FILE, SavedModel, check_weights, read_folder, write_folder
from pytorch_sketch_rnn.model.sequence import Masks
from pytorch_sketch_rnn.model.tape import NO_TAPE, Tape


class Forward(NamedTuple):
    """The result of a forward pass; mu, presig and z are None for an unconditional model."""

    mixture: Mixture  # fields [B, T, ...]
    mu: Tensor | None  # [B, z]
    presig: Tensor | None  # [B, z], log of the variance
    z: Tensor | None  # [B, z]

    def detached(self) -> Self:
        """The same numbers without their graph."""
        latent = (None if value is None else value.detach() for value in (self.mu, self.presig, self.z))
        return type(self)(self.mixture.detached(), *latent)


def make_cell(kind: str, input_size: int, num_units: int, hparams: HParams) -> Cell:
    """The cell that ``enc_model`` or ``dec_model`` names."""
    if kind == "lstm":
        return LSTMCell(input_size, num_units)
    epsilon = hparams.layer_norm_epsilon
    if kind == "layer_norm":
        return LayerNormLSTMCell(input_size, num_units, epsilon)
    return HyperLSTMCell(input_size, num_units, hparams.hyper_num_units, hparams.hyper_embedding_size, epsilon)


class SketchRNN(nn.Module):
    """The whole model, built from hyperparameters, with weights drawn as Magenta draws them.

    Strokes and latent vectors may be anything that ``torch.as_tensor`` accepts, including NumPy arrays and lists; they
    are converted to the dtype and device of the weights. ``eval()`` turns all dropout off. Every method that needs
    random numbers takes their source as ``draws``; the default is torch's global generator.

    ``backend`` says how sequences are computed: ``reference`` is the loop that reads as the equations, ``fused`` a
    faster path with the same results up to rounding, and ``auto`` the fused path where it agrees with the reference on
    this machine, else the reference. It may be changed at any time and is not saved.

    ``scale_factor`` is saved with the model: offsets in data units are normalised offsets times ``scale_factor``. It is
    None if it is unknown.
    """

    def __init__(self, hparams: HParams, seed: int | None = None, *, backend: str = AUTO) -> None:
        super().__init__()
        self.hparams = hparams
        self.backend = backend
        self.scale_factor: float | None = None
        z_size = hparams.z_size if hparams.conditional else None
        self.encoder: Encoder | None = None
        if hparams.conditional:
            fw, bw = (make_cell(hparams.enc_model, 5, hparams.enc_rnn_size, hparams) for _ in range(2))
            self.encoder = Encoder(fw, bw, hparams.z_size)
        cell = make_cell(hparams.dec_model, 5 + (z_size or 0), hparams.dec_rnn_size, hparams)
        self.decoder = Decoder(cell, z_size, hparams.num_mixture)
        if not self.decoder.output_w.is_meta:  # tensors on the meta device hold no numbers
            self.reset_parameters(seed)

    def reset_parameters(self, seed: int | None = None) -> None:
        """Redraw the random weights; without a seed, torch's global generator draws one."""
        if seed is None:
            seed = int(torch.randint(2**31, ()))
        rng = np.random.RandomState(seed)
        generator = torch.Generator(self.decoder.output_w.device).manual_seed(seed)
        if self.encoder is not None:
            self.encoder.fw.reset_parameters(rng, generator)
            self.encoder.bw.reset_parameters(rng, generator)
            gaussian_(self.encoder.mu.w, 0.001, generator)
            gaussian_(self.encoder.presig.w, 0.001, generator)
        if self.decoder.initial is not None:
            gaussian_(self.decoder.initial.w, 0.001, generator)
        self.decoder.cell.reset_parameters(rng, generator)
        glorot_uniform_(self.decoder.output_w, generator)
        glorot_uniform_(self.decoder.output_b, generator)

    def usable_backend(self) -> Backend:
        """The backend that :attr:`backend` means on the device of the weights.

        Raises:
            BadInput: when this machine does not have it.
        """
        return backend_for(self.backend, self.decoder.output_w.device)

    def as_input(self, value: ArrayLike | Tensor) -> Tensor:
        """Convert numbers to the dtype and device of the weights; gradients flow through.

        Raises:
            BadInput: when torch cannot convert the value to a tensor.
        """
        weight = self.decoder.output_w
        try:
            return on_device(_as_tensor(value, weight.dtype), weight.device)
        except (TypeError, ValueError, RuntimeError) as error:
            raise BadInput(f"expected numbers of one shape, got {type(value).__name__}: {error}") from None

    def encode(
        self,
        strokes: ArrayLike | Tensor,
        lengths: ArrayLike | Tensor,
        tape: Tape = NO_TAPE,
        *,
        draws: Draws | None = None,
        longest: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """mu and presig [B, z] of a batch of sketches.

        Args:
            strokes: stroke-5 WITHOUT the start token, [B, T, 5].
            lengths: points of each sketch [B], each 1..T.
            tape: records ``encoder/...``.
            draws: the source of dropout masks.
            longest: number of steps to compute. The caller then knows that all lengths lie in 1..longest; they may be
                on the device, since they are not checked.

        Raises:
            BadInput: when the model is unconditional, or lengths or shapes are invalid.
        """
        if self.encoder is None:
            raise BadInput("this model is unconditional (decoder only): it has no encoder")
        strokes = self.as_input(strokes)
        lengths = _as_tensor(lengths)  # stays on the host for its checks: reading it back from a GPU would stall
        if strokes.ndim != 3 or strokes.shape[2] != 5 or len(strokes) < 1 or lengths.shape != strokes.shape[:1]:
            raise BadInput(
                "expected strokes [B, T, 5] and lengths [B] with B at least 1, "
                f"got {list(strokes.shape)} and {list(lengths.shape)}"
            )
        if lengths.dtype.is_floating_point or lengths.dtype in (torch.bool, torch.complex64, torch.complex128):
            raise BadInput(f"lengths must be whole numbers, got {lengths.dtype}")
        if longest is None:
            longest = int(lengths.max())
            if int(lengths.min()) < 1 or longest > strokes.shape[1]:
                raise BadInput(f"lengths must lie in 1..{strokes.shape[1]}, got {lengths.tolist()}")
        strokes = strokes[:, :longest]
        shape = (len(strokes), longest, self.hparams.enc_rnn_size)
        fw_mask, bw_mask = (self._mask(f"encoder/{side}/recurrent", shape, draws) for side in ("fw", "bw"))
        masks = fw_mask, bw_mask
        lengths = on_device(lengths, strokes.device)
        return self.encoder(strokes, lengths, masks, tape.scope("encoder"), self.usable_backend())

    def sample_latent(self, mu: Tensor, presig: Tensor, draws: Draws | None = None) -> Tensor:
        """z [B, z] from N(mu, exp(presig)), with the draw ``latent``."""
        return mu + torch.exp(presig / 2) * (draws or TorchDraws()).normal("latent", tuple(mu.shape), mu)

    def decode(
        self,
        inputs: ArrayLike | Tensor,
        z: ArrayLike | Tensor | None = None,
        tape: Tape = NO_TAPE,
        *,
        draws: Draws | None = None,
    ) -> Mixture:
        """The mixture at each step of a batch.

        Args:
            inputs: stroke-5 WITH the start token first, [B, T, 5], any T >= 1.
            z: latent vectors [B, z]; None for an unconditional model.
            tape: records ``decoder/...``.
            draws: the source of dropout masks.

        Raises:
            BadInput: when z is missing, or given to an unconditional model, or a shape is invalid.
        """
        hparams = self.hparams
        inputs = self.as_input(inputs)
        z = None if z is None else self.as_input(z)
        if inputs.ndim != 3 or inputs.shape[1] < 1 or inputs.shape[2] != 5:
            raise BadInput(f"expected inputs [B, T, 5] with T at least 1, got {list(inputs.shape)}")
        if hparams.conditional and (z is None or z.shape != (len(inputs), hparams.z_size)):
            came = None if z is None else list(z.shape)
            raise BadInput(f"expected z [{len(inputs)}, {hparams.z_size}], got {came}")
        if not hparams.conditional and z is not None:
            raise BadInput("this model is unconditional: z must be None")
        batch, steps, _ = inputs.shape
        input_size, units = self.decoder.cell.input_size, self.decoder.cell.num_units
        masks = Masks(
            self._mask("decoder/recurrent", (batch, steps, units), draws),
            self._mask("decoder/input", (batch, steps, input_size), draws),
            self._mask("decoder/output", (batch, steps, units), draws),
        )
        mixture, _ = self.decoder(inputs, z, None, masks, tape.scope("decoder"), self.usable_backend())
        return mixture

    def forward(
        self,
        sketches: ArrayLike | Tensor,
        lengths: ArrayLike | Tensor,
        tape: Tape = NO_TAPE,
        *,
        draws: Draws | None = None,
        longest: int | None = None,
    ) -> Forward:
        """Encode, draw z and decode.

        Args:
            sketches: stroke-5 WITH the start token first, [B, T + 1, 5].
            lengths: points of each sketch, without the start token [B].
            tape: records ``encoder/...``, ``mu``, ``presig``, ``z`` and ``decoder/...``.
            draws: the source of latent noise and dropout masks.
            longest: see :meth:`encode`.
        """
        sketches = self.as_input(sketches)
        mu = presig = z = None
        if self.encoder is not None:
            mu, presig = self.encode(sketches[:, 1:], lengths, tape, draws=draws, longest=longest)
            z = self.sample_latent(mu, presig, draws)
            tape(mu=mu, presig=presig, z=z)
        return Forward(self.decode(sketches[:, :-1], z, tape, draws=draws), mu, presig, z)

    if TYPE_CHECKING:  # nn.Module's own returns Any
        __call__ = forward

    def costs(
        self,
        sketches: ArrayLike | Tensor,
        lengths: ArrayLike | Tensor,
        kl_weight: float,
        *,
        is_training: bool | None = None,
        draws: Draws | None = None,
    ) -> Costs:
        """Magenta's cost, r_cost and kl_cost of a batch; the arguments are those of ``forward`` and ``costs_of``."""
        return self.costs_of(self(sketches, lengths, draws=draws), sketches, kl_weight, is_training=is_training)

    def costs_of(
        self,
        passed: Forward,
        sketches: ArrayLike | Tensor,
        kl_weight: float | Tensor,
        *,
        is_training: bool | None = None,
        share: float = 1.0,
        group: Group = Group(),  # noqa: B008 (immutable)
    ) -> Costs:
        """Magenta's cost, r_cost and kl_cost of a forward pass.

        If several processes share a batch, each gets the costs of the whole batch, with the gradients of its own rows:
        their sum over the processes is the gradient of the whole batch.

        Args:
            passed: the result of :meth:`forward`.
            sketches: the argument of :meth:`forward`, [B, T + 1, 5].
            kl_weight: weight of the KL cost.
            is_training: whether the pen loss counts the padding; None means the hyperparameter ``is_training``.
            share: the fraction of the batch's rows that this process holds.
            group: the processes that share the batch.

        Raises:
            LostProcess: when another process has ended.
        """
        if is_training is None:
            is_training = self.hparams.is_training
        r_cost = reconstruction_cost(passed.mixture, self.as_input(sketches)[:, 1:], is_training=is_training)
        r_cost = group.sum(share * r_cost)
        if passed.mu is None or passed.presig is None:
            return Costs(r_cost, r_cost, torch.zeros_like(r_cost))
        kl = kl_cost(passed.mu, passed.presig, self.hparams.kl_tolerance, share=share, group=group)
        return Costs(r_cost + kl * kl_weight, r_cost, kl)

    def complete(self, strokes: ArrayLike, count: int = 1, temperature: float = 0.5, **more: Any) -> list[np.ndarray]:
        """Finish a drawing, several times: :func:`pytorch_sketch_rnn.model.redrawing.complete`."""
        from pytorch_sketch_rnn.model.redrawing import complete

        return complete(self, strokes, count, temperature, **more)

    def reconstruct(
        self, strokes: ArrayLike, count: int = 1, temperature: float = 0.5, **more: Any
    ) -> list[np.ndarray]:
        """Draw a sketch again, several times: :func:`pytorch_sketch_rnn.model.redrawing.reconstruct`."""
        from pytorch_sketch_rnn.model.redrawing import reconstruct

        return reconstruct(self, strokes, count, temperature, **more)

    def interpolate(
        self, first: ArrayLike, second: ArrayLike, count: int = 10, temperature: float = 0.5, **more: Any
    ) -> list[np.ndarray]:
        """Drawings between two sketches: :func:`pytorch_sketch_rnn.model.redrawing.interpolate`."""
        from pytorch_sketch_rnn.model.redrawing import interpolate

        return interpolate(self, first, second, count, temperature, **more)

    def _mask(self, name: str, shape: tuple[int, ...], draws: Draws | None) -> Mask | None:
        """The dropout mask of that name, or None if that dropout is off."""
        kind = name.rpartition("/")[2]
        if not (self.training and getattr(self.hparams, f"use_{kind}_dropout")):
            return None
        return (draws or TorchDraws()).mask(name, shape, getattr(self.hparams, f"{kind}_dropout_prob"))

    def save_pretrained(self, folder: Path | str) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder.

        If writing fails, the old files are kept; see :func:`saved_model.write_folder`. A ``SHA256SUMS`` in the folder,
        which would describe the old files, is removed.

        Raises:
            BadInput: when the folder or a file cannot be written, ``scale_factor`` is not a positive, finite number, or
                the folder holds ``optimizer.safetensors``, Adam's state, of other weights.
        """
        write_folder(Path(folder), SavedModel(self.hparams, self.state_dict(), self.scale_factor))

    @classmethod
    def from_pretrained(
        cls,
        folder: Path | str,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
        backend: str = AUTO,
        verify: bool = True,
    ) -> Self:
        """Read a folder that a training, :meth:`save_pretrained` or ``weight_port`` wrote; the model is in eval mode.

        Args:
            folder: holds ``config.json`` and ``model.safetensors``; or, with the extra ``hub``, the id of a repository
                on the Hugging Face hub, such as ``name/model``, which is downloaded.
            dtype: float32 or float64; None keeps the stored dtype.
            device: the device of the weights.
            backend: see :class:`SketchRNN`.
            verify: whether both files are compared with their checksums, if the folder holds ``SHA256SUMS``.

        Raises:
            BadInput: when a file is missing, damaged or invalid, names or shapes do not match, or dtype or device is
                unusable.
        """
        if dtype not in (None, torch.float32, torch.float64):
            raise BadInput(f"dtype is {dtype}, expected torch.float32, torch.float64 or None")
        device, folder = usable_device(device), _local(folder)
        saved = read_folder(folder, verify=verify)
        with torch.device("meta"):
            model = cls(saved.hparams, backend=backend)
        check_weights(folder / WEIGHTS_FILE, saved.weights, model.state_dict())
        model.load_state_dict(saved.weights, assign=True)
        model.scale_factor = saved.scale_factor
        return model.to(device=device, dtype=dtype).eval()


def _local(folder: Path | str) -> Path:
    """The folder, or that of a repository on the hub if it is the id of one, and nothing here has this name."""
    path = Path(folder)
    if os.path.lexists(path) or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(folder)):
        return path
    if path.parent.is_dir() or importlib.util.find_spec("huggingface_hub") is None:
        return path  # whose reader says what is missing
    from pytorch_sketch_rnn.hub import fetch

    return fetch(str(folder))


def _as_tensor(value: ArrayLike | Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """The numbers as a tensor, on the CPU unless they already are a tensor on another device."""
    return torch.as_tensor(value, dtype=dtype, device=value.device if isinstance(value, Tensor) else "cpu")
