"""The memory that reading a stranger's file may take."""

from pytorch_sketch_rnn.errors import Refused


class MemoryBudget:
    """The memory, in bytes, that may still be used; it is charged before the memory is allocated."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.left = max_bytes

    def spend(self, count: int) -> None:
        """Take bytes from the budget.

        Raises:
            BadInput: when there are not enough left.
        """
        self.left -= count
        if self.left < 0:
            self.refuse()

    def check(self, count: int) -> None:
        """Raise BadInput unless this many bytes are left; they are not taken."""
        if count > self.left:
            self.refuse()

    def refuse(self) -> None:
        """Raise BadInput, which says how to allow more."""
        raise Refused(f"needs more than max_bytes = {self.max_bytes} bytes; if you trust the file, raise max_bytes")
