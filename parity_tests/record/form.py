"""Checks that a recording holds everything that a proof needs, in the types and shapes that the official side writes.

A file with a valid seal may still lack arrays, if another program wrote it or somebody removed some. The check reports
that in one line, before anything is computed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from parity_tests.record.configurations import SAMPLING_MODES
from parity_tests.record.draws import PREFIXES
from parity_tests.record.error_norms import by_step
from parity_tests.record.layers import layers_of
from parity_tests.record.layout import draw_shapes, expected_numbers, quantity_shapes, variable_shapes
from parity_tests.record.mixtures import PARAMETERS
from parity_tests.record.quantities import COSTS
from parity_tests.record.recording import Recording
from parity_tests.record.requirements import Requirements, Shape, is_unicode, provenance_problem
from pytorch_sketch_rnn.data.npz import SPLITS
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.hparams import HYPER_SIZES, HParams
from weight_port.names import ADAM_POWERS, CELLS, slot_name, weight_names

# the groups with the results of the official code
PRECISIONS = {
    "model": ("float64", "float32"),
    "cell": ("float64", "float32", "exact"),
    "data": ("exact",),
    "training": ("float64",),
    "initial": ("initial", "distribution"),
}
LOCAL = ("float64_local", "float32_local", "float32_truth")
# ... and those that a replay needs as well
GIVEN = {
    "model": ("weights", "inputs", "draws", *LOCAL, "float64_ensemble", "float32_ensemble"),
    "cell": ("weights", "inputs", "draws", *LOCAL),
    "data": ("inputs",),
    "training": ("weights", "inputs", "official_drift", "float64_ensemble"),
    "initial": (),
}


def check_form(recording: Recording) -> None:
    """Check that nothing is missing, empty or of a wrong shape.

    Args:
        recording: of any kind.

    Raises:
        BadInput: naming the first group, array or claim that is wrong.
    """
    _Form(recording).check()


class _Form(Requirements):
    """The checks of one recording; each raises BadInput."""

    def check(self) -> None:
        kind = self.recording.kind
        if not isinstance(kind, str) or kind not in PRECISIONS:
            self.refuse(f"of an unknown kind {kind!r}")
        claims = (self.recording.name, self.provenance, self.hparams)
        named = isinstance(claims[0], str) and claims[0].isprintable()
        if not named or not isinstance(claims[1], dict) or not is_unicode(claims):
            self.refuse("its claims are of another form")
        if problem := provenance_problem(self.provenance):
            self.refuse(problem)
        for group in (*PRECISIONS[kind], *GIVEN[kind]):
            if group not in self.groups:
                self.refuse(f"lacks the group {group}")
        if not self.hparams or not isinstance(self.hparams, dict):
            self.refuse("lacks its hyperparameters")
        for group, arrays in self.groups.items():
            for name, value in arrays.items():
                if not (group + name).isprintable():  # reports show it, also on a terminal
                    self.refuse(f"{group}/{name} has a name of other than printable characters")
                if expected := expected_numbers(name, value.dtype):
                    self.refuse(f"{group}/{name} holds {value.dtype}, expected {expected}")
                if not value.size and kind != "data":  # a set may have an empty split
                    self.refuse(f"{group}/{name} is empty, shape {list(value.shape)}")
        getattr(self, f"_{kind}")()

    def _variables(self) -> list[str]:
        """The variables of a model with these hyperparameters."""
        try:
            return list(weight_names(HParams.from_dict(self.hparams)))
        except (BadInput, KeyError, TypeError, ValueError) as error:
            self.refuse(f"its hyperparameters are not those of a model ({' '.join(str(error).split())})")

    # What models and trainings share ---------------------------------------------------------------------------------

    def _structure(self) -> None:
        """The hyperparameters that determine the layers and their sizes."""
        if not isinstance(self.hparams.get("conditional"), int):
            self.refuse(
                f"its hyperparameter conditional is {self.hparams.get('conditional')!r}, expected a truth value"
            )
        for layer in layers_of(self.hparams):
            self.cell(layer.model)
            hyper = HYPER_SIZES if self.hparams[layer.model] == "hyper" else ()
            self.claims((layer.size, *hyper))
        self.claims(("num_mixture", "z_size"), ("kl_tolerance", "grad_clip"))

    def _trainable(self, prefix: str) -> list[str]:
        """The trainable variables; each must have a gradient, and it and its slots must be among the weights."""
        names = self._variables()
        shapes = variable_shapes(self.hparams)
        for name in self.groups["weights"]:
            if name not in shapes:
                self.refuse(f"weights/{name} is no variable of such a model")
            self.array("weights", name, *shapes[name])
        for name in names:
            gradient = self.groups["float64"].get(f"{prefix}gradient/{name}")
            if gradient is None:
                self.refuse(f"lacks float64/{prefix}gradient/{name}")
            shape = self.array("weights", name, *gradient.shape[bool(prefix) :]).shape
            self.arrays("weights", {slot_name(name, slot): shape for slot in "mv"})
        self.arrays("weights", dict.fromkeys(ADAM_POWERS, ()))
        return names

    def _weights_everywhere(self, prefix: str, names: list[str], steps: Shape) -> None:
        """Gradient, clipped gradient and value after the step, of every variable."""
        left = [*names, *(slot_name(name, slot) for name in names for slot in "mv"), *ADAM_POWERS]
        for kind, wanted in (("gradient", names), ("clipped", names), ("after", left)):
            for name in wanted:
                self.array("float64", f"{prefix}{kind}/{name}", *steps, *self.groups["weights"][name].shape)

    # Models ----------------------------------------------------------------------------------------------------------

    def _model(self) -> None:
        self._structure()
        batch, steps = self._inputs()
        self._draws(batch, steps)
        names = self._trainable("")
        self._weights_everywhere("", names, ())
        self._quantities(batch, steps)
        self.arrays("float64", self._forward(batch, steps) | self._samples())
        single = [name for name in self.groups["float64"] if not name.startswith("after/")]
        self.same("float64", "float32", single)
        self._local(self._local_names(names))
        self.same("float64_local", "float32_local", self.groups["float64_local"])
        for precision in PRECISIONS["model"]:
            self._ensemble(precision)

    def _inputs(self) -> tuple[int, int]:
        """Number of sketches in the batch, and of steps."""
        sketches = self.array("inputs", "sketches", None, None, 5)
        batch, steps = len(sketches), sketches.shape[1] - 1
        lengths = self.array("inputs", "lengths", batch)
        if steps < max(PREFIXES) or lengths.dtype.kind not in "iu" or lengths.min() < 1 or lengths.max() > steps:
            self.refuse(f"inputs/lengths are {lengths.tolist()}, expected whole numbers from 1 to {steps}")
        self.arrays("inputs", {"lr": (), "kl_weight": ()})
        return batch, steps

    def _draws(self, batch: int, steps: int) -> None:
        """Latent noise, and a mask for each dropout with a recorded keep probability."""
        if self.hparams["conditional"]:
            self.array("draws", "latent", batch, self.hparams["z_size"])
        recorded = self.groups["float64"]
        masks = {n.removeprefix("train/keep_prob/") for n in recorded if n.startswith("train/keep_prob/")}
        shapes = draw_shapes(self.hparams, batch, steps)
        for name in sorted(masks | (set(self.groups["draws"]) - {"latent"})):
            if name not in masks:
                self.refuse(f"lacks float64/train/keep_prob/{name}")
            if name not in shapes:
                self.refuse(f"float64/train/keep_prob/{name} is of no mask of such a model")
            self.array("draws", name, *shapes[name])

    def _quantities(self, batch: int, steps: int) -> None:
        """Everything that a forward pass has computed, by whichever names."""
        for kind, length in {"train": steps, "eval": steps, "prefix": max(PREFIXES)}.items():
            shapes = quantity_shapes(self.hparams, batch, length)
            for name in self.groups["float64"]:
                run, _, quantity = name.partition("/")
                if run == kind and quantity in shapes:
                    self.array("float64", name, *shapes[quantity])

    def _forward(self, batch: int, steps: int) -> dict[str, Shape]:
        """Shapes of the results of a forward pass of both models."""
        conditional, z = self.hparams["conditional"], self.hparams["z_size"]
        result: dict[str, Shape] = {"train/cost": ()}
        for model in ("eval", "train"):
            result |= {f"{model}/{name}": shape for name, shape in self._mixture(batch, steps).items()}
            result |= {f"{model}/nll": (batch, steps), f"{model}/r_cost": ()}
            result[f"{model}/head"] = (batch, steps, 3 + 6 * self.hparams["num_mixture"])
            if conditional:
                result |= {f"{model}/{name}": (batch, z) for name in ("mu", "presig", "z")}
                result |= {f"{model}/decoder/initial_state": (batch, None), f"{model}/kl_cost": ()}
        result |= {f"prefix/{name}": shape for name, shape in self._mixture(batch, max(PREFIXES)).items()}
        if conditional:
            result |= {f"prefix/{n}/{name}": (batch, z) for n in PREFIXES for name in ("mu", "presig")}
        for layer in layers_of(self.hparams):
            state = self.array("float64", f"train/{layer.name}/state", batch, steps, None).shape[2]
            result |= {f"{model}/{layer.name}/final_state": (batch, state) for model in ("eval", "train")}
            units = self.hparams[layer.size]
            result |= {f"{model}/{layer.name}/output": (batch, steps, units) for model in ("eval", "train")}
        return result

    def _local_names(self, names: list[str]) -> list[str]:
        """The names of all local quantities."""
        result = ["train/head", "train/r_cost", "train/cost", "eval/r_cost", "loss/gradient/head"]
        result += [f"train/{name}" for name in PARAMETERS]
        if self.hparams["conditional"]:
            result += [f"train/{name}" for name in ("mu", "presig", "z", "decoder/initial_state", "kl_cost")]
            result += ["eval/kl_cost", "loss/gradient/mu", "loss/gradient/presig"]
        for layer in layers_of(self.hparams):
            inside = [name for name in self.groups["float64"] if name.startswith(f"train/{layer.name}/")]
            result += [name for name in inside if not name.endswith(("/final_state", "/initial_state"))]
            result += [f"vjp/{layer.name}/{name}" for name in ("x", "state", *CELLS[self.hparams[layer.model]][1])]
        return result + [f"optimizer/{kind}/{name}" for kind in ("clipped", "after") for name in names]

    def _mixture(self, *axes: int) -> dict[str, Shape]:
        mixtures = self.hparams["num_mixture"]
        return {name: (*axes, 3 if name.startswith("pen") else mixtures) for name in PARAMETERS}

    def _samples(self) -> dict[str, Shape]:
        result: dict[str, Shape] = {}
        failed = self.recording.provenance.get("not sampled", [])
        if not (isinstance(failed, list) and all(mode in [*SAMPLING_MODES] for mode in failed)):
            self.refuse(f"its provenance says that {failed!r} were not sampled")
        for mode in SAMPLING_MODES:
            if mode in failed:
                continue
            steps = len(self.array("float64", f"sample/{mode}/strokes", None, 5))
            shapes = self._mixture(steps)
            result |= {f"sample/{mode}/{name}": shapes[name] for name in shapes if name != "pen_logits"}
            result |= {f"sample/{mode}/next_uniform": (), f"sample/{mode}/next_normal": ()}
        return result

    def _local(self, wanted: list[str]) -> None:
        """Every local quantity has a value in each precision, and a truth of float32 in the same shape."""
        for name in (*wanted, *self.groups["float64_local"], *self.groups["float32_local"]):
            if name not in self.groups["float32_truth"]:
                self.refuse(f"lacks float32_truth/{name}")
        for name, truth in self.groups["float32_truth"].items():
            for precision in ("float64", "float32"):
                group = precision if name in self.groups[precision] else f"{precision}_local"
                self.array(group, name, *truth.shape)

    def _ensemble(self, precision: str) -> None:
        """The drift of official runs [members, 2, steps], for everything that a free run computes."""
        group = f"{precision}_ensemble"
        for name, value in self.groups[precision].items():
            self.array(group, name, None, 2, by_step(name, value).shape[0])

    # Cells, data, initial weights ------------------------------------------------------------------------------------

    def _cell(self) -> None:
        self.cell("cell")
        self.claims(("units",))
        units = self.hparams["units"]
        batch, steps, size = self.array("inputs", "x", None, None, None).shape
        state = self.array("inputs", "state", batch, None).shape[1]
        self.array("draws", "recurrent", steps, batch, units)
        scope, names = CELLS[self.hparams["cell"]]
        for name in names:
            if f"vjp/{name}" not in self.groups["float64_local"]:
                self.refuse(f"lacks float64_local/vjp/{name}")
            self.array("weights", f"{scope}/{name}", *self.groups["float64_local"][f"vjp/{name}"].shape)
        self.arrays("float64", {"output": (batch, steps, units), "state": (batch, steps, state)})
        self.same("float64", "float32", self.groups["float64"])
        self.same("float64_local", "float32_local", self.groups["float64_local"])
        self.arrays("float32_truth", {"vjp/x": (batch, steps, size), "vjp/state": (batch, steps, state)})
        self._local(list(self.groups["float64"]))
        self.array("exact", "dropout_values", None)

    def _sets(self) -> None:
        """The stroke sets, and the order of each split."""
        inputs = self.groups["inputs"]
        count = len({name.split("/")[0] for name in inputs if name.endswith("/points")})
        if not count:
            self.refuse("lacks the stroke sets")
        for split in SPLITS:
            kept = 0
            for index in range(count):
                points = self.array("inputs", f"{index}/{split}/points", None, 3)
                offsets = self.array("inputs", f"{index}/{split}/offsets", None)
                ends = (offsets[0], offsets[-1]) if len(offsets) else None
                if ends != (0, len(points)) or offsets.dtype.kind not in "iu" or (np.diff(offsets) < 0).any():
                    self.refuse(f"inputs/{index}/{split}/offsets do not fit {len(points)} points")
                kept += len(offsets) - 1
            order = self.array("inputs", f"{split}/order", None)
            if order.dtype.kind not in "iu" or len(order) > kept or not np.isin(order, np.arange(kept)).all():
                self.refuse(f"inputs/{split}/order does not fit {kept} sketches")

    def _data(self) -> None:
        self.claims(("batch_size",), ("random_scale_factor", "augment_stroke_prob"))
        if self.hparams.get("max_seq_len", 0) is not None:  # None: that of the longest sketch
            self.claims(("max_seq_len",))
        self.seed()
        self._sets()
        batch = self.hparams["batch_size"]
        self.array("exact", "scale_factor")
        for name in ("train/0", "train/1", "valid/0"):
            shapes = {"strokes": (None, 3), "sketches": (batch, None, 5), "lengths": (batch,)}
            self.arrays("exact", {f"{name}/{what}": shape for what, shape in shapes.items()})

    def _initial(self) -> None:
        self.seed()
        for group in PRECISIONS["initial"]:
            if not self.groups[group]:
                self.refuse(f"the group {group} is empty")
        draws = {name: value.shape[:1] for name, value in self.groups["distribution"].items()}
        if len(set(draws.values())) != 1 or () in draws.values():
            self.refuse("its variables have different numbers of draws")

    # Trainings -------------------------------------------------------------------------------------------------------

    def _training(self) -> None:
        self._structure()
        self.claims(("batch_size", "save_every"), ("kl_weight_start", "random_scale_factor", "augment_stroke_prob"))
        self.seed()
        self._sets()
        steps = len(self.array("float64", "steps/cost", None))
        batch = self.hparams["batch_size"]
        shapes: dict[str, Shape] = dict.fromkeys((*COSTS, "lr", "kl_weight"), (steps,))
        shapes |= {"sketches": (steps, batch, None, 5), "lengths": (steps, batch)}
        self.arrays("float64", {f"steps/{name}": shape for name, shape in shapes.items()})
        self._weights_everywhere("steps/", self._trainable("steps/"), (steps,))
        wanted = [n for n in self.groups["float64"] if n.startswith(tuple(f"steps/{k}/" for k in _LEFT))]
        self.arrays("float64_ensemble", dict.fromkeys([*(f"steps/{c}" for c in COSTS), *wanted], (steps,)))
        runs = {name.split("/")[0] for name in self.groups["official_drift"]}
        if not runs:
            self.refuse("the group official_drift is empty")
        self.arrays("official_drift", {f"{run}/{name}": (steps,) for run in runs for name in (*COSTS, "weights")})
        possible = draw_shapes(self.hparams, batch, self.groups["float64"]["steps/sketches"].shape[2] - 1)
        self._wanted("draws", possible)
        self._wanted("validation_draws", possible)
        self._validation(steps)

    def _wanted(self, which: str, possible: Mapping[str, Shape]) -> None:
        """The random inputs of the official graph: a shape and a keep probability for each name."""
        wanted: Any = self.provenance.get(which)
        try:
            sound = all(
                tuple(shape) == possible.get(name) and (keep is None if name == "latent" else 0 < keep <= 1)
                for name, (shape, keep) in wanted.items()
            )
        except (AttributeError, TypeError, ValueError):
            sound = False
        if not sound or (self.hparams["conditional"] and "latent" not in wanted):
            self.refuse(f"lacks its {which}")

    def _validation(self, steps: int) -> None:
        """The costs of all validations; after one that is the best so far, the test set was evaluated as well."""
        batch, every = self.hparams["batch_size"], self.hparams["save_every"]
        batches = {split: len(self.groups["inputs"][f"{split}/order"]) // batch for split in SPLITS}
        if steps <= every:
            return
        costs = self.array("float64", "validation", None, len(COSTS))[:, 0]
        taken, best = 0, np.inf
        for _ in range(every, steps, every):
            cost = float(np.mean(costs[taken : taken + batches["valid"]])) if taken < len(costs) else np.inf
            taken += batches["valid"] + (batches["test"] if cost < best else 0)
            best = min(best, cost)
        if taken != len(costs):
            self.refuse(f"float64/validation holds {len(costs)} validations, expected {taken}")


_LEFT = ("gradient", "clipped", "after")
