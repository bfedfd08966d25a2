"""The folder of a trained model in the layout of the Hugging Face hub: config, safetensors, vocabularies, model card. No pickle."""

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import torch
import yaml

import engine
from engine import faults, store
from engine.city.city import City
from engine.errors import RunError
from engine.models.base import MobilityModel
from engine.runs.building import fingerprint
from engine.runs.request import RunRequest
from engine.training.weights import read_weights, sha256, write_weights

FORMAT_VERSION = 1


def write_model(folder: Path, model: MobilityModel, request: RunRequest, city: City, headline: dict[str, float]) -> str:
    """Writes the model's folder, whole or not at all.

    Returns:
        The sha256 of the weights.
    """
    building = folder.with_name(f".tmp-{uuid.uuid4().hex[:12]}")
    try:
        building.mkdir(parents=True)
        write_weights(building / "model.safetensors", model.state_dict())
        weights = sha256(building / "model.safetensors")
        artefacts = model.artefacts()
        store.write_json(building / "artefacts.json", artefacts)
        store.write_json(
            building / "config.json",
            {
                "model_type": f"mobiscope-{model.name}",
                "architectures": [type(model).__name__],
                "format_version": FORMAT_VERSION,
                "mobiscope_version": engine.__version__,
                "torch_version": torch.__version__,
                "settings": model.config.model_dump(mode="json"),
                "split": request.split.model_dump(mode="json"),
                "seed": request.seed,
                "city": city.name,
                "city_fingerprint": city.fingerprint,
                "artefacts_sha256": fingerprint(artefacts),
                "weights_sha256": weights,
            },
        )
        store.write_text(building / "README.md", model_card(model, request, city, headline))
        faults.point("run.model")
        if folder.exists():
            folder.rename(folder.with_name(f".old-{uuid.uuid4().hex[:12]}"))
        building.rename(folder)
        for old in folder.parent.glob(".old-*"):
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return weights


def read_model(folder: Path, model: MobilityModel, city: City) -> None:
    """Gives a freshly built model the weights of a folder.

    Raises:
        RunError: If the folder is of a newer format, another city or other vocabularies, or its weights were exchanged.
    """
    config = read_config(folder)
    if config["city_fingerprint"] != city.fingerprint:
        raise RunError(
            f"The model was trained on city data {config['city_fingerprint'][:12]}…, but `{city.name}` is {city.fingerprint[:12]}…."
        )
    built = fingerprint(json.loads(json.dumps(model.artefacts(), default=str)))
    if config["artefacts_sha256"] != built:
        saved = store.read_json(folder / "artefacts.json") if (folder / "artefacts.json").is_file() else {}
        if changed := model.changes_since(saved):
            raise RunError(f"{changed} Undo that, or train the model again.")
        raise RunError(
            f"The vocabularies or encoders of this model are not those it was trained with (saved "
            f"{config['artefacts_sha256'][:12]}…, built now {built[:12]}…; made by Mobiscope {config['mobiscope_version']}, this "
            f"is {engine.__version__}). Train it again."
        )
    path = folder / "model.safetensors"
    if path.is_file() and sha256(path) != config["weights_sha256"]:
        raise RunError("`model.safetensors` is not the file that was saved with this run; it is not opened.")
    model.load_state_dict(read_weights(path, model.state_dict()))
    model.eval()


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a model folder.

    Raises:
        RunError: If it is absent, damaged or of a newer format.
    """
    try:
        config = store.read_json(folder / "config.json")
        version = config["format_version"]
        lacking = {"city_fingerprint", "artefacts_sha256", "weights_sha256", "mobiscope_version"} - set(config)
    except (store.MobiscopeError, KeyError, TypeError):
        raise RunError("The model of this run is missing or damaged. Train it again.") from None
    if version > FORMAT_VERSION:
        raise RunError(
            f"This model was saved by a newer Mobiscope ({config.get('mobiscope_version', 'unknown')}, format {version}; this is "
            f"{engine.__version__}, format {FORMAT_VERSION}). Update Mobiscope to open it."
        )
    if lacking:
        raise RunError(f"The model's `config.json` lacks {', '.join(sorted(lacking))}. Train it again.")
    return dict(config)


def model_card(model: MobilityModel, request: RunRequest, city: City, headline: dict[str, float]) -> str:
    """A model card: YAML header as the hub reads it, then what it is, what it learnt from and how it did."""
    header = {
        "library_name": "mobiscope",
        "tags": ["human-mobility", model.task.replace("_", "-")],
        "model-index": [
            {
                "name": model.name,
                "results": [
                    {
                        "task": {"type": model.task.replace("_", "-")},
                        "dataset": {"name": city.name, "type": "visits"},
                        "metrics": [{"type": name, "value": round(value, 6)} for name, value in headline.items()],
                    }
                ],
            }
        ],
    }
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in headline.items())
    return (
        f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n\n"
        f"# {model.title}\n\n{model.paper}\n\n"
        f"Trained by Mobiscope {engine.__version__} on the city `{city.name}` (data {city.fingerprint[:12]}…), preset "
        f"`{request.preset}`, seed {request.seed}, split `{request.split.kind}`. The weights are "
        f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters in safetensors; `config.json` holds every "
        "setting, `artefacts.json` the vocabularies.\n\n"
        "Over all samples of the test part:\n\n"
        f"| metric | value |\n|---|---|\n{rows}\n\n"
        "A model trained on traces of people can remember them: treat its weights as you treat the data.\n"
    )
