"""Sequences per second of the sequence model: packed against padded batches, in one run, at the shape of the paper.

    python -m tests.benchmarks.bench_calliper_throughput [--steps 12] [--threads 2] [--device auto]

Both sides hold the same weights and see the same batches; the script first checks that their losses agree. Histories have the length
distribution of FSQ-NYC where that city is present (MOBISCOPE_REAL_DATA), else the same shape drawn from a log-normal.
Also measured: one prediction for the map, warm, with preset `recommended`.
"""

import argparse
import platform
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.city.samples import Samples, VisitLog, build_samples
from engine.city.splits import Split
from engine.device import choose_device
from engine.layers.attention import PackedEncoder, Packing
from engine.models.base import Data
from engine.models.calliper import CaLLiPer
from tests.benchmarks.cities import into_the_unknown

TARGET_RATIO, TARGET_MS = 5.0, 150.0
WIDTH, LAYERS, HEADS, FEED_FORWARD, BATCH, PLACES = 128, 6, 8, 256, 128, 3816


class PaddedEncoder(nn.Module):
    """`torch.nn.TransformerEncoder` on batches padded to their longest history, as the released code trains."""

    def __init__(self, packed: PackedEncoder, dropout: float) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, FEED_FORWARD, dropout, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS, norm=nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        for ours, theirs in zip(packed.layers, self.encoder.layers, strict=True):
            theirs.self_attn.in_proj_weight.data.copy_(ours.project_in.weight)
            theirs.self_attn.in_proj_bias.data.copy_(ours.project_in.bias)
            theirs.self_attn.out_proj.load_state_dict(ours.project_out.state_dict())
            theirs.linear1.load_state_dict(ours.widen.state_dict())
            theirs.linear2.load_state_dict(ours.narrow.state_dict())
            theirs.norm1.load_state_dict(ours.norm_attention.state_dict())
            theirs.norm2.load_state_dict(ours.norm_feed_forward.state_dict())

    def forward(self, steps: Tensor, packing: Packing) -> Tensor:
        """(step, width) -> (sample, width)."""
        chunk = packing.padded()
        length = chunk.step.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=steps.device).triu(1)
        encoded = self.encoder(steps[chunk.step], mask=causal, src_key_padding_mask=~chunk.real)
        return encoded[torch.arange(len(packing.lengths), device=steps.device), packing.lengths - 1]


def real_samples() -> tuple[Data, Samples] | None:
    """The real city under its published split, where it is present."""
    city = into_the_unknown()
    if city is None:
        return None
    split = Split(kind="published")
    samples = build_samples(VisitLog.of(city, split))
    return Data(city, split, samples), samples


def history_lengths(samples: Samples | None) -> tuple[np.ndarray, str]:
    """Lengths of training histories and where they come from."""
    if samples is not None:
        return samples.of_part("train").lengths, "FSQ-NYC, training part"
    drawn = np.random.default_rng(0).lognormal(np.log(14), 0.95, 48_606)
    return np.clip(drawn, 3, 170).astype(np.int64), "log-normal like FSQ-NYC (median 14, at most 170)"


def measure(encoder: nn.Module, head: nn.Linear, batches: list[tuple[Tensor, np.ndarray, Tensor]]) -> tuple[float, list[float]]:
    """Median seconds of a training step (forward, backward, update), and the losses."""
    parameters = [*encoder.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=1e-3)
    seconds, losses = [], []
    for steps, lengths, target in batches:
        _wait(steps)
        begin = time.perf_counter()
        loss = F.cross_entropy(head(encoder(steps, Packing.of(lengths, steps.device))), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        _wait(steps)
        seconds.append(time.perf_counter() - begin)
        losses.append(float(loss.detach()))
    return float(np.median(seconds[2:])), losses


def _wait(tensor: Tensor) -> None:
    if tensor.device.type == "cuda":
        torch.cuda.synchronize()


def compare(lengths: np.ndarray, source: str, steps: int, device: torch.device) -> float:
    """How many times as fast packed batches are as padded ones, in one run; their losses must be the same without dropout."""
    generator = np.random.default_rng(0)
    torch.manual_seed(0)
    batches = []
    for _ in range(steps):
        chosen = generator.choice(lengths, BATCH)
        batches.append(
            (torch.randn(int(chosen.sum()), WIDTH, device=device), chosen, torch.randint(PLACES, (BATCH,), device=device))
        )
    waste = np.mean([length.max() * BATCH / length.sum() for _, length, _ in batches])
    print(f"lengths: {source}; mean {lengths.mean():.0f}, median {np.median(lengths):.0f}, longest {lengths.max()}")
    print(f"padding makes {waste:.1f} tokens of each real one")

    exact = PackedEncoder(WIDTH, HEADS, FEED_FORWARD, LAYERS).to(device)
    twin = PaddedEncoder(exact, 0.0).to(device)
    head = nn.Linear(WIDTH, PLACES).to(device)
    with torch.no_grad():
        apart = []
        for inputs, length, target in batches[:3]:
            packing = Packing.of(length, device)
            outputs = [encoder(inputs, packing) for encoder in (exact, twin)]
            losses = [F.cross_entropy(head(output).double(), target) for output in outputs]
            apart.append(abs(float(losses[0] - losses[1])))
            print(f"outputs without dropout differ by at most {float((outputs[0] - outputs[1]).abs().max()):.1e}")
    print(f"losses without dropout differ by at most {max(apart):.1e}")
    assert max(apart) < 1e-4, "packed and padded batches must have the same loss"

    packed = PackedEncoder(WIDTH, HEADS, FEED_FORWARD, LAYERS, dropout=0.1, attention_dropout=0.1).to(device)
    padded = PaddedEncoder(packed, 0.1).to(device)
    found = {}
    for name, encoder in (("packed", packed), ("padded", padded)):
        encoder.train()
        seconds, _ = measure(encoder, nn.Linear(WIDTH, PLACES).to(device), batches)
        found[name] = BATCH / seconds
        print(f"{name}: {seconds:.3f} s a step, {BATCH / seconds:.0f} samples/s")
    return found["packed"] / found["padded"]


def measure_prediction(data: Data, samples: Samples) -> float:
    """Median seconds of one prediction over all places of the city, warm."""
    model = CaLLiPer.build(CaLLiPer.Config.presets()["recommended"], data, seed=0)
    test = samples.of_part("test")
    seconds = []
    for row in range(30):
        begin = time.perf_counter()
        model.predict(test.histories(slice(row, row + 1)))
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds[5:]))


def main() -> int:
    """Prints the figures with machine and versions; 1 where a target is missed."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--steps", type=int, default=12, help="training steps measured on either side")
    asked.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked.add_argument("--device", default="auto")
    given = asked.parse_args()
    torch.set_num_threads(given.threads)
    device = choose_device(given.device)
    print(f"{platform.platform()}, {device.label}; torch {torch.__version__}, {given.threads} threads")
    found = real_samples()
    ratio = compare(*history_lengths(found and found[1]), given.steps, device.torch)
    missed = ratio < TARGET_RATIO
    print(f"packed is {ratio:.1f} times as fast; target {TARGET_RATIO:.0f}: {'MISSED' if missed else 'reached'}")
    if found is not None:
        milliseconds = 1000 * measure_prediction(*found)
        late = milliseconds > TARGET_MS
        missed |= late
        print(
            f"one prediction over {len(found[1].log.places):,} places, warm: {milliseconds:.0f} ms; target {TARGET_MS:.0f}: {'MISSED' if late else 'reached'}"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
