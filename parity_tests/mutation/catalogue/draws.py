"""Bugs of keyed random numbers, each with the unit tests that must catch it."""

from parity_tests.mutation.bugs import ProductMutant, Text, Value
from pytorch_sketch_rnn import philox
from pytorch_sketch_rnn.model import draws

_KEYED, _PHILOX = ("model/test_keyed_draws.py",), ("package/test_philox.py",)
DRAW_MUTANTS = (
    ProductMutant(
        "forward and backward encoder get the same masks", "keyed draws",
        Text(draws.KeyedDraws, "_stream", ("name_id(name)", "name_id(name.replace('/bw/', '/fw/'))")),
        _KEYED,
    ),
    ProductMutant(
        "input and output masks are drawn alike", "keyed draws",
        Text(draws.KeyedDraws, "_stream", ("name_id(name)", "name_id(name.split('/')[0])")),
        _KEYED,
    ),
    ProductMutant(
        "masks drop what they should keep", "keyed draws",
        Text(draws.KeyedDraws, "mask", ("units), keep_prob,", "units), 1 - keep_prob,")),
        _KEYED,
    ),
    ProductMutant(
        "rows are numbered from 0 in every process", "keyed draws",
        Text(draws.KeyedDraws, "__init__", ("= seed, step, rows", "= seed, step, range(len(rows))")),
        _KEYED,
    ),
    ProductMutant(
        "one mask for all steps of a sketch", "keyed draws",
        Text(
            draws.KeyedMask, "tensor",
            ("return ", "first = dataclasses.replace(self, shape=(self.shape[0], 1, self.shape[2]))\n    return ("),
            ("self._on_cpu(like)", "first._on_cpu(like)"),
            ("self._on_device(like)", "first._on_device(like)).expand(self.shape)"),
        ),
        _KEYED,
    ),
    ProductMutant(
        "the next seed draws what the next step does", "keyed draws",
        Text(draws.KeyedDraws, "_stream", ("self.seed, self.step,", "self.seed + self.step, 0,")),
        _KEYED,
    ),
    ProductMutant(
        "masks repeat after eight steps", "keyed draws",
        Text(draws.Stream, "blocks", ("unit, block, row,", "unit, 0 * block, row,")),
        _KEYED,
    ),
    ProductMutant(
        "two steps share the same bits", "keyed draws",
        Text(draws.KeyedMask, "_on_cpu", ("word >> np.uint32(16)", "word & np.uint32(0xFFFF)")),
        _KEYED,
    ),
    ProductMutant(
        "steps are counted from the end of the longest sketch", "keyed draws",
        Text(
            draws.KeyedMask, "_on_cpu",
            ("np.arange((steps + 7) // 8, dtype=np.uint32)", "np.arange((steps + 7) // 8, dtype=np.uint32)[::-1]"),
        ),
        _KEYED,
    ),
    ProductMutant(
        "neighbouring units share their numbers", "keyed draws",
        Text(
            draws.KeyedMask, "_on_cpu",
            ("np.arange(units, dtype=np.uint32)", "np.arange(units, dtype=np.uint32) // np.uint32(2)"),
        ),
        _KEYED,
    ),
    ProductMutant(
        "each part of a large mask has the numbers of the first rows", "keyed draws",
        Text(draws.KeyedMask, "_on_cpu", ("rows[part]", "rows[: len(out[part])]")),
        _KEYED,
    ),
    ProductMutant(
        "a GPU puts the steps of a block in another order", "keyed draws",
        Text(
            draws.KeyedMask, "_on_device", ("kept.flatten(1, 2)", "kept.transpose(1, 2).flatten(1, 2)"),
        ),
        _KEYED,
    ),
    ProductMutant(
        "keyed masks without 1 / keep probability", "keyed draws",
        Text(draws.KeyedMask, "_on_cpu", ("(like.new_ones(()) / self.keep_prob)", "like.new_ones(())")),
        _KEYED,
    ),
    ProductMutant(
        "only the lower half of the seed counts", "keyed draws",
        Text(draws.Stream, "blocks", ("(self.seed, self.step)", "(self.seed & 0xFFFF, self.step)")),
        _KEYED,
    ),
    ProductMutant(
        "normal numbers with half the variance", "keyed draws",
        Text(draws.KeyedDraws, "normal", ("-2 * torch.log", "-1 * torch.log")),
        _KEYED,
    ),
    ProductMutant(
        "Philox of nine rounds", "keyed draws",
        Value(philox, "ROUNDS", 9),
        _PHILOX,
    ),
    ProductMutant(
        "Philox keeps its key in all rounds", "keyed draws",
        Text(philox, "philox", ("word + number * step", "word")),
        _PHILOX,
    ),
    ProductMutant(
        "Philox in torch copies the sign bits down", "keyed draws",
        Text(philox, "_multiply_torch", ("(product >> 32) & LOW_32_BITS", "product >> 32")),
        _PHILOX,
    ),
    ProductMutant(
        "a name's numbers are those of its length", "keyed draws",
        Text(philox, "name_id", ("zlib.crc32(name.encode())", "len(name)")),
        _PHILOX,
    ),
)  # fmt: skip
