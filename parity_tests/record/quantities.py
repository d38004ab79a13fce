"""Names of recorded and compared quantities, and what a name says about the tensor: NumPy alone, used by both sides."""

import re

FED = "fed/"  # computed from official values, one step or one function at a time
PREFIX = "prefix/"  # computed from the first points of each sketch
VARIABLES = "variables/"  # weights as the port holds them
COSTS = ("cost", "r_cost", "kl_cost")
GATES = ("i", "j", "f", "o")  # in Magenta's order; j is the candidate
FOUR_GATES = ("total", "W_xh", "W_hh", "bias", "ln_all/ln_gamma", "ln_all/ln_beta")  # hold the four gates side by side


_GATE_OF_HYPER = re.compile(r"(?<=/hyper_)[ijfo][xh](?=/)")


def in_any_gate(name: str) -> str:
    """The name without the gate of a HyperLSTM's embedding that it belongs to: the same for each of the eight."""
    return _GATE_OF_HYPER.sub("", name)


def is_weight_vjp(name: str) -> bool:
    """Whether a quantity is the vector-Jacobian product of a weight: a sum over all rows and steps."""
    return name.startswith("vjp/") and not name.endswith(("/x", "/state"))
