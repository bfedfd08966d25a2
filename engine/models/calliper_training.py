"""The two stages of CaLLiPer's training: aligning places with texts, then predicting the next location."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from engine.city.city import City, project
from engine.city.samples import Histories, Samples, VisitLog
from engine.layers.contrastive import normalised_score
from engine.models.base import Data
from engine.models.calliper_places import place_text, place_texts, samples_of
from engine.models.stage import Stage

if TYPE_CHECKING:
    from engine.models.calliper import CaLLiPer

SAME_PLACE_METRES = 10.0
"""A point of interest this near to a hidden place of its category is taken for that place under another id."""
_BLOCK_METRES = 2_000.0
_VALIDATION_SHARE = 0.1
_FEWEST_POINTS = 20
_STEPS_OF_A_SMALL_CITY = 50


@dataclass(frozen=True, eq=False)
class LabelledPoints:
    """Points with texts, for the pre-training.

    Attributes:
        xy: (point, 2) input of the position code, on the CPU.
        metres: (point, 2) centred metres.
        text: (point,) int64 row of `vectors`; equal rows mean equal texts.
        vectors: (text, dimension) frozen text vectors.
        names: Texts.
        part: (point,) 0 training, 1 validation at random, 2 validation by spatial block.
        withheld: Points of interest left out because they are hidden places.
    """

    xy: Tensor
    metres: np.ndarray
    text: Tensor
    vectors: Tensor
    names: list[str]
    part: np.ndarray
    withheld: int

    def loss(self, model: "CaLLiPer", chosen: Tensor) -> tuple[Tensor, Tensor]:
        """The contrastive loss of these points, and (point,) which of them share a text."""
        device, group = model.device, self.text[chosen]
        locations = model.location_encoder(self.xy[chosen])
        return model.alignment.loss(locations, self.vectors[group].to(device), group.to(device)), group


def labelled_points(model: "CaLLiPer", data: Data) -> LabelledPoints:
    """The points the location encoder learns from: all locations (and POIs, if asked for) that are not hidden."""
    log = samples_of(data).log
    places, config = log.places, model.config
    shown = ~log.hidden
    texts = [text for text, is_shown in zip(place_texts(places, config.use_names), shown, strict=True) if is_shown]
    metres = model.index.coordinates(places)[shown]
    degrees = np.stack([places.longitude, places.latitude], axis=1)[shown]
    withheld = 0
    if config.pretrain_on == "locations and pois" and data.city.has("pois"):
        pois = data.city.spatial("pois")
        is_hidden = _hidden_pois(pois, data.city, log)
        pois, withheld = pois[~is_hidden], int(is_hidden.sum())
        names = pois["name"].fillna("") if config.use_names and "name" in pois else [None] * len(pois)
        texts += [place_text(str(category), name or None) for category, name in zip(pois["category"], names, strict=True)]
        longitude, latitude = pois.geometry.x.to_numpy(), pois.geometry.y.to_numpy()
        x, y = project(data.city, longitude, latitude)
        metres = np.concatenate([metres, np.stack([x, y], axis=1) - np.asarray(model.index.origin)])
        degrees = np.concatenate([degrees, np.stack([longitude, latitude], axis=1)])
    names = sorted(set(texts))
    row = {text: at for at, text in enumerate(names)}
    xy = metres.astype(np.float32) if config.coordinate_unit == "metre" else degrees
    return LabelledPoints(
        xy=torch.from_numpy(xy),
        metres=metres,
        text=torch.tensor([row[text] for text in texts]),
        vectors=torch.from_numpy(model.index.encode(names)),
        names=names,
        part=_validation_parts(metres),
        withheld=withheld,
    )


def _hidden_pois(pois: gpd.GeoDataFrame, city: City, log: VisitLog) -> np.ndarray:
    """(poi,) bool: those that are places hidden from training, by their id or by standing where one of their category stands."""
    places, hidden = log.places, np.flatnonzero(log.hidden)
    found = pois["poi_id"].astype(str).isin(set(places.ids[hidden].astype(str))).to_numpy()
    if not len(hidden):
        return np.asarray(found)
    own = pois["category"].fillna("").astype(str).str.strip().str.lower().to_numpy()
    category = np.array([name.strip().lower() for name in places.category_names], object)[places.category[hidden]]
    points = np.stack(project(city, pois.geometry.x.to_numpy(), pois.geometry.y.to_numpy()), axis=1)
    near = cKDTree(np.stack([places.x, places.y], axis=1)[hidden]).query_ball_point(points, SAME_PLACE_METRES)
    return np.asarray(found | [bool((category[rows] == kind).any()) for rows, kind in zip(near, own, strict=True)])


def _validation_parts(metres: np.ndarray) -> np.ndarray:
    """A tenth of the points at random and a tenth as whole blocks, where neighbours cannot give the answer away."""
    if len(metres) < _FEWEST_POINTS:
        return np.zeros(len(metres), np.int64)  # too few to spare any
    generator = np.random.default_rng(0)
    block = np.floor(metres / _BLOCK_METRES).astype(np.int64)
    _, block = np.unique(block, axis=0, return_inverse=True)
    order = generator.permutation(block.max() + 1)
    filled = np.cumsum(np.bincount(block)[order])
    chosen = order[filled <= max(_VALIDATION_SHARE * len(metres), 1)]
    part = np.where(np.isin(block, chosen), 2, 0)
    inside = np.flatnonzero(part == 0)
    part[generator.choice(inside, max(int(_VALIDATION_SHARE * len(inside)), min(2, len(inside))), replace=False)] = 1
    return part


def pretraining_stage(model: "CaLLiPer", data: Data) -> Stage:
    """Contrastive pre-training of the location encoder and the text projection."""
    points = labelled_points(model, data)
    training = np.flatnonzero(points.part == 0)
    size = min(model.config.pretrain_batch, max(len(training), 1))
    steps = max(len(training) // size, 1)

    def batches(epoch: int, generator: np.random.Generator) -> Iterator[Tensor]:
        order = generator.permutation(training)
        for step in range(steps):
            yield torch.from_numpy(order[step * size : (step + 1) * size])

    def loss(batch: Tensor) -> Mapping[str, Tensor]:
        model.location_encoder.train()
        return {"total": points.loss(model, batch)[0]}

    def validate() -> Mapping[str, float]:
        scores = {"loss": contrastive_scores(model, points, 1, size)}
        scores["spatial block"] = contrastive_scores(model, points, 2, size)
        return {
            "loss": scores["loss"][0],
            "score": scores["loss"][1],
            "block_loss": scores["spatial block"][0],
            "block_score": scores["spatial block"][1],
        }

    parameters = [*model.location_encoder.parameters(), *model.alignment.parameters()]
    config = model.config
    return Stage(
        name="Align places with texts",
        parameters=parameters,
        batches=batches,
        batches_per_epoch=steps,
        loss=loss,
        validate=validate,
        monitor="loss",
        learning_rate=config.pretrain_rate,
        weight_decay=0.01,
        clip_norm=None,
        epochs=config.pretrain_epochs,
        patience=5,
    )


@torch.no_grad()
def contrastive_scores(model: "CaLLiPer", points: LabelledPoints, part: int, size: int) -> tuple[float, float]:
    """Mean loss and normalised score over the points of a part, in fixed batches.

    Returns:
        Loss in nats and the score between chance (0) and perfect knowledge of the texts (1); (0, 0) for fewer than two points.
    """
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(points.part == part))
    if len(chosen) < 2:
        return 0.0, 0.0
    model.location_encoder.eval()
    losses, scores, weights = [], [], []
    for begin in range(0, len(chosen), size):
        rows = torch.from_numpy(chosen[begin : begin + size])
        if len(rows) < 2:
            continue
        loss, group = points.loss(model, rows)
        value = float(loss)
        losses.append(value)
        scores.append(normalised_score(value, group))
        weights.append(len(rows))
    return float(np.average(losses, weights=weights)), float(np.average(scores, weights=weights))


@dataclass(frozen=True, eq=False)
class SequenceBatch:
    """Samples of one step, and the generator for what is drawn inside the model."""

    samples: Samples
    generator: np.random.Generator

    @cached_property
    def histories(self) -> Histories:
        """The packed batch."""
        return self.samples.histories()

    def part(self, chosen: np.ndarray) -> "SequenceBatch":
        """Some of the samples."""
        return SequenceBatch(self.samples[chosen], self.generator)


def sequence_stage(model: "CaLLiPer", samples: Samples) -> Stage:
    """Next-location training on the frozen location vectors."""
    training, validation = samples.of_part("train"), samples.of_part("valid")
    config = model.config
    size = min(config.batch, max(len(training) // _STEPS_OF_A_SMALL_CITY, 16), max(len(training), 1))
    steps = max(len(training) // size, 1)

    def batches(epoch: int, generator: np.random.Generator) -> Iterator[SequenceBatch]:
        order = generator.permutation(len(training))
        for step in range(steps):
            yield SequenceBatch(training[order[step * size : (step + 1) * size]], generator)

    def loss(batch: SequenceBatch) -> Mapping[str, Tensor]:
        if config.location_source == "calliper":
            model.location_encoder.eval()
        return {"total": model.sequence_loss(batch.histories, batch.generator)}

    def validate() -> Mapping[str, float]:
        return validation_metrics(model, validation if len(validation) else training)

    def split(batch: SequenceBatch, parts: int) -> list[tuple[float, SequenceBatch]]:
        count = len(batch.samples)
        cuts = [piece for piece in np.array_split(np.arange(count), min(parts, count)) if len(piece)]
        return [(len(cut) / count, batch.part(cut)) for cut in cuts]

    frozen = {id(parameter) for name in ("location_encoder", "alignment") for parameter in getattr(model, name, _none).parameters()}
    return Stage(
        name="Predict the next location",
        parameters=[parameter for parameter in model.parameters() if id(parameter) not in frozen],
        batches=batches,
        batches_per_epoch=steps,
        loss=loss,
        validate=validate,
        monitor="loss",
        clip_norm=1.0,
        **config.schedule(),
        minimum_improvement=1e-3,
        restarts=config.restarts,
        # Batch normalisation mixes the samples of a batch, so its parts are not the batch.
        split=None if config.head_norm == "batch" else split,
    )


_none = torch.nn.Module()


@torch.no_grad()
def validation_metrics(model: "CaLLiPer", samples: Samples, chunk: int = 512) -> dict[str, float]:
    """Loss over answerable targets and strict Acc@1, Acc@5 and MRR over all, model in evaluation mode."""
    total, answered, ranks = 0.0, 0, []
    for begin in range(0, len(samples), chunk):
        histories = samples.histories(slice(begin, begin + chunk))
        scores = model.predict(histories).log_probability
        assert histories.target is not None
        truth = scores[np.arange(len(scores)), histories.target]
        finite = np.isfinite(truth)
        total, answered = total - float(truth[finite].astype(np.float64).sum()), answered + int(finite.sum())
        rank = (scores > truth[:, None]).sum(1) + ((scores == truth[:, None]) & _earlier(scores, histories.target)).sum(1) + 1.0
        ranks.append(np.where(finite, rank, np.inf))
    rank = np.concatenate(ranks) if ranks else np.zeros(0)
    if not len(rank):
        return {"loss": 0.0, "acc@1": 0.0, "acc@5": 0.0, "mrr": 0.0}
    return {
        "loss": total / max(answered, 1),
        "acc@1": float((rank <= 1).mean()),
        "acc@5": float((rank <= 5).mean()),
        "acc@10": float((rank <= 10).mean()),
        "mrr": float((1 / rank).mean()),
        "ndcg@10": float(np.where(rank <= 10, 1 / np.log2(rank + 1), 0).mean()),
    }


def _earlier(scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.arange(scores.shape[1])[None] < target[:, None]
