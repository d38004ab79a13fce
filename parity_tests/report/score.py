"""The two scores of the harness: how small a bug it catches, and how often it calls equal code different.

``make mutants`` measures the first, ``make false-alarms`` the second; both are committed beside the recordings.
"""

import dataclasses
import math
from pathlib import Path
from typing import Any, NamedTuple, Self

from parity_tests.record.recording import FOLDER
from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.json_file import read_json

FILE = "mutants.json"
ALARMS_FILE = "false_alarms.json"


@dataclasses.dataclass(frozen=True)
class Score:
    """The number of planted bugs that were caught, and the smallest one that showed in each part."""

    planted: int
    killed: int
    located: int  # of the killed ones, those for which the harness named the right part
    smallest: dict[str, dict[str, Any]]  # part -> {"bug": name, "effect": relative error in float64}

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    def line(self) -> str:
        """For the report."""
        return f"Planted bugs: {self.killed} of {self.planted} caught, the right part named for {self.located} of them"

    @classmethod
    def load(cls, path: Path | None = None) -> Self | None:
        """The committed score, or None if there is none.

        Raises:
            BadInput: when the file is not one that ``make mutants`` wrote.
        """
        path = FOLDER / FILE if path is None else path
        if not path.is_file():
            return None
        try:
            content = read_json(path)
            score = cls(**{field.name: content[field.name] for field in dataclasses.fields(cls)})
            for bug in score.smallest.values():
                if not (isinstance(bug["effect"], float) and 0 < bug["effect"] < float("inf")):
                    raise ValueError(f"an effect of {bug['effect']!r}")
            return score
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadInput(
                f"{path}: expected the score that `make mutants` writes, but {_detail(error, path)}"
            ) from None


@dataclasses.dataclass(frozen=True)
class FalseAlarms:
    """How often pairs that are known to be equal were called different."""

    recordings: int  # judged, each a model and its seed; under several conditions it still counts once
    rows: int
    different: int  # recordings that were called different
    not_judged: int  # rows
    upper_limit: float  # of the rate of alarms per recording, with 95 % confidence
    predicted: float | None  # probability of an alarm in one `make parity`; None if no tail was fitted
    closest: float  # largest share of its allowance that any row used
    machine: str
    conditions: list[dict[str, Any]]  # {"name", "recordings", "different", "closest"}

    def __post_init__(self) -> None:
        counts = (self.recordings, self.rows, self.different, self.not_judged)
        if any(isinstance(count, bool) or not isinstance(count, int) or count < 0 for count in counts):
            raise ValueError(f"counts of {counts}")
        if self.different > self.recordings or not self.recordings:
            raise ValueError(f"{self.different} of {self.recordings} recordings")
        rates = [self.upper_limit] if self.predicted is None else [self.upper_limit, self.predicted]
        if not all(_is_number(rate) and rate <= 1 for rate in rates):
            raise ValueError(f"rates of {rates}")
        if not _is_number(self.closest) or not isinstance(self.machine, str):
            raise ValueError(f"closest {self.closest!r}, machine {self.machine!r}")
        for condition in self.conditions:
            if not (isinstance(condition["name"], str) and _is_number(condition["closest"])):
                raise ValueError(f"a condition {condition!r}")
            if not all(isinstance(condition[name], int) for name in ("recordings", "different")):
                raise ValueError(f"a condition {condition!r}")

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    def line(self) -> str:
        """For the report; bounds are rounded so that they stay true."""
        limit = f"below {_rounded(100 * self.upper_limit, up=True):g} % a recording with 95 % confidence"
        tail = ""
        if self.predicted is not None:
            often = "fewer than 1 in 1,000,000,000"
            if self.predicted > 1e-9:
                often = f"1 in {_rounded(1 / self.predicted, up=False):,.0f}"
            tail = f"; the fitted tail predicts {often} runs of make parity"
        count = len(self.conditions)
        conditions = f"{count} condition{'' if count == 1 else 's'}"
        return f"False alarms: {self.different} in {self.recordings} recordings under {conditions} ({limit}{tail})"

    @classmethod
    def load(cls, path: Path | None = None) -> Self | None:
        """The committed measurement, or None if there is none.

        Raises:
            BadInput: when the file is not one that ``make false-alarms`` wrote.
        """
        path = FOLDER / ALARMS_FILE if path is None else path
        if not path.is_file():
            return None
        try:
            content = read_json(path)
            values = {field.name: content[field.name] for field in dataclasses.fields(cls)}
            names = ("name", "recordings", "different", "closest")
            values["conditions"] = [{name: each[name] for name in names} for each in values["conditions"]]
            return cls(**values)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadInput(f"{path}: expected what `make false-alarms` writes, but {_detail(error, path)}") from None


def _detail(error: Exception, path: Path) -> str:
    """What is wrong with a file; a BadInput says it already, with the file's name in front."""
    return str(error).removeprefix(f"{path}: ") if isinstance(error, BadInput) else repr(error)


class Scores(NamedTuple):
    """Both scores; None where one was not measured."""

    mutants: Score | None = None
    false_alarms: FalseAlarms | None = None

    @classmethod
    def load(cls) -> Self:
        """The committed scores.

        Raises:
            BadInput: when a file is damaged.
        """
        return cls(Score.load(), FalseAlarms.load())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _rounded(value: float, *, up: bool) -> float:
    """Rounded to two significant digits."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    digits = round(value / unit, 6)  # 0.3 / 0.01 is a little less than 30
    return (math.ceil(digits) if up else math.floor(digits)) * unit
