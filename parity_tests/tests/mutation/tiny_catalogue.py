"""A few planted bugs that a run over one recording judges within seconds."""

from parity_tests.mutation.bugs import Mutant, Text
from parity_tests.mutation.catalogue.port import MUTANTS
from parity_tests.mutation.run import run_mutants
from pytorch_sketch_rnn.model import cells

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
FOUND = [BY_NAME[name] for name in ("forget bias missing", "forget bias 0.9", "candidate without tanh")]
EQUIVALENT = Mutant(
    "the same sum the other way round",
    "biases",
    Text(cells.LSTMCell, "forward", ("x @ self.W_xh + h @ self.W_hh", "h @ self.W_hh + x @ self.W_xh")),
    ("LSTM cell alone",),
)


def run(out, *bugs, harness=(), product=(), kernels=(), only="cell-lstm", fresh=False):
    """Run over these bugs; returns the exit code and the lines of progress."""
    lines = []
    code = run_mutants(
        out,
        mutants=bugs,
        harness=harness,
        product=product,
        kernels=kernels,
        only=only,
        processes=1,
        fresh=fresh,
        log=lines.append,
    )
    return code, lines
