"""Processes that share a batch take the same step as a single process; sums and broadcasts reach every rank."""

import multiprocessing
import os
import queue
import socket
import traceback

import numpy as np
import pytest
import torch
from training_sets import SMALL, make_trainer

from pytorch_sketch_rnn.distributed import join
from pytorch_sketch_rnn.model.tape import Tape

SIZE = 3  # ranks; of a batch of 5 they get 2, 2 and 1 rows
SECONDS = 120
ALLOWED = 1e-10  # largest difference seen in float64: 2e-13 for a KL cost, which is small, and 7e-15 elsewhere
KL_WEIGHT = 0.3


def kl_of_first_batch():
    """The KL cost of the whole batch and of the rows of each process."""
    trainer, tape = make_trainer(SMALL.replace(kl_tolerance=0.0)), Tape()
    trainer.model(*trainer.sets.train.random_rows(5, 3, 0, range(5))[1:], tape)
    mu, presig = (tape.values()[name].detach() for name in ("mu", "presig"))
    rows = (-0.5 * (1 + presig - mu.square() - presig.exp())).mean(dim=1)
    return float(rows.mean()), [float(part.mean()) for part in rows.split([2, 2, 1])]


def hparams(tolerance):
    return SMALL.replace(kl_tolerance=tolerance, kl_weight_start=KL_WEIGHT)


WHOLE, PARTS = kl_of_first_batch()
CASES = {
    "above the floor": hparams(0.0),
    "the whole batch above the floor, some rows below": hparams((WHOLE + min(PARTS)) / 2),
    "the whole batch below the floor, some rows above": hparams((WHOLE + max(PARTS)) / 2),
    "unconditional": SMALL.replace(conditional=False),
}


def trained(group_or_none):
    """Two steps and one validation of each case."""
    found = {}
    for name, case in CASES.items():
        trainer = make_trainer(case, **({} if group_or_none is None else {"group": group_or_none}))
        steps = [trainer.step() for _ in range(2)]
        weights = {n: p.detach().numpy().copy() for n, p in trainer.model.named_parameters()}
        found[name] = np.array(steps), np.array(trainer.validate("valid")), weights
    return found


def operations(group):
    """What each operation of a group gives on this rank."""
    own = torch.full((2,), float(group.rank + 1), requires_grad=True)
    total = group.sum(own)
    total.square().sum().backward()
    tensor = torch.full((3,), float(group.rank))
    group.broadcast_tensors([tensor])
    return {
        "rank": group.rank, "size": group.size, "leads": group.leads, "sum": total.tolist(), "own": own.tolist(),
        "gradient": own.grad.tolist(), "tensor": tensor.tolist(), "object": group.broadcast(f"word of {group.rank}"),
        "any": [group.any(group.rank == 1, torch.device("cpu")), group.any(False, torch.device("cpu"))],
    }  # fmt: skip


def process(rank, port, answers):
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(SIZE), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    try:
        group = join(torch.device("cpu"))
        answers.put((rank, (operations(group), trained(group)), ""))
        group.wait()
    except BaseException:
        answers.put((rank, None, traceback.format_exc()))


@pytest.fixture(scope="module")
def answers():
    """What each process got and trained. The processes are forked, so that they run mutants planted in this one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    found = context.Queue()
    processes = [context.Process(target=process, args=(rank, port, found), daemon=True) for rank in range(SIZE)]
    for each in processes:
        each.start()
    results = {}
    try:
        while len(results) < SIZE:
            rank, result, error = found.get(timeout=SECONDS)
            assert not error, f"process {rank}: {error}"
            results[rank] = result
    except queue.Empty:
        pytest.fail(f"only the ranks {sorted(results)} of {SIZE} finished")
    finally:
        for each in processes:
            each.join(timeout=0 if len(results) < SIZE else 10)
            each.kill()
    return [results[rank] for rank in range(SIZE)]


@pytest.fixture(scope="module")
def alone():
    return trained(None)


def test_each_process_knows_its_rank_and_the_group_size(answers):
    assert [(a["rank"], a["size"], a["leads"]) for a, _ in answers] == [(0, 3, True), (1, 3, False), (2, 3, False)]


def test_a_sum_covers_all_ranks_keeps_its_input_and_passes_gradients_unchanged(answers):
    for rank, (answer, _) in enumerate(answers):
        assert answer["sum"] == [6.0, 6.0]
        assert answer["own"] == [rank + 1.0] * 2
        assert answer["gradient"] == [12.0, 12.0]  # the square's derivative, 2 * 6, not summed over the ranks again


def test_broadcasts_give_every_rank_the_tensors_and_the_object_of_rank_0(answers):
    for answer, _ in answers:
        assert answer["tensor"] == [0.0] * 3
        assert answer["object"] == "word of 0"


def test_any_is_true_on_all_ranks_if_it_is_true_on_one(answers):
    assert [answer["any"] for answer, _ in answers] == [[True, False]] * SIZE


def test_the_floor_of_the_kl_cost_lies_between_the_processes():
    assert min(PARTS) < CASES["the whole batch above the floor, some rows below"].kl_tolerance < WHOLE < max(PARTS)


@pytest.mark.parametrize("case", CASES)
def test_steps_and_validations_equal_those_of_one_process(answers, alone, case):
    expected_steps, expected_costs, expected_weights = alone[case]
    for _, found in answers:
        steps, costs, weights = found[case]
        np.testing.assert_allclose(steps, expected_steps, rtol=ALLOWED, atol=0)
        np.testing.assert_allclose(costs, expected_costs, rtol=ALLOWED, atol=0)
        for name, weight in expected_weights.items():
            assert np.abs(weights[name] - weight).max() <= ALLOWED * np.abs(weight).max(), name
