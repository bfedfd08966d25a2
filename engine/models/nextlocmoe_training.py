"""The training of NextLocMoE: distance or likelihood of the next places, and what keeps routers both decided and balanced."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from engine.city.samples import Samples
from engine.layers.routing import load_entropy, load_floor, token_entropy, window_entropy
from engine.models.declarations import DEAD_SHARE
from engine.models.stage import Stage
from engine.probes import watch

if TYPE_CHECKING:
    from engine.models.nextlocmoe import NextLocMoE, Reading
    from engine.models.nextlocmoe_config import NextLocMoEConfig

_MOST_VALIDATION = 2_000


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """Windows of one step.

    Attributes:
        samples: The windows' samples; the target is the visit after the window.
        progress: Share of the training that lies behind, 0 to 1.
        generator: Draws candidates.
    """

    samples: Samples
    progress: float
    generator: np.random.Generator


def training_stage(model: "NextLocMoE", samples: Samples) -> Stage:
    """Next-location training of all that is not frozen."""
    training, validation = samples.of_part("train"), samples.of_part("valid")
    config = model.config
    stride = min(config.stride, len(training))
    windows = len(training) // stride
    size = min(config.batch, windows)
    steps = windows // size

    def batches(epoch: int, generator: np.random.Generator) -> Iterator[WindowBatch]:
        order = generator.permutation(np.arange(epoch % stride, len(training), stride))
        for step in range(steps):
            chosen = order[step * size : (step + 1) * size]
            yield WindowBatch(training[chosen], (epoch * steps + step) / (config.epochs * steps), generator)

    def loss(batch: WindowBatch) -> Mapping[str, Tensor]:
        return window_loss(model, batch)

    return Stage(
        name="Predict the next location",
        parameters=trained_parameters(model),
        batches=batches,
        batches_per_epoch=steps,
        loss=loss,
        validate=lambda: validation_metrics(model, validation if len(validation) else training),
        # A hit counts as one visit; a likelihood would let one visit far from the city outweigh all others.
        monitor="acc@10",
        mode="max",
        clip_norm=config.clip_norm,
        **config.schedule(),
        # Balance is a property of a whole batch, so the parts of one are not the batch.
        split=None,
    )


def trained_parameters(model: "NextLocMoE") -> list[nn.Parameter]:
    """Everything but what is frozen of the backbone."""
    freeze = model.config.freeze == "always" or (model.config.freeze == "auto" and model.backbone.is_pretrained)
    if not freeze:
        return list(model.parameters())
    kept = {id(parameter) for parameter in model.backbone.model.parameters()}
    kept -= {id(parameter) for parameter in model.backbone.gains()}
    return [parameter for parameter in model.parameters() if id(parameter) not in kept]


def window_loss(model: "NextLocMoE", batch: WindowBatch) -> dict[str, Tensor]:
    """The loss of a step.

    Returns:
        total; place: distance in city scales (regression) or nats; of the routers' weights, in nats: entropy per visit (or window),
        balance (entropy of their mean over the batch) and floor (`load_floor`). `total = place + warm-up * (lambda_entropy * entropy -
        lambda_balance * balance - lambda_floor * floor)`.
    """
    config, samples = model.config, batch.samples
    reading = model.read(samples.histories())
    asked, target_visit = current_targets(
        reading.window.real[:, -config.current_visits :].cpu().numpy(), samples, config.dense_targets
    )
    sample, _ = asked
    log = samples.log
    within = Samples(log, np.maximum(samples.start, samples.target - config.longest_history)[sample], target_visit)
    target = log.location[target_visit].astype(np.int64)
    with model.full_precision():
        question = model.question(reading.states[asked], within.histories())
        place = model.head.losses(question, target, batch.generator).mean()
    terms = {"total": place, "place": place}
    roles, owner = _judged_roles(reading, asked, config)
    functions = [] if reading.function_weights is None else [reading.function_weights]
    if roles or functions:
        doubts = [window_entropy(one, owner) if config.roles_decided_per == "window" else token_entropy(one) for one in roles]
        doubts += [token_entropy(one) for one in functions]
        entropy = torch.stack(doubts).mean()
        balance, floor = (
            torch.stack([measure(one) for one in (*roles, *functions)]).mean() for measure in (load_entropy, load_floor)
        )
        unit = model.frame.unit if config.lambda_unit == "metre" else 1.0
        warm = min(batch.progress / config.routing_warm_up, 1.0) if config.routing_warm_up else 1.0
        routing = config.lambda_entropy * entropy - config.lambda_balance * balance - config.lambda_floor * floor
        terms = {"total": place + warm / unit * routing, "place": place, "entropy": entropy, "balance": balance, "floor": floor}
    return terms


def _judged_roles(
    reading: "Reading", asked: tuple[np.ndarray, np.ndarray], config: "NextLocMoEConfig"
) -> tuple[list[Tensor], Tensor]:
    """The role weights that are to be decided and even, one (token, expert) per layer, and the (token,) window of each."""
    sample, column = (torch.from_numpy(array).to(reading.real.device) for array in asked)
    judged = reading.real
    if config.routing_judged_on == "asked":
        judged = torch.zeros_like(judged)
        judged[sample, judged.shape[1] - config.current_visits + column] = True
    return [weights[judged[reading.real]] for weights in reading.role_weights], judged.nonzero()[:, 0]


def current_targets(real: np.ndarray, samples: Samples, dense: bool) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Which current visits are asked for the visit after them, and the positions of those visits in the log.

    Args:
        real: (sample, current) bool; column -1 is the latest visit.
        samples: The windows.
        dense: All real current visits; else the latest alone.

    Returns:
        ((question,) sample, (question,) column) and (question,) visit.
    """
    if not dense:
        real = real & (np.arange(real.shape[1]) == real.shape[1] - 1)
    sample, column = np.nonzero(real)
    return (sample, column), samples.target[sample] - (real.shape[1] - 1 - column)


@torch.no_grad()
def validation_metrics(model: "NextLocMoE", samples: Samples, chunk: int = 256) -> dict[str, float]:
    """Loss (nats), Acc@1/5/10, mean distance of the first answer in metres, and how the experts share the visits.

    Of a large part every so many samples are asked.
    """
    chosen = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), _MOST_VALIDATION)).astype(np.int64))
    places = samples.log.places
    sets = model.experts()
    nats, ranks, metres = [], [], []
    loads = {key: np.zeros(len(found.names)) for key, found in sets.items()}
    with watch(model, *(found.routing for found in sets.values())) if sets else _nothing() as seen:
        for begin in range(0, len(chosen), chunk):
            histories = samples.histories(chosen[begin : begin + chunk])
            assert histories.target is not None
            scores = model.predict(histories).log_probability
            truth = scores[np.arange(len(scores)), histories.target]
            earlier = np.arange(scores.shape[1]) < histories.target[:, None]
            # Written so that what is not a number loses to everything instead of winning.
            ranks.append((~(scores <= truth[:, None])).sum(1) + ((scores == truth[:, None]) & earlier).sum(1) + 1)
            nats.append(-truth)
            top = scores.argmax(1)
            metres.append(np.hypot(places.x[top] - places.x[histories.target], places.y[top] - places.y[histories.target]))
            for key, found in sets.items():
                loads[key] += seen[found.routing].pop().to_numpy()[:, -1].sum(0)
    rank = np.concatenate(ranks)
    found_metrics = {
        "loss": float(np.concatenate(nats).mean()),
        "acc@1": float((rank <= 1).mean()),
        "acc@5": float((rank <= 5).mean()),
        "acc@10": float((rank <= 10).mean()),
        "distance_m": float(np.concatenate(metres).mean()),
    }
    for key, load in loads.items():
        share = load / max(load.sum(), 1e-12)
        found_metrics[f"largest load of {key}"] = float(share.max())
        found_metrics[f"dead among {key}"] = float((share < DEAD_SHARE).sum())
    return found_metrics


class _nothing:
    """A context that watches nothing."""

    def __enter__(self) -> dict:
        return {}

    def __exit__(self, *error: object) -> None:
        return None
