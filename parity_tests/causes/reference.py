"""The answers of the reference, our own port, to a recording with bugs planted in it.

The reference is replayed as any port is. It offers only the methods that a quantity needs, so that nothing else is
computed.
"""

import re
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import CodeType, FrameType
from typing import Any

import numpy as np

from parity_tests import adapter, ours
from parity_tests.adapter import Arrays
from parity_tests.mutation.bugs import Mutant
from parity_tests.mutation.combined import may_affect, planted_together
from parity_tests.mutation.workers import one_thread
from parity_tests.record.configurations import CELL_KEEP_PROB
from parity_tests.record.recording import Recording
from parity_tests.replay.model import replay
from pytorch_sketch_rnn.model.cells import Cell
from weight_port.names import CELLS

METHODS = frozenset(adapter.METHODS)
_LAYERS = {"step_layer", "step_layer_vjp", "step_cell", "step_cell_vjp", "posterior", "latent", "initial_state"}
# the methods that compute a quantity of a model; the first pattern that it matches counts
_NEEDS = (
    (r"fed/.*", {"load", *_LAYERS, "output_layer", "costs", "optimize"}),
    (r"prefix/.*", {"load", "encode", "decode"}),
    (r"eval/(encoder/.*|mu|presig|z)", {"load", "encode"}),
    (r"eval/.*", {"load", "encode", "decode", "loss"}),
    (r"sample/.*", {"load", "sample"}),
    (r"(train|gradient|clipped|after)/.*", {"load", "train_step"}),
)
_FORWARD = {"load", "encode", "decode", "loss"}  # the forward pass of a port that cannot train
_MASK_SIZE = 1000


class Reference:
    """The answers of the reference to one recording, cached for each set of bugs.

    Args:
        recording: of the official code.
        precision: the group that is compared.
        wanted: the quantities that are cached; all tensors of a model would not fit in memory.
        offered: methods of the adapter that the port under test has. The harness replaces what it lacks by official
            values, here too. None: all.
    """

    def __init__(
        self,
        recording: Recording,
        precision: str,
        wanted: Collection[str],
        offered: Collection[str] | None = None,
    ) -> None:
        self.recording, self.precision, self.wanted = recording, precision, frozenset(wanted)
        self.offered = METHODS if offered is None else METHODS & set(offered)
        self.replays = 0
        self._kept: dict[tuple[frozenset[str], frozenset[str]], Arrays] = {}
        self._executed: dict[frozenset[str], set[CodeType]] = {}
        self._needed: dict[str, frozenset[str]] = {}
        self._order: list[str] = []  # of computation

    def official(self, quantity: str) -> np.ndarray | None:
        """The official value; for a quantity that the recording does not have, the reference's without bugs."""
        name = quantity.removeprefix("fed/")
        for group in (self.precision, "initial"):
            if name in self.recording.groups.get(group, {}):
                return self.recording[group][name]
        return self.answer(quantity, ())

    def answer(self, quantity: str, bugs: Sequence[Mutant]) -> np.ndarray | None:
        """A quantity with these bugs planted; None if the reference fails, or they cannot be planted together.

        Raises:
            LookupError: when a bug alone does not fit the code.
        """
        methods = self.needs(quantity)
        key = frozenset(bug.name for bug in bugs), methods
        if key not in self._kept:
            found = self._planted(methods, bugs)
            self._kept[key] = {name: value for name, value in found.items() if name in self.wanted}
        return self._kept[key].get(quantity)

    def is_known(self, quantity: str, bugs: frozenset[str]) -> bool:
        """Whether an answer is cached; bugs are given by their names."""
        return (bugs, self.needs(quantity)) in self._kept

    def needs(self, quantity: str) -> frozenset[str]:
        """The methods that compute a quantity."""
        if quantity not in self._needed:
            self._needed[quantity] = self._needs(quantity)
        return self._needed[quantity]

    def _needs(self, quantity: str) -> frozenset[str]:
        kind = self.recording.kind
        if kind == "cell" and quantity.startswith("vjp/"):
            return frozenset({"step_cell", "step_cell_vjp"})
        if kind != "model":
            return frozenset({"cell": {"step_cell", "dropout_mask"}, "data": {"data"}}.get(kind, METHODS))
        named = next((methods for pattern, methods in _NEEDS if re.fullmatch(pattern, quantity)), METHODS)
        if "train_step" in named and "train_step" not in self.offered:
            named = _FORWARD
        methods = self.offered & named
        return methods if quantity in self._sound(methods) else self.offered

    def may_affect(self, bug: Mutant, quantity: str) -> bool:
        """Whether a bug is in code that runs when the reference without bugs computes a quantity."""
        if sys.getprofile() is not None:  # there can be only one profiler, and another is on
            return True
        methods = self.needs(quantity)
        if methods not in self._executed:
            with _profiled() as executed:
                self._computed(methods)
            self._executed[methods] = executed
        return may_affect(bug, self._executed[methods])

    def place(self, quantity: str) -> int:
        """The place of a quantity in the order of computation; a state counts as computed before the output."""
        self.needs(quantity)
        name = quantity.removesuffix("output") + "state" if quantity.endswith("output") else quantity
        order = self._order
        place = order.index(name) if name in order else order.index(quantity) if quantity in order else len(order)
        return 2 * place + (name != quantity)

    def _sound(self, methods: frozenset[str]) -> Arrays:
        key: tuple[frozenset[str], frozenset[str]] = frozenset(), methods
        if key not in self._kept:
            found = self._computed(methods)
            self._order += [name for name in found if name not in self._order]
            self._kept[key] = {name: value for name, value in found.items() if name in self.wanted}
        return self._kept[key]

    def _planted(self, methods: frozenset[str], bugs: Sequence[Mutant]) -> Arrays:
        with ExitStack() as stack:
            try:
                stack.enter_context(planted_together(bugs))
            except LookupError:
                if len(bugs) < 2:
                    raise
                return {}
            # float32 rounds differently when more numbers are computed at a time, so such steps are computed one by one
            return self._computed(methods, at_once=all(bug.family != "precision" for bug in bugs))

    def _computed(self, methods: frozenset[str], *, at_once: bool = True) -> Arrays:
        self.replays += 1
        with one_thread(), warnings.catch_warnings(), np.errstate(all="ignore"):  # a bug may divide by zero
            warnings.simplefilter("ignore")
            try:
                at_once &= "step_cell_vjp" not in methods
                return _answers(self.recording, self.precision, _PartOfOurs(methods), at_once=at_once)
            except Exception:  # a bug may raise anything
                return {}


def _answers(recording: Recording, precision: str, port: adapter.Adapter, *, at_once: bool) -> Arrays:
    hparams = dict(recording.hparams)
    if recording.kind == "training":
        steps = len(recording["float64"]["steps/lr"])
        rates = np.array([port.schedules(hparams, step) for step in range(steps)])
        return {"steps/lr": rates[:, 0], "steps/kl_weight": rates[:, 1]}
    if recording.kind == "initial":
        drawn = port.initial(hparams, recording.provenance["seed"])
        return {f"initial/{name}": value for name, value in drawn.items()}
    if recording.kind == "cell" and precision == "exact":
        return {"dropout_values": np.unique(port.dropout_mask(_MASK_SIZE, CELL_KEEP_PROB))}
    if recording.kind == "cell" and at_once:
        return _cell_at_once(recording, precision, port)
    return replay(recording, precision, port).arrays


def _cell_at_once(recording: Recording, precision: str, port: adapter.Adapter) -> Arrays:
    """As :func:`parity_tests.replay.model.replay_cell`, but with all steps as rows of one batch."""
    claims = recording.hparams
    scope = f"{CELLS[claims['cell']][0]}/"
    weights = {n.removeprefix(scope): v.astype(precision) for n, v in recording["weights"].items()}
    official, inputs = recording[precision]["state"], recording["inputs"]
    states = np.concatenate([inputs["state"][:, None], official[:, :-1]], axis=1)
    masks = recording["draws"]["recurrent"].swapaxes(0, 1)
    rows = [value.astype(precision).reshape(-1, value.shape[2]) for value in (inputs["x"], states, masks)]
    answer = port.step_cell(claims["cell"], weights, *rows)
    return {name: value.reshape(*official.shape[:2], -1) for name, value in answer.items()}


class _PartOfOurs(ours.Adapter):
    """Our port with some of its methods; a cell is built once for all steps."""

    def __init__(self, methods: Collection[str]) -> None:
        super().__init__()
        for name in METHODS - set(methods):
            setattr(self, name, _not_offered)
        self._built: list[tuple[Mapping[str, np.ndarray], Cell]] = []

    def _cell(self, kind: str, weights: Mapping[str, np.ndarray], input_size: int) -> Cell:
        for known, cell in self._built:
            if known is weights:
                return cell
        self._built.append((weights, super()._cell(kind, weights, input_size)))
        return self._built[-1][1]


def _not_offered(*args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError("not needed")


@contextmanager
def _profiled() -> Iterator[set[CodeType]]:
    """Record which code is executed."""
    executed: set[CodeType] = set()

    def record(frame: FrameType, event: str, argument: Any) -> None:
        executed.add(frame.f_code)

    sys.setprofile(record)
    try:
        yield executed
    finally:
        sys.setprofile(None)
