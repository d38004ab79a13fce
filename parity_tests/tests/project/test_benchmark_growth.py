"""The benchmark of growing sizes, in small: what it measures, and its part of the page."""

from benchmarks.growth import measure
from benchmarks.page import growth_section
from benchmarks.plots import plot_growth

SMALL = {
    "max_seq_len": 8, "batch_size": 4, "dec_rnn_size": 600, "enc_rnn_size": 4, "z_size": 2, "num_mixture": 2,
}  # fmt: skip


def test_growth_is_measured_with_its_arithmetic_and_drawn(tmp_path):
    sizes = {"max_seq_len": (4, 8), "batch_size": (4, 8)}
    growth = measure({"hparams": SMALL, "repeats": 1, "sizes": sizes})
    assert {name: tuple(point["value"] for point in points) for name, points in growth.items()} == sizes
    for varied, points in growth.items():
        assert all(point["step"] > 0 for point in points)
        less, more = (point["gflop"] for point in points)
        assert 1.5 * less < more < 2.1 * less
        # of the whole step: those of h, forward, back and of its weights, and not much else
        of_h = 3 * 2e-9 * 600 * 2400 * {"max_seq_len": 8 * 4, "batch_size": 8 * 8}[varied]
        assert of_h < more < 1.3 * of_h
    lines = growth_section(growth)
    assert sum(line.startswith(("| max_seq_len |", "| batch_size |")) for line in lines) == 4
    plot_growth(growth, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000
