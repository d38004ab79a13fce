"""Bugs in the rules of judgement: each makes the harness milder, stricter or blind in one respect."""

from parity_tests.judge import compare, proof, row
from parity_tests.judge.tensor import accumulated, comparison, decisions, local, place, pools, together
from parity_tests.mutation.bugs import HarnessMutant, Text, Value
from parity_tests.report import report

_LOCAL, _FREE, _DECISIONS = (
    ("judge/test_judge_local.py",),
    ("judge/test_judge_accumulated.py",),
    ("judge/test_judge_decisions.py",),
)
JUDGE_MUTANTS = (
    HarnessMutant(
        "pools of units are skipped",
        Text(pools, "pooled", ("if length < 2 or len(axes) < 2:", 'if length < 2 or len(axes) < 2 or kind == "unit":')),
        _LOCAL,
    ),
    HarnessMutant(
        "pools of rows and steps are skipped",
        Text(
            pools, "pooled",
            ("if length < 2 or len(axes) < 2:", 'if length < 2 or len(axes) < 2 or kind in ("row", "step"):'),
        ),
        _LOCAL,
    ),
    HarnessMutant(
        "the four gates count as one row of units",
        Text(pools, "axes_of", ("and shape[-1] % 4 == 0", "and False")),
        _LOCAL,
    ),
    HarnessMutant(
        "the whole tensor is the only pool",
        Text(local, "judge_pools", ("bad = np.flatnonzero(used > 1)", "bad = np.flatnonzero(used[:1] > 1)")),
        _LOCAL,
    ),
    HarnessMutant(
        "the factors of local float32 are ten times as large",
        Text(local, "judge_pools", ("allowed = factors(", "allowed = 10 * factors(")),
        _LOCAL,
    ),
    HarnessMutant(
        "a pool dominated by one error counts all its elements",
        Text(
            pools, "_effective",
            ("np.square(weight).sum(axis=axis)", "(weight > 0).sum(axis=axis)"),
            ("np.square(weight.sum(axis=axis))", "squares**2"),
        ),
        _LOCAL,
    ),
    HarnessMutant(
        "local float64 may lose as much precision as float32",
        Text(comparison.Comparison, "_conditioned", ("* 2.0**-29", "")),
        _LOCAL,
    ),
    HarnessMutant(
        "the floor of local float32 is four units, not a quarter",
        Value(local, "LOCAL_FLOOR", 4.0),
        _LOCAL,
    ),
    HarnessMutant(
        "one element decides in local float32",
        Text(
            local, "judge_pools",
            (
                "= pools.values\n",
                "= pools.values\n    error = np.full_like(error, np.abs(ours - truth).max())\n",
            ),
        ),
        _LOCAL,
    ),
    HarnessMutant(
        "local float32 is compared with the free-running float64",
        Text(
            comparison.Comparison, "__init__",
            (
                'groups["float32_truth"][self.official] if precision == "float32" else self.theirs',
                'groups["float64"].get(self.official, self.theirs) if precision == "float32" else self.theirs',
            ),
        ),
        (*_LOCAL, "ports/test_losing_ports.py"),
    ),
    HarnessMutant(
        "local float32 errors are measured against the official float32",
        Text(local, "judge_pools", ("ours.astype(np.float64) - truth", "ours.astype(np.float64) - official")),
        _LOCAL,
    ),
    HarnessMutant(
        "steps that are not judged can still fail",
        Text(comparison.Comparison, "_accumulated", ("(found == 0) | ~limit.judged", "found == 0")),
        _FREE,
    ),
    HarnessMutant(
        "a run of the ensemble that is not finite is left out",
        Text(accumulated, "allowance", ("nan=np.inf, posinf=np.inf", "nan=0.0, posinf=0.0")),
        _FREE,
    ),
    HarnessMutant(
        "the spreads of the official runs are added up",
        Text(accumulated, "allowance", (".max(axis=0)", ".sum(axis=0)")),
        _FREE,
    ),
    HarnessMutant(
        "the spread of a step ignores earlier steps",
        Text(accumulated, "allowance", ("np.maximum.accumulate(", "np.asarray("), (", axis=1\n    )", "\n    )")),
        _FREE,
    ),
    HarnessMutant(
        "the largest spread of all steps applies to every step",
        Text(
            accumulated, "allowance",
            ("    floor = ", "    spread = spread.max(axis=1, keepdims=True) + 0 * spread\n    floor = "),
        ),
        _FREE,
    ),
    HarnessMutant(
        "a hundred times the official spread is allowed",
        Text(accumulated, "allowance", ("np.maximum(floor, (", "np.maximum(floor, 10 * (")),
        _FREE,
    ),
    HarnessMutant(
        "the floor of free float32 is ten times as large",
        Value(accumulated, "FLOAT32_FLOOR", 80),
        _FREE,
    ),
    HarnessMutant(
        "chaotic quantities are judged",
        Value(accumulated, "CHAOTIC64", float("inf")),
        _FREE,
    ),
    HarnessMutant(
        "a quantity that is not judged is called equal",
        Text(
            comparison.Comparison, "_accumulated",
            ("if row.verdict == EQUAL and not limit.judged.all():", "if False:"),
        ),
        _FREE,
    ),
    HarnessMutant(
        "one chaotic step excuses those before it",
        Text(
            comparison.Comparison, "_accumulated",
            ("if row.verdict == EQUAL and not limit.judged.all():", "if not limit.judged.all():"),
        ),
        _FREE,
    ),
    HarnessMutant(
        "a quantity that is not judged is a failure",
        Text(row, "failures", ("row.verdict in FAILED", "row.verdict in (*FAILED, NOT_JUDGED)")),
        _FREE,
    ),
    HarnessMutant(
        "ours need not be finite where the official float32 is not",
        Text(
            comparison.Comparison, "_not_measurable",
            ("self.ours[wanted]", "self.ours[wanted & np.isfinite(self.theirs)]"),
        ),
        _FREE,
    ),
    HarnessMutant(
        "anything matches where the official float32 is not finite",
        Text(comparison.Comparison, "_overflow", ("OVERFLOW if error <= allowed else DIFFERENT", "OVERFLOW")),
        _FREE,
    ),
    HarnessMutant(
        "an overflow is called equal",
        Text(comparison.Comparison, "_overflow", ("OVERFLOW if error <= allowed", "EQUAL if error <= allowed")),
        _FREE,
    ),
    HarnessMutant(
        "uncertain decisions are judged",
        Text(decisions, "last_certain_step", ("return int(", "return steps if steps else int(")),
        _DECISIONS,
    ),
    HarnessMutant(
        "a decision of the pen is always certain",
        Text(decisions, "last_certain_step", ("margins(mode, pdfs).items()", 'list(margins(mode, pdfs).items())[:1]')),
        _DECISIONS,
    ),
    HarnessMutant(
        "steps after an uncertain decision are judged",
        Text(decisions, "last_certain_step", ("np.logical_and.accumulate(certain).sum()", "certain.sum()")),
        _DECISIONS,
    ),
    HarnessMutant(
        "the step of an uncertain decision is judged too",
        Text(comparison.Comparison, "_last_judged", ('if quantity != \"strokes\":', "if True:")),
        _DECISIONS,
    ),
    HarnessMutant(
        "offers are ignored: what the port lacks is untested",
        Text(compare, "missing_verdict", ("return NOT_COMPARED if offers & set(wanted)", "return UNTESTED if wanted")),
        ("judge/test_compare.py", "replay/test_offers.py"),
    ),
    HarnessMutant(
        "offers are ignored: what the port lacks is a failure",
        Text(compare, "missing_verdict", ("NOT_COMPARED if offers & set(wanted)", "NOT_COMPARED if wanted")),
        ("judge/test_compare.py", "replay/test_offers.py"),
    ),
    HarnessMutant(
        "a port that offers everything may leave something untested",
        Text(proof, "_strict", ("if not offers >= EVERYTHING:", "if True:")),
        ("replay/test_offers.py",),
    ),
    HarnessMutant(
        "a port that offers less is called equal",
        Text(report.Report, "verdict", ('if counts["not_proven"] else "EQUAL"', 'if False else "EQUAL"')),
        ("replay/test_offers.py",),
    ),
    HarnessMutant(
        "drifts of variables are added up across different runs",
        Text(
            together, "gradients_together",
            ("drift[name][:, :1].astype", "drift[name][:, :1].max(axis=0, keepdims=True).astype"),
        ),
        ("judge/test_judge_together.py",),
    ),
    HarnessMutant(
        "a departure is placed at the largest error, not at the first step",
        Text(place, "first_of", ("if axis is not None:", "if False:")),
        ("judge/test_judge_place.py",),
    ),
    HarnessMutant(
        "the place of a local departure is that of the largest error anywhere",
        Text(
            comparison.Comparison, "_pooled",
            ("np.where(inside, self.difference, -1.0).argmax()", "self.difference.argmax()"),
        ),
        _LOCAL,
    ),
)  # fmt: skip
