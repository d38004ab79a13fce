"""A training step combines the proven parts in order; a validation computes the documented mean."""

import warnings

import numpy as np
import pytest
import torch
from training_sets import SMALL, make_trainer, random_splits

from pytorch_sketch_rnn.model.draws import KeyedDraws
from pytorch_sketch_rnn.model.losses import Costs
from pytorch_sketch_rnn.model.sampling import sample_batch
from pytorch_sketch_rnn.model.tape import Tape
from pytorch_sketch_rnn.training import schedules
from pytorch_sketch_rnn.training.optim import TF1Adam, clip_by_value
from pytorch_sketch_rnn.training.trainer import MOST_UNCHECKED, VALIDATION, NotFinite, Options

UNCONDITIONAL = SMALL.replace(conditional=False)


def by_hand(trainer, step):
    """The same step, composed of the parts that are proven equal to Magenta's."""
    model, hparams = trainer.model, trainer.hparams
    rows = range(hparams.batch_size)
    batch = trainer.sets.train.random_rows(hparams.batch_size, trainer.options.seed, step, rows)
    model.train()
    draws = KeyedDraws(trainer.options.seed, step, rows)
    costs = model.costs(batch.sketches, batch.lengths, schedules.kl_weight(hparams, step), draws=draws)
    trainer.optimizer.zero_grad()
    costs.cost.backward()
    for parameter in model.parameters():
        parameter.grad = clip_by_value(parameter.grad, hparams.grad_clip)
    trainer.optimizer.param_groups[0]["lr"] = schedules.learning_rate(hparams, step)
    trainer.optimizer.step()
    return costs


@pytest.mark.parametrize(
    "hparams",
    [SMALL, SMALL.replace(kl_tolerance=50.0), UNCONDITIONAL, SMALL.replace(grad_clip=1e-3)],
    ids=["above the floor", "below it", "unconditional", "clipped"],
)
def test_a_step_combines_the_proven_parts_in_order(hparams):
    trainer, other = make_trainer(hparams), make_trainer(hparams)
    assert isinstance(trainer.optimizer, TF1Adam)
    for step in range(3):
        result, costs = trainer.step(), by_hand(other, step)
        assert result.step == step
        assert (result.cost, result.r_cost, result.kl_cost) == costs
        assert result.learning_rate == schedules.learning_rate(hparams, step)
        assert result.kl_weight == schedules.kl_weight(hparams, step)
        for (name, ours), theirs in zip(trainer.model.named_parameters(), other.model.parameters(), strict=True):
            assert torch.equal(ours, theirs), name
    assert trainer.steps_done == 3


def test_step_equals_step_on_with_its_batch_draws_and_schedules():
    trainer, other = make_trainer(), make_trainer()
    for step in range(2):
        rows = range(5)
        batch = other.sets.train.random_rows(5, 3, step, rows)
        draws = KeyedDraws(3, step, rows)
        rates = schedules.learning_rate(SMALL, step), schedules.kl_weight(SMALL, step)
        assert trainer.step() == other.step_on(batch, draws, *rates)
    for ours, theirs in zip(trainer.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_tape_records_the_pass_the_costs_and_the_gradients_and_changes_nothing():
    hparams = SMALL.replace(grad_clip=1e-3)
    trainer, other, tape = make_trainer(hparams), make_trainer(hparams), Tape()
    batch = trainer.sets.train.random_rows(5, 3, 0, range(5))
    result, expected = (
        one.step_on(batch, KeyedDraws(3, 0, range(5)), 1e-3, 0.3, *tapes)
        for one, tapes in ((trainer, [tape]), (other, []))
    )
    assert result == expected
    taken = tape.values()
    assert {"encoder/fw/output", "mu", "presig", "z", "decoder/output", "pi", "sigma2", "pen_logits"} <= taken.keys()
    assert [taken[name].item() for name in Costs._fields] == [expected.cost, expected.r_cost, expected.kl_cost]
    clipped = 0
    for (name, ours), theirs in zip(trainer.model.named_parameters(), other.model.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
        raw = taken[f"gradient/{name}"]
        assert torch.equal(taken[f"clipped/{name}"], raw.clamp(-1e-3, 1e-3)), name
        assert torch.equal(theirs.grad, raw), name
        clipped += int((raw.abs() > 1e-3).sum())
    assert clipped > 0


def test_training_leaves_no_draws_in_the_model():
    trainer = make_trainer()
    before = set(vars(trainer.model))
    trainer.step()
    trainer.validate("valid")
    assert set(vars(trainer.model)) == before
    sketches = [sample_batch(trainer.model.eval(), 7, 12) for _ in range(2)]  # more than the rows of a training batch
    assert len(sketches[0]) == 7
    one, other = (np.concatenate(each) for each in sketches)
    assert not np.array_equal(one, other)


def test_the_same_seed_trains_the_same_and_another_does_not():
    one, two, other = make_trainer(), make_trainer(), make_trainer(options=Options(seed=4))
    costs = [[trainer.step().cost for _ in range(3)] for trainer in (one, two, other)]
    assert costs[0] == costs[1]
    assert costs[0][0] != costs[2][0]


@pytest.mark.parametrize("factor", [0.5, 2.0], ids=["above the floor", "below it"])
def test_the_floor_applies_to_the_kl_cost_before_its_weight(factor):
    """Costs of the plain formula, with the floor at half and at twice the KL."""
    rows, kl = range(5), None
    for tolerance in (0.0, factor):
        trainer, tape = make_trainer(SMALL.replace(kl_tolerance=tolerance * (kl or 0))), Tape()
        draws = KeyedDraws(3, 0, rows)
        result = trainer.step_on(trainer.sets.train.random_rows(5, 3, 0, rows), draws, 1e-3, 0.3, tape)
        mu, presig = (tape.values()[name].detach().numpy() for name in ("mu", "presig"))
        kl = -0.5 * np.mean(1 + presig - mu**2 - np.exp(presig))
        floored = max(kl, tolerance * kl)
        np.testing.assert_allclose(result.kl_cost, floored, rtol=1e-12)
        np.testing.assert_allclose(result.cost - result.r_cost, 0.3 * floored, rtol=0, atol=1e-14)


def test_reg_covar_applies_in_validation_as_in_training():
    trainer = make_trainer(options=Options(seed=3, reg_covar=1e-4))
    model, batch = trainer.model, trainer.sets.valid.in_order(range(5))
    draws = KeyedDraws(3, VALIDATION, range(5))
    costs = trainer.validate_on(batch, draws)
    with torch.no_grad():
        passed = model.eval()(batch.sketches, batch.lengths, draws=draws)
    plain, regularized = (
        model.costs_of(passed._replace(mixture=passed.mixture.regularized(reg)), batch.sketches, 0.5, is_training=False)
        for reg in (0.0, 1e-4)
    )
    assert costs.r_cost == regularized.r_cost != plain.r_cost


def test_reg_covar_changes_only_the_reconstruction_cost():
    plain, regularized = make_trainer(), make_trainer(options=Options(seed=3, reg_covar=1e-4))
    one, two = plain.step(), regularized.step()
    assert one.r_cost != two.r_cost
    assert one.kl_cost == two.kl_cost


def expected_costs(trainer, groups, kl_weight, is_training):
    model = trainer.model.eval()
    found = []
    for rows in groups:
        batch = trainer.sets.valid.in_order(rows)
        draws = KeyedDraws(trainer.options.seed, VALIDATION, rows)
        with torch.no_grad():
            costs = model.costs(batch.sketches, batch.lengths, kl_weight, is_training=is_training, draws=draws)
        found.append(np.array([float(cost) for cost in costs]))
    return found


def test_validation_as_magenta_counts_whole_batches_with_the_first_kl_weight():
    trainer = make_trainer(options=Options(seed=3, validate_as_magenta=True))
    (expected,) = expected_costs(trainer, [range(5)], SMALL.kl_weight_start, True)
    assert trainer.validate("valid") == Costs(*expected)


def test_validation_counts_every_sketch_with_the_last_kl_weight_and_no_padding():
    trainer = make_trainer()
    first, rest = expected_costs(trainer, [range(5), range(5, 7)], SMALL.kl_weight, False)
    np.testing.assert_allclose(trainer.validate("valid"), (5 * first + 2 * rest) / 7, rtol=1e-14)


def test_validation_is_repeatable_and_changes_no_step():
    trainer, other = make_trainer(), make_trainer()
    trainer.step(), other.step()
    assert trainer.validate("valid") == trainer.validate("valid")
    assert trainer.step() == other.step()


def test_a_validation_split_smaller_than_a_batch_still_counts():
    splits = random_splits(valid=2)
    for as_magenta in (True, False):
        trainer = make_trainer(options=Options(validate_as_magenta=as_magenta), splits=splits)
        assert np.isfinite(trainer.validate("valid")).all()
        assert trainer.validate("valid").r_cost != 0


def state_of(trainer):
    weights = {name: parameter.clone() for name, parameter in trainer.model.named_parameters()}
    return weights | {str(i): slot.clone() for i, slot in enumerate(trainer.optimizer.slots())} | {
        name: torch.tensor(power) for name, power in trainer.optimizer.powers().items()
    }  # fmt: skip


def assert_unchanged(trainer, before):
    after = state_of(trainer)
    for name, value in before.items():
        assert torch.equal(after[name].nan_to_num(7), value.nan_to_num(7)), name


@pytest.mark.parametrize("later", [0, 1, 3])
@pytest.mark.parametrize(("value", "name"), [(np.nan, "decoder.output_w"), (np.inf, "encoder.mu.w")])
def test_a_step_that_is_not_finite_is_skipped_and_named_by_the_check(value, name, later):
    trainer = make_trainer()
    trainer.step()
    with torch.no_grad():
        trainer.model.get_parameter(name)[0, 0] = value
    before = state_of(trainer)
    for _ in range(1 + later):
        trainer.step()
    assert_unchanged(trainer, before)
    with pytest.raises(NotFinite, match=f"step 1: the weight {name}"):
        trainer.check()
    assert trainer.steps_done == 1
    assert_unchanged(trainer, before)


def test_steps_after_one_that_is_not_finite_are_skipped_until_the_check():
    """One batch holds NaN: the training goes back to its step, as if there had been no later steps."""
    trainer, other = make_trainer(), make_trainer()
    broken = trainer.sets.train.random_rows(5, 3, 0, range(5))
    broken.sketches[2, 3, 0] = np.nan
    before = state_of(trainer)
    trainer.step_on(broken, KeyedDraws(3, 0, range(5)), 1e-3, 0.3)
    trainer.step()
    trainer.step()
    assert_unchanged(trainer, before)
    with pytest.raises(NotFinite, match="step 0: a cost or a gradient is not finite"):
        trainer.check()
    trainer.check()  # reports the same step only once
    for _ in range(2):
        assert trainer.step() == other.step()
    trainer.check()
    for ours, theirs in zip(trainer.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_training_that_is_never_checked_checks_itself():
    trainer = make_trainer()
    with torch.no_grad():
        trainer.model.decoder.output_b[0] = torch.nan
    for _ in range(MOST_UNCHECKED):
        trainer.step()
    with pytest.raises(NotFinite, match=r"step 0: the weight decoder\.output_b"):
        trainer.step()


def test_what_is_kept_of_a_step_holds_no_graph():
    trainer = make_trainer()
    trainer.step()
    _, passed, costs = trainer._last
    kept = [passed.mu, passed.presig, passed.z, *costs, *vars(passed.mixture).values()]
    assert len(kept) == 13
    assert all(tensor.grad_fn is None for tensor in kept)


def test_a_batch_that_is_not_finite_is_named():
    trainer = make_trainer()
    broken = trainer.sets.train.random_rows(5, 3, 0, range(5))
    broken.sketches[2, 3, 0] = np.inf
    trainer.step_on(broken, KeyedDraws(3, 0, range(5)), 1e-3, 0.3)
    with pytest.raises(NotFinite, match="step 0: the batch is not finite"):
        trainer.check()


def test_a_step_reads_only_the_lengths_on_the_host(monkeypatch):
    """On a GPU each read would wait for the device; the lengths are already on the host."""
    trainer, read = make_trainer(), []
    batch = trainer.sets.train.random_rows(5, 3, 0, range(5))
    draws = KeyedDraws(3, 0, range(5))

    def noting(method):
        plain = getattr(torch.Tensor, method)

        def noted(tensor, *args):
            read.append(tensor)
            return plain(tensor, *args)

        return noted

    with monkeypatch.context() as patched:
        for method in ("item", "tolist", "__bool__", "__float__", "__int__", "__index__"):
            patched.setattr(torch.Tensor, method, noting(method))
        trainer.step_on(batch, draws, 1e-3, 0.3)
        trainer.step()
    assert [int(tensor) for tensor in read[:2]] == [batch.lengths.max(), batch.lengths.min()]
    assert len(read) == 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("hparams", [SMALL, UNCONDITIONAL], ids=["conditional", "unconditional"])
def test_a_step_on_a_gpu_does_not_wait_for_it(hparams):
    trainer = make_trainer(hparams, device="cuda")
    for _ in range(2):  # the second is recorded as a graph
        trainer.step()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")
            torch.cuda.set_sync_debug_mode("error")
        trainer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    trainer.check()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_ten_steps_on_a_gpu_equal_those_on_the_cpu_up_to_rounding():
    on_cpu, on_gpu = make_trainer(), make_trainer(device="cuda")
    for _ in range(10):
        ours, theirs = on_cpu.step(), on_gpu.step()
        for name in Costs._fields:
            np.testing.assert_allclose(getattr(theirs, name).cpu(), getattr(ours, name), rtol=1e-10, atol=1e-12)


def test_a_step_that_leaves_a_weight_not_finite_is_named_before_it_is_saved():
    trainer = make_trainer()
    trainer.step()
    trainer.check_weights()
    with torch.no_grad():
        trainer.model.decoder.output_b[3] = torch.inf
    with pytest.raises(NotFinite, match=r"step 0: the weight decoder\.output_b, after the step, is not finite"):
        trainer.check_weights()


def test_a_gradient_that_overflows_is_named(monkeypatch):
    trainer = make_trainer()
    bias = trainer.model.decoder.output_b
    bias.register_hook(lambda gradient: gradient * np.inf)
    trainer.step()
    with pytest.raises(NotFinite, match=r"the gradient of decoder\.output_b"):
        trainer.check()
