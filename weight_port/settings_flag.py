"""The flag ``--set NAME=VALUE``, which gives a hyperparameter that the weights do not determine."""

import json
from typing import Any

from pytorch_sketch_rnn.errors import BadInput


def parse_setting(setting: str) -> tuple[str, Any]:
    """Split ``NAME=VALUE``; the value is read as JSON, or else taken as a string, such as ``lstm``.

    Raises:
        BadInput: when there is no equals sign.
    """
    name, equals, text = setting.partition("=")
    if not equals:
        raise BadInput(f"--set {setting}: expected NAME=VALUE, such as max_seq_len=250")
    try:
        return name, json.loads(text)
    except (ValueError, RecursionError):
        return name, text
