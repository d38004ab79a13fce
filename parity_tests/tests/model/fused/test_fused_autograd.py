"""The fused paths behave as autograd expects of a function: graphs can be kept, interleaved and freed."""

import pytest
import torch
from fused_cases import KINDS, SHAPES, Case, backend, every_backend, weighed
from small_models import LENGTHS, B, batch, every_combination, make

from pytorch_sketch_rnn.model.backend import LOOP, REFERENCE
from pytorch_sketch_rnn.model.draws import TorchDraws
from pytorch_sketch_rnn.model.fused import choice

SHAPE = SHAPES[2]


def forward(case, by):
    """A graph whose leaves are the parameters of the cells: its value, and these."""
    cell = case.cells[0]
    outputs, last = by.run(cell, case.x, cell.state_type(*case.state), constant=case.constant)
    fw, bw = by.run_both(*case.cells, torch.cat([case.x, case.x[..., : SHAPE.constant]], dim=2), case.lengths)
    total = weighed({"outputs": outputs, **last._asdict()}) + weighed(fw._asdict()) + weighed(bw._asdict())
    return total, [p for cell in case.cells for p in cell.parameters()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@every_backend
@pytest.mark.parametrize("kind", KINDS)
def test_several_forwards_before_a_backward(name, kind):
    by, cases = backend(name), [Case(kind, SHAPE, masked=False, seed=seed) for seed in (1, 2)]
    alone = [torch.autograd.grad(*forward(case, by)) for case in cases]
    graphs = [forward(case, by) for case in cases]
    assert not same(*alone)
    for graph, expected in zip(reversed(graphs), reversed(alone), strict=True):
        assert same(torch.autograd.grad(*graph), expected)


@every_backend
@pytest.mark.parametrize("kind", KINDS)
def test_a_kept_graph_gives_the_same_gradient_twice_and_a_freed_one_an_error(name, kind):
    total, parameters = forward(Case(kind, SHAPE, masked=False), backend(name))
    first = torch.autograd.grad(total, parameters, retain_graph=True)
    assert same(torch.autograd.grad(total, parameters), first)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(total, parameters)


@every_backend
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("of", [torch.square, torch.clone], ids=["its square", "a plain sum"])
def test_a_second_derivative_is_refused(name, kind, of):
    total, parameters = forward(Case(kind, SHAPE, masked=False), backend(name))
    expected = torch.autograd.grad(of(total), parameters, retain_graph=True)
    first = torch.autograd.grad(of(total), parameters, create_graph=True)
    assert same(first, expected)
    penalty = torch.stack([gradient.square().sum() for gradient in first]).sum()
    with pytest.raises(RuntimeError, match="first derivatives only; for second ones, use backend='reference'"):
        (total + penalty).backward(retain_graph=True)
    for parameter in parameters:  # with respect to one input, autograd looks at what leads to it alone
        with pytest.raises(RuntimeError, match="first derivatives only"):
            torch.autograd.grad(total + penalty, parameter, retain_graph=True)


@every_backend
@pytest.mark.parametrize("kind", KINDS)
def test_a_second_derivative_with_respect_to_inputs_and_states_is_refused(name, kind):
    case, by = Case(kind, SHAPE, masked=False), backend(name)
    cell = case.cells[0]
    ends = [value.clone().requires_grad_() for value in (case.x, case.constant, *case.state)]
    outputs, _ = by.run(cell, ends[0], cell.state_type(*ends[2:]), constant=ends[1])
    first = torch.autograd.grad(outputs.sum(), ends, create_graph=True)
    penalty = torch.stack([gradient.square().sum() for gradient in first]).sum()
    for end in ends:
        with pytest.raises(RuntimeError, match="first derivatives only"):
            torch.autograd.grad(penalty, end, retain_graph=True)


@every_backend
def test_gradients_of_two_models_in_turns_are_those_of_each_alone(name):
    by = backend(name)
    kinds = [*KINDS, *reversed(KINDS)]
    cases = [Case(kind, SHAPE, masked=False, seed=seed) for seed, kind in enumerate(kinds)]
    alone = [torch.autograd.grad(*forward(case, by)) for case in cases]
    graphs = [forward(case, by) for case in cases]
    order = [3, 0, 5, 1, 4, 2]
    found = {index: torch.autograd.grad(*graphs[index]) for index in order}
    assert all(same(found[index], alone[index]) for index in order)


@every_backend
def test_without_gradients_the_values_are_the_same_bits(name):
    by = backend(name)
    for kind in KINDS:
        case = Case(kind, SHAPE, masked=True)
        with_graph = forward(case, by)[0].detach()
        with torch.no_grad():
            assert torch.equal(forward(case, by)[0], with_graph)
        with torch.inference_mode():
            assert torch.equal(forward(case, by)[0], with_graph)


@every_backend
@every_combination
def test_a_models_costs_and_gradients_against_the_loop(name, enc_model, dec_model):
    backend(name)  # or the test is skipped
    found = []
    for request in (name, REFERENCE):
        model = make(enc_model, dec_model)
        model.backend = request
        model.train()
        costs = model.costs(batch(), LENGTHS, 0.5, draws=TorchDraws(torch.Generator().manual_seed(8)))
        costs.cost.backward()
        assert model.usable_backend().name == request
        found.append([costs.cost.detach(), *(p.grad for p in model.parameters())])
    assert len(LENGTHS) == B
    for ours, theirs in zip(*found, strict=True):
        # measured: 2e-15 of the largest number
        assert float((ours - theirs).abs().max()) <= 1e-12 * max(float(theirs.abs().max()), 0.1)


def test_the_loop_is_another_function():
    """So that what is compared above is not compared with itself."""
    case = Case(KINDS[0], SHAPE, masked=False)
    graphs = [forward(case, by)[0] for by in (backend(choice.ATEN), LOOP)]
    names = [set(), set()]
    for graph, seen in zip(graphs, names, strict=True):
        todo = [graph.grad_fn]
        while todo:
            node = todo.pop()
            if node is not None:
                seen.add(type(node).__name__)
                todo += [following for following, _ in node.next_functions]
    assert "GatedSequenceBackward" in names[0]
    assert "GatedSequenceBackward" not in names[1]
