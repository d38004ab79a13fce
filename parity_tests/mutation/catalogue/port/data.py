"""Bugs in the data loader and its augmentation."""

from parity_tests.mutation.bugs import Mutant, Text
from parity_tests.mutation.catalogue.port.parts import LOADER
from pytorch_sketch_rnn.data import magenta_loader

DATA_MUTANTS = (
    Mutant(
        "a separate scale factor for each axis", "data",
        Text(
            magenta_loader.DataLoader, "calculate_normalizing_scale_factor",
            ("sketch[:, :2].ravel() for", "sketch[:, :2] for"),
            ("np.std(np.concatenate(offsets))", "np.std(np.concatenate(offsets), axis=0)"),
            ("if scale_factor == 0:", "if (scale_factor == 0).any():"),
        ),
        LOADER, "scale_factor",
    ),
    Mutant(
        "scale factor of dx only", "data",
        Text(
            magenta_loader.DataLoader, "calculate_normalizing_scale_factor",
            ("sketch[:, :2].ravel()", "sketch[:, 0]"),
        ),
        LOADER, "scale_factor",
    ),
    Mutant(
        "unbiased scale factor", "data",
        Text(
            magenta_loader.DataLoader, "calculate_normalizing_scale_factor",
            ("np.concatenate(offsets))", "np.concatenate(offsets), ddof=1)"),
        ),
        LOADER, "scale_factor",
    ),
    Mutant(
        "scale factor of all splits", "data",
        Text(
            magenta_loader, "join_sets",
            (
                "train.calculate_normalizing_scale_factor()",
                "DataLoader([s for each in (train, valid, test) for s in each.strokes], 1, longest, rng)"
                ".calculate_normalizing_scale_factor()",
            ),
        ),
        LOADER, "scale_factor",
    ),
    Mutant(
        "each split normalised by itself", "data",
        Text(
            magenta_loader, "join_sets",
            ("loader.normalize(scale_factor)", "loader.normalize(loader.calculate_normalizing_scale_factor())"),
        ),
        LOADER, "valid/.*",
    ),
    Mutant(
        "normalised twice", "data",
        Text(magenta_loader.DataLoader, "normalize", ("/= scale_factor", "/= scale_factor * scale_factor")),
        LOADER, "train/.*",
    ),
    Mutant(
        "large gaps not clamped", "data",
        Text(magenta_loader, "clamped", ("np.clip(points.astype(np.float64), -LIMIT, LIMIT)", "points")),
        LOADER, "scale_factor",
    ),
    Mutant(
        "sketches not sorted by length", "data",
        Text(magenta_loader.DataLoader, "__init__", ("[kept[i] for i in order]", "list(kept)")),
        LOADER,
    ),
    Mutant(
        "long sketches cut, not dropped", "data",
        Text(
            magenta_loader.DataLoader, "__init__",
            (
                "clamped(sketch) for sketch in strokes if len(sketch) <= max_seq_len",
                "clamped(sketch[:max_seq_len]) for sketch in strokes",
            ),
        ),
        (*LOADER, "data"),
    ),
    Mutant(
        "only the last of several data sets kept", "data",
        Text(magenta_loader, "join_sets", ("sketch for each in sets for", "sketch for each in sets[-1:] for")),
        (*LOADER, "data"),
    ),
    Mutant(
        "batch drawn with replacement", "data",
        Text(
            magenta_loader.DataLoader, "random_batch",
            (
                "self.rng.permutation(len(self.strokes))[: self.batch_size]",
                "self.rng.randint(0, len(self.strokes), self.batch_size)",
            ),
        ),
        LOADER, "train/.*",
    ),
    Mutant(
        "padding with pen up instead of end of sketch", "data",
        Text(magenta_loader, "padded", ("sketches[:, :, 4] = 1", "sketches[:, :, 3] = 1")),
        LOADER, ".*/sketches",
    ),
    Mutant(
        "no start token", "data",
        Text(magenta_loader, "padded", ("sketches[:, 0] = START_TOKEN", "sketches[:, 0] = 0")),
        LOADER, ".*/sketches",
    ),
    Mutant(
        "random scale drawn only if its factor is not 0", "augmentation",
        Text(
            magenta_loader.DataLoader, "_augmented",
            ("for axis in range(2):", "for axis in range(2 if self.random_scale_factor > 0 else 0):"),
        ),
        LOADER, "train/1/.*",
    ),
    Mutant(
        "one scale for both axes", "augmentation",
        Text(magenta_loader.DataLoader, "_augmented", ("for axis in range(2):", "for axis in (slice(0, 2),):")),
        LOADER, "train/0/.*",
    ),
    Mutant(
        "half the random scale", "augmentation",
        Text(magenta_loader.DataLoader, "_augmented", ("- 0.5) * 2 *", "- 0.5) *")),
        LOADER, "train/0/.*",
    ),
    Mutant(
        "validation augmented as well", "augmentation",
        Text(magenta_loader, "join_sets", ('if split == "train" else {}', "")),
        LOADER, "valid/0/.*",
    ),
    Mutant(
        "dropped point merged into the next point", "augmentation",
        Text(magenta_loader, "drop_points", ("np.cumsum(kept)[dropped] - 1", "np.cumsum(kept)[dropped]")),
        LOADER, "train/0/.*",
    ),
    Mutant(
        "dropped point lost, not merged", "augmentation",
        Text(magenta_loader, "drop_points", ("points[dropped, axis])", "0 * points[dropped, axis])")),
        LOADER, "train/0/.*",
    ),
    Mutant(
        "points dropped one too early in a stroke: count > 1", "augmentation",
        Text(magenta_loader, "drop_points", ("(since > 2)", "(since > 1)")),
        LOADER, "train/0/.*",
    ),
    Mutant(
        "no augmentation", "augmentation",
        Text(magenta_loader.DataLoader, "_augmented", ("if self.augment_stroke_prob > 0:", "if False:")),
        LOADER, "train/0/.*",
    ),
)  # fmt: skip
