"""Variables for the tests of the checkpoint reader and writer."""

import numpy as np

TYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8", "c16"]


def sample_variables() -> dict[str, np.ndarray]:
    """Every type; scalars, empty arrays, long and non-ASCII names; 8-byte items at odd offsets."""
    random = np.random.default_rng(1)
    variables = {}
    for index, kind in enumerate(TYPES):
        shape = [(3, 5), (), (7,), (2, 1, 4)][index % 4]
        variables[f"scope/type_{kind}"] = random.integers(0, 2, shape).astype(kind)
    variables["scope/zzz/empty"] = np.zeros((0, 3), np.float32)
    variables["scope/special"] = np.array([np.nan, np.inf, -0.0, 1e-45], np.float32)
    variables["scope/größe"] = random.standard_normal((4, 6)).astype(np.float32)
    for index in range(20):
        variables[f"vector_rnn/RNN/LSTMCell/variable_{index}"] = random.standard_normal(index).astype(np.float32)
    return variables


def assert_same(actual: np.ndarray, expected: np.ndarray) -> None:
    """Bit for bit, NaNs and negative zeros too."""
    assert (actual.dtype, actual.shape, actual.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
