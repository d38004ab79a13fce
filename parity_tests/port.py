"""What a port computes where the official code left a recording; ours is the port.

Each function takes a recording and answers with arrays under the recording's own names, in the order in which they are
computed, so that the first that departs can be named.
"""

import random

import numpy as np
import torch
from torch import Tensor

from parity_tests.configurations import CELL_KEEP_PROB, SAMPLING_MODES, SAMPLING_SEEDS
from parity_tests.recording import Recording
from pytorch_sketch_rnn.data import DataLoader
from pytorch_sketch_rnn.draws import RecordedDraws, TorchDraws
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model import Forward, SketchRNN, make_cell
from pytorch_sketch_rnn.optim import TF1Adam, clip_by_value_
from pytorch_sketch_rnn.sampling import sample
from pytorch_sketch_rnn.tape import Tape
from weight_port.convert import convert_variables, make_plan
from weight_port.names import ADAM_POWERS, CELLS, slot_name, weight_names

Arrays = dict[str, np.ndarray]


def replay(recording: Recording, dtype: str) -> Arrays:
    """Compute what the recording holds in that precision (``float32``, ``float64`` or, for data, ``exact``)."""
    if recording.kind == "cell" and dtype == "exact":
        return {"dropout_values": replay_dropout()}
    if recording.kind == "cell":
        return replay_cell(recording, getattr(torch, dtype))
    if recording.kind == "data":
        return replay_data(recording)
    return replay_model(recording, getattr(torch, dtype))


def replay_cell(recording: Recording, dtype: torch.dtype) -> Arrays:
    """One cell, each step from the official state before it."""
    claims = recording.hparams
    hparams = HParams(**{n: claims[n] for n in ("hyper_num_units", "hyper_embedding_size") if n in claims})
    cell = make_cell(claims["cell"], claims["input"], claims["units"], hparams).to(dtype)
    official_cell, table = CELLS[claims["cell"]]
    weights = {ours: recording["weights"][f"{official_cell}/{official}"] for official, ours in table.items()}
    cell.load_state_dict({name: torch.as_tensor(value, dtype=dtype) for name, value in weights.items()})
    official_states = recording[str(dtype).removeprefix("torch.")]["state"]
    tape = Tape()
    for t in range(claims["steps"]):
        before = recording["inputs"]["state"] if t == 0 else official_states[:, t - 1]
        x = torch.as_tensor(recording["inputs"]["x"][:, t], dtype=dtype)
        mask = torch.as_tensor(recording["draws"]["recurrent"][t], dtype=dtype)
        output, state = cell(x, cell.unpack(torch.as_tensor(before, dtype=dtype)), mask, tape)
        tape(output=output, state=cell.pack(state))
    return _arrays(tape.stacked())


def replay_dropout() -> np.ndarray:
    """The values of a dropout mask of our own making, of the keep probability that cells are recorded with."""
    mask = TorchDraws(torch.Generator().manual_seed(0)).mask("", (1000,), CELL_KEEP_PROB, torch.empty(0))
    return mask.unique().numpy()


def load_model(recording: Recording, dtype: torch.dtype) -> tuple[SketchRNN, TF1Adam]:
    """The recorded model and its optimizer, through the converter."""
    variables = recording["weights"]
    hparams = HParams.from_dict(recording.hparams)
    plan = make_plan({name: value.shape for name, value in variables.items()}, hparams, recording.name)
    converted = convert_variables(variables, plan, recording.name)
    with torch.device("meta"):
        model = SketchRNN(hparams)
    model.load_state_dict({n: torch.tensor(v, dtype=dtype) for n, v in converted.weights.items()}, assign=True)
    optimizer = TF1Adam(model.parameters(), lr=float(recording["inputs"]["lr"]))
    for name, parameter in model.named_parameters():
        for slot in ("m", "v"):
            optimizer.state[parameter][slot].copy_(torch.tensor(converted.optimizer[f"{slot}.{name}"]))
    for group in optimizer.param_groups:
        for power in ("beta1_power", "beta2_power"):
            group[power] = np.float32(converted.optimizer[power])
    return model, optimizer


def replay_model(recording: Recording, dtype: torch.dtype) -> Arrays:
    """An evaluation, some sampling and a training step, in this order, as they were recorded."""
    model, optimizer = load_model(recording, dtype)
    sample_len = len(recording["float64"]["sample/greedy/strokes"])
    return (
        replay_evaluation(model, recording)
        | replay_sampling(model, sample_len)
        | replay_training_step(model, optimizer, recording)
    )


def replay_evaluation(model: SketchRNN, recording: Recording) -> Arrays:
    """All dropout off, the pen loss of the padding masked."""
    model.eval()
    model.draws = Replayed(recording)
    sketches, lengths = _batch(model, recording)
    tape = Tape()
    with torch.no_grad():
        passed = model(sketches, lengths, tape)
        costs = model.costs_of(passed, sketches, kl_weight=0.0, is_training=False)._asdict()
    layers = {n: v for n, v in tape.values().items() if n.endswith(("/output", "_state"))}
    costs.pop("cost")  # the official evaluation model of this mode has none
    return _named("eval", _padded(layers, recording) | _outputs(passed) | costs)


def replay_training_step(model: SketchRNN, optimizer: TF1Adam, recording: Recording) -> Arrays:
    """Forward with every intermediate, costs, gradients, clipped gradients, and the state behind the step."""
    model.train()
    model.draws = Replayed(recording)
    sketches, lengths = _batch(model, recording)
    tape = Tape()
    passed = model(sketches, lengths, tape)
    costs = model.costs_of(passed, sketches, float(recording["inputs"]["kl_weight"]))._asdict()
    optimizer.zero_grad()
    costs["cost"].backward()
    model.draws.check_all_used()
    result = model.draws.keep_prob | _named("train", _padded(tape.values(), recording) | _outputs(passed) | costs)
    officials = {ours: official for official, ours in weight_names(model.hparams).items()}
    parameters = {officials[name]: parameter for name, parameter in model.named_parameters()}
    result |= _arrays({f"gradient/{name}": parameter.grad.clone() for name, parameter in parameters.items()})
    clip_by_value_(model.parameters(), model.hparams.grad_clip)
    result |= _arrays({f"clipped/{name}": parameter.grad for name, parameter in parameters.items()})
    if sketches.dtype == torch.float64:
        optimizer.step()
        result |= _after(parameters, optimizer)
    return result


def replay_sampling(model: SketchRNN, seq_len: int) -> Arrays:
    """Sketches from the official seeds."""
    model.eval()
    result = {}
    for mode, options in SAMPLING_MODES.items():
        uniform = random.Random(SAMPLING_SEEDS["uniform"])
        normal = np.random.RandomState(SAMPLING_SEEDS["normal"])
        drawn = sample(model, seq_len, **options, uniform=uniform, normal=normal)
        result |= {f"sample/{mode}/{name}": values for name, values in drawn.mixture.items()}
        result[f"sample/{mode}/strokes"] = drawn.strokes
        result[f"sample/{mode}/next_uniform"] = np.asarray(uniform.random())
        result[f"sample/{mode}/next_normal"] = np.asarray(normal.random_sample())
    return result


def replay_data(recording: Recording) -> Arrays:
    """Batches from the official seed and the recorded order of equal lengths."""
    hparams, inputs = recording.hparams, recording["inputs"]
    rng = np.random.RandomState(recording.provenance["seed"])
    loaders = {}
    for split in ("train", "valid"):
        strokes = np.split(inputs[f"{split}/points"], inputs[f"{split}/offsets"][1:-1])
        augmentation = (
            {n: hparams[n] for n in ("random_scale_factor", "augment_stroke_prob")} if split == "train" else {}
        )
        loaders[split] = DataLoader(
            strokes, hparams["batch_size"], hparams["max_seq_len"], rng, order=inputs[f"{split}/order"], **augmentation
        )
    scale_factor = loaders["train"].calculate_normalizing_scale_factor()
    result = {"scale_factor": np.asarray(scale_factor)}
    for loader in loaders.values():
        loader.normalize(scale_factor)
    train = loaders["train"].random_batch
    batches = {"train/0": train, "valid/0": lambda: loaders["valid"].get_batch(0), "train/1": train}
    for name, draw in batches.items():
        batch = draw()
        result |= {
            f"{name}/strokes": np.concatenate(batch.strokes),
            f"{name}/sketches": batch.sketches,
            f"{name}/lengths": batch.lengths,
        }
    return result


class Replayed(RecordedDraws):
    """Recorded draws that remember the keep probability with which each mask was asked for."""

    def __init__(self, recording: Recording) -> None:
        # the encoder takes as many steps as the longest sketch has points; the masks of later steps are not asked for
        longest = int(recording["inputs"]["lengths"].max())
        draws = recording["draws"].items()
        super().__init__({name: v[:longest] if name.startswith("encoder/") else v for name, v in draws})
        self.keep_prob: Arrays = {}

    def mask(self, name: str, shape: tuple[int, ...], keep_prob: float, like: Tensor) -> Tensor:
        """The recorded mask of that name."""
        self.keep_prob[f"train/keep_prob/{name}"] = np.asarray(keep_prob, np.float32)  # as TensorFlow holds it
        return super().mask(name, shape, keep_prob, like)


def _batch(model: SketchRNN, recording: Recording) -> tuple[Tensor, Tensor]:
    inputs = recording["inputs"]
    dtype = model.decoder.output_w.dtype
    return torch.as_tensor(inputs["sketches"], dtype=dtype), torch.as_tensor(inputs["lengths"])


def _outputs(passed: Forward) -> dict[str, Tensor]:
    latent = {} if passed.mu is None else {"mu": passed.mu, "presig": passed.presig, "z": passed.z}
    return latent | passed.mixture.parameters()


def _padded(values: dict[str, Tensor], recording: Recording) -> dict[str, Tensor]:
    """The encoder's values as TensorFlow leaves them: zero behind the end of a sketch, padded to all steps."""
    lengths = torch.as_tensor(recording["inputs"]["lengths"])
    steps = recording["inputs"]["sketches"].shape[1] - 1
    result = {}
    for name, value in values.items():
        if name.startswith("encoder/") and value.ndim == 3:
            alive = torch.arange(value.shape[1]) < lengths.unsqueeze(1)
            value = torch.where(alive.unsqueeze(2), value, 0)
            value = torch.nn.functional.pad(value, (0, 0, 0, steps - value.shape[1]))
        result[name] = value
    return result


def _after(parameters: dict[str, Tensor], optimizer: TF1Adam) -> Arrays:
    result: Arrays = {}  # the slots first, from which the weights are computed
    for name, parameter in parameters.items():
        slots = optimizer.state[parameter]
        result |= _arrays({f"after/{slot_name(name, slot)}": slots[slot] for slot in ("m", "v")})
    result |= _arrays({f"after/{name}": parameter for name, parameter in parameters.items()})
    group = optimizer.param_groups[0]
    result |= {f"after/{official}": np.asarray(group[power]) for power, official in ADAM_POWERS.items()}
    return result


def _named(prefix: str, values: dict[str, Tensor]) -> Arrays:
    return _arrays({f"{prefix}/{name}": value for name, value in values.items()})


def _arrays(values: dict[str, Tensor]) -> Arrays:
    return {name: value.detach().cpu().numpy().copy() for name, value in values.items()}
