"""The ranges of the flags that several commands have."""

from pytorch_sketch_rnn.errors import BadInput


def check_range(flag: str, value: int | None, least: int, most: int | None = None) -> None:
    """Check the value of a flag; None, a flag that was not given, is allowed.

    Raises:
        BadInput: when the value is below ``least`` or above ``most``.
    """
    if value is None or (value >= least and (most is None or value <= most)):
        return
    expected = f"at least {least}" if most is None else f"{least} to {most}"
    raise BadInput(f"{flag} is {value}, expected {expected}")
