"""Bugs in reading and writing: stroke files, and the conversion of Magenta's models."""

from parity_tests.mutation.bugs import Entries, ProductMutant, Text, Value
from pytorch_sketch_rnn import hparams
from pytorch_sketch_rnn.data import npz, packed, packed_writer, pickled_arrays, scale, splitting
from pytorch_sketch_rnn.data.sources import ndjson, read, simplify
from weight_port import infer, leveldb_table, rfeinman, rfeinman_layout, sketch_rnn_js, tensor_bundle, torch_layout
from weight_port.export import variables

_LINES = ("data/test_ndjson.py",)
_DRAWINGS = (
    ProductMutant(
        "ndjson: x and y swapped", "stroke files",
        Text(ndjson, "_line", ("np.array(stroke[:2], dtype", "np.array(stroke[1::-1], dtype")),
        _LINES,
    ),
    ProductMutant(
        "each axis scaled on its own", "stroke files",
        Text(simplify, "scale_lines", (".ptp(points, axis=0).max() or 1.0", ".ptp(points, axis=0).clip(1e-9)")),
        _LINES,
    ),
    ProductMutant(
        "drawings scaled but not moved to the corner", "stroke files",
        Text(simplify, "scale_lines", ("(line - corner) / extent", "line / extent")),
        _LINES,
    ),
    ProductMutant(
        "offsets are rounded, not points", "stroke files",
        Text(
            simplify, "sketch_of",
            ("lines = [np.rint(line).astype(np.int64) for line in lines]", "pass"),
            ("strokes.astype(dtype)", "np.rint(strokes).astype(dtype)"),
        ),
        _LINES,
    ),
    ProductMutant(
        "a sketch starts at its absolute position", "stroke files",
        Text(simplify, "sketch_of", ("strokes[:1, :2] = 0", "pass")),
        _LINES,
    ),
    ProductMutant(
        "splits are taken in the order of the file", "stroke files",
        Text(splitting, "assign_splits", ("np.random.RandomState(seed).shuffle(drawn)", "pass")),
        ("data/test_make_set.py",),
    ),
    ProductMutant(
        "simplifying a .npz loses the first offset", "stroke files",
        Text(read, "_simplified", ("simplified[0, :2] = sketch[0, :2]", "pass")),
        ("data/test_make_set.py",),
    ),
    ProductMutant(
        "--count takes the first files by name", "stroke files",
        Text(read, "read_source", ("random.Random(options.seed).shuffle(files)", "pass")),
        ("data/test_make_set.py",),
    ),
    ProductMutant(
        "--count takes all of the first source", "stroke files",
        Text(read, "in_turns", ("zip_longest(*sources)", "([one] for source in sources for one in source)")),
        ("data/test_make_set.py",),
    ),
)  # fmt: skip

_PACKED = ("data/test_packed.py",)
_SETS = (
    ProductMutant(
        ".npz: arrays in Fortran order read in C order", "stroke files",
        Text(pickled_arrays, "make_array", ('order="F" if fortran else "C"', 'order="C"')),
        ("data/test_npz.py::test_pickles_of_every_protocol_by_python_3_are_read",),
    ),
    ProductMutant(
        ".npz: byte order ignored", "stroke files",
        Text(
            pickled_arrays, "make_array",
            ("frombuffer(raw, number_type)", "frombuffer(raw, number_type.newbyteorder('='))"),
        ),
        ("data/test_npz.py::test_every_number_type_and_order_is_read_as_objects_and_as_numbers",),
    ),
    ProductMutant(
        ".npz: any number is accepted as a pen state", "stroke files",
        Text(npz, "check_sketch", ("if not is_binary(sketch[:, 2]):", "if False:")),
        ("data/test_npz_writing.py::test_a_pen_is_0_or_1_where_it_is_read_and_where_it_is_written",),
    ),
    ProductMutant(
        ".npz: the time of writing is in the file", "stroke files",
        Text(npz, "write_npz", ("zipfile.ZipInfo(name)", "name")),
        ("data/test_npz_writing.py::test_neither_layout_nor_time_changes_the_bytes",),
    ),
    ProductMutant(
        ".npz: NumPy 2's module names are written", "stroke files",
        Text(npz, "_pack_member", ('b"cnumpy.core.multiarray\\n", 1', 'b"cnumpy._core.multiarray\\n", 1')),
        ("data/test_npz_writing.py::test_what_is_written_names_the_modules_of_numpy_1",),
    ),
    ProductMutant(
        "packed: scale factor around zero, not around the mean", "stroke files",
        Text(
            scale.RunningDeviation, "deviation",
            ("self._count * self._squares - self._sum**2", "self._count * self._squares"),
        ),
        _PACKED,
    ),
    ProductMutant(
        "packed: scale factor in steps of the unit", "stroke files",
        Text(packed_writer.PackedWriter, "_finish", ("train.steps.deviation() * self.unit", "train.steps.deviation()")),
        _PACKED,
    ),
    ProductMutant(
        "packed: offsets truncated, not rounded", "stroke files",
        Text(packed_writer.PackedWriter, "_steps", ("np.rint(sketch", "np.trunc(sketch")),
        _PACKED,
    ),
    ProductMutant(
        "packed: longest sketch of the training split only", "stroke files",
        Text(
            packed_writer.PackedWriter, "add",
            ("max(self.longest, len(sketch))", 'max(self.longest, len(sketch) if split == "train" else 0)'),
        ),
        _PACKED,
    ),
    ProductMutant(
        "packed: the pen is scaled as offsets are", "stroke files",
        Text(packed.PackedSplit, "__init__", ("[unit, unit, 1.0]", "[unit, unit, unit]")),
        _PACKED,
    ),
    ProductMutant(
        "packed: offsets are not clamped", "stroke files",
        Text(packed_writer.PackedWriter, "_steps", (".clip(-limit, limit)", "")),
        _PACKED,
    ),
    ProductMutant(
        "config.json always contains the hyperparameters that Magenta does not have", "settings",
        Text(hparams.HParams, "save", ("if name not in extra", "if True")),
        ("package/test_hparams.py::test_a_config_holds_what_magenta_does_not_know_only_if_it_differs",),
    ),
)  # fmt: skip

_INFER = ("weight_port/test_infer.py",)
_INFERENCE = (
    ProductMutant(
        "the config overrides the user's flags", "weight inference",
        Text(infer, "infer_hparams", ('("config", given), ("flag", flags)', '("flag", flags), ("config", given)')),
        _INFER,
    ),
    ProductMutant(
        "a model's info overrides its config", "weight inference",
        Text(infer, "infer_hparams", ('("model", model), ("config", given)', '("config", given), ("model", model)')),
        _INFER,
    ),
    ProductMutant(
        "the encoder's cell is inferred from the decoder", "weight inference",
        Text(infer, "infer_structure", ('"enc_model": enc_model,', '"enc_model": dec_model,')),
        _INFER,
    ),
    ProductMutant(
        "an encoder with two sizes is accepted", "weight inference",
        Text(infer, "infer_structure", ("if sides[0] != sides[1]:", "if sides[0][0] != sides[1][0]:")),
        _INFER,
    ),
    ProductMutant(
        "inner sizes of a hyper cell swapped", "weight inference",
        Text(infer, "_cell_at", ("(hyper_num_units, embedding), strict", "(embedding, hyper_num_units), strict")),
        _INFER,
    ),
    ProductMutant(
        "inner cells of two sizes are accepted", "weight inference",
        Text(infer, "infer_structure", ("if hyper and enc_hyper and hyper != enc_hyper:", "if False:")),
        _INFER,
    ),
    ProductMutant(
        "a fractional number of mixtures is rounded", "weight inference",
        Text(infer, "infer_structure", ("if outputs < 9 or (outputs - 3) % 6:", "if outputs < 9:")),
        _INFER,
    ),
    ProductMutant(
        "a config that contradicts the weights is accepted", "weight inference",
        Text(infer, "infer_hparams", ("((given, config_path), (flags, ", "((flags, ")),
        _INFER,
    ),
)  # fmt: skip

_BUNDLES = (
    ProductMutant(
        "bundle: the checksum of an empty variable is not checked", "tensor bundle",
        Text(tensor_bundle.TensorBundle, "read", ("if masked_crc32c(", "if entry.size and masked_crc32c(")),
        ("weight_port/test_tensor_bundle.py::test_a_wrong_checksum_of_an_empty_variable_is_noticed",),
    ),
    ProductMutant(
        "bundle: the checksum covers only the first MiB", "tensor bundle",
        Text(leveldb_table, "masked_crc32c", ("range(0, len(part), _CRC_CHUNK_BYTES)", "range(0, min(len(part), 1))")),
        ("weight_port/test_tensor_bundle.py::test_damage_anywhere_in_a_large_variable_is_noticed",),
    ),
    ProductMutant(
        "bundle: each MiB has a checksum of its own", "tensor bundle",
        Text(leveldb_table, "masked_crc32c", (".extend(crc, ", ".extend(crc if start == 0 else 0, ")),
        ("weight_port/test_tensor_bundle.py::test_a_checksum_covers_all_parts_however_they_are_cut",),
    ),
    ProductMutant(
        "bundle: the checksum of data is not checked", "tensor bundle",
        Text(tensor_bundle.TensorBundle, "read", ("if masked_crc32c(buffer) != entry.crc32c:", "if False:")),
        ("weight_port/test_tensor_bundle.py::test_a_flipped_byte_of_data_is_laid_to_its_variable_alone",),
    ),
    ProductMutant(
        "bundle: the meta index is skipped", "tensor bundle",
        Text(
            leveldb_table, "read_table",
            ("_read_block(table, handles)  # the meta", "handles.varint(), handles.varint()  # the meta"),
        ),
        ("weight_port/test_tensor_bundle.py::test_no_flipped_byte_of_an_index_goes_unnoticed",),
    ),
    ProductMutant(
        "bundle: big-endian numbers are read as little-endian", "tensor bundle",
        Text(tensor_bundle, "_parse_header", ("if header.integer(2) != 0:", "if False:")),
        ("weight_port/test_tensor_bundle.py::test_a_sound_table_with_bad_records_is_refused",),
    ),
    ProductMutant(
        "bundle: keys may be out of order", "tensor bundle",
        Text(leveldb_table, "read_table", ("key <= previous", "key == previous")),
        ("weight_port/test_tensor_bundle.py::test_a_sound_table_with_bad_records_is_refused",),
    ),
)  # fmt: skip

_JS = ("weight_port/test_sketch_rnn_js.py",)
_ORDER = sketch_rnn_js.VAE_ORDER
_JSON = (
    ProductMutant(
        "JSON: weights divided before they are multiplied", "sketch-rnn-js",
        Text(
            sketch_rnn_js, "dequantise",
            (
                "* np.float32(MAX_WEIGHT) / np.float32(QUANTISATION_STEPS)",
                "/ np.float32(QUANTISATION_STEPS) * np.float32(MAX_WEIGHT)",
            ),
        ),
        _JS,
    ),
    ProductMutant(
        "JSON: 32768 steps of quantisation", "sketch-rnn-js",
        Value(sketch_rnn_js, "QUANTISATION_STEPS", 32768),
        _JS,
    ),
    ProductMutant(
        "JSON: mu and sigma of the encoder swapped", "sketch-rnn-js",
        Value(sketch_rnn_js, "VAE_ORDER", (*_ORDER[:6], *_ORDER[8:10], *_ORDER[6:8], *_ORDER[10:])),
        _JS,
    ),
    ProductMutant(
        "JSON: forward and backward encoder swapped", "sketch-rnn-js",
        Value(sketch_rnn_js, "VAE_ORDER", (*_ORDER[3:6], *_ORDER[:3], *_ORDER[6:])),
        _JS,
    ),
    ProductMutant(
        "JSON: mode 1 read as decoder-only", "sketch-rnn-js",
        Entries(sketch_rnn_js._IS_CONDITIONAL, {1: False}),
        _JS,
    ),
    ProductMutant(
        "JSON: numbers read as unsigned", "sketch-rnn-js",
        Text(sketch_rnn_js, "_decode_base64", ('"<i2"', '"<u2"')),
        _JS,
    ),
    ProductMutant(
        "JSON: matrices filled column by column", "sketch-rnn-js",
        Text(sketch_rnn_js, "_parse_blob", ("numbers.reshape(shape)", 'numbers.reshape(shape, order="F")')),
        _JS,
    ),
    ProductMutant(
        "JSON: characters outside base64 are ignored", "sketch-rnn-js",
        Text(sketch_rnn_js, "_decode_base64", ("blob, validate=True", "blob")),
        _JS,
    ),
)  # fmt: skip

_PORT = ("weight_port/test_rfeinman.py",)
_PORTS = (
    ProductMutant(
        "rfeinman: gates in torch's order", "models of a port",
        Text(rfeinman_layout, "cell_layout", ("gates(sizes.units, ORDER)", 'gates(sizes.units, "ifjo")')),
        _PORT,
    ),
    ProductMutant(
        "rfeinman: h and c of the initial state swapped", "models of a port",
        Text(rfeinman_layout, "model_layout", ('if kind == "lstm"', 'if kind != "lstm"')),
        _PORT,
    ),
    ProductMutant(
        "rfeinman: means of both axes one after the other", "models of a port",
        Text(rfeinman_layout, "model_layout", ("axis=1).ravel()", "axis=0).ravel()")),
        _PORT,
    ),
    ProductMutant(
        "rfeinman: the second bias of the encoder is left out", "models of a port",
        Text(torch_layout.Layout, "to_official", ("values[name] + values[twin]", "values[name]")),
        _PORT,
    ),
    ProductMutant(
        "rfeinman: a forget bias that is not there is kept", "models of a port",
        Text(torch_layout.Layout, "to_official", ("-= FORGET_BIAS", "-= 0")),
        _PORT,
    ),
    ProductMutant(
        "rfeinman: Magenta's epsilon", "models of a port",
        Text(rfeinman, "_converted", ("else LAYER_NORM_EPSILON", "else 0.001")),
        _PORT,
    ),
    ProductMutant(
        "rfeinman: a cell that differs from its copy is taken", "models of a port",
        Text(rfeinman, "_converted", ("for name in sorted(again):", "for name in ():")),
        _PORT,
    ),
    ProductMutant(
        "rfeinman: a tensor that claims any size is taken", "models of a port",
        Text(rfeinman, "_read_state_dict", ("if value.numel() * value.itemsize > size:", "if False:")),
        _PORT,
    ),
    ProductMutant(
        "a model with another epsilon is exported", "models of a port",
        Text(variables, "check_epsilon", ("if EPSILON in hparams.not_magentas:", "if False:")),
        _PORT,
    ),
)  # fmt: skip

FILE_MUTANTS = (*_DRAWINGS, *_SETS, *_INFERENCE, *_BUNDLES, *_JSON, *_PORTS)
