"""Training steps that a GPU replays from CUDA graphs.

A step launches thousands of small kernels, which takes a host several times as long as a GPU takes to compute them. A
graph is recorded once for each shape, and replaying it launches them all. It reads its inputs from tensors that stay
where they are, so they are copied there first; nothing is read back.
"""

import warnings
from collections.abc import Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from pytorch_sketch_rnn.data.magenta_loader import Batch

BUCKET = 16  # the encoder's number of steps is rounded up to a multiple of this, so that shapes repeat
_Result = TypeVar("_Result")


class StepInputs(NamedTuple):
    """What a step reads, in tensors on the device that are the same for every step of a shape."""

    sketches: Tensor  # [B, T + 1, 5]
    lengths: Tensor  # [B]
    longest: int  # no sketch of any step of this shape is longer
    step: Tensor  # its number, an int64 scalar
    learning_rate: Tensor  # scalar
    kl_weight: Tensor  # scalar


Compute = Callable[[StepInputs], _Result]
Capture = Callable[[Compute[_Result], StepInputs], Callable[[], _Result]]


class GraphedStep(Generic[_Result]):
    """Computes steps, each from the graph of its shape.

    The first step of a shape is launched kernel by kernel, which also compiles what has to be compiled; the second one
    is recorded. If that is not possible, a warning says so and all steps are launched kernel by kernel.

    Args:
        compute: a step as a function of its inputs. It must not read a number back to the host. Tensors in its result
            are overwritten by the next step.
        like: a tensor with the dtype and device of the weights.
        capture: records ``compute`` on inputs; what it returns computes the step again on the numbers that the inputs
            then hold.
    """

    def __init__(self, compute: Compute[_Result], like: Tensor, capture: "Capture[_Result] | None" = None) -> None:
        self._compute = compute
        self._capture: Capture[_Result] = capture or CudaGraphs[_Result]()
        self._learning_rate, self._kl_weight = like.detach().new_zeros(2).unbind()
        self._step = torch.zeros((), dtype=torch.int64, device=like.device)
        self._inputs: dict[Hashable, StepInputs] = {}
        self._graphs: dict[Hashable, Callable[[], _Result]] = {}
        self._held: Hashable = None
        self._possible = True

    def __call__(self, batch: Batch, step: int, learning_rate: float, kl_weight: float, held: Hashable) -> _Result:
        """Compute a step.

        Args:
            batch: sketches padded to the same length in every step.
            step: its number, which selects its random numbers.
            learning_rate: of this step.
            kl_weight: of this step.
            held: identifies all that a graph holds besides its inputs, such as the addresses of the weights. When it
                changes, all graphs are discarded.
        """
        if held != self._held:
            self._inputs.clear()
            self._graphs.clear()
            self._held = held
        longest = min(-(-int(batch.lengths.max()) // BUCKET) * BUCKET, batch.sketches.shape[1] - 1)
        shape = *batch.sketches.shape, longest
        known = shape in self._inputs
        if not known:
            self._inputs[shape] = self._inputs_of(batch, longest)
        inputs = self._inputs[shape]
        for static, numbers in ((inputs.sketches, batch.sketches), (inputs.lengths, batch.lengths)):
            source = torch.as_tensor(numbers, dtype=static.dtype)
            static.copy_(source.pin_memory() if static.is_cuda else source, non_blocking=True)
        for scalar, number in (
            (self._step, step), (self._learning_rate, learning_rate), (self._kl_weight, kl_weight),
        ):  # fmt: skip
            scalar.fill_(number)
        if known and shape not in self._graphs and self._possible:
            try:
                self._graphs[shape] = self._capture(self._compute, inputs)
            except RuntimeError as error:
                self._possible = False
                warnings.warn(
                    f"steps are launched kernel by kernel, since no CUDA graph is possible: {error}", stacklevel=3
                )
        graph = self._graphs.get(shape)
        return self._compute(inputs) if graph is None else graph()

    def _inputs_of(self, batch: Batch, longest: int) -> StepInputs:
        sketches = self._kl_weight.new_empty(batch.sketches.shape)
        lengths = torch.empty(len(batch.lengths), dtype=torch.int64, device=sketches.device)
        return StepInputs(sketches, lengths, longest, self._step, self._learning_rate, self._kl_weight)


class CudaGraphs(Generic[_Result]):
    """Records CUDA graphs that share one pool of memory, since no two are replayed at the same time."""

    def __init__(self) -> None:
        self._pool: Any = None  # torch's type of it depends on the version

    def __call__(self, compute: Compute[_Result], inputs: StepInputs) -> Callable[[], _Result]:
        """Record ``compute``; nothing is computed until the graph is replayed."""
        with torch.cuda.device(inputs.sketches.device):
            graph = torch.cuda.CUDAGraph()
            # thread_local: another thread may meanwhile copy a batch to memory that a GPU can read
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                result = compute(inputs)
        self._pool = graph.pool()

        def replay() -> _Result:
            graph.replay()
            return result

        return replay
