"""The plots and bars of the HTML report show each number at its place."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from report_pages import IN_MODEL, QUANTITIES, STEPS, Reader, content, page_of, training

from parity_tests.report.html import page

# --- bars in the table


def bars(text: str, part: str) -> list[tuple[str, float, float | None]]:
    """For each lane of a part: the dot's class, its place, and the place of the allowance."""
    table = text.split('<table class="parts">')[1].split("</table>")[0]
    (line,) = [line for line in table.split("<tr") if f"</span> {part}<small>" in line]
    limit = r'(?:<path class="limit" d="M([\d.]+) [^>]*>\s*)?'
    lanes = re.findall(limit + r'<circle class="(\w+)" cx="([\d.]+)"', line)
    return [(shape, float(dot), float(allowed) if allowed else None) for allowed, shape, dot in lanes]


def test_the_bar_puts_each_number_at_its_decade():
    (_, error, allowed), single = bars(page_of("passing"), "decoder")
    decade = (216 - 24) / 17
    assert allowed == pytest.approx(24 + 7 * decade, abs=0.1)
    assert error == pytest.approx(24 + (17 + np.log10(1.04e-14)) * decade, abs=0.1)
    assert single[0] == "dot"
    assert single[1] < single[2]
    assert bars(page_of("passing"), "data loader") == [("dot", 24.0, None)]
    assert bars(page_of("failing"), "decoder")[0] == ("over", 216.0, allowed)


# --- plots


def drawn(text: str) -> list[str]:
    """All plots of a text."""
    return re.findall(r'<svg viewBox="0 0 256.*?</svg>', text, flags=re.DOTALL)


def plots_of(text: str, quantity: str) -> list[str]:
    """The plots of a quantity, float64 first."""
    figure = text.split(f'<figure data-quantity="{quantity}">')[1].split("</figure>")[0]
    return drawn(figure)


def line_of(plot: str, name: str) -> np.ndarray:
    """The points of a line, [steps, 2]."""
    (path,) = re.findall(rf'<path d="([^"]*)"[^>]*stroke: var\(--{name}\)', plot)
    return np.array([[float(number) for number in point.split()] for point in re.split("[ML]", path)[1:]])


def with_lines(**lines: dict[str, Any]) -> str:
    """A page without training in which some quantities have other lines in float64."""
    found = content("passing") | {"training": []}
    for quantity, values in lines.items():
        found["profiles"][NAMES[quantity]]["float64"] = values
    return page(found)


NAMES = {"h": "train/decoder/h", "hyper_c": "train/decoder/hyper_cell/c", "pi": "train/pi"}
LINES = dict.fromkeys(IN_MODEL, ("ours fed spread allowed", "ours fed spread official allowed"))
LINES |= {"cell/lstm/j": ("fed allowed", "fed official")}
LINES |= {"sample/greedy/mu1": ("ours spread allowed", "ours spread allowed")}


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_each_quantity_has_a_plot_in_each_precision_with_all_its_lines(quantity):
    plots = plots_of(page_of("passing"), quantity)
    for plot, names, precision in zip(plots, LINES[quantity], ("float64", "float32"), strict=True):
        assert set(re.findall(r"stroke: var\(--(\w+)\)", plot)) - {"rule"} == set(names.split())
        assert "time step" in plot
        assert f">{precision}: relative error<" in plot


def test_a_quantity_without_an_error_at_any_step_is_named_instead_of_drawn():
    profiles = {
        "train/0/sketches": {"exact": {"ours": [0.0, 0.0]}},
        "train/1/sketches": {"exact": {"ours": [0.0, 0.5]}},
    }
    text = page(content("passing") | {"profiles": profiles, "training": []})
    assert "without a difference: train/0/sketches ." in Reader(text).text
    assert len(plots_of(text, "train/1/sketches")) == 1
    assert "exact: relative error" in drawn(text)[0]


def test_a_plot_shows_errors_at_their_decades():
    """float64 goes from 1e-18 to 1e-9 over 90 points, with zeros at the bottom and infinite errors at the top."""
    text = with_lines(pi={"ours": [0.0, 1e-15, 1e-12, None], "fed": [1e-15] * 4, "allowed": [1e-10] * 4})
    double, _ = plots_of(text, "train/pi")
    bottom, top = 140 - 28, 22
    wanted = [bottom, bottom - (bottom - top) * 3 / 9, bottom - (bottom - top) * 6 / 9, top]
    np.testing.assert_allclose(line_of(double, "ours")[:, 1], wanted, atol=0.06)
    np.testing.assert_allclose(line_of(double, "allowed")[:, 1], bottom - (bottom - top) * 8 / 9, atol=0.06)
    assert {"0", "1e-9", "1e-12", "1e-15"} <= set(re.findall(r">([^<>]+)</text>", double))


def test_a_caption_gives_the_largest_error_of_the_port():
    text = Reader(page_of("passing")).text
    assert "train/pi float64 ≤ 9.0e-15, float32 ≤ 7.2e-7" in text
    assert "train/decoder float64 beyond measure, float32 ≤ 7.2e-7" in Reader(page_of("failing")).text


def test_the_allowance_is_the_one_of_the_rule_and_ends_where_nothing_is_judged():
    lines = content("chaotic")["profiles"]["train/decoder/h"]["float64"]
    (double,) = plots_of(page_of("chaotic"), "train/decoder/h")
    drawn_line = line_of(double, "allowed")
    judged = [size for size in lines["allowed"] if size is not None]
    assert len(drawn_line) == len(judged) == 13
    low, high = -18, -1  # the spread grows to 6e-2
    heights = [112 - 90 * (np.log10(size) - low) / (high - low) for size in judged]
    np.testing.assert_allclose(drawn_line[:, 1], heights, atol=0.06)
    assert len(line_of(double, "spread")) == len(line_of(double, "ours")) == STEPS


def layer_plot(text: str) -> str:
    """The first plot of the first layer."""
    layer = text.split('<figure class="layer">')[1]
    return layer[: layer.index("</svg>")]


def test_the_plot_of_a_layer_shows_the_quantity_that_comes_closest_to_its_allowance():
    near, far = {"ours": [1e-15, 1e-12], "spread": [0.0, 0.0], "allowed": [1e-10] * 2}, [1e-13, 1e-14, 1e-11]
    text = with_lines(h=near, hyper_c={"ours": far, "spread": far, "allowed": [1e-9] * 3})
    line = line_of(layer_plot(text), "ours")
    assert line[:, 1] == pytest.approx([112 - 90 * decades / 9 for decades in (3, 6)], abs=0.06)
    assert "train/decoder float64 ≤ 1.0e-11" in Reader(text).text  # the largest error all the same


def test_without_an_allowance_the_plot_of_a_layer_shows_the_largest_error_of_its_quantities():
    text = with_lines(h={"ours": [1e-15, 1e-12]}, hyper_c={"ours": [1e-13, 1e-14, 1e-11]})
    line = line_of(layer_plot(text), "ours")
    assert line[:, 1] == pytest.approx([112 - 90 * decades / 9 for decades in (5, 6, 7)], abs=0.06)


def test_an_error_above_the_usual_ones_widens_all_plots_alike():
    text = page_of("failing")
    for quantity in QUANTITIES:
        assert ">1</text>" in plots_of(text, quantity)[0]


def test_colours_follow_the_reader_and_ids_are_not_repeated_by_plots():
    text = page_of("passing")
    assert "prefers-color-scheme: dark" in text
    plots = drawn(text)
    assert len(plots) == 2 * (len(QUANTITIES) + 1) + 7
    for plot in plots:
        assert re.findall(r"#[0-9a-f]{6}| id=|font-family|<style|<metadata|clip-path|<!--", plot) == []
        assert len(plot) < 15_000


# --- training


def page_of_training(*runs: Any) -> str:
    return page(content("passing") | {"profiles": {}, "training": [run.to_dict() for run in runs]})


def test_training_shows_both_curves_their_difference_and_the_drift():
    text = page_of_training(training("first"), training("second"))
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
    theirs, ours = run.theirs | {"cost": [4.0, 2.0, -1.0]}, run.ours | {"cost": [4.0, 2.0 + 4e-12, -1.0]}
    plot = drawn(page_of_training(replace(run, theirs=theirs, ours=ours)))[0]
    difference = re.findall(r'<path d="([^"]*)"[^>]*stroke: var\(--ours\)', plot)[1]
    heights = [float(point.split()[1]) for point in difference.split("M")[1].split("L")]
    bottom, top = 190 - 28, 22 + 84 + 22 - 2
    assert heights == pytest.approx([bottom, bottom - (bottom - top) * 6 / 9, bottom], abs=0.06)


def test_drift_may_be_ten_times_the_official_one():
    drift = drawn(page_of("passing").split('id="training"')[1])[6]
    decade = line_of(drift, "spread")[-1, 1] - line_of(drift, "allowed")[-1, 1]
    height = 190 - 28 - 22  # ten decades, from 1e-18 to 1e-8
    assert decade == pytest.approx(height / 10, abs=0.1)


def test_a_run_that_broke_off_is_shown():
    run = training()
    ours = run.ours | {"cost": run.ours["cost"][:5] + [None] * 25}
    text = Reader(page_of_training(replace(run, ours=ours, drift=run.drift[:5] + [None] * 25))).text
    assert "drift after 30 steps, the port beyond measure" in text
