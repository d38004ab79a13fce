"""Drawing the points of many sketches by compiled code (``sampling.cpp``)."""

from ctypes import CDLL, Structure, byref, c_double, c_int64, c_void_p
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from pytorch_sketch_rnn.model.cells import HyperLSTMCell, LayerNormLSTMCell, LSTMCell, State
from pytorch_sketch_rnn.model.fused.gated import dense_copy
from pytorch_sketch_rnn.model.fused.kernels import Norm
from pytorch_sketch_rnn.model.fused.packed import SUFFIX, address, packed
from pytorch_sketch_rnn.model.fused.weights import gated_weights, hyper_weights
from pytorch_sketch_rnn.model.sampler import END, Numbers

if TYPE_CHECKING:
    from pytorch_sketch_rnn.model.decoder import Decoder

_INPUTS = 5  # stroke-5


class _Decoder(Structure):
    """``Decoder`` of ``sampling.cpp``."""

    _fields_ = (
        *((name, c_int64) for name in ("n", "width", "M")),
        *((name, c_void_p) for name in ("W", "output_w", "output_b", "gamma", "beta", "gamma_c", "beta_c")),
        *((name, c_int64) for name in ("m", "e")),
        *((name, c_void_p) for name in ("W_xh", "W_hh", "bias")),
        *((name, c_void_p) for name in ("inner_gamma", "inner_beta", "inner_gamma_c", "inner_beta_c")),
        *((name, c_void_p) for name in ("W_embedding", "b_embedding", "W_signal")),
        ("signal_stride", c_int64),
        ("epsilon", c_double),
    )


class _Sketches(Structure):
    """``Sketches`` of ``sampling.cpp``."""

    _fields_ = (
        *((name, c_int64) for name in ("rows", "steps", "threads")),
        *((name, c_void_p) for name in ("point", "h", "c", "inner_h", "inner_c", "projected", "projected_inner")),
        *((name, c_void_p) for name in ("outputs", "component", "pen", "offset")),
        ("temperature", c_double),
        *((name, c_void_p) for name in ("offsets", "pens")),
    )


class NativeSampler:
    """See :class:`~pytorch_sketch_rnn.model.sampler.Sampler`; the arguments are those of :class:`LoopSampler`.

    Args:
        sampling: the compiled code.
    """

    @torch.no_grad()
    def __init__(self, sampling: CDLL, decoder: "Decoder", z: Tensor | None, state: State, point: Tensor) -> None:
        suffix = SUFFIX[point.dtype]
        self._draw = sampling[f"draw_{suffix}"]
        cell, output_w = decoder.cell, decoder.output_w
        self._parameters = output_w.shape[1]
        fields: dict[str, float] = {"n": cell.num_units, "M": (self._parameters - 3) // 6}
        tensors = {"output_w": packed(sampling, output_w.unsqueeze(0)), "output_b": decoder.output_b}
        self._rows = {"point": point, **{_NAMES[name]: value for name, value in state._asdict().items()}}
        if isinstance(cell, HyperLSTMCell):
            hyper = hyper_weights([cell], _INPUTS)
            inner, norm = hyper.inner, cast(Norm | None, hyper.norm)
            fields |= {"width": inner.W.shape[1], "m": cell.hyper_num_units, "e": hyper.W_signal.shape[2]}
            matrices = {"W": inner.W, "W_xh": hyper.W_xh, "W_hh": hyper.W_hh, "W_embedding": hyper.W_embedding}
            tensors["W_signal"] = packed(sampling, hyper.W_signal[0])
            fields["signal_stride"] = tensors["W_signal"].stride(0)
            tensors |= {"bias": hyper.bias, "b_embedding": hyper.b_embedding}
            tensors |= {f"inner_{name}": value for name, value in cast(Norm, inner.norm)._asdict().items()}
            same = {"projected": hyper.W_constant, "projected_inner": inner.W_constant}
            fields["epsilon"] = hyper.epsilon
        else:
            gated = gated_weights(cast(list[LSTMCell] | list[LayerNormLSTMCell], [cell]), _INPUTS)
            norm = gated.norm
            fields |= {"width": gated.W.shape[1], "epsilon": gated.epsilon}
            matrices, same = {"W": gated.W}, {"projected": gated.W_constant}
        if norm is not None:
            tensors |= norm._asdict()
        tensors |= {name: packed(sampling, value) for name, value in matrices.items()}
        if z is not None:
            self._rows |= {name: z @ W[0] for name, W in same.items()}
        if isinstance(cell, LSTMCell):
            bias = cell.bias.expand(len(point), -1)
            self._rows["projected"] = self._rows["projected"] + bias if z is not None else bias
        # copies, since the compiled code goes on in them
        self._rows = {name: dense_copy(value) for name, value in self._rows.items()}
        self._tensors = {name: value.detach().contiguous() for name, value in tensors.items()}
        addresses = {name: address(value, point.dtype) for name, value in self._tensors.items()}
        self._decoder = _Decoder(**fields, **addresses)

    def outputs(self, point: Tensor) -> Tensor:
        """See :class:`Sampler`."""
        self._check({"point": (point, (_INPUTS,))})
        outputs = point.new_empty(len(point), self._parameters)
        self._compute(1, {"point": point.contiguous(), "outputs": outputs})
        return outputs

    def draw(self, numbers: Numbers, temperature: float) -> tuple[Tensor, Tensor]:
        """See :class:`Sampler`."""
        rows, steps = len(self._rows["point"]), numbers.component.shape[-1]
        columns = {"component": (steps,), "pen": (steps,), "offset": (steps, 2)}
        self._check({name: (value, columns[name]) for name, value in numbers._asdict().items()})
        offsets = self._rows["point"].new_zeros(rows, steps, 2)
        pens = torch.full((rows, steps), END, device=offsets.device)
        given = {name: value.to(offsets.dtype).contiguous() for name, value in numbers._asdict().items()}
        self._compute(steps, {**given, "offsets": offsets, "pens": pens}, temperature)
        going = pens[:, -1] != END
        if not going.all():
            self._rows = {name: value[going] for name, value in self._rows.items()}
        return offsets, pens

    def _check(self, given: dict[str, tuple[Tensor, tuple[int, ...]]]) -> None:
        """Raises ValueError unless each tensor is [rows, ...]: compiled code would read beyond it."""
        for name, (value, columns) in given.items():
            expected = (len(self._rows["point"]), *columns)
            if tuple(value.shape) != expected:
                raise ValueError(f"expected {name} {list(expected)}, got {list(value.shape)}")

    def _compute(self, steps: int, given: dict[str, Tensor], temperature: float = 1.0) -> None:
        tensors, dtype = self._rows | given, self._rows["point"].dtype
        sketches = _Sketches(
            rows=len(tensors["point"]), steps=steps, threads=torch.get_num_threads(), temperature=temperature,
            **{name: address(v, torch.int64 if name == "pens" else dtype) for name, v in tensors.items()},
        )  # fmt: skip
        self._draw(byref(self._decoder), byref(sketches))


_NAMES = {"h": "h", "c": "c", "hyper_h": "inner_h", "hyper_c": "inner_c"}
