"""Failure detectors of NextLocMoE (specification §14): measured after training on the validation part, saved with the run."""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from engine.city.samples import Histories, Places, Samples
from engine.layers.experts import RoleMixture
from engine.models.declarations import DEAD_SHARE, Warned
from engine.probes import override, watch

if TYPE_CHECKING:
    from engine.models.nextlocmoe import NextLocMoE

_MOST_SAMPLES = 1_000
_CELL_M = 500.0
"""Edge of the paper's cells in metres, and of those this engine draws unless told otherwise."""


def check_routing_and_points(model: "NextLocMoE", samples: Samples) -> list[Warned]:
    """Experts that collapse, die, agree or see one diagonal; points that drift, shrink or miss all places; inputs unused or telling."""
    validation = samples.of_part("valid")
    validation = validation if len(validation) else samples.of_part("train")
    if not len(validation):
        return []
    chosen = np.unique(np.linspace(0, len(validation) - 1, min(len(validation), _MOST_SAMPLES)).astype(np.int64))
    histories = validation.histories(chosen)
    sets = model.experts()
    names = [probe for found in sets.values() for probe in (found.raw, found.routing)]
    if names:
        with watch(model, *names) as seen:
            points = model.predict_points(histories)
    else:
        seen, points = {}, model.predict_points(histories)
    warned = []
    places = histories.places
    assert histories.target is not None
    truth = np.stack([places.x, places.y], axis=1)[histories.target]
    error = float(np.hypot(*(points - truth).T).mean())
    for found in sets.values():
        # The latest visit answers: experts that only other visits of the window ask are as good as dead.
        raw, used = (seen[probe][-1].to_numpy()[:, -1] for probe in (found.raw, found.routing))
        asked = raw.sum(1) > 0
        raw, used = raw[asked], used[asked]
        count, load = raw.shape[1], used.sum(0) / max(used.sum(), 1e-12)
        undecided, even = _entropy(raw).mean(), _entropy(raw.mean(0))
        most = float(np.log(count))
        title = found.title.lower()
        warned += [
            Warned(
                f"one expert takes all: {title}",
                bool(load.max() > 0.9 or even < 0.3 * most),
                float(load.max()),
                0.9,
                f"Largest share of the used weights of one expert ({found.names[int(load.argmax())]}); evenness of the mean weights is "
                f"{even:.2f} of {most:.2f} nats.",
            ),
            Warned(
                f"dead experts: {title}",
                bool((load < DEAD_SHARE).mean() > 0.5),
                float((load < DEAD_SHARE).mean()),
                0.5,
                f"Share of experts with less than {DEAD_SHARE:.0%} of the used weights.",
            ),
            Warned(
                f"undecided router: {title}",
                bool(undecided > 0.95 * most),
                float(undecided),
                0.95 * most,
                "Mean entropy of the router's weights per visit, in nats; near the threshold it asks all experts alike.",
            ),
        ]
    for key, found in sets.items():
        if found.places:
            continue
        mixture = cast(RoleMixture, model.roles[f"layer_{key.removeprefix('roles_')}"])
        products = mixture.experts.likeness().detach().cpu().numpy()
        lengths = np.sqrt(np.maximum(np.diag(products), 1e-24))
        cosine = products / np.outer(lengths, lengths)
        mean_cosine = float(cosine[~np.eye(len(cosine), dtype=bool)].mean())
        shift = _forced_shift(model, found.routing, len(found.names), validation, chosen)
        warned += [
            Warned(
                f"experts alike: {found.title.lower()}",
                mean_cosine > 0.95,
                mean_cosine,
                0.95,
                "Mean cosine between the experts' changes of the shared feed-forward.",
            ),
            Warned(
                f"experts without effect: {found.title.lower()}",
                shift < 0.01 * error,
                shift,
                0.01 * error,
                "How far the predicted point moves when one expert is forced on every visit, in metres, mean over experts.",
            ),
        ]
    if model.config.function_experts:
        warned.append(_check_diagonal(model, places))
    return warned + _check_points(model, points, truth, histories) + _check_inputs(model, histories)


def _check_diagonal(model: "NextLocMoE", places: Places) -> Warned:
    """As published, function experts start as functions of x + y, and may never learn to tell north-west from south-east."""
    view = model.view(places)
    xy = view.xy[torch.from_numpy(view.is_seen).to(view.xy.device)]
    with torch.no_grad():
        said = model.functions.answers_at(xy)  # (place, function, feature)
    said, along = said - said.mean(0), xy.sum(1) - xy.sum(1).mean()
    explained = torch.einsum("pfw,p->fw", said, along).square().sum(1)
    alike = float((explained / (along.square().sum() * said.square().sum((0, 2))).clamp_min(1e-12)).sqrt().mean())
    return Warned(
        "functions see one diagonal",
        alike > 0.95,
        alike,
        0.95,
        "Correlation of what function experts say about the places with x + y, mean over experts; near one they tell places apart "
        "along one diagonal of the city only.",
    )


def _check_points(model: "NextLocMoE", points: np.ndarray, truth: np.ndarray, histories: Histories) -> list[Warned]:
    places = histories.places
    x, y, margin = places.x, places.y, 0.05
    width, height = max(float(np.ptp(x)), 1.0), max(float(np.ptp(y)), 1.0)
    outside = (
        (points[:, 0] < x.min() - margin * width)
        | (points[:, 0] > x.max() + margin * width)
        | (points[:, 1] < y.min() - margin * height)
        | (points[:, 1] > y.max() + margin * height)
    ).mean()
    unit = model.frame.unit
    bias = float(np.hypot(*(points - truth).mean(0)) / unit)
    spread = float(points.var(0).sum() / max(truth.var(0).sum(), 1e-9))
    centred = points - np.asarray(model.frame.centre)
    snap = float(np.quantile(model.view(places).retrieval.nearest(centred, 1)[1], 0.95))
    return [
        Warned(
            "points outside the city",
            bool(outside > 0.01),
            float(outside),
            0.01,
            "Share of predicted points more than a twentieth of the city's size outside the box of its places.",
        ),
        Warned("points off to one side", bias > 0.2, bias, 0.2, "Length of the mean residual, in city scales."),
        Warned(
            "points shrink to the centre",
            spread < 0.3,
            spread,
            0.3,
            "Variance of the predicted points over that of the places visited; small where the model answers the middle of the city.",
        ),
        Warned(
            "points far from any place",
            snap > 3 * _CELL_M,
            snap,
            3 * _CELL_M,
            f"Distance from predicted point to the nearest place, 95th percentile, in metres, against three cells of {_CELL_M:.0f} m.",
        ),
    ]


def _check_inputs(model: "NextLocMoE", histories: Histories) -> list[Warned]:
    sequence = model.predict(histories).log_probability
    with model.turned(transformer_reads_history=False):
        without = model.predict(histories).log_probability
    change = float(np.abs(np.exp(sequence) - np.exp(without)).sum(1).mean() / 2)
    found = [
        Warned(
            "history ignored",
            change < 0.01,
            change,
            0.01,
            "Share of probability that moves to other places when the transformer is not shown the long history.",
        )
    ]
    if not model.config.mask_last_duration:
        lasts = histories.duration_minutes.copy()
        lasts[histories.last] = np.nan
        hidden = model.predict(replace(histories, duration_minutes=lasts)).log_probability
        hits, hits_hidden = (float((scores.argmax(1) == histories.target).mean()) for scores in (sequence, hidden))
        found.append(
            Warned(
                "the last duration gives the answer away",
                abs(hits - hits_hidden) > 0.05,
                abs(hits - hits_hidden),
                0.05,
                "How much Acc@1 changes when it is hidden how long the latest visit lasted, which tells when the next one comes.",
            )
        )
    return found


def _forced_shift(model: "NextLocMoE", probe: str, experts: int, samples: Samples, chosen: np.ndarray) -> float:
    """Metres the predicted point moves, in the mean over experts and samples, when one role expert is forced everywhere."""
    histories = samples.histories(chosen[:200])
    before = model.predict_points(histories)
    moved = []
    for expert in range(experts):

        def force(value: torch.Tensor, expert: int = expert) -> torch.Tensor:
            return torch.zeros_like(value).index_fill(-1, torch.tensor([expert], device=value.device), 1.0)

        with override(model, {probe: force}):
            moved.append(np.hypot(*(model.predict_points(histories) - before).T).mean())
    return float(np.mean(moved))


def _entropy(weights: np.ndarray) -> np.ndarray:
    return -(weights * np.log(np.maximum(weights, 1e-12))).sum(-1)
