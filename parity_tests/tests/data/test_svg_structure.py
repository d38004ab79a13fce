"""Groups, transforms, uses, symbols and nested viewports of SVG files put lines where a browser does."""

import math

import numpy as np
import pytest
from svg_files_of_tests import SVG, painted

from pytorch_sketch_rnn.data.sources.svg.read import unscaled_lines


def at(transform: str) -> list[list[float]]:
    """Where a transform puts the points (0, 0), (10, 0) and (0, 10)."""
    [line] = painted(f'<path d="M0 0L10 0L0 10" transform="{transform}"/>')
    return line


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ("", [[0, 0], [10, 0], [0, 10]]),
        ("translate(1,2)", [[1, 2], [11, 2], [1, 12]]),
        ("translate(1)", [[1, 0], [11, 0], [1, 10]]),
        ("scale(2)", [[0, 0], [20, 0], [0, 20]]),
        ("scale(2,-3)", [[0, 0], [20, 0], [0, -30]]),
        ("rotate(90)", [[0, 0], [0, 10], [-10, 0]]),
        ("rotate(-90 10 0)", [[10, 10], [10, 0], [20, 10]]),
        ("skewX(45)", [[0, 0], [10, 0], [10, 10]]),
        ("skewY(45)", [[0, 0], [10, 10], [0, 10]]),
        ("matrix(1 2 3 4 5 6)", [[5, 6], [15, 26], [35, 46]]),
        ("translate(1,2) scale(3)", [[1, 2], [31, 2], [1, 32]]),
        ("scale(3),translate(1 2)", [[3, 6], [33, 6], [3, 36]]),
        (" translate ( 1 , 2 )\n", [[1, 2], [11, 2], [1, 12]]),
        ("translate(1px, 2px) rotate(90deg)", [[1, 2], [1, 12], [-9, 2]]),
        *((wrong, [[0, 0], [10, 0], [0, 10]]) for wrong in (
            "scale(2", "scale()", "scale(1 2 3)", "scal(2)", "scale(scale(2))", "scale(2) x", "none", "scale(1e999)",
            "rotate(1 2)", "matrix(1 2)",
        )),
    ],
)  # fmt: skip
def test_transforms(transform, expected):
    np.testing.assert_allclose(at(transform), expected, atol=1e-9)


def test_a_use_draws_its_target_again_at_its_place_in_its_style():
    target = '<defs><g id="a"><path d="M0 0H9V9"/></g></defs>'
    for href in ("href", "xlink:href"):
        assert painted(f'{target}<use {href}="#a" x="5" y="6"/>') == [[[5, 6], [14, 6], [14, 15]]]
    assert painted(f'{target}<use href="#a" x="5" transform="scale(2)"/>') == [[[10, 0], [28, 0], [28, 18]]]
    assert painted(f'{target}<use href="#a" fill="none"/><g fill="none"><use href="#a"/></g>') == []
    assert painted(f'{target}<use href="#a" fill="none" stroke="red"/>') == [[[0, 0], [9, 0], [9, 9]]]
    assert len(painted('<path id="a" d="M0 0H9V9"/><use href="#a" y="3"/>')) == 2
    assert len(painted('<use href="#b"/><g id="b"><use href="#a"/></g><path id="a" d="M0 0H9V9"/>')) == 3


def test_a_use_within_what_it_uses_is_not_drawn():
    assert len(painted('<g id="a"><path d="M0 0H9V9"/><use href="#a"/></g>')) == 1
    assert len(painted('<g id="a"><path d="M0 0H9V9"/><use href="#b"/></g><g id="b"><use href="#a"/></g>')) == 2
    assert painted('<use id="a" href="#a"/>') == []


def test_a_symbol_is_drawn_only_where_it_is_used_and_fits_its_viewport():
    symbol = '<symbol id="a" viewBox="0 0 10 10" style="display:none"><path d="M0 0H10V10"/></symbol>'
    assert painted(symbol) == []
    assert painted(f'{symbol}<use href="#a" width="20" height="20" x="1"/>') == [[[1, 0], [21, 0], [21, 20]]]
    assert painted(f'{symbol}<use href="#a"/>', 'viewBox="0 0 30 30"') == [[[0, 0], [30, 0], [30, 30]]]
    assert painted(f'{symbol}<use href="#a" width="0" height="5"/>') == []
    assert painted('<symbol id="a"><path d="M0 0H10V10"/></symbol><use href="#a" x="3"/>') == [
        [[3, 0], [13, 0], [13, 10]]
    ]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('x="5" y="6" width="20" height="20"', [[5, 6], [15, 6], [15, 16]]),
        ('x="5" y="6" width="20" height="20" viewBox="0 0 10 10"', [[5, 6], [25, 6], [25, 26]]),
        ('width="40" height="20" viewBox="0 0 10 10"', [[10, 0], [30, 0], [30, 20]]),
        ('width="40" height="20" viewBox="0 0 10 10" preserveAspectRatio="xMinYMid"', [[0, 0], [20, 0], [20, 20]]),
        (
            'width="40" height="20" viewBox="0 0 10 10" preserveAspectRatio="xMaxYMax meet"',
            [[20, 0], [40, 0], [40, 20]],
        ),
        (
            'width="40" height="20" viewBox="0 0 10 10" preserveAspectRatio="xMidYMin slice"',
            [[0, 0], [40, 0], [40, 40]],
        ),
        ('width="40" height="20" viewBox="0 0 10 10" preserveAspectRatio="none"', [[0, 0], [40, 0], [40, 20]]),
        ('width="40" height="40" viewBox="5 5 10 10"', [[-20, -20], [20, -20], [20, 20]]),
        ('viewBox="0 0 5 5"', [[25, 0], [125, 0], [125, 100]]),  # of 100 by 50
        ('width="50%" height="100%" viewBox="0 0 10 10"', [[0, 0], [50, 0], [50, 50]]),
        ('width="40" height="40" viewBox="0 0 0 10"', None),
        ('width="0"', None),
        ('width="40" height="40" viewBox="0 0 -1 10"', [[0, 0], [10, 0], [10, 10]]),  # invalid, and so ignored
    ],
)
def test_a_nested_svg_has_a_viewport_of_its_own(attributes, expected):
    lines = painted(f'<svg {attributes}><path d="M0 0H10V10"/></svg>', 'viewBox="0 0 100 50"')
    assert lines == ([] if expected is None else [expected])


def test_the_outermost_view_box_changes_a_drawing_only_where_it_stretches_it():
    path = '<path d="M0 0H10V10"/>'
    assert painted(path, 'viewBox="-5 -5 99 99" width="10" height="20"') == [[[0, 0], [10, 0], [10, 10]]]
    stretched = 'viewBox="0 0 10 10" width="10" height="20" preserveAspectRatio="none"'
    assert painted(path, stretched) == [[[0, 0], [10, 0], [10, 20]]]


@pytest.mark.parametrize(
    ("text", "length"),
    [("96", 96), ("1in", 96), ("2.54cm", 96), ("25.4mm", 96), ("72pt", 96), ("6pc", 96), ("6em", 96), ("96px", 96),
     ("50%", 100), ("1e2", 100), ("x", 0), ("5 5", 0), ("5lightyears", 0)],
)  # fmt: skip
def test_lengths_have_units(text, length):
    lines = painted(f'<path d="M0 0V9H9"/><line x2="{text}" y2="1"/>', 'viewBox="0 0 200 100"')
    assert lines[1][1] == pytest.approx([length, 1])


def test_percentages_refer_to_the_viewport():
    [line] = painted('<line x1="10%" y1="10%" x2="20%" y2="30%" stroke="red"/>', 'width="200" height="100"')
    assert line == [[20, 10], [40, 30]]
    [circle] = painted('<circle r="10%"/>', 'viewBox="0 0 200 100"')
    assert circle[0][0] == pytest.approx(math.hypot(200, 100) / math.sqrt(2) / 10)


def test_a_switch_draws_the_first_child_whose_conditions_hold():
    paths = [f'<path d="M0 0H{n}V9" {{}}/>' for n in (1, 2, 3)]
    for conditions, chosen in (
        (("", "", ""), 1),
        (('requiredExtensions="http://ns.adobe.com/ai"', "", ""), 2),
        (('systemLanguage="de"', 'systemLanguage="fr, en-GB"', ""), 2),
    ):
        body = "".join(path.format(condition) for path, condition in zip(paths, conditions, strict=True))
        [line] = painted(f"<switch>{body}</switch>")
        assert line[1][0] == chosen


def test_elements_of_other_namespaces_are_not_drawn():
    svg = '<x:svg xmlns:x="http://www.w3.org/2000/svg" xmlns="urn:a"><path d="M0 0V9H9"/><x:path d="M0 0H9V9"/></x:svg>'
    assert [line.tolist() for line in unscaled_lines(svg.encode())[0]] == [[[0, 0], [9, 0], [9, 9]]]
    assert painted('<i:path xmlns:i="urn:i" d="M0 0H9V9"/><i:g xmlns:i="urn:i"><path d="M0 0H9V9"/></i:g>') == []
    assert painted('<kvg:path d="M0 0H9V9"/><path kvg:a="1" d="M0 0H8V9"/>') == [[[0, 0], [8, 0], [8, 9]]]


def test_a_shape_does_not_draw_what_is_in_it():
    assert len(painted('<path d="M0 0H9V9"><path d="M0 0H9V9"/></path><title><path d="M0 0H9V9"/></title>')) == 1


def test_a_file_is_drawn_in_the_order_of_painting():
    body = '<path d="M0 0H1V9"/><g><path d="M0 0H2V9"/><g><path d="M0 0H3V9"/></g></g><path d="M0 0H4V9"/>'
    assert [line[1][0] for line in painted(body)] == [1, 2, 3, 4]
    assert len(unscaled_lines(f"<{SVG}>{'<g>' * 9000}{body}{'</g>' * 9000}</svg>".encode())[0]) == 4
