"""All that must be there is there: gradients together in L2, what is fed, a continued training, the official files."""

import numpy as np
import pytest
from shipped import shipped

from parity_tests.adapter import Adapter
from parity_tests.compare import EPSILON32, FLOAT32_CEILING
from parity_tests.configurations import CELL_KEEP_PROB
from parity_tests.ours import Adapter as Ours
from parity_tests.prove import MASK_SIZE, TOGETHER, prove
from parity_tests.recording import Recording
from parity_tests.streams import GRADIENT_NUDGES, nudged
from parity_tests.training import resumed, state_before, with_step
from parity_tests.verify import verify_recordings
from pytorch_sketch_rnn.errors import BadInput

RECORDING = shipped()["lstm/as_is"]
WEIGHT = "vector_rnn/RNN/output_w"
GRADIENTS = [name for name in RECORDING["float64"] if name.startswith("gradient/")]


class Off(Adapter):
    """A port whose float32 gradients are off by a relative length of so much, as one vector."""

    def __init__(self, by: float) -> None:
        self.by, self.seen = by, []

    def load(self, hparams, variables):
        self.weights = variables
        self.seen.append(variables[WEIGHT])

    def train_step(self, sketches, lengths, draws, lr, kl_weight):
        single = sketches.dtype == np.float32
        gradients = {name: np.zeros(1, sketches.dtype) for name in GRADIENTS}
        gradients[GRADIENTS[0]] += 6
        gradients[GRADIENTS[1]] = np.array([8.0, self.by * 10 if single else 0.0], sketches.dtype)
        return {"cost": np.zeros(())} | gradients


def row(port: Adapter, *, partial: bool = True, recording: Recording = RECORDING):
    (found,) = [row for row in prove(recording, port, partial=partial).rows if row.quantity == TOGETHER]
    return found


def with_official(values) -> Recording:
    groups = RECORDING.groups | {"official_error": RECORDING["official_error"] | {TOGETHER: np.asarray(values)}}
    return Recording(RECORDING.kind, RECORDING.name, RECORDING.hparams, RECORDING.provenance, groups)


@pytest.mark.parametrize(
    ("official", "limit"),
    [(2.0**-12, 2.0**-11), (0.0, 4 * EPSILON32), (EPSILON32, 4 * EPSILON32), (1.0, FLOAT32_CEILING)],
)
def test_they_may_be_off_by_twice_the_official_error(official, limit):
    recording = with_official(np.full(1 + GRADIENT_NUDGES, official))
    for size, verdict in ((limit * (1 - 1e-6), "equal"), (limit * (1 + 1e-6), "different")):
        found = row(Off(size), recording=recording)
        assert (found.verdict, found.precision, found.measure) == (verdict, "float32", "rms")
        assert (found.error, found.allowed) == pytest.approx((size, limit), rel=3e-7)
        assert found.official_error == pytest.approx(official, rel=1e-12, abs=1e-300)


def test_the_errors_are_geometric_means_and_their_uncertainty_is_allowed():
    runs = 1 + GRADIENT_NUDGES
    official = 2.0**-14 * np.exp(0.5 * np.linspace(-1, 1, runs))
    spread = np.exp(3 * np.std(np.log(official), ddof=1) / np.sqrt(runs))
    for size, verdict in ((2.0**-13 * spread * 0.999, "equal"), (2.0**-13 * spread * 1.001, "different")):
        found = row(Off(size), recording=with_official(official))
        assert found.verdict == verdict
        assert found.official_error == pytest.approx(2.0**-14, rel=1e-12)
        assert found.allowed == pytest.approx(2.0**-13 * spread, rel=1e-6)


def test_each_run_starts_from_other_weights_and_both_precisions_from_the_same():
    port = Off(0.0)
    row(port)
    seen = port.seen[-2 * (1 + GRADIENT_NUDGES) :]
    for single, double in zip(seen[::2], seen[1::2], strict=True):
        assert (single.dtype, double.dtype) == (np.float32, np.float64)
        np.testing.assert_array_equal(single, double.astype(np.float32))
        np.testing.assert_array_equal(single.astype(np.float64), double)
    assert len({single.tobytes() for single in seen[::2]}) == 1 + GRADIENT_NUDGES


@pytest.mark.parametrize(
    "values", [np.full(GRADIENT_NUDGES, 1e-6), np.full((2, 1), 1e-6), np.full(1 + GRADIENT_NUDGES, np.nan)]
)
def test_without_measured_numbers_nothing_can_be_judged(values):
    assert row(Off(0.0), recording=with_official(values)).verdict == "not compared"


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_not_finite_is_different(odd):
    assert row(Off(odd)).verdict == "different"


def test_a_port_without_gradients_is_untested_or_a_failure():
    assert row(Adapter()).verdict == "untested"
    assert row(Adapter(), partial=False).verdict == "not compared"


def test_a_port_that_leaves_one_gradient_out_is_different():
    class Frozen(Off):
        def train_step(self, *arguments):
            answer = super().train_step(*arguments)
            del answer[GRADIENTS[-1]]
            return answer

    assert row(Frozen(0.0)).verdict == "different"


def test_a_port_that_fails_is_different():
    class Broken(Off):
        def train_step(self, *arguments):
            raise RuntimeError("owl")

    found = row(Broken(0.0))
    assert (found.verdict, found.note) == ("different", "RuntimeError: owl")


def test_ours_are_as_good_as_the_official_ones():
    assert row(Ours(), partial=False).verdict == "equal"


def test_a_nudge_moves_each_weight_to_a_neighbour_or_not_at_all():
    weights = {"w": np.array([1.0, -2.5, 0.0, 3e-40, 1e30] * 20, np.float32), "other": np.ones(3, np.float32)}
    for dtype in ("float32", "float64"):
        value = weights["w"].astype(dtype)
        moved = nudged(weights, {"w"}, dtype, 1)["w"]
        neighbours = [np.nextafter(value, side) for side in (-np.inf, np.inf)]
        kinds = [moved == value, moved == neighbours[0], moved == neighbours[1]]
        assert moved.dtype == dtype
        assert np.logical_or.reduce(kinds).all()
        assert all(kind.any() for kind in kinds)
    assert nudged(weights, {"w"}, "float32", 1)["other"] is weights["other"]
    assert not np.array_equal(nudged(weights, {"w"}, "float32", 1)["w"], nudged(weights, {"w"}, "float32", 2)["w"])


def test_what_is_computed_from_the_official_state_may_not_be_missing():
    class NoCell(Ours):
        def step_cell(self, *arguments):
            raise NotImplementedError("no cell")

    class NoLoss(Ours):
        def loss(self, mixture, targets, latent, *, is_training):
            if mixture is not getattr(self, "decoded", None):
                raise NotImplementedError("only of its own mixtures")
            return super().loss(mixture, targets, latent, is_training=is_training)

    whole = {row.quantity for row in prove(RECORDING, Ours()).rows if row.quantity.startswith("fed/")}
    assert {"fed/train/decoder/i", "fed/train/encoder/bw/state", "fed/eval/pi", "fed/eval/r_cost"} <= whole
    for port, prefix in ((NoCell(), "fed/train/"), (NoLoss(), "fed/eval/r_cost")):
        for partial, verdict in ((False, "not compared"), (True, "untested")):
            rows = prove(RECORDING, port, partial=partial).rows
            assert {row.quantity for row in rows if row.quantity.startswith("fed/")} == whole
            assert {row.verdict for row in rows if row.quantity.startswith(prefix)} == {verdict}


def test_a_port_offers_the_gradients_of_all_variables_or_of_none():
    class Frozen(Ours):
        def train_step(self, *arguments):
            return {name: value for name, value in super().train_step(*arguments).items() if WEIGHT not in name}

    failed = [row for row in prove(RECORDING, Frozen(), partial=True).rows if row.verdict == "different"]
    assert any(row.quantity == "train_step" and "lacks gradient/" in row.note for row in failed)


def test_a_continued_training_shows_every_quantity():
    recording = shipped()["training/layer_norm"]
    step = recording.hparams["save_every"] + 1
    variables = with_step(state_before(recording, step), step)
    wanted = {n.replace("steps/", "resumed/", 1) for n in recording["float64"] if n.startswith("steps/")}

    class CostsAlone(Ours):
        def train_step(self, *arguments):
            return {name: value for name, value in super().train_step(*arguments).items() if "cost" in name}

    for port, verdicts in ((Ours(), {"equal"}), (CostsAlone(), {"equal", "untested"})):
        rows = resumed(recording, port, variables, step)
        assert {row.quantity for row in rows} == wanted
        assert {row.verdict for row in rows} == verdicts


def test_a_recording_of_other_official_files_is_refused(tmp_path):
    other = RECORDING.provenance | {"sha256": RECORDING.provenance["sha256"] | {"model.py": "0" * 64}}
    path = tmp_path / "other.h5"
    Recording(RECORDING.kind, RECORDING.name, RECORDING.hparams, other, RECORDING.groups).save(path)
    with pytest.raises(BadInput, match=r"other files than those of magenta 2\.1\.4"):
        verify_recordings([str(path)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_mask_of_the_ports_own_making_keeps_the_share_that_is_asked_for():
    cell = shipped()["cell/lstm"]

    def share(mask: np.ndarray):
        class Port(Ours):
            def dropout_mask(self, size, keep_prob):
                return mask

        (found,) = [row for row in prove(cell, Port()).rows if row.quantity == "dropout_share"]
        return found

    mask = Ours().dropout_mask(MASK_SIZE, CELL_KEEP_PROB)
    kept = mask.max()
    assert share(mask).verdict == "equal"
    assert share(np.where(np.arange(MASK_SIZE) < 100, kept, 0).astype(np.float32)).verdict == "different"
    assert share(np.full(MASK_SIZE, kept)).verdict == "equal"  # 0.1 off is just allowed
    limit = share(mask).allowed
    for off, verdict in ((limit - 0.001, "equal"), (limit + 0.001, "different")):
        count = round((CELL_KEEP_PROB - off) * MASK_SIZE)
        assert share(np.where(np.arange(MASK_SIZE) < count, kept, 0).astype(np.float32)).verdict == verdict
    assert share(mask[:-1]).verdict == "different"
