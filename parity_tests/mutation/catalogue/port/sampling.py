"""Bugs in sampling one sketch at a time."""

from parity_tests.mutation.bugs import Mutant, Text
from parity_tests.mutation.catalogue.port.parts import GREEDY, SAMPLED
from pytorch_sketch_rnn.model import sampling

SAMPLING_MUTANTS = (
    Mutant(
        "temperature not applied to the pen", "sampling",
        Text(sampling, "sample", ('here["pen"], temperature,', 'here["pen"], 1.0,')),
        SAMPLED,
    ),
    Mutant(
        "temperature not applied to the component", "sampling",
        Text(sampling, "sample", ('here["pi"], temperature,', 'here["pi"], 1.0,')),
        SAMPLED,
    ),
    Mutant(
        "sigma times the root of the temperature", "sampling",
        Text(sampling, "_component", ("np.sqrt(temperature) * np.sqrt(temperature)", "np.sqrt(temperature)")),
        SAMPLED,
    ),
    Mutant(
        "probabilities divided by the temperature, not their logs", "sampling",
        Text(sampling, "_pick", ("np.log(pdf) / temperature", "np.log(pdf / temperature)")),
        SAMPLED,
    ),
    Mutant(
        "covariance without the correlation", "sampling",
        Text(sampling, "sample", ("corr * scale[0] * scale[1]", "0.0")),
        SAMPLED,
    ),
    Mutant(
        "pen drawn before the component", "sampling",
        Text(
            sampling, "sample",
            (
                '_pick(uniform.random(), here["pi"]',
                '_pick([first := uniform.random(), uniform.random()][1], here["pi"]',
            ),
            ('pen = _pick(uniform.random(), here["pen"]', 'pen = _pick(first, here["pen"]'),
        ),
        SAMPLED,
    ),
    Mutant(
        "greedy sampling draws one random number too few per step", "sampling",
        Text(
            sampling, "sample",
            ('_pick(uniform.random(), here["pi"]', '_pick(0.0 if greedy_mode else uniform.random(), here["pi"]'),
        ),
        GREEDY, ".*/next_uniform",
    ),
    Mutant(
        "greedy sampling draws a point and discards it", "sampling",
        Text(
            sampling, "sample",
            (
                "if not greedy_mode:",
                "normal.multivariate_normal(mean, np.eye(2)) if greedy_mode else None\n        if not greedy_mode:",
            ),
        ),
        GREEDY, ".*/next_normal",
    ),
    Mutant(
        "no z drawn for a decoder-only model", "sampling",
        Text(sampling, "sample", ("if z is None:", "if z is None and model.hparams.conditional:")),
        GREEDY + SAMPLED,
    ),
    Mutant(
        "points fed back without rounding to float32", "sampling",
        Text(sampling, "sample", ("*np.eye(3)[pen]], dtype=np.float32)", "*np.eye(3)[pen]], dtype=np.float64)")),
        GREEDY,
    ),
    Mutant(
        "sampling starts without the start token", "sampling",
        Text(sampling, "sample", ("np.array(START_TOKEN, dtype=np.float32)", "np.zeros(5, dtype=np.float32)")),
        GREEDY,
    ),
    Mutant(
        "sampling stops at the end of the sketch", "sampling",
        Text(
            sampling, "sample",
            ("strokes[step] = point", "strokes[step] = point\n        if pen == 2 and step:\n            break"),
        ),
        GREEDY + SAMPLED,
    ),
    Mutant(
        "greedy point is the mean over all components", "sampling",
        Text(
            sampling, "_component",
            (
                'mixture["mu1"][index], mixture["mu2"][index]',
                '(mixture["pi"] * mixture["mu1"]).sum(), (mixture["pi"] * mixture["mu2"]).sum()',
            ),
        ),
        GREEDY,
    ),
)  # fmt: skip
