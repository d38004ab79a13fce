"""What ``make curves`` runs: the training runs of both sides, their seeds, and the departures planted in ours."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from parity_tests.curves.permutation_test import ALPHA, Sizes
from parity_tests.record.configurations import CURVE_RUNS, CURVES, TRAININGS, TrainingRun

WEIGHTS_SEED = 1  # of the official initial weights, from which every run starts
# The seed of the first run of each kind; no two runs of a comparison share a seed.
FIRST_SEED = {"Magenta": 1001, "ours": 2001, "planted": 3001}


@dataclasses.dataclass(frozen=True)
class Departure:
    """A mistake that a port's trainer could make, expressed as hyperparameters that only our side gets."""

    name: str
    cell: str
    hparams: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class CurvesPlan:
    """The runs of a comparison."""

    replayed: tuple[TrainingRun, ...]
    independent: tuple[TrainingRun, ...]
    departures: tuple[Departure, ...]
    runs: int  # of each side, for each independent training run

    @property
    def alpha(self) -> float:
        """The significance level of each cell."""
        return ALPHA / len(self.independent)

    def sizes(self, run: TrainingRun) -> Sizes:
        """What each side of an independent run must produce: there is a validation every ``save_every`` steps."""
        steps = run.hparams["num_steps"]
        return Sizes(self.runs, steps, (steps - 1) // run.hparams["save_every"])

    def variants(self, run: TrainingRun) -> list[Departure | None]:
        """The trainings of ours: as it is (None), and with each departure planted in this cell."""
        return [None, *(departure for departure in self.departures if departure.cell == run.name)]

    def first_seed(self, departure: Departure | None) -> int:
        """The seed of the first of our runs with a departure, or without one."""
        if departure is None:
            return FIRST_SEED["ours"]
        return FIRST_SEED["planted"] + self.departures.index(departure) * self.runs


_NO_DROPOUT = Departure("the recurrent dropout is missing", "lstm", {"use_recurrent_dropout": False})
_NO_DECAY = Departure("the learning rate does not decay", "lstm", {"decay_rate": 1.0})
FULL = CurvesPlan(TRAININGS, CURVES, (_NO_DROPOUT, _NO_DECAY), CURVE_RUNS)
QUICK_RUNS = 6  # the fewest that can show a difference at the level of the test: 462 ways to part 12 runs


def quick() -> CurvesPlan:
    """Fewer and shorter runs, to see whether everything works."""

    def shorter(run: TrainingRun, steps: int, save_every: int) -> TrainingRun:
        return dataclasses.replace(run, hparams=run.hparams | {"num_steps": steps, "save_every": save_every})

    return CurvesPlan(
        replayed=tuple(shorter(run, 20, 10) for run in TRAININGS),
        independent=tuple(shorter(run, 101, 50) for run in CURVES),
        departures=(_NO_DECAY,),  # the effect of missing dropout takes more steps to show
        runs=QUICK_RUNS,
    )
