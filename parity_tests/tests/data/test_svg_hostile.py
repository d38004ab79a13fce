"""DOCTYPEs are read without their dangers; no file takes more than a few seconds."""

import signal
import time
import zlib
from contextlib import contextmanager, suppress

import pytest
from svg_files_of_tests import SVG, painted

from pytorch_sketch_rnn.data.sources.simplify import EPSILON, simplify_lines
from pytorch_sketch_rnn.data.sources.svg import budget, document
from pytorch_sketch_rnn.data.sources.svg.files import MAX_BYTES
from pytorch_sketch_rnn.data.sources.svg.read import read_svg, unscaled_lines
from pytorch_sketch_rnn.errors import BadInput, Refused

PATH = '<path d="M0 0H9V9"/>'
PUBLIC = '"-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"'


def with_doctype(doctype: str, body: str = PATH) -> bytes:
    return f'<?xml version="1.0"?>\n<!DOCTYPE {doctype}>\n<{SVG}>{body}</svg>'.encode()


@pytest.mark.parametrize(
    "doctype",
    [
        "svg",
        f"svg PUBLIC {PUBLIC}",
        'svg SYSTEM "file:///etc/passwd"',
        f"svg PUBLIC {PUBLIC} []",
        "svg [<!ELEMENT svg ANY><!ATTLIST svg width CDATA #IMPLIED><!NOTATION a SYSTEM 'b'><!-- <!ENTITY a 'b'> -->]",
    ],
)
def test_a_doctype_is_read(doctype):
    [line], _ = unscaled_lines(with_doctype(doctype))
    assert line.tolist() == [[0, 0], [9, 0], [9, 9]]


def test_a_doctype_binds_prefixes_and_gives_defaults():
    doctype = (
        'svg [<!ATTLIST g xmlns:kvg CDATA #FIXED "http://kanjivg.tagaini.net" kvg:element CDATA #IMPLIED>'
        '<!ATTLIST path fill CDATA "none">]'
    )
    body = f'<g kvg:element="x">{PATH}<path fill="red" d="M1 1H9V9"/></g>'
    [line], _ = unscaled_lines(with_doctype(doctype, body))
    assert line[0].tolist() == [1, 1]


LAUGHS = "svg [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(20)
)


@pytest.mark.parametrize(
    "doctype",
    [
        LAUGHS + "]",
        "svg [<!ENTITY a 'b'>]",
        "svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>]",
        "svg [<!ENTITY % a SYSTEM 'http://example.org/a.dtd'> %a;]",
        "svg [<!ENTITY % a \"<!ENTITY b 'c'>\"> %a;]",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_declaration_of_an_entity_is_refused(doctype, encoding):
    data = with_doctype(doctype).decode().encode(encoding)
    with pytest.raises(Refused, match="expected an SVG without entities, got the declaration of one, 'a'"):
        unscaled_lines(data)


def test_no_dtd_is_fetched(monkeypatch):
    def fail(*_: object) -> None:
        raise AssertionError("something was opened")

    data = with_doctype('svg SYSTEM "file:///etc/hostname"', PATH + "<text>&a;</text>")
    monkeypatch.setattr("builtins.open", fail)
    monkeypatch.setattr("socket.socket", fail)
    assert len(unscaled_lines(data)[0]) == 1


def test_an_entity_that_is_not_declared_is_an_error():
    with pytest.raises(Refused, match=r"no XML \(undefined entity"):
        unscaled_lines(f"<{SVG}>&a;</svg>".encode())


def test_the_defaults_of_a_doctype_are_bounded():
    many = "".join(f"a{number} CDATA 'b' " for number in range(document._MAX_DEFAULTS + 1))
    with pytest.raises(Refused, match="expected at most 1000 attributes declared in the DOCTYPE, got more"):
        unscaled_lines(with_doctype(f"svg [<!ATTLIST g {many}>]"))
    long = with_doctype(f"svg [<!ATTLIST g a CDATA '{'b' * 100_000}'>]", "<g/>" * 10_000)
    with pytest.raises(Refused, match="expected attributes as long as the file, got a DOCTYPE that makes them longer"):
        unscaled_lines(long)


SIZE = 128 << 10  # in a time that grows with the square of this, none of these files would be read in a minute


def svg_of(body: str, size: int = SIZE) -> str:
    """This body again and again."""
    return body * (size // len(body))


USE = '<use href="#a{}"/>'
HOSTILE = {
    "closing": f'<path d="M0 0{"z" * SIZE}"/>',
    "moves": f'<path d="{svg_of("m1 1")}"/>',
    "lines": f'<path d="M0 0{svg_of("l1 2")}"/>',
    "numbers": f'<path d="M0 0L{svg_of("1 2 ")}"/>',
    "curves": f'<path d="M0 0{svg_of("c1 2 3 4 5 6")}"/>',
    "arcs": f'<path d="M0 0a{svg_of("1 1 0 00 1 1 ")}"/>',
    "separators": f'<path d="M0 0L{svg_of(" ")}x"/>',
    "digits": f'<path d="M0 0L{svg_of("1")}"/>',
    "points": f'<polygon points="{svg_of("1 2 ")}"/>',
    "paths": svg_of('<path d="M0 0H1"/>'),
    "groups": svg_of("<g/>"),
    "depth": "<g>" * 20_000 + PATH + "</g>" * 20_000,
    "transforms": f'<g transform="{svg_of("scale(1)")}">{PATH}</g>',
    "nested transforms": f'<g transform="{svg_of("scale(")}">{PATH}</g>',
    "namespaces": "".join(f'<g xmlns:a{number}="b">' for number in range(9000)) + "</g>" * 9000,
    "style": f'<path d="M0 0H1" style="{svg_of("fill:red;")}"/>',
    "styles": svg_of('<g style="fill:red;stroke:blue"/>'),
    "rules": f"<style>{svg_of('g{fill:red}')}</style>{svg_of('<g/>', 8000)}",
    "classes": f'<g class="{svg_of("a ")}"/>',
    "selectors": f"<style>{svg_of('a,')}a{{fill:red}}</style>",
    "braces": f"<style>{svg_of('{')}</style>",
    "comments": f"<style>{svg_of('/*')}</style>",
    "uses": '<g id="a0"><path d="M0 0H1"/></g>'
    + "".join(f'<g id="a{n + 1}">{10 * USE.format(n)}</g>' for n in range(20)),
    "cycles": "".join(f'<g id="a{n}">{USE.format((n + 1) % 9)}{USE.format((n + 2) % 9)}</g>' for n in range(9)),
    "long chain of uses": "".join(f'<use id="a{n}" href="#a{n + 1}"/>' for n in range(9000)),
    "attributes": "<g " + " ".join(f'a{number}=""' for number in range(20_000)) + "/>",
    "zigzag": f'<path d="M0 0{"".join(f"h1v{9000 - n}h1v-{9000 - n}" for n in range(9000))}"/>',
}


@contextmanager
def ended_after(seconds):
    """Fails after so much processor time, where what is wrong could take hours."""

    def fail(*_):
        pytest.fail(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGVTALRM, fail)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_time_is_bounded(name, tmp_path, monkeypatch):
    monkeypatch.setattr(budget.Budget.__init__, "__defaults__", (100_000, budget.MAX_POINTS))
    path = tmp_path / "a.svg"
    path.write_text(f"<{SVG}>{HOSTILE[name]}{PATH}</svg>", encoding="utf-8")
    start = time.process_time()
    with suppress(BadInput), ended_after(30):
        simplify_lines(read_svg(path), EPSILON)
    assert time.process_time() - start < 3


def test_the_budget_is_counted_not_timed(monkeypatch):
    def steps(body: str) -> int:
        counted = []
        monkeypatch.setattr(budget.Budget, "spend", lambda self, number: counted.append(number))
        painted(body)
        return sum(counted)

    for body in ("<g/>", "<use href='#p'/>", PATH, "<g style='fill:red'/>", "<g transform='scale(2)'/>"):
        once, twice, thrice = (steps(f"<path id='p' d='M0 0H1'/>{body * times}") for times in (1, 2, 3))
        assert thrice - twice == twice - once > 0


@pytest.mark.parametrize(
    ("steps", "points", "message"),
    [
        (20, 99, "expected a drawing that takes at most 20 steps .*, got a larger one; simplify it"),
        (9999, 2, "expected a drawing of at most 2 points, got a larger one; simplify it"),
    ],
)
def test_a_drawing_beyond_the_budget_is_one_message(monkeypatch, steps, points, message):
    monkeypatch.setattr(budget.Budget.__init__, "__defaults__", (steps, points))
    with pytest.raises(Refused, match=message):
        painted(PATH * 2)


def test_a_compressed_file_cannot_expand_without_limit(tmp_path):
    path = tmp_path / "a.svgz"
    compressor = zlib.compressobj(9, wbits=31)
    path.write_bytes(compressor.compress(b" " * (20 << 20)) + compressor.flush())
    with pytest.raises(BadInput, match=f"a.svgz: expected a drawing of at most {MAX_BYTES} bytes, got more"):
        read_svg(path)
