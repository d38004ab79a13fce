"""A port with several backends: the first is the subject of the report, the others are judged by the same recordings.

The tensors that another backend gives equal are only counted. Each backend becomes a condition of the report, which is
met if everything that it offers is equal. What differs is listed with the failures of the subject.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from parity_tests.adapter import Adapter, load_adapter
from parity_tests.judge.conditions import never_strict
from parity_tests.judge.row import EQUAL, Row, failures
from parity_tests.report.collecting import Collected
from pytorch_sketch_rnn.device import usable_device
from pytorch_sketch_rnn.model.backend import REFERENCE
from pytorch_sketch_rnn.model.fused import build, choice

ALL = "all"
BY_BACKEND = ("cell", "model", "training")  # the kinds of recordings that hold what a backend computes


@dataclasses.dataclass
class Others:
    """The port with each further backend, and the rows found so far."""

    ports: Mapping[str, Adapter]  # by backend
    rows: dict[str, list[Row]] = dataclasses.field(default_factory=dict)

    def judge(self, kind: str, rows_of: Callable[[Adapter], Iterable[Row]]) -> None:
        """Judge a recording of that kind with every backend that may change what it holds."""
        for backend, port in self.ports.items():
            if kind in BY_BACKEND:
                self.rows.setdefault(backend, []).extend(rows_of(port))

    def add_to(self, collected: Collected, *, strictly: bool = False) -> None:
        """Add a condition for each backend, and the rows of what differs.

        Args:
            collected: of the subject.
            strictly: whether each float64 quantity must have been judged at the strict allowance at least once.
        """
        for backend, rows in self.rows.items():
            failed, compared = failures(rows), sum(row.compared for row in rows)
            equal = sum(row.verdict == EQUAL for row in rows)
            met = not failed and equal > 0 and not (strictly and never_strict(rows))
            condition = f"the same with the backend {backend}: {equal:,} of {compared:,} tensors equal"
            collected.conditions[condition] = met
            collected.findings.rows += [_named(row, backend) for row in failed]


def load_ports(
    spec: str, options: Mapping[str, str | None], backends: Sequence[str], say: Callable[[str], None]
) -> tuple[Adapter, Others]:
    """The port with the first backend, and with the others.

    Args:
        spec: the port, see :func:`parity_tests.adapter.load_adapter`.
        options: arguments of its constructor, see there.
        backends: values of its argument ``backend``, or :data:`ALL`; with none, the port's own.
        say: takes a notice on each backend that this machine cannot build.

    Raises:
        BadInput: when there is no such port or backend, or a backend does not agree with the reference here.
    """
    names = [
        name for given in backends for name in (every_backend(options.get("device"), say) if given == ALL else [given])
    ]
    if not names:
        return load_adapter(spec, **options), Others({})
    first, *others = (load_adapter(spec, **{**options, "backend": name}) for name in dict.fromkeys(names))
    return first, Others({str(port.about.get("backend", port.name)): port for port in others})


def every_backend(device: str | None = None, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """The reference, and the fused paths of a device that this machine can build; the default is the CPU.

    Args:
        device: of the port.
        say: takes a notice on each that cannot be built.
    """
    names = [REFERENCE]
    for name in choice.names(usable_device(device or "cpu")):
        try:
            choice.kernels(name)
        except build.CannotBuild as error:
            say(f"{name}: not judged, because {error}")
        else:
            names.append(name)
    return names


def _named(row: Row, backend: str) -> Row:
    return dataclasses.replace(row, note="; ".join(filter(None, (f"with the backend {backend}", row.note))))
