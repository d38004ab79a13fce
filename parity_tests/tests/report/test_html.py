"""The HTML report: one file, offline, complete, and safe against the names of a stranger's port."""

import functools
import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from parity_tests.judge.row import Row
from parity_tests.report.html import number, page, ratio, times
from parity_tests.report.report import Report

HOSTILE = "\"><script>alert(1)</script><img src=//evil.example/x onerror=alert(2)> $x_{1}$ {{ 7*7 }} '&amp;"
QUANTITIES = ("train/decoder/h", "train/decoder/hyper_cell/c", "train/pi", "cell/lstm/j", "sample/greedy/mu1")
STEPS = 20
ROWS = [
    Row("lstm/as_is", quantity, precision, verdict, 0.0, 1e-10)
    for quantity, precision, verdict in (
        ("fed/train/pi", "float64", "equal"),
        ("fed/train/mu1", "float64", "different"),
        ("train/pi", "float64", "not judged"),
        ("train/pi", "float32", "official overflow"),
        ("train/mu1", "float64", "untested"),
        ("train/0/lengths", "exact", "equal"),
    )
]
COUNTS = dict.fromkeys(("rows", "compared", "equal"), 646)
COUNTS |= dict.fromkeys(("different", "not_compared", "not_judged", "overflow", "not_proven"), 0)


def row(quantity: str, precision: str = "float64", verdict: str = "equal", **values: Any) -> dict[str, Any]:
    """A comparison, as ``Row.to_dict()`` and ``Report.content()`` make it."""
    single = precision == "float32"
    result = {
        "recording": "lstm/as_is",
        "quantity": quantity,
        "precision": precision,
        "verdict": verdict,
        "error": 4.5e-7 if single else 3.1e-15,
        "allowed": 9.6e-7 if single else 1e-10,
        "official_error": 2.4e-7 if single else None,
        "measure": "rms" if single else "largest",
        "noise": None if single else 6.2e-14,
        "where": {"row": 3, "step": 7, "unit": 12},
        "ours": 0.51234567890123456,
        "theirs": 0.5123456789012341,
        "truth": 0.5123456789012341,
        "cause": None,
        "note": "",
        "ratio": 1.875 if single else None,
        "part": "decoder",
        "kind": "local" if quantity.startswith(("fed/", "cell/")) else "accumulated",
    }
    return result | values


def profile(size: float = 1e-15) -> dict[str, dict[str, list[float | None]]]:
    """Errors over the steps in both precisions."""
    growth = np.linspace(1, 9, STEPS)
    double = {"ours": (size * growth).tolist(), "fed": (0.4 * size * np.sqrt(growth)).tolist()}
    double |= {"spread": (2 * size * growth).tolist(), "allowed": [1e-10] * STEPS}
    single = {"ours": (8e-8 * growth).tolist(), "fed": [0.0, *(6e-8 * growth[1:]).tolist()]}
    single |= {"spread": (9e-8 * growth).tolist(), "allowed": (9e-7 * growth).tolist()}
    return {"float64": double, "float32": single | {"official": (5e-8 * growth).tolist()}}


def training(recording: str = "lstm/training") -> dict[str, Any]:
    """A run of both sides."""
    steps = np.arange(30)
    theirs = {"cost": 2.5 * np.exp(-steps / 12), "r_cost": 2.4 * np.exp(-steps / 12), "kl_cost": 0.2 + 0.01 * steps}
    theirs |= {"lr": 1e-3 * 0.99**steps, "kl_weight": 0.01 + 0.001 * steps}
    drift = 1e-15 * 1.6**steps
    return {
        "recording": recording,
        "theirs": {name: values.tolist() for name, values in theirs.items()},
        "ours": {name: (values * (1 + drift)).tolist() for name, values in theirs.items()},
        "drift": drift.tolist(),
        "official_drift": (0.7e-15 * 1.6**steps).tolist(),
        "fed_error": (1e-15 * (2 + np.sin(steps))).tolist(),
    }


def passing() -> dict[str, Any]:
    """The content of a report in which all is equal, with every section."""
    parts = [
        {
            "part": "decoder",
            "tensors": 636,
            "untested": 0,
            "float64": {"error": 1.04e-14, "noise": 6.2e-14, "allowed": 1e-10},
            "smallest_bug": {"bug": "layer-norm epsilon 1e-5", "effect": 2.9e-6},
            "float32": {"error": 4.5e-7, "official": 2.4e-7, "ratio": 1.875, "allowed": 9.6e-7, "measure": "rms"},
            "worst_at": "lstm/as_is row 3, step 7, unit 12",
            "verdict": "equal",
        },
        {
            "part": "data loader",
            "tensors": 10,
            "untested": 0,
            "float64": {"error": 0.0, "noise": None, "allowed": 0.0},
            "worst_at": "data -",
            "verdict": "equal",
        },
    ]
    rows = [row(quantity, precision) for quantity in QUANTITIES for precision in ("float64", "float32")]
    rows.append(row("train/0/sketches", "exact", error=0.0, allowed=0.0, noise=None, where=None, part="data loader"))
    mixture = {"recording": "lstm/as_is", "precision": "float64", "nll_official": -1.2345678, "nll_ours": -1.2345678}
    return {
        "title": "Parity with official Magenta 2.1.4",
        "subject": "pytorch_sketch_rnn",
        "verdict": "EQUAL: 646 tensors compared, element by element; nothing left out.",
        "passed": True,
        "counts": COUNTS,
        "kinds": [dict(zip(("kind", *COUNTS), ("accumulated", 646, 646, 646, 0, 0, 0, 0, 0), strict=True))],
        "remarks": [],
        "scores": {"mutants": "Planted bugs: 62 of 63 caught", "false_alarms": "False alarms: 0 in 224 recordings"},
        "conditions": {"gradients that the clip cuts, in every model": True, "every checkpoint converted": True},
        "first_departure": None,
        "untested": [],
        "parts": parts,
        "profiles": {name: profile() for name in QUANTITIES},
        "training": [training()],
        "mixtures": [mixture | {"largest_nll_difference": 3.3e-14, "kl_ours": 2.0e-16, "kl_official": None}],
        "coverage": [{"model": "lstm/as_is", "variables": 21, "gradient": "21 of 21", "float32": "150 of 150"}],
        "false_alarms": {
            "recordings": 224,
            "rows": 1_432_100,
            "different": 0,
            "not_judged": 812,
            "upper_limit": 0.0133,
            "predicted": 2.4e-5,
            "closest": 0.704,
            "machine": "a quiet machine",
            "conditions": [{"name": "ours, 2 threads", "recordings": 224, "different": 0, "closest": 0.704}],
        },
        "score": {
            "planted": 63,
            "killed": 62,
            "located": 60,
            "smallest": {"decoder": {"bug": "layer-norm epsilon 1e-5", "effect": 2.9e-6}},
        },
        "provenance": {
            "official": {"seed": 1, "versions": {"magenta": "2.1.4"}, "sha256": {"model.py": "957c7ed4073cb3ca"}},
            "ours": {
                "command": ["python", "-m", "parity_tests", "parity"],
                "processor": "A 7",
                "draws": {"latent": [[8, 8], None]},
            },
        },
        "rows": rows,
    }


def failing() -> dict[str, Any]:
    """A report of a port with a bug in its decoder; one error is infinite, which JSON holds as null."""
    content = passing()
    cause = "two of the four gates are swapped: i and j"
    departed = row("train/decoder/h", verdict="different", error=0.37, cause=cause)
    others = [row(f"train/late/{index}", verdict="different", error=0.1, part="late") for index in range(60)]
    lost = row("eval/r_cost", verdict="not compared", error=None, allowed=0.0, note="missing on the port", where=None)
    content["rows"] = [departed, *others, lost, *content["rows"]]
    content["first_departure"] = {
        "text": "DIFFERENT lstm/as_is train/decoder/h (float64): error 3.7e-01",
        "explanation": [f"  likely cause: {cause}", "  the error is made in this step"],
        "row": departed,
    }
    content["parts"][0] |= {"verdict": "62 DIFFERENT", "float64": {"error": None, "noise": 6e-14, "allowed": 1e-10}}
    content["profiles"]["train/decoder/h"]["float64"]["ours"] = [1e-15] * 7 + [0.37] * 12 + [None]
    content["conditions"]["every checkpoint converted"] = False
    content["counts"] = COUNTS | {"rows": 708, "compared": 707, "different": 61, "not_compared": 1}
    return content | {"passed": False, "verdict": "DIFFERENT: 707 tensors compared, 61 different; conditions not met."}


def partial() -> dict[str, Any]:
    """A report of a port that offers little, made without a mutation run."""
    content = passing()
    content["parts"][1] = {
        "part": "encoder, forward",
        "tensors": 0,
        "untested": 40,
        "worst_at": "lstm/as_is -",
        "verdict": "40 not proven",
    }
    content["parts"][0] |= {"verdict": "equal, 3 not proven", "untested": 3}
    del content["parts"][0]["smallest_bug"], content["parts"][0]["float32"]
    content["rows"].append(row("train/encoder/fw/h", verdict="untested", error=None, allowed=0.0, noise=None))
    content |= {"untested": ["encoder, forward (40)", "decoder (3)"], "score": None, "false_alarms": None}
    content["counts"] = COUNTS | {"compared": 600, "equal": 600, "not_proven": 43}
    content |= {"training": [], "mixtures": [], "coverage": [], "profiles": {}}
    return content | {"verdict": "EQUAL IN 600 OF 643: 600 tensors compared, element by element; 43 not proven."}


def chaotic() -> dict[str, Any]:
    """A report of a model whose official runs drift apart, and whose float32 run overflows."""
    content = passing()
    note = "chaotic from step 13 on: 1e-16 becomes 2e-06"
    content["rows"] += [
        row("train/decoder/c", verdict="not judged", note=note),
        row("train/decoder/i", verdict="not judged", note=note),
        row("train/nll", "float32", "official overflow", note="the official float32 run is not finite"),
    ]
    content["counts"] = COUNTS | {"rows": 649, "compared": 649, "not_judged": 2, "overflow": 1}
    content["remarks"] = ["The algorithm is equal: all 384 tensors.", f"The model is chaotic: train/decoder/c: {note}."]
    content["parts"][0]["verdict"] = "equal, 2 not judged, 1 official float32 overflow"
    growth = 1e-16 * 6.0 ** np.arange(STEPS)
    lines = {"ours": growth.tolist(), "spread": growth.tolist(), "fed": [1e-16] * STEPS}
    lines["allowed"] = [max(1e-10, 10 * size) if size <= 1e-6 else None for size in growth.tolist()]
    content["profiles"]["train/decoder/h"] = {"float64": lines}
    return content | {"verdict": "EQUAL: 649 tensors compared: 646 equal, 2 not judged, 1 overflow."}


MAKERS = {"passing": passing, "failing": failing, "partial": partial, "chaotic": chaotic}
CONTENTS = pytest.mark.parametrize("name", MAKERS)


@functools.cache
def shown(name: str) -> str:
    """The page of a content that is used as it is."""
    return page(MAKERS[name]())


def without_plots(content: dict[str, Any]) -> dict[str, Any]:
    """Drawing takes the longest."""
    return content | {"profiles": {}, "training": []}


class Reader(HTMLParser):
    """What a browser sees: elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.starts: list[tuple[str, dict[str, str | None]]] = []
        self.ends: Counter[str] = Counter()
        self.words: list[str] = []
        self.data = ""  # of the list of every tensor
        self.feed(text)
        self.close()
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.starts.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.ends[tag] += 1

    def handle_data(self, data: str) -> None:
        tag, attributes = self.starts[-1] if self.starts else ("", {})
        if self.cdata_elem is None:
            self.words.append(data)
        elif tag == "script" and attributes.get("type") == "application/json":
            self.data += data

    @property
    def tags(self) -> Counter[str]:
        return Counter(tag for tag, _ in self.starts)


def every_string(value: Any, change: Callable[[str], str]) -> Any:
    """The same content with each of its strings changed."""
    if isinstance(value, dict):
        return {name: every_string(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [every_string(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def named(name: str) -> dict[str, Any]:
    """A failing, partial report in which a stranger has named everything."""
    fixed = {"precision", "verdict", "measure"}
    content = failing() | {"untested": ["x"]}
    verdicts = [line["verdict"] for line in content["parts"]]
    rows = [
        {key: value if key in fixed else every_string(value, lambda _: name) for key, value in r.items()}
        for r in content["rows"]
    ]
    content = every_string(content, lambda _: name) | {"rows": rows}
    for line, verdict in zip(content["parts"], verdicts, strict=True):
        line["verdict"] = verdict
    for section in ("conditions", "profiles"):
        content[section] = {name: next(iter(content[section].values()))}
    content["provenance"] = {"official": {name: {name: name}}, "ours": {name: [name, name]}}
    content["coverage"] = [{name: name, "nested": {name: 1}}]
    content["false_alarms"]["machine"] = name
    content["score"]["smallest"] = {name: {"bug": name, "effect": 1e-6}}
    return content


@CONTENTS
def test_nothing_is_fetched_from_anywhere(name):
    text = shown(name)
    assert re.findall(r"https?:|//[a-z]", re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)) == []
    assert re.findall(r"@import|url\(|<base|<link|<img|<iframe|<object|<!ENTITY|<!DOCTYPE (?!html>)", text) == []
    for tag, attributes in Reader(text).starts:
        assert not {"src", "srcset", "data", "action", "poster", "xlink:href"} & set(attributes), (tag, attributes)
        assert attributes.get("href", "#").startswith("#")


@CONTENTS
def test_links_lead_to_sections_and_elements_are_closed(name):
    reader = Reader(shown(name))
    ids = [attributes["id"] for _, attributes in reader.starts if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for _, attributes in reader.starts if "href" in attributes} <= set(ids)
    for tag in ("section", "div", "figure", "details", "table", "svg", "dl", "ul", "ol", "p", "script", "style", "tr"):
        assert reader.tags[tag] == reader.ends[tag], tag


def test_names_from_strangers_stay_text():
    plain, hostile = Reader(page(named("qqq"))), Reader(page(named(HOSTILE)))
    assert hostile.tags == plain.tags
    assert [sorted(attributes) for _, attributes in hostile.starts] == [sorted(a) for _, a in plain.starts]
    assert hostile.text.count("alert(1)") == hostile.text.count(HOSTILE) == plain.text.count("qqq") > 100
    assert HOSTILE in json.loads(hostile.data)["texts"]


@CONTENTS
def test_no_number_is_none_or_nan(name):
    text = Reader(shown(name)).text
    assert re.findall(r"\b(None|nan|inf|undefined|Undefined)\b", text) == []


@CONTENTS
def test_the_verdict_stands_first(name):
    content, text = MAKERS[name](), Reader(shown(name)).text
    headline, _, claim = content["verdict"].partition(": ")
    wanted = [
        content["title"],
        headline,
        claim,
        f"{content['counts']['compared']} tensors compared",
        *content["remarks"],
    ]
    wanted += ["Is the difference normal?", content["subject"], *content["scores"].values(), "How to read this"]
    if content["first_departure"]:
        wanted += ["First departure", "All 62 failures"]
    wanted += [
        "Component by component",
        *(["nothing is known about it"] if content["untested"] else []),
        "Some bugs show only",
    ]
    if content["profiles"]:
        wanted += ["An error of exactly 0", "Whole training runs", "Both are in nats"]
        wanted += ["How much of each official model", "they were planted"]
    wanted += ["What was run, so that", "comparisons. Search"]
    places = [text.index(words, text.index("Every tensor")) for words in wanted]  # behind the navigation
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("content", "tone", "answer"),
    [
        (
            passing(),
            "passed",
            "Yes. Computed from official values, no step or function is off by more than 3.1e-15 of its size in "
            "float64; 1e-10 is allowed. Steps and functions alone use at most 47 % (float32) of the room that the "
            "official code's own rounding leaves them. Whole runs use at most 1 % (float64) and 47 % (float32) of the "
            "room that the drift of official runs leaves them.",
        ),
        (failing(), "failed", "No: 61 of 707 tensors differ by more than rounding explains, and 1 was not compared."),
        (partial(), "partly", "Yes, in what was tested; the rest is not known."),
        (
            passing() | {"passed": False, "conditions": {"it rained": False, "it snowed": True}},
            "failed",
            "Not proven. Nothing that was compared differs, but the proof has a hole. Not seen: it rained. Compared",
        ),
        (
            partial() | {"passed": False},
            "failed",
            "Not proven. Nothing that was compared differs, but the proof has a hole. Untested: encoder, forward (40),",
        ),
    ],
)
def test_the_verdict_says_whether_the_difference_is_normal(content, tone, answer):
    reader = Reader(page(without_plots(content)))
    first = next(attributes for tag, attributes in reader.starts if tag == "section")
    assert first["class"] == f"verdict {tone}"
    assert f"Is the difference normal? {answer}" in reader.text


def test_a_failure_is_shown_in_full_without_javascript():
    content, text = failing(), Reader(shown("failing")).text
    first = content["first_departure"]
    for words in (first["text"], *(line.strip() for line in first["explanation"])):
        assert words in text
    bad = [row for row in content["rows"] if row["verdict"] != "equal"]
    assert len(bad) == 62
    for row in bad:
        assert re.search(rf"{re.escape(row['quantity'])} ?{row['recording']} ?float64 ?{row['verdict']}", text)
    assert "lstm/as_is float64 different 3.7e-1 1.0e-10 row 3, step 7, unit 12 two of the four gates" in text
    assert "0.5123456789012346 0.5123456789012341 0.5123456789012341" in text
    assert "not compared beyond measure 0 missing on the port" in text


def test_a_single_failure_is_spoken_of_as_one():
    content = without_plots(failing())
    content["rows"] = [row for row in content["rows"] if not row["quantity"].startswith(("train/late", "eval"))]
    text = Reader(page(content)).text
    assert "No: 1 of 707 tensors differs by more than rounding explains." in text
    assert "The only failure" in text


@CONTENTS
def test_each_part_condition_and_untested_item_is_named(name):
    content, text = MAKERS[name](), Reader(shown(name)).text
    for line in content["parts"]:
        assert f"{line['part']} {line['verdict']}" in text
    for condition, met in content["conditions"].items():
        assert f"{'✓ seen' if met else '✗ NOT SEEN'}: {condition}" in text
    for item in content["untested"]:
        assert item in text


def test_a_line_tells_error_allowance_ratio_and_margins():
    text = Reader(shown("passing")).text
    double = "1.0e-14 6.2e-14 1,600 × 1.0e-10 2.9e-6 29,000 × layer-norm epsilon 1e-5"
    assert f"{double} 4.5e-7 rms 2.4e-7 1.88 9.6e-7 lstm/as_is row 3, step 7, unit 12" in text
    assert "data loader equal , 10 tensors; compared bit for bit" in text


def bars(text: str) -> list[tuple[str, float, float | None]]:
    """Of each lane in the table the dot's class, its place, and the place of the allowance."""
    table = text.split('<table class="parts">')[1].split("</table>")[0]
    limit = r'(?:<path class="limit" d="M([\d.]+) [^>]*>\s*)?'
    lanes = re.findall(limit + r'<circle class="(\w+)" cx="([\d.]+)"', table)
    return [(shape, float(dot), float(allowed) if allowed else None) for allowed, shape, dot in lanes]


def test_the_bar_puts_each_number_at_its_decade():
    (_, error, allowed), single, data = bars(shown("passing"))
    decade = (216 - 24) / 17
    assert allowed == pytest.approx(24 + 7 * decade, abs=0.1)
    assert error == pytest.approx(24 + (17 + np.log10(1.04e-14)) * decade, abs=0.1)
    assert single[0] == "dot"
    assert single[1] < single[2]
    assert data == ("dot", 24.0, None)
    assert bars(shown("failing"))[0] == ("over", 216.0, allowed)


def drawn(text: str) -> list[str]:
    """What matplotlib drew."""
    return re.findall(r'<svg viewBox="0 0 256.*?</svg>', text, flags=re.DOTALL)


def plots_of(text: str, quantity: str) -> list[str]:
    """The plots of a quantity, float64 first."""
    figure = text.split(f'<figure data-quantity="{quantity}">')[1].split("</figure>")[0]
    return drawn(figure)


def line_of(plot: str, whose: str) -> np.ndarray:
    """The points of a line, [steps, 2]."""
    (path,) = re.findall(rf'<path d="([^"]*)"[^>]*stroke: var\(--{whose}\)', plot)
    return np.array([[float(number) for number in point.split()] for point in re.split("[ML]", path)[1:]])


def test_each_quantity_has_a_plot_in_each_precision_with_all_its_lines():
    text = shown("passing")
    for quantity in QUANTITIES:
        double, single = plots_of(text, quantity)
        for plot, names in ((double, "ours fed spread allowed"), (single, "ours fed spread official allowed")):
            found = set(re.findall(r"stroke: var\(--(\w+)\)", plot)) - {"rule"}
            assert found == set(names.split())
            assert "time step" in plot
            assert "relative error" in plot
        assert ">float64" in double
        assert ">float32" in single


def test_what_has_no_error_at_any_step_is_named_instead_of_drawn():
    profiles = {
        "train/0/sketches": {"exact": {"ours": [0.0, 0.0]}},
        "train/1/sketches": {"exact": {"ours": [0.0, 0.5]}},
    }
    text = page(passing() | {"profiles": profiles, "training": []})
    assert "without a difference: train/0/sketches ." in Reader(text).text
    assert len(plots_of(text, "train/1/sketches")) == 1
    assert "exact: relative error" in drawn(text)[0]


def test_a_plot_shows_errors_at_their_decades():
    """float64 goes from 1e-18 to 1e-9 over 90 points; zeros stand at the bottom, what is beyond measure at the top."""
    content = passing() | {"training": []}
    content["profiles"]["train/pi"]["float64"] = {
        "ours": [0.0, 1e-15, 1e-12, None], "fed": [1e-15] * 4, "allowed": [1e-10] * 4
    }  # fmt: skip
    double, _ = plots_of(page(content), "train/pi")
    bottom, top = 140 - 28, 22
    wanted = [bottom, bottom - (bottom - top) * 3 / 9, bottom - (bottom - top) * 6 / 9, top]
    np.testing.assert_allclose(line_of(double, "ours")[:, 1], wanted, atol=0.06)
    np.testing.assert_allclose(line_of(double, "allowed")[:, 1], bottom - (bottom - top) * 8 / 9, atol=0.06)
    assert {"0", "1e-9", "1e-12", "1e-15"} <= set(re.findall(r">([^<>]+)</text>", double))


def test_a_caption_tells_the_largest_error_of_the_port():
    text = Reader(shown("passing")).text
    assert "train/pi float64 ≤ 9.0e-15, float32 ≤ 7.2e-7" in text
    assert "train/decoder float64 beyond measure, float32 ≤ 7.2e-7" in Reader(shown("failing")).text


def test_the_allowance_is_the_one_of_the_rule_and_ends_where_nothing_is_judged():
    content = chaotic()
    lines = content["profiles"]["train/decoder/h"]["float64"]
    (double,) = plots_of(shown("chaotic"), "train/decoder/h")
    drawn_line = line_of(double, "allowed")
    judged = [size for size in lines["allowed"] if size is not None]
    assert len(drawn_line) == len(judged) == 13
    low, high = -18, -1  # the spread grows to 6e-2
    heights = [112 - 90 * (np.log10(size) - low) / (high - low) for size in judged]
    np.testing.assert_allclose(drawn_line[:, 1], heights, atol=0.06)
    assert len(line_of(double, "spread")) == len(line_of(double, "ours")) == STEPS


def test_the_plot_of_a_layer_shows_the_quantity_that_comes_closest_to_its_allowance():
    content = passing() | {"training": []}
    near, far = {"ours": [1e-15, 1e-12], "spread": [0.0, 0.0], "allowed": [1e-10] * 2}, [1e-13, 1e-14, 1e-11]
    content["profiles"]["train/decoder/h"]["float64"] = near
    content["profiles"]["train/decoder/hyper_cell/c"]["float64"] = {"ours": far, "spread": far, "allowed": [1e-9] * 3}
    layer = page(content).split('<figure class="layer">')[1]
    plot = layer[: layer.index("</svg>")]
    assert line_of(plot, "ours")[:, 1] == pytest.approx([112 - 90 * decades / 9 for decades in (3, 6)], abs=0.06)
    assert "train/decoder float64 ≤ 1.0e-11" in Reader(page(content)).text  # the largest error all the same


def test_without_an_allowance_the_plot_of_a_layer_shows_the_largest_error_of_its_quantities():
    content = passing() | {"training": []}
    content["profiles"]["train/decoder/h"]["float64"] = {"ours": [1e-15, 1e-12]}
    content["profiles"]["train/decoder/hyper_cell/c"]["float64"] = {"ours": [1e-13, 1e-14, 1e-11]}
    layer = page(content).split('<figure class="layer">')[1]
    line = line_of(layer[: layer.index("</svg>")], "ours")
    assert line[:, 1] == pytest.approx([112 - 90 * decades / 9 for decades in (5, 6, 7)], abs=0.06)


def test_an_error_above_the_usual_ones_widens_all_plots_alike():
    text = shown("failing")
    for quantity in QUANTITIES:
        assert ">1</text>" in plots_of(text, quantity)[0]


def test_training_shows_both_curves_their_difference_and_the_drift():
    text = page(passing() | {"profiles": {}, "training": [training("first"), training("second")]})
    section = text.split('<section id="training">')[1].split("</section>")[0]
    for run in section.split("<h3>")[1:]:
        plots = drawn(run)
        titles = [re.findall(r">([^<>]+)</text>", plot) for plot in plots]
        assert [any(name in found for found in titles) for name in ("cost", "r cost", "kl cost", "lr", "kl weight")]
        assert len(plots) == 7
        for plot in plots[:5]:
            assert plot.count("var(--official)") == 1
            assert plot.count("var(--ours)") == 2
            assert "difference, relative" in plot
        assert {"spread", "ours", "allowed"} <= set(re.findall(r"var\(--(\w+)\)", plots[6]))
        assert "drift after 30 steps, the port" in run
    assert section.index("first") < section.index("second")


def test_the_difference_of_a_curve_is_relative_to_the_largest_official_value():
    run = training()
    run["theirs"]["cost"], run["ours"]["cost"] = [4.0, 2.0, -1.0], [4.0, 2.0 + 4e-12, -1.0]
    plot = drawn(page(passing() | {"profiles": {}, "training": [run]}))[0]
    difference = re.findall(r'<path d="([^"]*)"[^>]*stroke: var\(--ours\)', plot)[1]
    heights = [float(point.split()[1]) for point in difference.split("M")[1].split("L")]
    bottom, top = 190 - 28, 22 + 84 + 22 - 2
    assert heights == pytest.approx([bottom, bottom - (bottom - top) * 6 / 9, bottom], abs=0.06)


def test_drift_may_be_ten_times_the_official_one():
    drift = drawn(shown("passing").split('id="training"')[1])[6]
    decade = line_of(drift, "spread")[-1, 1] - line_of(drift, "allowed")[-1, 1]
    height = 190 - 28 - 22  # ten decades, from 1e-18 to 1e-8
    assert decade == pytest.approx(height / 10, abs=0.1)


def test_a_run_that_broke_off_is_shown():
    run = training()
    run["ours"]["cost"][5:] = [None] * 25
    run["drift"][5:] = [None] * 25
    text = Reader(page(passing() | {"profiles": {}, "training": [run]})).text
    assert "drift after 30 steps, the port beyond measure" in text


def test_every_tensor_is_in_the_list_once():
    content, data = failing(), json.loads(Reader(shown("failing")).data)
    texts, rows = data["texts"], data["rows"]
    assert [[texts[i] for i in row[:5]] for row in rows] == [
        [row[name] for name in ("part", "recording", "quantity", "precision", "verdict")] for row in content["rows"]
    ]
    assert [row[5] for row in rows] == [row["error"] for row in content["rows"]]
    assert texts[rows[0][9]] == "row 3, step 7, unit 12"


def test_tables_of_mixtures_coverage_and_bugs_hold_what_comes():
    text = Reader(shown("passing")).text
    assert "lstm/as_is float64 -1.23457 -1.23457 3.3e-14 2.0e-16 –" in text
    assert "model variables gradient float32 lstm/as_is 21 21 of 21 150 of 150" in text
    assert "Planted bugs: 62 of 63 caught: they were planted in the port" in text
    assert (
        "Of 1,432,100 tensors 812 were not judged; the closest used 70 % of its allowance. Machine: a quiet machine."
        in text
    )
    assert "condition recordings called different largest share of an allowance ours, 2 threads 224 0 0.704" in text
    assert "model.py 957c7ed4073cb3ca" in text
    assert "latent [8, 8] –" in text
    assert "python -m parity_tests parity" in text


def test_a_number_of_another_kind_is_called_what_it_is():
    content = without_plots(passing())
    names = ("distribution/w", "initial/w", "free run: drift of the weights")
    content["parts"] = [content["parts"][1] | {"part": name, "tensors": 1} for name in names]
    content["rows"] = [row(name, "distribution", part=name) for name in names[:2]]
    content["rows"].append(row(names[2], official_error=1e-13, part=names[2]))
    text = Reader(page(content)).text
    assert "distribution/w equal , 1 tensor; distance of distributions, 0 to 1" in text
    assert "initial/w equal , 1 tensor; the numbers themselves, in float32" in text
    assert "weights equal , 1 tensor; against the drift of official runs" in text


def test_a_long_title_is_told_behind_the_verdict():
    text = Reader(page(without_plots(passing()) | {"title": "Parity with recordings: one, two"})).text
    assert (
        text.index("Parity with recordings") < text.index("EQUAL 646") < text.index("one, two 1. ".rstrip(" 1."), 100)
    )


def test_a_report_of_the_least_content_is_a_page():
    report = Report("t", [], {}, {})
    reader = Reader(page(report.content()))
    assert "NOT PROVEN 0 tensors compared, element by element. tensors compared 0" in reader.text
    assert "Is the difference normal? Not proven." in reader.text


def test_what_says_neither_equal_nor_different_is_counted_and_told_on_the_first_screen():
    screen = Reader(shown("chaotic")).text.split("How to read this")[1]
    for words in ("tensors compared 649", "equal 646", "different 0", "not judged 2", "official float32 overflow 1"):
        assert words in screen
    for words in ("not proven 0", "Would it see a bug?", "Would it cry wolf?"):
        assert words in screen
    for part in chaotic()["parts"][:1]:
        assert f"– {part['part']} {part['verdict']}" in Reader(shown("chaotic")).text
    partly = Reader(shown("partial")).text.split("How to read this")[1]
    assert "not proven 43" in partly
    assert "not compared" not in partly
    assert "not compared 1" in Reader(shown("failing")).text.split("How to read this")[1]


def test_each_kind_of_judgement_has_its_own_counts():
    content = passing()
    content["kinds"] = Report("t", ROWS, {}, {}).kinds()
    text = Reader(page(without_plots(content))).text
    assert "judgement tensors equal different not judged official overflow not proven local 2 1 1 0 0 0" in text
    assert "accumulated 3 0 0 1 1 1 exact 1 1 0 0 0 0" in text


def test_the_same_content_makes_the_same_page():
    assert page(passing()) == shown("passing")


def test_colours_follow_the_reader_and_ids_are_not_repeated_by_plots():
    text = shown("passing")
    assert "prefers-color-scheme: dark" in text
    plots = drawn(text)
    assert len(plots) == 2 * (len(QUANTITIES) + 1) + 7
    for plot in plots:
        assert re.findall(r"#[0-9a-f]{6}| id=|font-family|<style|<metadata|clip-path|<!--", plot) == []
        assert len(plot) < 15_000


def test_numbers_are_short_and_factors_are_plain():
    assert [number(value) for value in (None, 0.0, 1e-10, 2.34e-7, 0.37, -2e-16)] == [
        "–", "0", "1.0e-10", "2.3e-7", "3.7e-1", "-2.0e-16",
    ]  # fmt: skip
    assert [ratio(value) for value in (None, 0.5, 1.234, 4063144.77)] == ["–", "0.50", "1.23", "4.1e6"]
    assert [times(a, b) for a, b in ((1e-10, 6e-14), (3.0, 2.0), (4e-3, 1e-10), (1e-10, None), (0.0, 1.0))] == [
        "1,700 ×", "1.5 ×", "4e7 ×", "", "",
    ]  # fmt: skip
