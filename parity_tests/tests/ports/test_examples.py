"""The example adapters, driven directly, against the official recordings: one is right, one departs where it must."""

import ast
import random
from pathlib import Path

import numpy as np
import pytest
from shipped import shipped

from parity_tests.adapter import load_adapter
from parity_tests.examples import numpy_port, torch_lstm
from parity_tests.record.configurations import SAMPLING_MODES, SAMPLING_SEEDS
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.training import schedules

FIXTURES = {name.replace("/", "-"): recording for name, recording in shipped().items()}
CELLS = [stem for stem, recording in FIXTURES.items() if recording.kind == "cell"]
MODELS = [stem for stem, recording in FIXTURES.items() if recording.kind == "model"]
PLAIN = ["lstm-as_is", "lstm-moved"]
ALLOWED = {"float64": 1e-10, "float32": 1e-4}  # of the largest magnitude of the quantity
MIXTURE = {"pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen", "pen_logits"}
both_precisions = pytest.mark.parametrize("dtype", ["float64", "float32"])


def cast(arrays, dtype):
    return {n: v.astype(dtype) if np.issubdtype(v.dtype, np.floating) else v for n, v in arrays.items()}


def error(answer, truth):
    """The largest error relative to the largest magnitude; shapes must agree."""
    assert answer.shape == truth.shape
    difference = np.abs(answer.astype(np.float64) - truth).max()
    return difference if difference == 0 else difference / np.abs(truth).max()


def compare(answer, truth, dtype):
    """Each quantity by its error; all must be arrays of the precision in which they were asked for."""
    assert {name for name, value in answer.items() if value.dtype != dtype} == set()
    return {name: error(value, truth[name]) for name, value in answer.items()}


def too_far(errors, dtype):
    return {name: value for name, value in errors.items() if not value <= ALLOWED[dtype]}


def step_cell(adapter, stem, dtype, *, masked=True):
    """Each step from the official state before it, stacked [B, T, n]."""
    record = FIXTURES[stem]
    inputs, draws = cast(record["inputs"], dtype), cast(record["draws"], dtype)
    weights = {name.partition("/")[2]: value for name, value in cast(record["weights"], dtype).items()}
    steps = []
    for t in range(inputs["x"].shape[1]):
        state = inputs["state"] if t == 0 else record[dtype]["state"][:, t - 1]
        mask = draws["recurrent"][t] if masked else None
        steps.append(adapter.step_cell(record.hparams["cell"], weights, inputs["x"][:, t], state, mask))
    return {name: np.stack([step[name] for step in steps], axis=1) for name in steps[0]}


def loaded(adapter, stem, dtype):
    record = FIXTURES[stem]
    adapter.load(record.hparams, cast(record["weights"], dtype))
    return adapter


def forward(adapter, stem, dtype, *, training):
    """Encoder, decoder and costs, one from another."""
    record = FIXTURES[stem]
    loaded(adapter, stem, dtype)
    inputs, draws = cast(record["inputs"], dtype), cast(record["draws"], dtype)
    if not training:
        draws = {name: value for name, value in draws.items() if name == "latent"}
    sketches, encoded = inputs["sketches"], {}
    if record.hparams["conditional"]:
        encoded = adapter.encode(sketches[:, 1:], inputs["lengths"], draws)
    decoded = adapter.decode(sketches[:, :-1], encoded.get("z"), draws)
    costs = adapter.loss(decoded, sketches[:, 1:], encoded or None, is_training=training)
    return encoded | decoded | costs


def below(arrays, prefix):
    values = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    return {name: value for name, value in values.items() if name != "nll"}  # the harness computes it of the mixture


# NumPy -------------------------------------------------------------------------------------------------------------


@both_precisions
@pytest.mark.parametrize("stem", CELLS)
def test_numpy_cell_equals_the_official_one_in_every_value(stem, dtype):
    truth = FIXTURES[stem]["float64"]
    errors = compare(step_cell(numpy_port.Adapter(), stem, dtype), truth, dtype)
    assert errors.keys() == truth.keys()
    assert too_far(errors, dtype) == {}


@both_precisions
@pytest.mark.parametrize("stem", MODELS)
def test_numpy_model_equals_the_official_one_without_dropout(stem, dtype):
    truth = below(FIXTURES[stem]["float64"], "eval/")
    answer = forward(numpy_port.Adapter(), stem, dtype, training=False)
    inside = answer.keys() - truth.keys()  # of the layers alone more is given than was recorded without dropout
    assert all(name.startswith(("encoder/", "decoder/")) for name in inside)
    errors = compare({name: answer[name] for name in answer if name not in inside}, truth, dtype)
    assert errors.keys() == truth.keys()
    assert too_far(errors, dtype) == {}


@both_precisions
@pytest.mark.parametrize("stem", MODELS)
def test_numpy_model_equals_the_official_one_under_masks_in_every_value(stem, dtype):
    truth = below(FIXTURES[stem]["float64"], "train/")
    truth = {name: v for name, v in truth.items() if name != "cost" and not name.startswith("keep_prob/")}
    errors = compare(forward(numpy_port.Adapter(), stem, dtype, training=True), truth, dtype)
    assert errors.keys() == truth.keys()
    assert too_far(errors, dtype) == {}


@both_precisions
@pytest.mark.parametrize("mode", SAMPLING_MODES)
@pytest.mark.parametrize("stem", MODELS)
def test_numpy_sampling_draws_the_official_sketch_and_leaves_both_streams_where_it_does(stem, mode, dtype):
    truth = below(FIXTURES[stem]["float64"], f"sample/{mode}/")
    options = SAMPLING_MODES[mode]
    uniform = random.Random(SAMPLING_SEEDS["uniform"])
    normal = np.random.RandomState(SAMPLING_SEEDS["normal"])
    answer = loaded(numpy_port.Adapter(), stem, dtype).sample(
        len(truth["strokes"]), options["temperature"], options["greedy_mode"], uniform, normal
    )
    assert uniform.random() == truth.pop("next_uniform")
    assert normal.random_sample() == truth.pop("next_normal")
    assert answer.keys() == truth.keys()
    strokes = {"strokes": answer.pop("strokes")}
    errors = compare(answer, truth, dtype) | compare(strokes, truth, "float32")
    assert too_far(errors, dtype) == {}


@pytest.mark.parametrize("step", [0, 1, 1000, 10**7])
def test_numpy_schedules_equal_ours(step):
    hparams = {
        "learning_rate": 0.02, "min_learning_rate": 0.003, "decay_rate": 0.999,
        "kl_weight": 0.7, "kl_weight_start": 0.05, "kl_decay_rate": 0.9995,
    }  # fmt: skip
    ours = HParams(**hparams)
    expected = schedules.learning_rate(ours, step), schedules.kl_weight(ours, step)
    assert numpy_port.Adapter().schedules(hparams, step) == pytest.approx(expected, rel=1e-15)


def test_numpy_port_imports_numpy_alone():
    tree = ast.parse(Path(numpy_port.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {f"{n.module}.{a.name}" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    own = {"random", "collections.abc.Mapping", "typing.Any"}
    assert imported == own | {"numpy", "parity_tests.adapter", "parity_tests.adapter.Arrays"}


@pytest.mark.parametrize("module", [numpy_port, torch_lstm])
def test_example_is_loaded_by_its_name(module):
    assert type(load_adapter(f"{module.__name__}:Adapter")) is module.Adapter


# torch.nn.LSTM -----------------------------------------------------------------------------------------------------


@both_precisions
def test_torch_cell_without_a_mask_equals_the_equations(dtype):
    answer = step_cell(torch_lstm.Adapter(), "cell-lstm", dtype, masked=False)
    expected = step_cell(numpy_port.Adapter(), "cell-lstm", dtype, masked=False)
    errors = compare(answer, expected, dtype)
    assert errors.keys() == {"output", "state"}
    assert too_far(errors, dtype) == {}


@both_precisions
def test_torch_cell_departs_from_the_official_one_under_a_mask(dtype):
    errors = compare(step_cell(torch_lstm.Adapter(), "cell-lstm", dtype), FIXTURES["cell-lstm"]["float64"], dtype)
    assert min(errors.values()) > 1e-3


@both_precisions
@pytest.mark.parametrize("stem", PLAIN)
def test_torch_model_equals_the_official_one_without_dropout(stem, dtype):
    truth = below(FIXTURES[stem]["float64"], "eval/")
    errors = compare(forward(torch_lstm.Adapter(), stem, dtype, training=False), truth, dtype)
    assert errors.keys() == MIXTURE | {"mu", "presig", "z", "r_cost", "kl_cost"}
    assert too_far(errors, dtype) == {}


@both_precisions
@pytest.mark.parametrize("stem", PLAIN)
def test_torch_model_departs_from_the_official_one_under_masks(stem, dtype):
    truth = below(FIXTURES[stem]["float64"], "train/")
    errors = compare(forward(torch_lstm.Adapter(), stem, dtype, training=True), truth, dtype)
    same = {name for name, value in errors.items() if value < 1e-5}
    assert same <= {"kl_cost"}  # which rests on its floor where the weights are as they were trained


@pytest.mark.parametrize("stem", [stem for stem in MODELS if stem not in PLAIN])
def test_torch_port_says_which_models_it_has_not(stem):
    with pytest.raises(NotImplementedError):
        loaded(torch_lstm.Adapter(), stem, "float64")


@pytest.mark.parametrize("kind", ["layer_norm", "hyper"])
def test_torch_port_says_which_cells_it_has_not(kind):
    with pytest.raises(NotImplementedError):
        step_cell(torch_lstm.Adapter(), f"cell-{kind}", "float64")
