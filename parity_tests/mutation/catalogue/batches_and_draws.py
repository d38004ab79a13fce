"""Bugs in batches, in keyed draws and in sampling many sketches at a time."""

from parity_tests.mutation.bugs import ProductMutant, Text, Value
from pytorch_sketch_rnn import philox
from pytorch_sketch_rnn.data import batches
from pytorch_sketch_rnn.model import draws, sampling

_BATCH = ("data/test_batches.py",)


def _augmented(change: tuple[str, str]) -> Text:
    """A change of the arguments with which the numbers of both kinds of augmentation are drawn."""
    scale, drop = (
        'uniform(seed, step, "augment/scale", rows, 2)',
        'uniform(seed, step, "augment/drop", rows, lengths.max())',
    )
    return Text(batches.Split, "random_rows", *((call, call.replace(*change)) for call in (scale, drop)))


_BATCHES = (
    ProductMutant(
        "a sketch may occur twice in a batch", "batches",
        Text(batches.Split, "random_rows", ("batch_size, replace=False", "batch_size")),
        _BATCH,
    ),
    ProductMutant(
        "all rows of a batch are augmented alike", "batches",
        _augmented(("rows, ", "[0] * len(rows), ")),
        _BATCH,
    ),
    ProductMutant(
        "augmentation is the same at every step", "batches",
        _augmented(("step, ", "0, ")),
        _BATCH,
    ),
    ProductMutant(
        "augmentation is the same for every seed", "batches",
        _augmented(("seed, ", "0, ")),
        _BATCH,
    ),
    ProductMutant(
        "rows are augmented as if they were the first", "batches",
        _augmented(("rows, ", "range(len(rows)), ")),
        _BATCH,
    ),
    ProductMutant(
        "scales and dropped points come from the same numbers", "batches",
        Text(batches.Split, "random_rows", ("augment/drop", "augment/scale")),
        _BATCH,
    ),
    ProductMutant(
        "one random scale for x and y", "batches",
        Text(batches.Split, "random_rows", ("rows, 2)", "rows, 1)")),
        _BATCH,
    ),
    ProductMutant(
        "every process takes the first rows of a batch", "batches",
        Text(batches.Split, "random_rows", ("chosen[rows]", "chosen[: len(rows)]")),
        _BATCH,
    ),
    ProductMutant(
        "the longest sketch is never trained on", "batches",
        Text(batches.Split, "random_rows", ("rng.choice(len(self), ", "rng.choice(len(self) - 1, ")),
        _BATCH,
    ),
    ProductMutant(
        "scale factor of all three splits", "batches",
        Text(
            batches.Sets, "from_splits",
            (
                "joined.scale_factor",
                "np.float32(np.std(np.concatenate([s[:, :2] for split in kept.values() for s in split])))",
            ),
        ),
        _BATCH,
    ),
    ProductMutant(
        "a sketch of max_seq_len points is left out", "batches",
        Text(batches.Sets, "from_splits", ("len(s) <= limit", "len(s) < limit")),
        _BATCH,
    ),
    ProductMutant(
        "max_seq_len is not set to the longest sketch", "batches",
        Text(batches.Sets, "from_splits", ("joined.hparams, left_out", "hparams, left_out")),
        _BATCH,
    ),
    ProductMutant(
        "max_seq_len of a packed set is not set to its longest sketch", "batches",
        Text(batches.Sets, "from_packed", ("hparams = hparams.replace(max_seq_len=packed.longest)", "pass")),
        _BATCH,
    ),
)  # fmt: skip

_KEYED, _PHILOX = ("model/test_keyed_draws.py",), ("package/test_philox.py",)
_DRAWS = (
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

_MANY = ("model/test_sampling.py",)
_SAMPLING = (
    ProductMutant(
        "many: deviations scaled by the root of the temperature", "sampling of many",
        Text(sampling, "_draw_points", ("temperature * sigma1 * e1", "temperature**0.5 * sigma1 * e1")),
        _MANY,
    ),
    ProductMutant(
        "many: the pen ignores the temperature", "sampling of many",
        Text(sampling, "_draw_points", ('here["pen"], temperature)', 'here["pen"], 1.0)')),
        _MANY,
    ),
    ProductMutant(
        "many: offsets without correlation", "sampling of many",
        Text(sampling, "_draw_points", ("(corr * e1 + torch.sqrt((1 - corr.square()).clamp(min=0)) * e2)", "e2")),
        _MANY,
    ),
    ProductMutant(
        "many: one number picks component and pen", "sampling of many",
        Text(sampling, "_draw_points", ("sample/pen/{step}", "sample/component/{step}")),
        _MANY,
    ),
    ProductMutant(
        "many: latent vectors of the first rows, not of the unfinished ones", "sampling of many",
        Text(sampling, "sample_batch", ("z[going]", "z[: len(rows)]")),
        _MANY,
    ),
    ProductMutant(
        "many: states of the first rows, not of the unfinished ones", "sampling of many",
        Text(sampling, "sample_batch", ("field[going] for", "field[: len(rows)] for")),
        _MANY,
    ),
    ProductMutant(
        "many: points go to the first sketches, not to the unfinished ones", "sampling of many",
        Text(sampling, "sample_batch", ("points[rows, step, :2] = offset", "points[: len(rows), step, :2] = offset")),
        _MANY,
    ),
    ProductMutant(
        "many: the end of a sketch counts as a point", "sampling of many",
        Text(sampling, "sample_batch", ("lengths[rows[ended].cpu()] = step", "lengths[rows[ended].cpu()] = step + 1")),
        _MANY,
    ),
)  # fmt: skip

BATCH_AND_DRAW_MUTANTS = (*_BATCHES, *_DRAWS, *_SAMPLING)
