"""Failure detectors of CaLLiPer: measured after training, saved with the run, shown beside its pictures."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.spatial import ConvexHull, QhullError, cKDTree

from engine.city.samples import Samples
from engine.layers.position import METRES_PER_DEGREE
from engine.models.base import Data
from engine.models.calliper_places import samples_of
from engine.models.calliper_training import SAME_PLACE_METRES, contrastive_scores, labelled_points
from engine.models.declarations import Warned

if TYPE_CHECKING:
    from engine.models.calliper import CaLLiPer

_NEIGHBOURS = 10
_MOST_POINTS = 4_000
_MOST_SAMPLES = 4_000


def check_location_encoder(model: "CaLLiPer", data: Data) -> list[Warned]:
    """Collapse, random cloud, weak alignment, overfitting to coordinates, resolution, and places far outside the training area."""
    points = labelled_points(model, data)
    if len(points.metres) < 3:
        return []
    model.location_encoder.eval()
    with torch.no_grad():
        vectors = model.location_encoder(points.xy).cpu().numpy()
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    count = len(unit)
    mean_cosine = float((np.square(unit.sum(0)).sum() - count) / max(count * (count - 1), 1))
    spread = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False) ** 2
    share = spread / max(spread.sum(), 1e-12)
    rank = float(np.exp(-(share * np.log(np.maximum(share, 1e-12))).sum()))
    text = points.text.numpy()
    purity, by_chance = _purity(unit, text)
    size = min(model.config.pretrain_batch, count)
    in_training = contrastive_scores(model, points, 0, size)[1]
    at_random, in_blocks = contrastive_scores(model, points, 1, size)[1], contrastive_scores(model, points, 2, size)[1]
    gap = 100 * (_probe_accuracy(unit, text, points.part, 1) - _probe_accuracy(unit, text, points.part, 2))
    nearest = float(np.median(cKDTree(points.metres).query(points.metres, k=2)[0][:, 1]))
    latitude = float(np.mean(samples_of(data).log.places.latitude))
    likeness = float(model.location_encoder.positions.kernel(torch.tensor([nearest]), latitude)[0])
    outside = _outside(model, data)
    return [
        Warned(
            "collapse",
            mean_cosine > 0.9,
            mean_cosine,
            0.9,
            "Mean cosine between location vectors. Near 1, all places look the same to the sequence model.",
        ),
        Warned(
            "few dimensions in use",
            rank < 8,
            rank,
            8.0,
            "Effective number of dimensions of the location vectors (exponential of the entropy of their variances).",
        ),
        Warned(
            "random cloud",
            purity < 1.3 * by_chance,
            purity / max(by_chance, 1e-12),
            1.3,
            "How much more often than by chance the nearest vectors share a place's category.",
        ),
        Warned(
            "weak alignment",
            at_random < 0.1,
            at_random,
            0.1,
            "Contrastive score on places left out at random: 0 is chance, 1 is perfect knowledge of the categories.",
        ),
        Warned(
            "alignment learnt by heart",
            in_training - in_blocks > 0.2,
            in_training - in_blocks,
            0.2,
            "Contrastive score on training places minus that on blocks of the city left out as a whole.",
        ),
        Warned(
            "categories tied to coordinates",
            gap > 20,
            gap,
            20.0,
            "Points of accuracy that naming a place's category loses from places left out at random to whole blocks left out.",
        ),
        Warned(
            "neighbours not told apart",
            likeness > 0.995,
            likeness,
            0.995,
            f"Likeness of the inputs of two places {nearest:.0f} m apart, the median distance to the nearest place.",
        ),
        Warned(
            "places outside the training area",
            outside > 0,
            outside,
            0.0,
            "Share of places outside the hull of the training places by over a quarter of the largest radius.",
        ),
        *_withheld(points.withheld),
    ]


def _withheld(count: int) -> list[Warned]:
    """How many points of interest were kept from the pre-training because they are hidden places; nothing where none was."""
    meaning = (
        "Points of interest left out of the pre-training because they are places hidden from training: of the same id, or of the same "
        f"category within {SAME_PLACE_METRES:.0f} m. A count, not a fault."
    )
    return [Warned("hidden places among the points of interest", False, float(count), 0.0, meaning)] if count else []


def check_predictor(model: "CaLLiPer", samples: Samples) -> list[Warned]:
    """Popularity collapse, copying without exploring, and what unseen places in the history cost, on the validation part."""
    validation = samples.of_part("valid")
    if not len(validation):
        return []
    chosen = np.linspace(0, len(validation) - 1, min(len(validation), _MOST_SAMPLES)).astype(np.int64)
    top, hit, returns, touches, entropy = [], [], [], [], []
    for begin in range(0, len(chosen), 512):
        histories = validation.histories(chosen[begin : begin + 512])
        assert histories.target is not None
        scores = model.predict(histories).log_probability
        owner = np.repeat(np.arange(len(histories)), histories.lengths)
        seen = samples.log.seen
        returns.append(np.bincount(owner, histories.location == histories.target[owner], len(histories)) > 0)
        touches.append(np.bincount(owner, ~seen[histories.location], len(histories)) > 0)
        top.append(scores.argmax(1))
        hit.append(top[-1] == histories.target)
        entropy.append(-(np.exp(scores) * np.maximum(scores, -80)).sum(1))
    answers, right = np.concatenate(top), np.concatenate(hit)
    is_return, is_new = np.concatenate(returns), np.concatenate(touches)
    favourite = np.bincount(answers).argmax()
    share = float((answers == favourite).mean())
    frequency = float((validation[chosen].true_location == favourite).mean())
    on_return = float(right[is_return].mean()) if is_return.any() else 0.0
    on_explore = float(right[~is_return].mean()) if (~is_return).any() else 0.0
    clean = float(right[~is_new].mean()) if (~is_new).any() else 0.0
    drop = clean - float(right[is_new].mean()) if is_new.any() else 0.0
    uncertainty, undecided = float(np.mean(np.concatenate(entropy))), float(0.9 * np.log(len(samples.log.places)))
    return [
        Warned(
            "popularity collapse",
            share > 3 * max(frequency, 1 / len(answers)),
            share / max(frequency, 1 / len(answers)),
            3.0,
            "How many times more often one place is answered first than it is visited.",
        ),
        Warned(
            "undecided head",
            uncertainty > undecided,
            uncertainty,
            undecided,
            "Mean entropy of the answers in nats; near the logarithm of the number of places the model knows nothing.",
        ),
        Warned(
            "copies, does not explore",
            on_explore < 0.01 and on_return > 0.2,
            on_explore,
            0.01,
            f"Acc@1 where the next place is not in the history; it is {on_return:.1%} where it is.",
        ),
        Warned(
            "unseen places in the history",
            drop > 0.1,
            drop,
            0.1,
            "Acc@1 that is lost where the history holds a place nobody visited in training.",
        ),
    ]


def _purity(unit: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Share of nearest neighbours with the same label, and the same for labels dealt at random."""
    generator = np.random.default_rng(0)
    chosen = generator.permutation(len(unit))[:_MOST_POINTS]
    near = min(_NEIGHBOURS, len(unit) - 1)
    _, neighbours = cKDTree(unit).query(unit[chosen], k=near + 1)
    shuffled = generator.permutation(label)
    return tuple(float((values[neighbours[:, 1:]] == values[chosen][:, None]).mean()) for values in (label, shuffled))  # type: ignore[return-value]


def _probe_accuracy(unit: np.ndarray, label: np.ndarray, part: np.ndarray, judged: int) -> float:
    """Accuracy of naming a place's category by a vote of its nearest training places."""
    learnt, asked = part == 0, part == judged
    if not learnt.any() or not asked.any():
        return 0.0
    near = min(_NEIGHBOURS, int(learnt.sum()))
    _, neighbours = cKDTree(unit[learnt]).query(unit[asked], k=near)
    votes = label[learnt][neighbours.reshape(int(asked.sum()), near)]
    named = np.array([np.bincount(row).argmax() for row in votes])
    return float((named == label[asked]).mean())


def _outside(model: "CaLLiPer", data: Data) -> float:
    """Share of all places that lie farther outside the hull of the training places than a quarter of the largest radius."""
    log = samples_of(data).log
    metres = model.index.coordinates(log.places)
    unit = METRES_PER_DEGREE if model.config.coordinate_unit == "degree" else 1.0
    tolerated = model.config.largest_radius * unit / 4
    try:
        hull = ConvexHull(metres[log.seen])
    except (QhullError, ValueError):
        return 0.0
    beyond = (metres @ hull.equations[:, :2].T + hull.equations[:, 2]).max(1)  # metres outside the farthest face
    return float((beyond > tolerated).mean())
