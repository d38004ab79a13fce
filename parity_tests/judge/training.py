"""Whole training runs against the official trainer's, with all randomness on, in float64.

*Official-fed*: each step starts from the official weights, slots and powers, so that it is proven alone, as closely as
a second official run of the same step (weights moved in the last bit, units and rows in another order) comes to the
first. *Free*: ours starts from the first weights with an optimizer of its own, and runs on by itself; as training is
chaotic, its drift is held against that of ten official runs, their first weights perturbed by 1e-15. Batches and
schedules are the port's own in both. A checkpoint that the official trainer left half-way is converted and continued as
well.
"""

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from parity_tests.adapter import FAILURES, Adapter, Arrays, told
from parity_tests.judge.likely_cause import likely_cause
from parity_tests.judge.limits import CHAOTIC64, DRIFT_FACTOR, DRIFT_FLOOR, FLOAT64_ALLOWED, SPREAD_FACTOR64, WINDOW
from parity_tests.judge.place import place
from parity_tests.judge.row import DIFFERENT, EQUAL, NOT_COMPARED, NOT_JUDGED, UNTESTED, Row
from parity_tests.record.draws import VALIDATION_DRAWS, Wanted, draws_of
from parity_tests.record.recording import Recording
from parity_tests.replay.answers import Answers
from parity_tests.replay.model import WHOLE, orders_of, sets_of
from weight_port.names import GLOBAL_STEP

COSTS = ("cost", "r_cost", "kl_cost")


@dataclasses.dataclass(frozen=True)
class Curves:
    """A training run of both sides, for the plots; each list has one number a step."""

    recording: str
    theirs: Mapping[str, list[float]]  # cost, r_cost, kl_cost, lr, kl_weight
    ours: Mapping[str, list[float]]
    drift: list[float]  # of our weights from the official run
    official_drift: list[float]  # of the official weights from themselves, the largest of several perturbations
    fed_error: list[float]  # the largest error of any quantity of a step that starts from the official state

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def replay_training(recording: Recording, port: Adapter) -> tuple[list[Row], Curves | None]:
    """Both runs of a port; the curves are None where it offers no training step."""
    fed = _Fed(recording)
    try:
        _official_fed(fed, recording, port)
    except FAILURES as error:
        return [*fed.departures(), _unjudged(recording, error)], None
    rows = [fed.row(name) for name in sorted(set(fed.worst) | set(fed.official), key=fed.place)]
    fresh = _Fed(recording, wanted=1)
    try:
        curves = _free(recording, port, fed.error_by_step, fresh)
    except FAILURES as error:
        return [*rows, _unjudged(recording, error)], None
    rows += [dataclasses.replace(fresh.row(n), quantity=n.replace("steps/", "fresh/", 1)) for n in fresh.order]
    return [*rows, *_drift_rows(recording, curves)], curves


class PortFailed(Exception):
    """A port's method failed; the message names it."""


def _ask(method: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except NotImplementedError:
        raise
    except FAILURES as error:
        raise PortFailed(f"{method} failed: {told(error)}") from error


def _ask_arrays(method: str, call: Callable[[], Arrays], required: tuple[str, ...]) -> Arrays:
    answers = Answers()
    answer = answers.take(method, call, required)
    if answers.untested:
        raise NotImplementedError(answers.untested[method])
    if answers.broken:
        raise PortFailed(f"{method} failed: {answers.broken[method]}")
    return answer


def _unjudged(recording: Recording, error: BaseException) -> Row:
    """Why a run came to no end."""
    verdict, note = DIFFERENT, told(error)
    if isinstance(error, PortFailed):
        note = str(error)
    elif isinstance(error, NotImplementedError):
        verdict, note = UNTESTED, str(error) or "the port does not offer it"
    return Row.failed(recording.name, "steps", "float64", verdict, note)


class _Fed:
    """The errors of the official-fed run, step by step."""

    def __init__(self, recording: Recording, wanted: int | None = None) -> None:
        self.recording = recording
        self.official = dict(recording["float64"])
        if (validation := self.official.pop("validation", None)) is not None:  # [validations, costs]
            self.official |= {f"validation/{name}": validation[:, i] for i, name in enumerate(COSTS)}
        self.wanted = wanted  # how often each quantity must be compared; None: as often as it was recorded
        self.worst: dict[str, dict[str, Any]] = {}
        self.steps = len(self.official["steps/cost"])
        self.error_by_step = [0.0] * self.steps
        self.order: list[str] = []
        self.compared: dict[str, int] = {}
        self.chaotic: dict[str, int] = {}  # at how many steps the official code drifts too far from itself
        spreads = recording.groups.get("float64_ensemble", {})
        self.spreads = {name: _windowed(values) for name, values in spreads.items()}

    def take(self, name: str, step: int, ours: np.ndarray, theirs: np.ndarray, scale: float, *, exact: bool) -> None:
        """Compare a quantity at a step; exact ones must be the same numbers."""
        spread = self._spread(name, step) / scale if scale and not exact else 0.0
        if name not in self.order:
            self.order.append(name)
        self.compared[name] = self.compared.get(name, 0) + 1
        ours, theirs = np.array(ours), np.asarray(theirs)
        note = _obstacle(ours, theirs)
        if spread > CHAOTIC64 and not note:
            self.chaotic[name] = self.chaotic.get(name, 0) + 1
            self.worst.setdefault(name, self._nothing(step))
            return
        allowed = 0.0 if exact else max(FLOAT64_ALLOWED, SPREAD_FACTOR64 * spread)
        error, index = float("inf"), None
        if not note:
            difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
            index = np.unravel_index(int(difference.argmax()), difference.shape)
            largest = float(difference[index])
            error = 0.0 if largest == 0 else largest / scale if scale else float("inf")
        self.error_by_step[step] = max(self.error_by_step[step], error)
        before = self.worst.get(name)
        used = error / (allowed or 1.0)
        # the first departure is kept
        if before is None or (not self.departed(name) and used >= before["used"]):
            found = {"step": step, "error": error, "allowed": allowed, "note": note, "index": index}
            self.worst[name] = found | {"ours": ours, "theirs": theirs, "used": used, "noise": spread}

    @staticmethod
    def _nothing(step: int) -> dict[str, Any]:
        """What stands for a quantity of which nothing was judged yet."""
        found = {"step": step, "error": 0.0, "allowed": FLOAT64_ALLOWED, "note": "", "index": None}
        return found | {"ours": np.empty(0), "theirs": np.empty(0), "used": -1.0, "noise": None}

    def _spread(self, name: str, step: int) -> float:
        """How far official runs of the steps around this one come out from each other; absolute."""
        values = self.spreads.get(name.replace("validation/", "steps/", 1))
        return 0.0 if values is None else float(values[step])

    def departed(self, name: str) -> bool:
        """Whether a quantity was beyond its allowance at some step."""
        return name in self.worst and self.worst[name]["error"] > self.worst[name]["allowed"]

    def departures(self) -> list[Row]:
        """What departed so far: all that can be told of a run that came to no end."""
        return [self._judged(name) for name in sorted(self.worst, key=self.place) if self.departed(name)]

    def place(self, name: str) -> tuple[int, str]:
        """For sorting: the order of computation."""
        return (self.order.index(name) if name in self.order else len(self.order), name)

    def row(self, name: str) -> Row:
        """What became of a quantity over all steps."""
        recorded = len(self.official[name]) if name in self.official else 0
        wanted = min(recorded, recorded if self.wanted is None else self.wanted)
        compared = self.compared.get(name, 0)
        if compared != wanted:
            note = f"compared {compared} times, expected {wanted}" if compared else "missing on the port"
            note = note if recorded else "missing on the official side"
            return Row.failed(self.recording.name, name, "float64", NOT_COMPARED if compared else UNTESTED, note)
        return self._judged(name)

    def _judged(self, name: str) -> Row:
        claims = {"recording": self.recording.name, "quantity": name, "precision": "float64"}
        found = self.worst[name]
        equal = found["error"] <= found["allowed"]
        verdict, note = EQUAL if equal else DIFFERENT, found["note"]
        if equal and name in self.chaotic:
            verdict = NOT_JUDGED
            note = f"chaotic at {self.chaotic[name]} of {self.compared[name]} steps"
        row = Row(
            **claims,
            verdict=verdict,
            error=found["error"],
            allowed=found["allowed"],
            where={"step": found["step"]},
            note=note,
            noise=found["noise"],
        )
        if found["index"] is None:
            return row
        index = tuple(map(int, found["index"]))
        short = name.removeprefix("steps/")
        where = place(short, index, found["ours"].shape) if short.startswith(("gradient", "clipped", "after")) else {}
        cause = None
        if not equal:
            cause = likely_cause(name, found["ours"], found["theirs"], {}, FLOAT64_ALLOWED)
        return dataclasses.replace(
            row,
            where={"step": found["step"], **where},
            ours=float(found["ours"][index]),
            theirs=float(found["theirs"][index]),
            truth=float(found["theirs"][index]),
            cause=cause,
        )


def _obstacle(ours: np.ndarray, theirs: np.ndarray) -> str:
    """Why two arrays are different whatever their numbers; empty where numbers tell."""
    if ours.shape != theirs.shape:
        return f"shape {list(ours.shape)}, expected {list(theirs.shape)}"
    if ours.dtype.kind not in "fiu":
        return f"type {ours.dtype}, expected {theirs.dtype}"
    return "" if np.isfinite(ours).all() and np.isfinite(theirs).all() else "NaN or infinity"


def _windowed(values: np.ndarray) -> np.ndarray:
    """At each step the largest of the steps around it: together they are an ensemble, and they change slowly."""
    padded = np.pad(values, WINDOW, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * WINDOW + 1).max(axis=1)


def wanted_draws(recording: Recording, which: str) -> dict[str, Wanted]:
    """What the official graph was fed, by name."""
    return {name: Wanted(tuple(shape), keep) for name, (shape, keep) in recording.provenance[which].items()}


def state_before(recording: Recording, step: int) -> Arrays:
    """The official weights, slots and powers before a step."""
    if step == 0:
        return {n: v for n, v in recording["weights"].items() if n != GLOBAL_STEP}
    after = {n.removeprefix("steps/after/"): v for n, v in recording["float64"].items() if "/after/" in n}
    return {name: values[step - 1] for name, values in after.items()} | {
        name: value for name, value in recording["weights"].items() if name not in after and name != GLOBAL_STEP
    }


def _official_fed(fed: _Fed, recording: Recording, port: Adapter) -> None:
    batches = _Batches(recording, port)
    for step in range(fed.steps):
        _load(recording, port, with_step(state_before(recording, step), step))
        _one_step(fed, recording, port, batches, step)
        batches.validate(fed, port, step)


def _load(recording: Recording, port: Adapter, variables: Arrays) -> None:
    copies = {name: value.copy() for name, value in variables.items()}
    _ask("load", lambda: port.load(dict(recording.hparams), copies))


def with_step(variables: Arrays, step: int) -> Arrays:
    """Variables with the counter that a checkpoint holds as well."""
    return variables | {GLOBAL_STEP: np.asarray(step)}


def _one_step(fed: _Fed, recording: Recording, port: Adapter, batches: "_Batches", step: int) -> None:
    official = {name: values[step] for name, values in fed.official.items() if name.startswith("steps/")}
    ours, answer = batches.step(port, step)
    # what is inside a step was recorded of models; of a training what it leaves was, and nothing else may be there
    ours |= {name: value for name, value in answer.items() if f"steps/{name}" in official or name.startswith(WHOLE)}
    for name, value in ours.items():
        if f"steps/{name}" not in official:
            fed.take(f"steps/{name}", step, value, np.empty(0), 0.0, exact=True)
            continue
        theirs = official[f"steps/{name}"]
        whole = f"steps/gradient/{name.removeprefix('clipped/')}" if name.startswith("clipped/") else f"steps/{name}"
        exact = name in ("sketches", "lengths")
        fed.take(f"steps/{name}", step, value, theirs, float(np.abs(official[whole]).max()), exact=exact)


class _Batches:
    """The port's own batches, from the official seed, and its validations, which draw from the same stream.

    A port without a data loader or schedules is given the official ones.
    """

    def __init__(self, recording: Recording, port: Adapter) -> None:
        self.recording = recording
        hparams = recording.hparams | {"max_seq_len": None}
        rng = np.random.RandomState(recording.provenance["seed"])
        try:
            self.data = _ask("data", lambda: port.data(sets_of(recording), hparams, rng, orders_of(recording)))
        except NotImplementedError:
            self.data = None
        self.wanted = wanted_draws(recording, "draws")
        self.sizes = {split: len(recording["inputs"][f"{split}/order"]) for split in ("valid", "test")}
        self.validations = 0
        self.best = float("inf")

    def skip(self) -> None:
        """Draw a batch and leave it."""
        if self.data is not None:
            self._batch(self.data.random_batch)

    def _batch(self, draw: Callable[..., Any], *index: int) -> tuple[np.ndarray, np.ndarray]:
        """Sketches and lengths."""

        def arrays() -> tuple[np.ndarray, np.ndarray]:
            _, sketches, lengths = draw(*index)
            return np.array(sketches), np.array(lengths)

        return _ask("data", arrays)

    def _schedules(self, port: Adapter, step: int) -> tuple[float, float]:
        def pair() -> tuple[float, float]:
            lr, kl_weight = port.schedules(dict(self.recording.hparams), step)
            return float(lr), float(kl_weight)

        return _ask("schedules", pair)

    def step(self, port: Adapter, step: int) -> tuple[dict[str, Any], Arrays]:
        """Let the port take a step: what of the port's own it was given, and what it answered."""
        official = self.recording["float64"]
        given = {name: official[f"steps/{name}"][step].copy() for name in ("lr", "kl_weight", "sketches", "lengths")}
        own: dict[str, Any] = {}
        with suppress(NotImplementedError):
            own["lr"], own["kl_weight"] = self._schedules(port, step)
        if self.data is not None:
            own["sketches"], own["lengths"] = self._batch(self.data.random_batch)
        given |= own
        draws = draws_of(self.wanted, self.recording.provenance["seed"], step)
        draws = {name: value.astype(np.float64) for name, value in draws.items()}
        answer = _ask_arrays(
            "train_step",
            lambda: port.train_step(
                given["sketches"].copy(), given["lengths"].copy(), draws, float(given["lr"]), float(given["kl_weight"])
            ),
            COSTS,
        )
        return own, answer

    def validate(self, fed: _Fed | None, port: Adapter, step: int) -> None:
        """As the official trainer does: the validation set, and where it is the best so far also the test set."""
        hparams = self.recording.hparams
        if self.data is None or step == 0 or step % hparams["save_every"]:
            return
        official = self.recording["float64"]["validation"]
        count = self.sizes["valid"] // hparams["batch_size"]
        cost = float(np.mean(official[self.validations : self.validations + count, 0]))
        for batch in range(count):
            self._validation(fed, port, step, *self._batch(self.data.valid_batch, batch))
        if cost < self.best:
            self.best = cost
            for batch in range(self.sizes["test"] // hparams["batch_size"]):
                self._validation(fed, port, step, *self._batch(self.data.test_batch, batch))

    def _validation(
        self, fed: _Fed | None, port: Adapter, step: int, sketches: np.ndarray, lengths: np.ndarray
    ) -> None:
        index, self.validations = self.validations, self.validations + 1
        if fed is None:  # only what was drawn from the stream counts
            return
        seed = self.recording.provenance["seed"]
        draws = draws_of(wanted_draws(self.recording, "validation_draws"), seed, VALIDATION_DRAWS + index)
        draws = {name: value.astype(np.float64) for name, value in draws.items()}
        try:
            costs = self._costs(port, sketches, lengths, draws)
        except NotImplementedError:  # which its row says
            return
        # the official validation weighs the KL cost by kl_weight_start throughout
        cost = costs["r_cost"] + self.recording.hparams["kl_weight_start"] * costs["kl_cost"]
        for name, ours in {"cost": cost, "r_cost": costs["r_cost"], "kl_cost": costs["kl_cost"]}.items():
            theirs = fed.official[f"validation/{name}"][index]
            fed.take(f"validation/{name}", step, ours, theirs, float(np.abs(theirs)), exact=False)

    def _costs(self, port: Adapter, sketches: np.ndarray, lengths: np.ndarray, draws: Arrays) -> Arrays:
        targets = sketches[:, 1:]
        latent = _ask_arrays("encode", lambda: port.encode(targets, lengths, draws), ("mu", "presig", "z"))
        decoded = _ask_arrays("decode", lambda: port.decode(sketches[:, :-1], latent["z"], {}), ())
        return _ask_arrays("loss", lambda: port.loss(decoded, targets, latent, is_training=True), COSTS[1:])


def _free(recording: Recording, port: Adapter, fed_error: list[float], fresh: _Fed) -> Curves:
    """The whole run, from the weights alone; what the first step leaves of a fresh optimizer goes into ``fresh``."""
    official = recording["float64"]
    batches = _Batches(recording, port)
    steps = len(official["steps/cost"])
    ours: dict[str, list[float]] = {name: [] for name in (*COSTS, "lr", "kl_weight")}
    drift = []
    weights = {n.removeprefix("steps/after/"): v for n, v in official.items() if "/after/" in n and "/Adam" not in n}
    weights = {name: values for name, values in weights.items() if not name.endswith("_power")}
    trainable = {n.removeprefix("steps/gradient/") for n in official if n.startswith("steps/gradient/")}
    _load(recording, port, {n: v for n, v in state_before(recording, 0).items() if n in trainable})
    for step in range(steps):
        own, answer = batches.step(port, step)
        for name in [
            name for name in answer if step == 0 and name.startswith("after/") and f"steps/{name}" in official
        ]:
            theirs = official[f"steps/{name}"][0]
            fresh.take(f"steps/{name}", 0, answer[name], theirs, float(np.abs(theirs).max()), exact=False)
        if lacking := [name for name in weights if f"after/{name}" not in answer]:
            raise NotImplementedError(f"the answer of train_step lacks after/{lacking[0]}")
        batches.validate(None, port, step)
        for name in ours:
            value = answer[name] if name in COSTS else own.get(name, official[f"steps/{name}"][step])
            ours[name].append(float(value))
        drift.append(max(_distance(answer[f"after/{name}"], values[step]) for name, values in weights.items()))
    runs = recording["official_drift"]
    own = np.max([values for name, values in runs.items() if name.endswith("/weights")], axis=0)
    theirs = {name: official[f"steps/{name}"].tolist() for name in ours}
    return Curves(recording.name, theirs, ours, drift, own.tolist(), fed_error)


def _distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    if not np.isfinite(ours).all():
        return float("inf")
    scale = float(np.abs(theirs).max())
    return float(np.abs(ours - theirs).max()) / scale if scale else float(np.abs(ours).max())


def _drift_rows(recording: Recording, curves: Curves) -> list[Row]:
    """The drift of the weights, and of each cost relative to its largest value, against the official code's own."""
    rows = [_drift_row(recording, "weights", curves.drift, curves.official_drift)]
    for name in COSTS:
        theirs = np.array(curves.theirs[name])
        runs = [values for key, values in recording["official_drift"].items() if key.split("/")[1] == name]
        scale = float(np.abs(theirs).max()) or 1.0
        with np.errstate(invalid="ignore"):
            ours = np.abs(np.array(curves.ours[name]) - theirs) / scale
        official = np.max(np.abs(np.array(runs) - theirs), axis=0) / scale
        rows.append(_drift_row(recording, name, np.where(np.isfinite(ours), ours, np.inf).tolist(), official.tolist()))
    return rows


def _drift_row(recording: Recording, what: str, ours: list[float], official: list[float]) -> Row:
    """Our drift against the official code's own so far, at the step that comes closest to its allowance."""
    so_far = np.maximum.accumulate(official)
    allowed = np.maximum(DRIFT_FACTOR * so_far, DRIFT_FLOOR)
    step = int((np.array(ours) / allowed).argmax())
    error = ours[step]
    return Row(
        recording.name,
        f"free run: drift of {what if what in COSTS else f'the {what}'}",
        "float64",
        EQUAL if error <= allowed[step] else DIFFERENT,
        error=error,
        allowed=float(allowed[step]),
        official_error=float(so_far[step]),
        where={"step": step},
    )


def resumed(recording: Recording, port: Adapter, variables: Arrays, step: int) -> list[Row]:
    """The step behind an official checkpoint: ours, from the converted variables, against the recorded one.

    Args:
        recording: of the run that left the checkpoint.
        port: the port.
        variables: of the checkpoint, by their official names.
        step: how many steps were behind it.
    """
    fed = _Fed(recording, wanted=1)
    batches = _Batches(recording, port)
    for earlier in range(step):  # what was drawn from the stream until then
        batches.skip()
        batches.validate(None, port, earlier)
    _load(recording, port, variables)
    _one_step(fed, recording, port, batches, step)
    names = set(fed.worst) | {name for name in fed.official if name.startswith("steps/")}
    rows = [fed.row(name) for name in sorted(names, key=fed.place)]
    return [dataclasses.replace(row, quantity=row.quantity.replace("steps/", "resumed/", 1)) for row in rows]
