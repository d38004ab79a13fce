"""What a browser paints of an SVG file is drawn, and what it does not paint is left out."""

import pytest
from svg_files_of_tests import missing, painted

LINE = [[0, 0], [9, 0], [9, 9]]
PATH = 'd="M0 0H9V9"'


@pytest.mark.parametrize(
    "attributes",
    [
        "",
        'fill="red"',
        'fill="none" stroke="red"',
        'fill="none" stroke="currentColor" stroke-width="2"',
        'style="fill:none;stroke:#123"',
        'fill="none" style="fill:#ABC"',
        'fill="none" style="fill : rgb(1, 2, 3) ; "',
        'fill="none" stroke="black" style="/* ; */ stroke-width: .1px; mystery: 1"',
        'fill="none" style="fill: nonsense; stroke: blue"',  # an invalid value is ignored
        'fill="nonsense"',
        'fill="none" stroke="red" stroke-width="nonsense"',
        'fill="none" stroke="red" stroke-width="50%"',
        'fill="url(#gone) red"',
        'fill="none" stroke="red" opacity=".1"',
        'fill="#00000001"',
        'fill="rgba(0,0,0,.5)"',
        'fill="rgb(0 0 0 / 50%)"',
        'style="fill:none!important;fill:red;stroke:red"',
        'visibility="visible" display="inline"',
        'opacity="nonsense" display=""',
    ],
)
def test_what_is_painted_is_drawn(attributes):
    assert painted(f"<path {PATH} {attributes}/>") == [LINE]


@pytest.mark.parametrize(
    "attributes",
    [
        'fill="none"',
        'fill="none" stroke="none"',
        'fill="transparent"',
        'fill="NONE" stroke="None"',
        'fill="#0000"',
        'fill="#12345600"',
        'fill="rgba(0,0,0,0)"',
        'fill="hsl(0 0% 0% / 0%)"',
        'fill="url(#gone)"',
        'fill="url(#gone) none"',
        'fill="currentColor" color="transparent"',
        'fill-opacity="0"',
        'fill="none" stroke="red" stroke-opacity="0%"',
        'fill="none" stroke="red" stroke-width="0"',
        'fill="none" stroke="red" style="stroke-width:0px"',
        'display="none"',
        'style="display:none"',
        'visibility="hidden"',
        'visibility="collapse"',
        'opacity="0"',
        'style="opacity:0%"',
        'fill="red" style="fill:none"',
        'style="fill:none!important;fill:red"',
        'style="fill:red;fill:none"',
    ],
)
def test_what_is_not_painted_is_left_out(attributes):
    assert painted(f"<path {PATH} {attributes}/>") == []


def test_paint_is_inherited_but_what_hides_a_group_cannot_be_undone_in_it():
    shown = f"<path {PATH}/>"
    assert painted(f'<g fill="none" stroke="red"><g>{shown}</g></g>') == [LINE]
    assert painted(f'<g fill="none"><g>{shown}</g></g>') == []
    assert painted(f'<g fill="none"><path {PATH} fill="red"/><path {PATH} fill="inherit"/></g>') == [LINE]
    assert painted(f'<g fill="none"><path {PATH} style="fill:initial"/></g>') == [LINE]
    assert painted(f'<g visibility="hidden"><path {PATH} visibility="visible"/>{shown}</g>') == [LINE]
    for hidden in ('display="none"', 'opacity="0"'):
        assert painted(f'<g {hidden}><path {PATH} display="inline" opacity="1"/></g>') == []
    assert painted(shown, 'fill="none" stroke="black"') == [LINE]  # as in all icon sets
    assert painted(f'<path {PATH} fill="none" stroke="none"/>{shown}', 'fill="none" stroke="black"') == [LINE]


def test_style_sheets_decide_by_element_class_and_id():
    def of(sheet: str, attributes: str = 'class="a b" id="x"') -> bool:
        return painted(f"<style>{sheet}</style><path {PATH} {attributes}/>") == [LINE]

    for selector in ("path", "*", ".a", ".b", "#x", "path.a", ".a.b", "path.a#x", "rect, .b", "/* c */ .a"):
        assert not of(f"{selector} {{ fill: none }}")
    for selector in ("rect", ".c", "#y", "rect.a", ".a.c", ".A", "#x.c"):
        assert of(f"{selector} {{ fill: none }}")
    assert not of(".a{fill:none}", 'class="a" fill="red"')  # a sheet beats attributes
    assert of(".a{fill:none}", 'class="a" style="fill:red"')  # and a style beats a sheet
    assert not of(".a{fill:none!important}", 'class="a" style="fill:red"')
    assert not of(".a{fill:red}.a{fill:none}")
    assert of(".a{fill:none}.a{fill:red}")
    assert not of("#x{fill:none}.a{fill:red}path{fill:red}")
    assert of(".a.b{fill:red}.b{fill:none}")
    assert not of("@font-face{src:url(a)} @charset 'x'; .a{fill:none}")
    assert not of("<![CDATA[ .a{fill:none} ]]>")
    assert of(".a{fill:none", 'class="c"')
    assert painted(f'<path {PATH} class="a"/><defs><style type="text/css">.a{{fill:none}}</style></defs>') == []
    assert painted(f'<path {PATH} class="a"/><style type="text/x">.a{{fill:none}}</style>') == [LINE]


def test_style_rules_that_are_not_understood_are_named():
    for sheet in (
        "g path{fill:none}",
        "path:hover{fill:none}",
        "@media print{path{fill:none}}",
        "@import 'a.css'; a{x:y}",
    ):
        assert missing(f"<style>{sheet}</style>") == ["some style rules"]
    for sheet in ("g text{font-size:3px}", "@font-face{font-family:a}", ".a{fill:none}", ""):
        assert missing(f"<style>{sheet}</style>") == []


def test_a_line_without_any_stroke_is_meant_as_one():
    line = '<line x2="9"/>'
    assert painted(line) == [[[0, 0], [9, 0]]]
    assert painted(line, 'stroke="none"') == []  # here somebody has decided
    assert painted(line, 'fill="none"') == []
    assert painted(f"<path {PATH}/>", 'stroke="none"') == [LINE]


def test_a_single_point_is_painted_with_a_wide_end():
    for dot in ('d="M5 5z"', 'd="M5 5L5 5"', 'd="M5 5h0"'):
        assert painted(f'<path {dot} stroke="red" stroke-linecap="round"/>') == [[[5, 5], [5, 5]]]
        assert painted(f'<path {dot} stroke="red" style="stroke-linecap:square"/>') == [[[5, 5], [5, 5]]]
        assert painted(f'<path {dot} stroke="red"/>') == []
        assert painted(f"<path {dot}/>") == []
    assert painted('<path d="M5 5" stroke="red" stroke-linecap="round"/>') == []
    assert len(painted('<path d="M5 5h.01" stroke="red"/>')) == 1  # the dot of an i in many icon sets


@pytest.mark.parametrize(
    ("paper", "attributes"),
    [
        ('<rect width="24" height="24" fill="white"/>', 'viewBox="0 0 24 24"'),
        ('<rect width="100%" height="100%" fill="#eee"/>', 'viewBox="0 0 24 24"'),
        ('<rect width="100%" height="100%"/>', ""),
        ('<rect width="24" height="24"/>', 'width="24" height="24px"'),
        ('<rect x="-9" y="-9" width="99" height="99"/>', 'viewBox="0 0 24 24"'),
        ('<rect x="-12" y="-12" width="24" height="24"/>', 'viewBox="-12 -12 24 24"'),
        ('<path d="M0 0h24v24H0z"/>', 'viewBox="0 0 24 24"'),
        ('<path d="M0 0h24v24H0V0z" fill="white"/>', 'viewBox="0 0 24 24"'),
        ('<g transform="scale(24)"><polygon points="0,0 0,1 1,1 1,0"/></g>', 'viewBox="0 0 24 24"'),
        ('<rect width="24" height="24"/><rect width="23.9" height="24"/>', 'viewBox="0 0 24 24"'),
    ],
)
def test_the_paper_is_not_drawn(paper, attributes):
    assert painted(f"{paper}<path {PATH}/>", attributes) == [LINE]
    assert painted(paper, attributes) == []


@pytest.mark.parametrize(
    "shape",
    [
        '<rect width="24" height="24" stroke="black"/>',  # a frame
        '<rect width="20" height="24"/>',
        '<rect x="2" y="2" width="24" height="24"/>',
        '<rect width="24" height="24" rx="5"/>',
        '<circle cx="12" cy="12" r="17"/>',
        '<path d="M0 0h24L0 24h24z"/>',  # an hourglass
        '<path d="M0 0h24v24z"/>',
        f'<path {PATH}/><rect width="24" height="24"/>',  # painted over something
    ],
)
def test_what_only_resembles_the_paper_is_drawn(shape):
    assert len(painted(shape, 'viewBox="0 0 24 24"')) == shape.count("/>")


def test_lines_beside_the_paper_are_not_painted():
    lines = '<path d="M0 0H9M30 0H39M-9 -1H9M23 25H25" stroke="black" stroke-width="1"/>'
    assert [line[0] for line in painted(lines, 'viewBox="0 0 24 24"')] == [[0, 0]]
    assert [line[0] for line in painted(lines.replace('width="1"', 'width="3"'), 'viewBox="0 0 24 24"')] == [
        [0, 0], [-9, -1], [23, 25],
    ]  # fmt: skip
    assert len(painted(lines, 'width="100%" height="100%"')) == 4  # its size is not known
    assert [line[0] for line in painted('<path d="M50 0H60"/>', 'viewBox="0 0 24 24"')] == []


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("<text>1</text>", ["text"]),
        ("<text><tspan>1</tspan></text>", ["text"]),
        ("<text> </text>", []),
        ('<g display="none"><text>1</text><image/></g>', []),
        ('<text visibility="hidden">1</text>', []),
        ('<image href="a.png"/><foreignObject/>', ["image", "foreignObject"]),
        (f'<clipPath id="c"><circle r="1"/></clipPath><path {PATH} clip-path="url(#c)"/>', ["clip-path"]),
        (f'<clipPath id="c"><circle r="1"/></clipPath><g style="clip-path:url(#c)"><path {PATH}/></g>', ["clip-path"]),
        (f'<path {PATH} clip-path="url(#gone)"/>', []),
        ('<clipPath id="c"><rect width="24" height="24"/></clipPath><g clip-path="url(#c)"/>', []),  # the paper
        ('<clipPath id="c"><rect width="9" height="24"/></clipPath><g clip-path="url(#c)"/>', ["clip-path"]),
        (f'<mask id="m"/><path {PATH} mask="url(#m)"/>', ["mask"]),
        (f'<filter id="f"/><path {PATH} filter="url(#f)"/>', ["filter"]),
        (f'<path {PATH} style="filter:blur(3px)"/>', ["filter"]),
        (f'<marker id="m"/><g style="marker:url(#m)"><path {PATH}/></g>', ["markers"]),
        (f'<path {PATH} stroke="red" stroke-dasharray="1 2"/>', ["stroke-dasharray"]),
        (f'<path {PATH} stroke="none" stroke-dasharray="1 2"/>', []),
        (f'<path {PATH} transform="rotate(9)" transform-origin="5 5"/>', ["transform-origin"]),
        (f'<path {PATH} transform="rotate(9"/>', ["invalid transforms"]),
        (f'<path {PATH}><animate attributeName="d"/></path>', ["animations"]),
        ('<g><animateTransform attributeName="transform"/></g>', ["animations"]),
        ('<use href="#gone"/>', ["use of what is not in the file"]),
        ('<use href="other.svg#a"/>', ["use of what is not in the file"]),
        ('<path d="M0 0L9 9L"/>', ["what follows an error in a path or in points"]),
        ("<title>a</title><desc>b</desc><metadata/><script>1</script><linearGradient/><pattern/>", []),
        ('<flowRoot/><a xmlns="http://example.org/"><text>1</text></a>', []),
    ],
)
def test_what_a_browser_paints_but_we_do_not_is_named(body, names):
    assert missing(body, 'viewBox="0 0 24 24"') == names
