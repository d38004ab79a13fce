"""Models on the Hugging Face hub: ``SketchRNN`` with the methods of ``huggingface_hub``'s mixin, and a model card.

A repository is a folder as ``SketchRNN.save_pretrained`` writes it, with a card and a picture. This module needs the
extra ``hub``. Without it, ``SketchRNN.from_pretrained`` still reads folders.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import ModelCard, ModelHubMixin, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from pytorch_sketch_rnn.checksums import CHECKSUMS_FILE
from pytorch_sketch_rnn.data.saving import save_drawing
from pytorch_sketch_rnn.errors import BadInput, printable
from pytorch_sketch_rnn.files import atomic_path
from pytorch_sketch_rnn.json_file import read_json
from pytorch_sketch_rnn.model import sketch_rnn
from pytorch_sketch_rnn.model.draws import TorchDraws
from pytorch_sketch_rnn.model.sampling import sample_batch
from pytorch_sketch_rnn.model.saved_model import CONFIG_FILE, WEIGHTS_FILE

CARD, PICTURE = "README.md", "sketches.png"
_FILES = (CONFIG_FILE, WEIGHTS_FILE, CHECKSUMS_FILE)
_DRAWN, _TEMPERATURE = 12, 0.4
_CERTIFICATE = re.compile(r"certificate of parity with .{1,60}")
_PAPER = "https://arxiv.org/abs/1704.03477"


def fetch(repo_id: str, **options: Any) -> Path:
    """The folder of a repository's model, downloaded to the hub's cache.

    Args:
        repo_id: such as ``name/model``.
        options: of ``huggingface_hub.snapshot_download``: ``revision``, ``token``, ``cache_dir``, ``force_download``,
            ``local_files_only``.

    Raises:
        BadInput: when there is no such repository, or it cannot be downloaded.
    """
    try:
        return Path(snapshot_download(repo_id, allow_patterns=list(_FILES), **options))
    except HFValidationError:
        raise BadInput(f"{repo_id}: no such folder, and no name of a repository on the hub") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise BadInput(f"{repo_id}: no such folder, and cannot be had from the hub ({reason[0]})") from None


class SketchRNN(ModelHubMixin, sketch_rnn.SketchRNN):
    """:class:`pytorch_sketch_rnn.SketchRNN` with ``push_to_hub``, and a card in every folder that it saves.

    ``save_pretrained`` and ``push_to_hub`` take ``model_card_kwargs``, which may have ``name``, ``license``, ``data``
    (what it was trained on) and ``certificate`` (the path of a ``certificate.json`` of ``parity_tests verify``).
    """

    def save_pretrained(  # type: ignore[override]  # more arguments, as the mixin's
        self,
        folder: Path | str,
        *,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Write the model, a picture of what it draws, and a card, unless the folder has one.

        Args:
            folder: see :meth:`pytorch_sketch_rnn.SketchRNN.save_pretrained`.
            repo_id: of the repository; None: the folder's name.
            push_to_hub: whether to upload it as well.
            model_card_kwargs: see the class.
            push_to_hub_kwargs: of ``push_to_hub``.

        Returns:
            The address of the commit on the hub, or None.

        Raises:
            BadInput: when a file cannot be written, or the certificate cannot be read.
        """
        folder = Path(folder)
        described = {"name": repo_id or folder.name} | dict(model_card_kwargs or {})
        text = card_text(self, **described)
        sketch_rnn.SketchRNN.save_pretrained(self, folder)
        training = self.training
        drawn = sample_batch(self.eval(), _DRAWN, temperature=_TEMPERATURE, draws=TorchDraws(_generator(self)))
        self.train(training)
        save_drawing(folder / PICTURE, drawn, columns=6)
        if not (folder / CARD).exists():
            with atomic_path(folder / CARD) as temporary:
                temporary.write_text(text, encoding="utf-8")
        if not push_to_hub:
            return None
        name = folder.name if repo_id is None else repo_id
        push_to_hub_kwargs.pop("config", None)
        return str(self.push_to_hub(name, model_card_kwargs=described, **push_to_hub_kwargs))

    @classmethod
    def from_pretrained(  # type: ignore[override]  # more arguments, as the mixin's
        cls,
        folder: Path | str,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: Path | str | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **options: Any,
    ) -> Self:
        """Read a folder, or a repository of the hub.

        Args:
            folder: a folder, or the id of a repository, such as ``name/model``.
            force_download, token, cache_dir, local_files_only, revision: of ``huggingface_hub``.
            options: of :meth:`pytorch_sketch_rnn.SketchRNN.from_pretrained`.

        Raises:
            BadInput: when the model cannot be had or used.
        """
        if not os.path.lexists(folder):
            folder = fetch(
                str(folder),
                force_download=force_download,
                token=token,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                revision=revision,
            )
        # not by the mixin's constructor, which would read the hyperparameters as arguments
        return sketch_rnn.SketchRNN.from_pretrained.__func__(cls, folder, **options)  # type: ignore[attr-defined, no-any-return]

    def push_to_hub(self, repo_id: str, *, model_card_kwargs: dict[str, Any] | None = None, **options: Any) -> str:
        """Upload the model, its picture and its card; see ``ModelHubMixin.push_to_hub``.

        Returns:
            The address of the commit.
        """
        described = {"name": repo_id} | dict(model_card_kwargs or {})
        return str(super().push_to_hub(repo_id, model_card_kwargs=described, **options))

    def generate_model_card(self, *_: Any, **described: Any) -> ModelCard:
        """The card that :meth:`save_pretrained` writes."""
        return ModelCard(card_text(self, **described))


def card_text(
    model: sketch_rnn.SketchRNN,
    *,
    name: str = "a model",
    license: str = "unknown",
    data: str | None = None,
    certificate: Path | str | None = None,
) -> str:
    """A model card in Markdown.

    Args:
        model: the model.
        name: of the model.
        license: of the model, an identifier of the hub such as ``apache-2.0``.
        data: what it was trained on.
        certificate: a file that ``python -m parity_tests verify`` wrote for it.

    Raises:
        BadInput: when the certificate cannot be read.
    """
    hparams = model.hparams
    rows = [f"| {key} | {printable(value)} |" for key, value in hparams.to_dict().items()]
    kind = "encodes and draws" if hparams.conditional else "draws (a decoder alone)"
    given = "  # strokes: stroke-3 [n, 3], offsets divided by the scale factor"
    use = "model.reconstruct(strokes)" if hparams.conditional else "model.complete(strokes, 5)"
    trained = f"It was trained on {data}. " if data else ""
    scale = "not known" if model.scale_factor is None else f"{model.scale_factor:.6g}"
    return f"""---
library_name: pytorch-sketch-rnn
license: {license}
tags:
- sketch-rnn
- vector-graphics
- drawing
---
# {name}

A [Sketch-RNN]({_PAPER}) that {kind} vector sketches, stroke by stroke. {trained}Offsets of its data are its own times
the scale factor, {scale}.

![What it draws at temperature {_TEMPERATURE}]({PICTURE})

```python
from pytorch_sketch_rnn import SketchRNN, sample_batch, save_drawing

model = SketchRNN.from_pretrained("{name}")
save_drawing("new.svg", sample_batch(model, 12, temperature=0.4))
{use}{given}
```

## Parity with Magenta

{_parity(certificate, hparams.not_magentas)}

## Hyperparameters

| name | value |
|---|---|
{chr(10).join(rows)}
"""


def _parity(certificate: Path | str | None, not_magentas: Mapping[str, Any]) -> str:
    if not_magentas:
        reason = "Magenta's code cannot compute this model: "
        reason += ", ".join(f"{name}={value:g}" for name, value in not_magentas.items())
        if certificate is not None:
            raise BadInput(f"{certificate}: is of another model; {reason}")
        return f"{reason}."
    if certificate is None:
        return (
            "Not measured for this model. `python -m weight_port export MODEL DIR --format tf` and then "
            "`python -m parity_tests verify DIR` do, and write a certificate."
        )
    content = read_json(Path(certificate), "a certificate.json that parity_tests verify wrote")
    content = content if isinstance(content, dict) else {}
    kind, verdict, equal = content.get("kind"), content.get("verdict"), content.get("equal")
    if not (isinstance(kind, str) and _CERTIFICATE.fullmatch(kind) and isinstance(verdict, str)) or equal is not True:
        raise BadInput(f"{certificate}: expected a certificate of parity that says equal, found another file")
    return f"`parity_tests verify` compared this model with the official code ({kind}): {printable(verdict)}"


def _generator(model: sketch_rnn.SketchRNN) -> torch.Generator:
    return torch.Generator(model.decoder.output_w.device).manual_seed(0)
