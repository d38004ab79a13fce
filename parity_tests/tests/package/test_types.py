"""The public names as a type checker sees them; ``make lint`` checks this file as it would a user's program.

``assert_type`` is an error of mypy where the type is another, and does nothing when the tests run.
"""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

import numpy as np
import pytest
import torch

import pytorch_sketch_rnn
from parity_tests.adapter import Adapter, Arrays
from pytorch_sketch_rnn import HParams, Mixture, SketchRNN, sample, sample_batch
from pytorch_sketch_rnn.model.draws import Draws, KeyedDraws, Mask, RecordedDraws, TorchDraws
from pytorch_sketch_rnn.model.losses import Costs, CostValues
from pytorch_sketch_rnn.model.sketch_rnn import Forward
from pytorch_sketch_rnn.training.trainer import StepResult, StepValues, Trainer

SMALL = HParams(enc_rnn_size=4, dec_rnn_size=5, z_size=3, num_mixture=2, max_seq_len=6, batch_size=2)
SKETCHES = np.tile(np.array([0.5, -0.5, 1, 0, 0], np.float32), (2, 5, 1))  # [B, T + 1, 5]
LENGTHS = np.array([4, 4])


def test_what_a_type_checker_can_import_is_what_the_package_exports() -> None:
    tree = ast.parse(Path(pytorch_sketch_rnn.__file__).read_text(encoding="utf-8"))
    [block] = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imported: dict[str, str] = {}
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            assert alias.name == alias.asname  # the form by which a name is exported
            imported[alias.name] = str(statement.module)
    assert sorted(imported) == pytorch_sketch_rnn.__all__
    for name, module in imported.items():
        assert getattr(pytorch_sketch_rnn, name).__module__ == module


def test_the_model() -> None:
    model = assert_type(SketchRNN(SMALL, seed=1).eval(), SketchRNN)
    passed = assert_type(model(SKETCHES, LENGTHS), Forward)
    mixture = assert_type(passed.mixture, Mixture)
    assert_type(mixture.parameters(), dict[str, torch.Tensor])
    assert_type(model.encode(SKETCHES[:, 1:], LENGTHS), tuple[torch.Tensor, torch.Tensor])
    assert_type(model.decode(SKETCHES[:, :-1], passed.z), Mixture)
    assert_type(sample(model, 3).strokes, np.ndarray)
    assert_type(sample_batch(model, 2, 3), list[np.ndarray])
    costs = assert_type(model.costs(SKETCHES, LENGTHS, 0.5), Costs)
    values = assert_type(costs.on_host(), CostValues)
    assert tuple(map(type, values)) == (float, float, float)
    assert values._fields == costs._fields
    assert list(values) == [cost.item() for cost in costs]


@pytest.mark.parametrize(
    "draws",
    [
        TorchDraws(),
        KeyedDraws(0, 0, range(2)),
        RecordedDraws({"latent": np.zeros((2, 3)), "encoder/fw/recurrent": np.zeros((2, 4, 4))}),
    ],
)
def test_sources_of_draws(draws: Draws) -> None:
    assert_type(draws.normal("latent", (2, 3), torch.zeros(())), torch.Tensor)
    mask = assert_type(draws.mask("encoder/fw/recurrent", (2, 4, 4), 0.9), Mask)
    assert mask.shape == mask.tensor(torch.zeros(())).shape == (2, 4, 4)


def test_a_training_step() -> None:
    trainer = Trainer(SketchRNN(SMALL, seed=1), None)
    batch = pytorch_sketch_rnn.DataLoader([np.ones((4, 3))] * 2, 2, 6, np.random.RandomState(0)).random_batch()
    result = assert_type(trainer.step_on(batch, TorchDraws(), 1e-3, 0.5), StepResult)
    values = assert_type(result.on_host(), StepValues)
    assert values._fields == result._fields
    assert values == tuple(result)
    assert all(type(value) is float for value in values[1:])
    with pytest.raises(ValueError, match="has no sets: only step_on and validate_on"):
        trainer.step()


def test_an_adapter_can_be_subclassed() -> None:
    class Port(Adapter):
        name = "mine"

        def encode(self, strokes: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray]) -> Arrays:
            return {"mu": strokes[:, 0]}

    port = Port()
    assert port.offers == {"encode"}
    assert_type(port.encode(SKETCHES, LENGTHS, {}), Arrays)
