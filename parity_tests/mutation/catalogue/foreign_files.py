"""Bugs in how files from elsewhere are opened, recognised, converted and refused."""

from parity_tests.mutation.bugs import ProductMutant, Text
from pytorch_sketch_rnn import errors, regular_file
from pytorch_sketch_rnn.data import clamp, make_set_command, pickled_arrays, stroke_forms
from pytorch_sketch_rnn.data.sources import quickdraw_bin, unpacked
from pytorch_sketch_rnn.model import saved_model
from weight_port import tensor_bundle

FOREIGN_MUTANTS = (
    ProductMutant(
        "QuickDraw .bin: x and y swapped", "stroke files",
        Text(quickdraw_bin, "_read_drawing", (".reshape(2, length).T", ".reshape(2, length)[::-1].T")),
        ("data/test_quickdraw_bin.py",),
    ),
    ProductMutant(
        "QuickDraw .bin: numbers of points in the other byte order", "stroke files",
        Text(quickdraw_bin, "_read_drawing", ("_LENGTH.unpack(_read(file, _LENGTH.size))",
                                              "(int.from_bytes(_read(file, _LENGTH.size), 'big'),)")),
        ("data/test_quickdraw_bin.py",),
    ),
    ProductMutant(
        ".gz: no limit on what it unpacks to", "stroke files",
        Text(unpacked._Unpacked, "readinto", ("self._count += len(data)", "pass")),
        ("data/test_unpacked.py",),
    ),
    ProductMutant(
        "(pen lifted, dx, dy): dx and dy swapped", "stroke files",
        Text(stroke_forms, "_from_pen_first", ("[1, 2, 0]", "[2, 1, 0]")),
        ("data/test_stroke_forms.py",),
    ),
    ProductMutant(
        "stroke-5: a last point that is marked as the end is lost", "stroke files",
        Text(stroke_forms, "_until_end", ("if moves[:1].any():", "if False:")),
        ("data/test_stroke_forms.py",),
    ),
    ProductMutant(
        "stroke-5: the pen is down where it is lifted", "stroke files",
        Text(stroke_forms, "_from_stroke_5", ("array[:, [0, 1, 3]]", "array[:, [0, 1, 2]]")),
        ("data/test_stroke_forms.py",),
    ),
    ProductMutant(
        "negative offsets are never counted as clamped", "stroke files",
        Text(clamp.ClampCount, "add", (" | (offsets < -LIMIT)", "")),
        ("data/test_clamp.py",),
    ),
    ProductMutant(
        "the next command of a small set trains with a batch of 100", "stroke files",
        Text(make_set_command, "_next_command", ('summary.sizes["train"] < defaults.batch_size', "False")),
        ("data/test_next_command.py",),
    ),
    ProductMutant(
        ".npz: instructions between two calls are not counted", "stroke files",
        Text(pickled_arrays._Instructions, "__getitem__", ("self.until_call -= 1", "pass")),
        ("data/test_npz_hostile.py",),
    ),
    ProductMutant(
        ".npz: the data in a pickle are not charged", "stroke files",
        Text(pickled_arrays._Reader, "_payload", ("self._budget.spend(length)", "pass")),
        ("data/test_npz_hostile.py",),
    ),
    ProductMutant(
        "messages: control characters are shown raw", "messages",
        Text(errors, "printable", ("if characters.isprintable():", "if True:")),
        ("package/test_errors.py",),
    ),
    ProductMutant(
        "messages: a long line is not cut", "messages",
        Text(errors, "one_line", ("if len(line) <= LONGEST_LINE:", "if True:")),
        ("package/test_errors.py",),
    ),
    ProductMutant(
        "a Git LFS pointer is taken for the file", "opening files",
        Text(regular_file, "stand_in", ("if _LFS_POINTER.match(head):", "if False:")),
        ("package/test_regular_file.py",),
    ),
    ProductMutant(
        "a web page is recognised only in lower case", "opening files",
        Text(regular_file, "stand_in", ("_WEB_PAGE.match(head)", 'head.startswith((b"<!doctype html", b"<html"))')),
        ("package/test_regular_file.py",),
    ),
    ProductMutant(
        "a device is read like a file", "opening files",
        Text(regular_file, "_check_kind", ("for is_kind, name in _KINDS:", "for is_kind, name in ():"),
             ("if not stat.S_ISREG(mode):", "if False:")),
        ("package/test_regular_file.py",),
    ),
    ProductMutant(
        "a data file that is too long is not noticed", "opening files",
        Text(tensor_bundle.TensorBundle, "odd_shards", ("if size != end:", "if size < end:")),
        ("weight_port/test_tensor_bundle.py",),
    ),
    ProductMutant(
        "the weights of a model are opened whatever they are", "opening files",
        Text(saved_model, "read_folder", ("check_regular(path)", "pass")),
        ("model/test_saved_model.py",),
    ),
)  # fmt: skip
