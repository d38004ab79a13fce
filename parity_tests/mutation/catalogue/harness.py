"""Bugs of the harness itself, which its self-tests must catch.

Those in the rules of judgement are in :mod:`parity_tests.mutation.catalogue.judge`, those of the fuzz test in
:mod:`parity_tests.mutation.catalogue.fuzz`.
"""

from parity_tests.commands import one_model
from parity_tests.judge import compare, first_departure, initial_weights, proof, row, training, training_steps
from parity_tests.judge.tensor import accumulated, comparison, together
from parity_tests.mutation.bugs import HarnessMutant, Text, Value
from parity_tests.mutation.catalogue.fuzz import FUZZ_MUTANTS
from parity_tests.mutation.catalogue.judge import JUDGE_MUTANTS
from parity_tests.record import error_norms, form, recording, shipped
from parity_tests.replay import answers, model
from parity_tests.report import report

_SELF = ("judge/test_compare.py",)
HARNESS_MUTANTS = (
    *JUDGE_MUTANTS,
    *FUZZ_MUTANTS,
    HarnessMutant(
        "compares means",
        Text(
            comparison.Comparison, "row",
            (
                "np.abs(self.ours.astype(np.float64) - self.truth.astype(np.float64))",
                "np.full(self.ours.shape, abs(np.mean(self.ours, dtype=float) - np.mean(self.truth, dtype=float)))",
            ),
        ),
        _SELF,
    ),
    HarnessMutant(
        "compares signed differences",
        Text(
            comparison.Comparison, "row",
            ("np.abs(self.ours.astype(np.float64) - self.truth", "(self.ours.astype(np.float64) - self.truth"),
        ),
        _SELF,
    ),
    HarnessMutant(
        "compares ours with ours",
        Text(comparison.Comparison, "row", ("- self.truth.astype(np.float64)", "- self.ours.astype(np.float64)")),
        _SELF,
    ),
    HarnessMutant(
        "compares only the first step",
        Text(
            comparison.Comparison, "row",
            (
                "if self.is_local:",
                "if self.difference.ndim == 3:\n        self.difference[:, 1:] = 0\n    if self.is_local:",
            ),
        ),
        _SELF,
    ),
    HarnessMutant(
        "ignores NaN",
        Text(comparison.Comparison, "_not_measurable", ("if not np.isfinite(self.ours[wanted]).all():", "if False:")),
        _SELF,
    ),
    HarnessMutant(
        "ignores the type",
        Text(comparison.Comparison, "_not_measurable", ("if self.ours.dtype != self.theirs.dtype", "if False")),
        _SELF,
    ),
    HarnessMutant(
        "exact numbers need not have the same bits",
        Text(comparison.Comparison, "_not_measurable", ("self.ours.tobytes() != self.theirs.tobytes()", "False")),
        _SELF,
    ),
    HarnessMutant(
        "broadcasts a single number to the expected shape",
        Text(
            comparison.Comparison, "row",
            (
                "if obstacle := self._not_comparable",
                "self.ours = np.full(self.theirs.shape, self.ours) if self.ours.size == 1 else self.ours\n"
                "    if obstacle := self._not_comparable",
            ),
        ),
        _SELF,
    ),
    HarnessMutant(
        "silently transposes if that makes the shapes match",
        Text(
            comparison.Comparison, "row",
            (
                "if obstacle := self._not_comparable",
                "self.ours = self.ours.T if self.ours.T.shape == self.theirs.shape != self.ours.shape else self.ours\n"
                "    if obstacle := self._not_comparable",
            ),
        ),
        _SELF,
    ),
    HarnessMutant(
        "skips what the port lacks",
        Text(compare, "compare", ("if name not in ours:", "if False:")),
        _SELF,
    ),
    HarnessMutant(
        "skips what the official side lacks",
        Text(
            compare, "compare",
            ("for name in ours:\n", "for name in [n for n in ours if n in official]:\n"),
        ),
        _SELF,
    ),
    HarnessMutant(
        "uses the smaller of absolute and relative error",
        Text(comparison.Comparison, "_strict", ("allowed * self.scale", "allowed * max(self.scale, 1.0)")),
        ("judge/test_judge_local.py",),
    ),
    HarnessMutant(
        "uses the official float32 as the truth",
        Text(
            comparison.Comparison, "__init__",
            ('groups.get(precision if precision == "exact" else "float64", {})', "groups.get(precision, {})"),
        ),
        ("judge/test_judge_accumulated.py",),
    ),
    HarnessMutant(
        "no ceiling on float32 errors",
        Value(accumulated, "CHAOTIC32", float("inf")),
        ("judge/test_judge_accumulated.py",),
    ),
    HarnessMutant(
        "a quantity that was not compared is not a failure",
        Text(row, "failures", ("row.verdict in FAILED", "row.verdict == DIFFERENT")),
        _SELF,
    ),
    HarnessMutant(
        "all gradients together never fail",
        Text(together, "gradients_together", ("EQUAL if found <= allowed else DIFFERENT", "EQUAL")),
        ("judge/test_proof.py",),
    ),
    HarnessMutant(
        "names the last departure, not the first",
        Text(first_departure, "first_departure", ("own[0]", "own[-1]")),
        ("judge/test_first_departure.py",),
    ),
    HarnessMutant(
        "root mean square instead of the largest element",
        Text(error_norms, "sizes", ("flat.max(axis=1, initial=0.0)", "np.sqrt(np.mean(flat**2, axis=1))")),
        ("record/test_error_norms.py",),
    ),
    HarnessMutant(
        "compares the means of distributions",
        Text(
            initial_weights, "distance",
            ("float(np.abs(below[0] - below[1]).max())", "abs(float(a.mean() - b.mean()))"),
        ),
        ("judge/test_initial_weights.py",),
    ),
    HarnessMutant(
        "draws all initial weights from one seed",
        Text(initial_weights, "compare_initial", ("seed + index)", "seed)")),
        ("judge/test_initial_weights.py",),
    ),
    HarnessMutant(
        "a method that raised is not listed",
        Text(answers.Answers, "take", ("self.broken[method] = describe_error(error)", "pass")),
        ("replay/test_replay_model.py::test_what_a_method_raises_is_a_failing_row_that_names_it",),
    ),
    HarnessMutant(
        "a precision that the port does not offer is skipped",
        Text(proof, "prove", ("findings.rows += [Row.failed(", "_ = [Row.failed(")),
        ("replay/test_adapter.py",),
    ),
    HarnessMutant(
        "quantities computed from official states may be missing",
        Text(
            compare, "official_names",
            ('return names + [FED + name for name in recording["float32_truth"]]', "return names"),
        ),
        ("judge/test_proof.py",),
    ),
    HarnessMutant(
        "a resumed training may omit quantities",
        Text(training, "judge_resumed", ('if name.startswith("steps/")', "if False")),
        ("judge/test_proof.py",),
    ),
    HarnessMutant(
        "some gradients may be missing",
        Text(model.ModelReplay, "training_step", ("    if lacking:\n", "    if False:\n")),
        ("judge/test_proof.py",),
    ),
    HarnessMutant(
        "a recording of other official files is accepted",
        Text(one_model, "_official", ("!= OFFICIAL_SHA256", "== 0")),
        ("judge/test_proof.py",),
    ),
    HarnessMutant(
        "reports the last step of a training, not the first departure",
        Text(
            training_steps.StepComparison, "_compare",
            ("before is None or (not before.departs and found.used >= before.used)", "True"),
        ),
        ("judge/test_training_departures.py::test_the_first_departure_names_the_part_and_the_step",),
    ),
    HarnessMutant(
        "a training may omit steps",
        Text(training_steps.StepComparison, "row", ("if compared != wanted:", "if not compared:")),
        ("mutation/test_mutants.py::test_a_training_must_show_a_quantity_at_every_step",),
    ),
    HarnessMutant(
        "the drift of a free run never fails",
        Text(training, "_drift_row", ("EQUAL if error <= allowed[step] else DIFFERENT", "EQUAL")),
        ("judge/test_training_departures.py::test_what_shows_in_the_free_run_alone_fails_its_rows_alone",),
    ),
    HarnessMutant(
        "untested parts count as passed",
        Text(report.Report, "passed", ("self.partial or not self.untested", "True")),
        ("report/test_report.py",),
    ),
    HarnessMutant(
        "conditions that were not met do not matter",
        Text(report.Report, "passed", (" and all(self.conditions.values())", "")),
        ("report/test_report.py",),
    ),
    HarnessMutant(
        "a report without a comparison passes",
        Text(report.Report, "passed", ("return compared and", "return")),
        ("report/test_report.py",),
    ),
    HarnessMutant(
        "a recording's seal is not checked",
        Text(recording, "check_seal", ("if text != found:", "if False:")),
        ("record/test_recording.py",),
    ),
    HarnessMutant(
        "the types of recorded numbers are not checked",
        Text(form._Form, "check", ("if expected := expected_numbers(name, value.dtype):", "if expected := False:")),
        ("record/test_form.py", "record/test_damaged_recordings.py"),
    ),
    HarnessMutant(
        "a recording's provenance is not checked",
        Text(form._Form, "check", ("if problem := provenance_problem(self.provenance):", "if problem := False:")),
        ("record/test_form.py",),
    ),
    HarnessMutant(
        "any mask is taken for one of the model",
        Text(form._Form, "_draws", ('self.array("draws", name, *shapes[name])', "pass")),
        ("record/test_form.py",),
    ),
    HarnessMutant(
        "numbers that a recording cannot hold are read",
        Text(recording, "_read", ("if dataset.nbytes > _MOST_COMPRESSED", "if dataset.nbytes < 0 * _MOST_COMPRESSED")),
        ("record/test_damaged_recordings.py",),
    ),
    HarnessMutant(
        "a recording's SHA-256 is not checked",
        Text(recording.Recording, "load", ("if not matches:", "if False:")),
        ("record/test_recording.py",),
    ),
    HarnessMutant(
        "a recording's SHA-256 ignores names, types and shapes",
        Text(recording.Recording, "digest", ('f"{name} {array.dtype.str} {array.shape}"', '""')),
        ("record/test_recording.py",),
    ),
    HarnessMutant(
        "shipped recordings are not checked against their lock",
        Text(shipped, "fixture_paths", ("if found != locked:", "if False:")),
        ("record/test_recording.py",),
    ),
)  # fmt: skip
