"""Room for a sequence's numbers: used again when no tensor lies in it any more, and never before."""

import gc
import threading

import numpy as np
import pytest
import torch

from pytorch_sketch_rnn.model.fused import memory
from pytorch_sketch_rnn.model.fused.memory import room

FLOAT = torch.zeros(1)
LARGE = memory._LARGE // FLOAT.itemsize  # numbers


@pytest.fixture(autouse=True)
def no_blocks(monkeypatch):
    """No block is left by another test."""
    monkeypatch.setattr(memory, "_free", {})


def test_room_has_the_shape_the_type_and_rows_that_are_apart():
    for rows in (3, LARGE):
        made = room(torch.zeros(1, dtype=torch.float64), 2, rows, 5, apart=4)
        assert (made.shape, made.stride(), made.dtype) == ((2, rows, 5), (9 * rows, 9, 1), torch.float64)
        assert room(FLOAT, 2, rows, 5).is_contiguous()
        assert room(FLOAT, rows, 7).data_ptr() % 64 == 0


def test_all_of_it_can_be_written():
    made = room(FLOAT, 3, 1001, 1003)
    made.fill_(7)
    assert torch.equal(made, torch.full((3, 1001, 1003), 7.0))


def test_a_block_is_used_again_once_no_tensor_lies_in_it():
    first = room(FLOAT, LARGE)
    address, part = first.data_ptr(), first[5:].view(-1)
    del first
    gc.collect()
    second = room(FLOAT, LARGE)
    assert second.data_ptr() != address  # a part of the first is still there
    part.fill_(1)
    second.fill_(2)
    assert (part == 1).all()
    del part
    assert room(FLOAT, LARGE).data_ptr() == address


def test_what_autograd_keeps_is_not_used_again():
    kept, scale = room(FLOAT, LARGE).zero_(), torch.ones((), requires_grad=True)
    address, loss = kept.data_ptr(), (kept * scale).sum()
    del kept
    other = room(FLOAT, LARGE)  # held to the end: of two free blocks of a size, either may come
    assert other.data_ptr() != address
    del loss
    assert room(FLOAT, LARGE).data_ptr() == address


def test_a_little_more_fits_into_the_same_block_and_much_less_does_not():
    address = room(FLOAT, 2 * LARGE).data_ptr()
    assert room(FLOAT, 2 * LARGE + LARGE // 4).data_ptr() == address
    assert room(FLOAT, LARGE + LARGE // 2).data_ptr() == address
    kept = list(memory._free.values())  # or the system could give the same address again
    other = room(FLOAT, LARGE)
    assert len(kept) == 1
    assert not address <= other.data_ptr() < address + 2 * LARGE * FLOAT.itemsize


def test_no_more_is_kept_than_was_once_in_use():
    for size in range(1, 40):
        three = [room(FLOAT, size * LARGE // 4 + LARGE) for _ in range(3)]
        del three
        assert len(memory._free) <= 3


def test_small_tensors_are_torchs_own():
    room(FLOAT, LARGE - 1)
    assert not memory._free


def test_threads_never_share_a_block():
    wrong = []

    def work(number: float) -> None:
        for _ in range(60):
            tensors = [room(FLOAT, LARGE).fill_(number + each) for each in range(3)]
            wrong.extend(1 for each, tensor in enumerate(tensors) if not (tensor == number + each).all())

    threads = [threading.Thread(target=work, args=(float(10 * number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_where_memory_is_short_the_blocks_that_are_free_are_given_up(monkeypatch):
    both = [room(FLOAT, 9 * LARGE), room(FLOAT, 9 * LARGE)]
    del both
    assert len(memory._free) == 2
    sizes, empty = [], np.empty

    def short(size, *arguments):
        sizes.append(size)
        if len(sizes) == 1:
            raise MemoryError
        return empty(size, *arguments)

    monkeypatch.setattr(memory.np, "empty", short)
    made = room(FLOAT, LARGE)
    assert (made.shape, sizes[1] < sizes[0], memory._free) == ((LARGE,), True, {})
