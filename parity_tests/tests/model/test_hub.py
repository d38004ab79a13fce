"""Models as repositories of the Hugging Face hub: saved with a card and a picture, read by an id."""

import json
from pathlib import Path

import pytest
import torch
from small_models import make

from pytorch_sketch_rnn.errors import BadInput
from pytorch_sketch_rnn.model.saved_model import WEIGHTS_FILE
from pytorch_sketch_rnn.model.sketch_rnn import SketchRNN

pytest.importorskip("huggingface_hub")
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from pytorch_sketch_rnn import hub


@pytest.fixture
def repository(tmp_path, monkeypatch) -> list:
    """A hub that has one repository, ``name/sheep``; the list says what was asked of it."""
    model = hub.SketchRNN(make().hparams, 1)
    model.save_pretrained(tmp_path / "snapshot")
    asked = []

    def snapshot_download(repo_id: str, **options: object) -> str:
        asked.append((repo_id, options))
        if repo_id != "name/sheep":
            raise LocalEntryNotFoundError("Cannot reach the hub\nmore lines")
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(hub, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    return asked


def weights(model: torch.nn.Module) -> dict:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    return all(map(torch.equal, weights(first).values(), weights(second).values()))


@pytest.mark.parametrize("cls", [SketchRNN, hub.SketchRNN])
def test_a_repository_is_read_where_a_folder_is(repository, tmp_path, cls):
    model = cls.from_pretrained("name/sheep", dtype=torch.float64)
    assert type(model) is cls
    assert same(model, SketchRNN.from_pretrained(tmp_path / "snapshot", dtype=torch.float64))
    ((name, options),) = repository
    assert name == "name/sheep"
    assert options["allow_patterns"] == ["config.json", "model.safetensors", "SHA256SUMS"]


def test_what_is_here_comes_first(repository, tmp_path):
    make().save_pretrained(tmp_path / "name/sheep")
    SketchRNN.from_pretrained("name/sheep")
    hub.SketchRNN.from_pretrained("name/sheep")
    (tmp_path / "models").mkdir()
    with pytest.raises(BadInput, match=r"config\.json"):
        SketchRNN.from_pretrained("models/none")  # a name beside others that are here
    assert repository == []


def test_options_of_the_hub_are_passed_on(repository):
    hub.SketchRNN.from_pretrained("name/sheep", revision="v2", local_files_only=True, backend="reference")
    options = repository[0][1]
    assert (options["revision"], options["local_files_only"]) == ("v2", True)


@pytest.mark.parametrize("cls", [SketchRNN, hub.SketchRNN])
def test_what_cannot_be_had_is_one_error(repository, cls):
    message = r"^name/none: no such folder, and cannot be had from the hub \(Cannot reach the hub\)$"
    with pytest.raises(BadInput, match=message):
        cls.from_pretrained("name/none")
    assert issubclass(RepositoryNotFoundError, OSError)  # of the same kind


def test_a_saved_model_has_a_card_and_a_picture(tmp_path):
    model = hub.SketchRNN(make().hparams, 1)
    model.scale_factor = 12.5
    assert model.save_pretrained(tmp_path / "sheep") is None
    names = sorted(path.name for path in (tmp_path / "sheep").iterdir())
    assert names == ["README.md", "config.json", "model.safetensors", "sketches.png"]
    card = (tmp_path / "sheep/README.md").read_text()
    assert card.startswith("---\nlibrary_name: pytorch-sketch-rnn\nlicense: unknown\n")
    assert "# sheep\n" in card
    assert "the scale factor, 12.5." in card
    assert "| dec_model | lstm |" in card
    assert "Not measured for this model" in card
    assert same(SketchRNN.from_pretrained(tmp_path / "sheep"), model)
    assert SketchRNN.from_pretrained(tmp_path / "sheep").scale_factor == 12.5


def test_a_card_of_its_owner_is_kept(tmp_path):
    (tmp_path / "sheep").mkdir()
    (tmp_path / "sheep/README.md").write_text("mine")
    hub.SketchRNN(make().hparams, 1).save_pretrained(tmp_path / "sheep")
    assert (tmp_path / "sheep/README.md").read_text() == "mine"


def test_the_card_has_what_its_owner_says_and_the_certificate(tmp_path):
    certificate = {"kind": "certificate of parity with magenta 2.1.4", "equal": True, "verdict": "EQUAL: 12 tensors."}
    (tmp_path / "certificate.json").write_text(json.dumps(certificate))
    more = {"name": "me/sheep", "license": "apache-2.0", "data": "sheep", "certificate": tmp_path / "certificate.json"}
    hub.SketchRNN(make(None).hparams, 1).save_pretrained(tmp_path / "sheep", model_card_kwargs=more)
    card = (tmp_path / "sheep/README.md").read_text()
    for part in (
        "license: apache-2.0",
        "# me/sheep",
        "It was trained on sheep.",
        "a decoder alone",
        "EQUAL: 12 tensors.",
    ):
        assert part in card
    for content in ('{"kind": 3}', "[]", json.dumps(certificate | {"equal": False})):
        (tmp_path / "certificate.json").write_text(content)
        with pytest.raises(BadInput, match="expected a certificate of parity that says equal"):
            hub.SketchRNN(make().hparams, 1).save_pretrained(tmp_path / "other", model_card_kwargs=more)
        assert not (tmp_path / "other").exists()


def test_what_is_pushed_is_what_is_saved(tmp_path, monkeypatch):
    uploaded = {}

    class Api:
        def __init__(self, token: object = None) -> None:
            pass

        def create_repo(self, repo_id: str, **_: object):
            return type("Repo", (), {"repo_id": repo_id})

        def upload_folder(self, repo_id: str, folder_path: Path, **_: object) -> str:
            uploaded[repo_id] = sorted(path.name for path in Path(folder_path).iterdir())
            uploaded["weights"] = (Path(folder_path) / WEIGHTS_FILE).read_bytes()
            uploaded["card"] = (Path(folder_path) / "README.md").read_text()
            return "an address"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    model = hub.SketchRNN(make().hparams, 1)
    assert model.save_pretrained(tmp_path / "sheep", push_to_hub=True, repo_id="me/sheep") == "an address"
    assert uploaded["me/sheep"] == ["README.md", "config.json", "model.safetensors", "sketches.png"]
    assert 'from_pretrained("me/sheep")' in uploaded["card"]
    assert model.train().push_to_hub("you/sheep") == "an address"
    assert 'from_pretrained("you/sheep")' in uploaded["card"]
    assert model.training
    assert uploaded["weights"] == (tmp_path / "sheep" / WEIGHTS_FILE).read_bytes()


def test_the_card_says_how_parity_is_measured_or_why_it_cannot_be(tmp_path):
    hparams = make(dec_model="layer_norm").hparams
    hub.SketchRNN(hparams, 1).save_pretrained(tmp_path / "sheep")
    assert "`python -m weight_port export MODEL DIR --format tf`" in (tmp_path / "sheep/README.md").read_text()
    hub.SketchRNN(hparams.replace(layer_norm_epsilon=1e-5), 1).save_pretrained(tmp_path / "other")
    card = (tmp_path / "other/README.md").read_text()
    assert "Magenta's code cannot compute this model: layer_norm_epsilon=1e-05." in card
    assert hub.SketchRNN.from_pretrained(tmp_path / "other").decoder.cell.ln_c.epsilon == 1e-5
    certified = {"certificate": tmp_path / "certificate.json"}
    with pytest.raises(BadInput, match=r"certificate\.json: is of another model; Magenta's code cannot compute this"):
        hub.SketchRNN(hparams.replace(layer_norm_epsilon=1e-5), 1).save_pretrained(
            tmp_path / "third", model_card_kwargs=certified
        )
