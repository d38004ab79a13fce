"""``python -m parity_tests check``: whether a model is the one that a certificate was written for."""

from pathlib import Path

import safetensors
import safetensors.numpy

from parity_tests.report.certificate import hash_of, hashes, read_certificate
from pytorch_sketch_rnn.errors import BadInput, one_line
from pytorch_sketch_rnn.hparams import HParams
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE, WEIGHTS_FILE
from pytorch_sketch_rnn.regular_file import check_regular, is_no_folder
from weight_port.names import inverse, table
from weight_port.source import open_source


def check(certificate: Path, model: Path, member: str | None = None) -> list[str]:
    """Compare the weights of a model with the hashes in a certificate.

    Args:
        certificate: the file that ``verify`` wrote.
        model: in any form that weight_port takes, or a folder that it or ``save_pretrained`` wrote.
        member: the name of the model in an archive of several.

    Returns:
        One printable line for each difference; empty if it is the certified model.

    Raises:
        BadInput: when the certificate or the model cannot be read, or the certificate says that the model differed.
    """
    certified = read_certificate(certificate)
    if not certified["equal"]:
        raise BadInput(f"{certificate}: says that the model was found different, so it certifies nothing")
    expected: dict[str, str] = certified["model"]["sha256"]
    found = _converted_hashes(model) if is_no_folder(model / WEIGHTS_FILE) else _source_hashes(model, member)
    differences = [f"{name} is missing" for name in sorted(set(expected) - set(found))]
    differences += [f"{name} is not in the certificate" for name in sorted(set(found) - set(expected))]
    changed = sorted(name for name in set(expected) & set(found) if expected[name] != found[name])
    differences += [f"{name} holds other numbers" for name in changed]
    return [one_line(difference) for difference in differences]  # a file may name its weights as it likes


def _source_hashes(model: Path, member: str | None) -> dict[str, str]:
    with open_source(model, member) as source:
        return hashes(source)


def _converted_hashes(folder: Path) -> dict[str, str]:
    """The hashes of a converted model, by official names."""
    officials = inverse(table(HParams.load(folder / CONFIG_FILE)).weights)
    try:
        check_regular(folder / WEIGHTS_FILE)
        weights = safetensors.numpy.load_file(folder / WEIGHTS_FILE)
    except (OSError, KeyError, TypeError, safetensors.SafetensorError) as error:  # NumPy lacks some of its types
        raise BadInput(f"{folder / WEIGHTS_FILE}: expected weights in safetensors form, but {error}") from None
    return {officials.get(name, name): hash_of(value) for name, value in weights.items()}
