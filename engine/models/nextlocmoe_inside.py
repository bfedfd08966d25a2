"""What NextLocMoE declares of its inside: its experts, what may be turned, and its embeddings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from engine.city.samples import Histories, Places
from engine.errors import ConfigError
from engine.layers.experts import RoleMixture
from engine.models.answers import PointAnswer
from engine.models.declarations import Embedding, ExpertSet, Knob
from engine.probes import watch

if TYPE_CHECKING:
    from engine.models.nextlocmoe import NextLocMoE

_TEXT = "text of "
_MODES = ("top_p", "topk", "dense", "released")


def declared_experts(model: "NextLocMoE") -> dict[str, ExpertSet]:
    """Function experts, then the role experts of each layer."""
    found = {}
    functions, roles, config = model.texts.functions, model.texts.roles, model.config
    if functions:
        found["functions"] = ExpertSet(
            title="Functions of places",
            routing="functions.routing",
            raw="functions.raw",
            names=functions.names,
            texts=functions.texts,
            steps="window" if config.functions_in_history else "latest",
            places=True,
            selection=config.function_choice.sentence(),
            vectors="function_experts",
            output="functions.output",
            meaning="Which functions the model reads into the place of each current visit, from its coordinates, time and history.",
        )
    for key in model.roles if roles else ():
        assert roles is not None
        number = key.removeprefix("layer_")
        found[f"roles_{number}"] = ExpertSet(
            title="Roles of people" + (f", layer {number}" if len(model.roles) > 1 else ""),
            routing=f"roles.{key}.routing",
            raw=f"roles.{key}.raw",
            names=roles.names,
            texts=roles.texts,
            steps="window",
            places=False,
            selection=model._choice().sentence(),
            vectors=f"role_experts_{number}",
            output=f"roles.{key}.output",
            inputs=f"roles.{key}.inputs",
            parts=("the visit", "the long history", "the texts of the experts"),
            meaning=f"Which roles the model reads into each visit in layer {number}, from the visit and the long history.",
        )
    return found


def declared_knobs(model: "NextLocMoE") -> dict[str, Knob]:
    """What may be turned without training."""
    choice, found = model.config.role_choice, {}
    if model.texts.roles:
        count = len(model.texts.roles)
        found = {
            "mode": Knob("Choice of roles", "How role experts are chosen from the router's weights.", choice.mode, choices=_MODES),
            "threshold": Knob(
                "Threshold", "Weight that the asked role experts hold together (top_p).", choice.threshold, lowest=0.05, highest=1.0
            ),
            "cap": Knob(
                "Most roles", "Role experts asked per visit, at most (top_p).", min(choice.cap, count), lowest=1, highest=count
            ),
            "count": Knob("Roles asked", "Role experts asked per visit (topk).", min(choice.count, count), lowest=1, highest=count),
        }
    if model.texts.roles or model.texts.functions:
        found["routers_read_history"] = Knob(
            "Routers read the history",
            "Off: the routers are told that there is no long history; the transformer still reads it.",
            model.config.router_reads_history,
        )
    found["transformer_reads_history"] = Knob(
        "Transformer reads the history",
        "Off: the transformer sees the current visits only; the routers still know the history.",
        True,
    )
    for name, text in zip(model.texts.roles.names, model.texts.roles.texts, strict=True) if model.texts.roles else ():
        found[_TEXT + name] = Knob(f"Text of {name}", "What the router reads about this role; nothing else changes.", text)
    return found


def checked_turns(model: "NextLocMoE", values: Mapping[str, Any]) -> dict[str, Any]:
    """What the model keeps of turned knobs.

    Raises:
        ConfigError: If there is no such knob, or a value is out of range.
    """
    knobs = declared_knobs(model)
    turned: dict[str, Any] = {}
    texts: dict[int, str] = {}
    for key, value in values.items():
        knob = knobs.get(key)
        if knob is None:
            offered = ", ".join(f"`{name}`" for name in knobs if not name.startswith(_TEXT))
            raise ConfigError(f"{model.title} has no `{key[:80]}` to turn; choose {offered} or the text of a role.")
        kinds = (int, float) if isinstance(knob.default, float) else (type(knob.default),)
        if not isinstance(value, kinds) or (isinstance(value, bool) and not isinstance(knob.default, bool)):
            raise ConfigError(f"`{key}` takes {type(knob.default).__name__} values, not {str(value)[:40]!r}.")
        if knob.choices and value not in knob.choices:
            raise ConfigError(f"`{key}` is one of {', '.join(knob.choices)}, not {str(value)[:40]!r}.")
        if knob.lowest is not None and knob.highest is not None and not knob.lowest <= float(value) <= knob.highest:
            raise ConfigError(f"`{key}` lies between {knob.lowest:g} and {knob.highest:g}, not at {value:g}.")
        if key.startswith(_TEXT):
            if not str(value).strip():
                raise ConfigError(f"The {key} must not be empty.")
            assert model.texts.roles is not None
            texts[model.texts.roles.names.index(key.removeprefix(_TEXT))] = str(value)
        else:
            turned[key] = value
    if texts:
        vectors = model._role_vectors().clone()
        vectors[list(texts)] = model.encode_roles(list(texts.values())).to(vectors)
        turned["role_vectors"] = vectors
    return turned


def declared_embeddings(model: "NextLocMoE", places: Places) -> dict[str, Embedding]:
    """Location vectors, hours, weekdays and experts."""
    view = model.view(places)
    found = {
        "location": Embedding(
            "Location vectors", "location", places.ids, _array(model.location_codes(view.xy)), "Made from coordinates alone."
        ),
        "hour": Embedding("Hours", "hour", np.arange(24), _array(model.hour.weight), "One trained vector per hour of the day."),
        "weekday": Embedding(
            "Weekdays", "weekday", np.arange(7), _array(model.weekday.weight), "One trained vector per weekday, from Monday."
        ),
    }
    if model.texts.functions:
        names = np.array(model.texts.functions.names, object)
        visited = view.xy[torch.from_numpy(np.flatnonzero(view.is_seen)).to(view.xy.device)]
        said = model.functions.answers_at(visited if len(visited) else view.xy)  # (place, function, feature)
        found["function_experts"] = Embedding(
            "Function experts", "function expert", names, _array(said.transpose(0, 1).mean(1)),
            "What each expert adds to a location vector, on average over the places of the training part.",
        )  # fmt: skip
    for key, module in model.roles.items():
        assert model.texts.roles is not None
        mixture = cast(RoleMixture, module)
        found[f"role_experts_{key.removeprefix('layer_')}"] = Embedding(
            f"Role experts, {key.replace('_', ' ')}", "role expert", np.array(model.texts.roles.names, object),
            isometric(_array(mixture.experts.likeness())),
            "How each expert changes the shared feed-forward; angles and lengths are those of the full matrices.",
        )  # fmt: skip
    return found


_SAID = {
    "regression": "Places are ranked by their distance from the point.",
    "mdn": "Places are ranked by how dense the guesses are where they lie; the point is the centre of the heaviest guess.",
    "pointer": "A return to a place of the history is weighed against the guesses; the point is the centre of the heaviest guess.",
}
_MIXTURE = ("head.mixture.weights", "head.mixture.centres", "head.mixture.spreads")


def declared_points(model: "NextLocMoE", histories: Histories) -> PointAnswer:
    """The predicted points, where they lay after each layer, and the Gaussians behind them where the head has some."""
    names = [name for name in _MIXTURE if name in model.probes()]
    count, scale, centre = len(histories), np.asarray(model.frame.scale), np.asarray(model.frame.centre)
    weight, at, spread = np.zeros((count, 0)), np.zeros((count, 0, 2)), np.zeros((count, 0))
    with watch(model, "layer_points", *names) as seen:
        points = model.predict_points(histories)
    if names:
        weight, at, spread = (seen[name][-1].to_numpy().astype(np.float64) for name in _MIXTURE)
    layers = seen["layer_points"][-1].to_numpy().astype(np.float64)  # (layer, sample, coordinate)
    return PointAnswer(
        x=points[:, 0],
        y=points[:, 1],
        component_x=at[..., 0] * scale[0] + centre[0],
        component_y=at[..., 1] * scale[1] + centre[1],
        component_weight=weight,
        component_spread_m=spread * model.frame.unit,
        layer_x=layers[..., 0].T * scale[0] + centre[0],
        layer_y=layers[..., 1].T * scale[1] + centre[1],
        meaning=_SAID[model.config.head],
    )


def isometric(products: np.ndarray) -> np.ndarray:
    """(item, component) float32 vectors whose inner products are the given (item, item) ones."""
    values, vectors = np.linalg.eigh(products.astype(np.float64))
    return (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)[:, ::-1].copy()


def _array(value: Tensor) -> np.ndarray:
    return value.detach().float().cpu().numpy()
