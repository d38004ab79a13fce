"""Bugs in reading SVG drawings."""

from parity_tests.mutation.bugs import ProductMutant, Text
from pytorch_sketch_rnn.data import make_set
from pytorch_sketch_rnn.data.sources.svg import css, document, files, outline, painting, paper, path_data, read, walk

SVG_MUTANTS = (
    ProductMutant(
        "SVG: outer transform before the inner one", "stroke files",
        Text(walk._Walk, "_transformed", ("multiply(outer, matrix)", "multiply(matrix, outer)")),
        ("data/test_svg.py", "data/test_svg_structure.py"),
    ),
    ProductMutant(
        "SVG: shapes in the opposite order", "stroke files",
        Text(
            walk._Walk, "_inside",
            (
                "return (_within(visit, child, matrix, style) for child in element.children)",
                "return (_within(visit, child, matrix, style) for child in reversed(element.children))",
            ),
        ),
        ("data/test_svg.py", "data/test_svg_structure.py"),
    ),
    ProductMutant(
        "SVG: a subpath loses its first point", "stroke files",
        Text(outline.Outline, "lines", ("points[start:end]", "points[start + 1 : end]")),
        ("data/test_svg.py",),
    ),
    ProductMutant(
        "SVG: an arc goes the wrong way around", "stroke files",
        Text(outline, "_centered", ("large == sweep", "large != sweep")),
        ("data/test_svg.py",),
    ),
    ProductMutant(
        "SVG: a smooth curve does not reflect the last control point", "stroke files",
        Text(path_data._Pen, "_reflected", ("2 * x - self._control[0], 2 * y - self._control[1]", "x, y")),
        ("data/test_svg.py",),
    ),
    ProductMutant(
        "SVG: a repeated close draws again", "stroke files",
        Text(outline.Outline, "close", ("if not self._closed:", "if True:")),
        ("data/test_svg.py",),
    ),
    ProductMutant(
        "SVG: what is not painted is drawn", "stroke files",
        Text(walk._Walk, "_paint", ("if not (filled or stroked):", "if False:")),
        ("data/test_svg_painting.py",),
    ),
    ProductMutant(
        "SVG: what is in a hidden group is drawn", "stroke files",
        Text(painting, "is_hidden", ("return values", "return False and values")),
        ("data/test_svg_painting.py",),
    ),
    ProductMutant(
        "SVG: attributes beat style sheets", "stroke files",
        Text(painting, "declared", ("values[each] = value", "values.setdefault(each, value)")),
        ("data/test_svg_painting.py",),
    ),
    ProductMutant(
        "SVG: the order of style rules decides alone", "stroke files",
        Text(
            css.StyleSheet, "declarations",
            ("found.sort(key=lambda rule: rule.specificity)", "found.sort(key=lambda rule: rule.specificity[3])"),
        ),
        ("data/test_svg_painting.py",),
    ),
    ProductMutant(
        "SVG: the paper is drawn", "stroke files",
        Text(walk._Walk, "_paint", ("if not stroked and not self.lines and", "if False and")),
        ("data/test_svg_painting.py",),
    ),
    ProductMutant(
        "SVG: a background that does not fill the paper is left out", "stroke files",
        Text(paper.Paper, "is_paper", ("return bool(covers and", "return bool(")),
        ("data/test_svg_painting.py",),
    ),
    ProductMutant(
        "SVG: text is missing without a word", "stroke files",
        Text(walk._Walk, "_inside", ("self._miss(tag)", "pass")),
        ("data/test_svg_painting.py",),
    ),
    ProductMutant(
        "SVG: entities are expanded", "stroke files",
        Text(
            document._Builder, "__init__",
            ("self.parser.EntityDeclHandler = self._entity", "pass"),
        ),
        ("data/test_svg_hostile.py",),
    ),
    ProductMutant(
        "SVG: uses of uses cost nothing", "stroke files",
        Text(walk._Walk, "_inside", ("self._budget.spend(ELEMENT_STEPS)", "pass")),
        ("data/test_svg_hostile.py",),
    ),
    ProductMutant(
        "SVG: odd files are left out without a word", "stroke files",
        Text(read, "read_svgs", ("left_out.add_odd_file(str(error))", "pass")),
        ("data/test_svg_folders.py",),
    ),
    ProductMutant(
        "SVG: --strict is ignored", "stroke files",
        Text(read, "read_svgs", ("if strict:", "if False:")),
        ("data/test_svg_folders.py",),
    ),
    ProductMutant(
        "SVG: folders in a folder are not searched", "stroke files",
        Text(files, "svg_files", ("if path.is_dir()]", "if False]")),
        ("data/test_svg_folders.py",),
    ),
    ProductMutant(
        "the picture of a set overwrites a drawing", "stroke files",
        Text(make_set, "_check_paths", ("if sheet_path(out).exists() and sheet_path", "if False and sheet_path")),
        ("data/test_svg_folders.py",),
    ),
)  # fmt: skip
