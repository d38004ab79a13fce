"""Steps that are recorded once for each shape and replayed; instead of a CUDA graph, a function computes them again."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from training_sets import SMALL, make_trainer

from pytorch_sketch_rnn.data.magenta_loader import Batch
from pytorch_sketch_rnn.model.backend import LOOP
from pytorch_sketch_rnn.training.graphed_step import BUCKET, GraphedStep, StepInputs
from pytorch_sketch_rnn.training.trainer import NotFinite

LIKE = torch.zeros(1, dtype=torch.float64)


class Recorder:
    """Captures like a CUDA graph: a replay reads what the inputs then hold, and overwrites the result."""

    def __init__(self):
        self.shapes = []

    def __call__(self, compute, inputs):
        self.shapes.append((*inputs.sketches.shape, inputs.longest))
        return lambda: compute(inputs)


def batch_of(lengths, steps, value=1.0):
    return Batch([], np.full((len(lengths), steps + 1, 5), value), np.array(lengths))


def numbers(inputs):
    scalars = inputs.step, inputs.learning_rate, inputs.kl_weight
    return inputs.sketches.sum().item(), inputs.lengths.tolist(), inputs.longest, *(s.item() for s in scalars)


def test_each_step_computes_with_its_own_numbers():
    graphed = GraphedStep(numbers, LIKE, Recorder())
    for step, value in enumerate([1.0, 2.0, 3.0]):
        found = graphed(batch_of([2, step + 1], 40, value), step, 0.1 * step, 0.2 * step, None)
        assert found == (value * 2 * 41 * 5, [2, step + 1], BUCKET, step, 0.1 * step, 0.2 * step)


def test_a_shape_is_launched_once_then_recorded_once_then_replayed():
    recorder = Recorder()
    graphed = GraphedStep(numbers, LIKE, recorder)
    for longest in (3, BUCKET, BUCKET + 1, 3, 2, 1, BUCKET + 2, 40):
        assert graphed(batch_of([longest, 1], 40), 0, 1, 1, None)[2] == min(40, -(-longest // BUCKET) * BUCKET)
    assert recorder.shapes == [(2, 41, 5, BUCKET), (2, 41, 5, 2 * BUCKET)]
    graphed(batch_of([3], 40), 0, 1, 1, None)  # another batch size
    graphed(batch_of([3], 40), 0, 1, 1, None)
    assert recorder.shapes[2:] == [(1, 41, 5, BUCKET)]


def test_steps_may_be_shorter_than_a_bucket():
    assert GraphedStep(numbers, LIKE, Recorder())(batch_of([3, 1], 5), 0, 1, 1, None)[2] == 5


def test_graphs_are_discarded_when_what_they_hold_has_changed():
    recorder = Recorder()
    graphed = GraphedStep(numbers, LIKE, recorder)
    for held in ("a", "a", "b", "b", "b"):
        graphed(batch_of([3], 5), 0, 1, 1, held)
    assert len(recorder.shapes) == 2


def test_where_no_graph_is_possible_steps_are_launched_and_a_warning_says_so():
    def refuse(compute, inputs):
        raise RuntimeError("operation not permitted when stream is capturing")

    graphed = GraphedStep(numbers, LIKE, refuse)
    graphed(batch_of([3], 5), 0, 1, 1, None)
    with pytest.warns(UserWarning, match="no CUDA graph is possible: operation not permitted"):
        assert graphed(batch_of([3], 5), 7, 1, 1, None)[3] == 7
    assert graphed(batch_of([3], 5), 8, 1, 1, None)[3] == 8  # without another warning


def graphed_trainer(dtype="float64"):
    """A trainer whose steps are recorded, as on a GPU."""
    trainer, recorder = make_trainer(dtype=dtype), Recorder()
    trainer.model.backend = "fused:aten"
    trainer._graphed = GraphedStep(trainer._step_from, trainer.model.decoder.output_w, recorder)
    return trainer, recorder


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_training_is_the_same_bit_for_bit(dtype):
    (ours, recorder), theirs = graphed_trainer(dtype), make_trainer(dtype=dtype)
    theirs.model.backend = "fused:aten"
    for _ in range(4):
        result, expected = ours.step(), theirs.step()
        assert result == expected
    assert len(recorder.shapes) == 1
    for (name, weight), expected in zip(ours.model.named_parameters(), theirs.model.parameters(), strict=True):
        assert torch.equal(weight, expected), name
        assert torch.equal(weight.grad, expected.grad), name
    assert torch.equal(ours.optimizer.v, theirs.optimizer.v)
    ours.check()


def test_a_result_outlives_the_next_step():
    trainer, _ = graphed_trainer()
    results = [trainer.step() for _ in range(3)]
    assert len({float(result.cost) for result in results}) == 3


def test_what_is_not_finite_changes_nothing_and_is_named():
    trainer, _ = graphed_trainer()
    for _ in range(3):
        trainer.step()
    trainer.check()
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    bias = trainer.model.decoder.output_b.detach()
    was = bias[0].clone()
    bias[0] = float("nan")
    for _ in range(2):
        trainer.step()
    with pytest.raises(NotFinite, match=r"step 3: the weight decoder\.output_b is not finite"):
        trainer.check()
    assert trainer.steps_done == 3
    bias[0] = was
    for parameter, expected in zip(trainer.model.parameters(), before, strict=True):
        assert torch.equal(parameter, expected)
    trainer.step()
    trainer.check()


def test_new_tensors_of_the_optimizer_are_noticed():
    trainer, recorder = graphed_trainer()
    for _ in range(2):
        trainer.step()
    trainer.optimizer.set_powers(trainer.optimizer.powers())
    for _ in range(2):
        trainer.step()
    assert len(recorder.shapes) == 2


def test_on_a_processor_no_step_is_recorded():
    assert make_trainer()._graphed is None


class NoReadBack(TorchDispatchMode):
    """Refuses whatever gives a number to the host."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert "_local_scalar_dense" not in str(func), "a number is read back"
        return func(*args, **(kwargs or {}))


def test_a_step_reads_nothing_back():
    trainer = make_trainer(SMALL.replace(dec_model="layer_norm"))
    trainer.model.backend = LOOP.name
    batch = trainer.sets.train.random_rows(5, 0, 0, range(5))
    scalars = torch.tensor([0.001, 0.5], dtype=torch.float64).unbind()
    sketches, lengths = torch.as_tensor(batch.sketches), torch.as_tensor(batch.lengths)
    inputs = StepInputs(sketches, lengths, sketches.shape[1] - 1, torch.tensor(4), *scalars)
    before = trainer.model.decoder.output_w.detach().clone()
    with NoReadBack():
        computed = trainer._step_from(inputs)
    assert computed.applied
    assert not torch.equal(trainer.model.decoder.output_w, before)
