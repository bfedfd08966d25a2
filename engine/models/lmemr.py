"""LMEMR: the 24-hour outflow curve of every cell of a city from what can be seen and said of it, without any trip as input.

What the paper claims (Language-enhanced multimodal representation for grid-level mobility; §3): four static modalities per 500 m cell
(satellite tile, building-height map, street views, points of interest), each with a text written about it, are aligned, fused
channel by channel, spread over the graph of neighbouring cells by attention, fused across modalities, unrolled over 24 hours, and
read out as bins of the log flow and their expectation. Text, graph and fusion each lower the error.

What is built: all of it, in the order of the paper; each ablation of its Tables 4 to 7 is a setting (`lmemr_config.py`).

Where we differ, and why (`docs/lmemr.md` has the numbers):
- Channel similarity (`layers/channel_fusion.py`) is scaled and stored, so that editing one cell changes its neighbourhood alone.
- Scalers, bins and components come from training cells; the released code fits them on all cells.
- A missing modality is missing (a key mask and a trained vector), not a vector of zeros; modalities are dropped in training, so
  that one may ask what happens without them.
- Photographs of a cell count whatever their order; POI counts enter as logs; every graph block has its residual.
- Attention pooling over modalities (the paper) where the released code flattens; fewer temporal layers.
- Cells of one description are right answers to each other in the alignment, since rules often say the same of two cells.
- Beside the published read-out (exp of the mean log flow, which understates totals) there is the expected flow, and an interval.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from engine.city.city import City
from engine.city.flow_scale import FlowScale
from engine.encoders.cell_pois import attribute_names
from engine.errors import ConfigError
from engine.layers.channel_fusion import ChannelFusion
from engine.layers.curve_head import CurveHead
from engine.layers.dropout import Dropout
from engine.layers.fusion import ModalityFusion
from engine.layers.graph import GraphContext
from engine.layers.hourly import HOURS, HourlyEncoder
from engine.models.answers import CurvePrediction
from engine.models.base import Data, GridModel, Report
from engine.models.declarations import Effect, Embedding, Missing, Warned
from engine.models.lmemr_config import LMEMRConfig
from engine.models.lmemr_inputs import CellTensors, InputScales, usable_modalities
from engine.models.settings import ModelConfig
from engine.models.stage import Stage
from engine.probes import Probe, override, watch

if TYPE_CHECKING:
    from engine.city.cell_samples import CellSamples
    from engine.encoders.cell_features import CellInputs


@dataclass(frozen=True, eq=False)
class Answer:
    """What a pass through the model gives; "cell" is all cells, "row" those that were carried to the head.

    Attributes:
        z: (row, hour) standardised log flow.
        probability, log_probability: (row, hour, bin), None for a regression head.
        spatial, text: Per modality (cell, width), before fusion; text is None where the model reads none.
        described: (cell, modality) bool, where both were there.
        tokens: (cell, modality, width) as they come to the fusion: after the graph where each modality has one.
        present: (cell, modality) bool, which tokens counted.
    """

    z: Tensor
    probability: Tensor | None
    log_probability: Tensor | None
    spatial: list[Tensor]
    text: list[Tensor] | None
    described: Tensor
    tokens: Tensor
    present: Tensor


class Branch(nn.Module):
    """One modality of a cell, seen and described, up to their fusion (§3.3)."""

    def __init__(self, name: str, widths: tuple[int, int], config: LMEMRConfig) -> None:
        super().__init__()
        c = config
        self.spatial = _perceptron(widths[0], c.encoder_hidden, c.encoder_layers, c.width, c.dropout)
        # Stands in for a modality that a cell lacks, so that neighbours do not take silence for a value.
        self.absent = nn.Parameter(torch.randn(c.width) * c.width**-0.5)
        self.has_text = c.semantics != "off"
        what = name.replace("_", " ")
        self.spatial_vector = Probe("embedding", ("cell", "feature"), f"The {what} of each cell, encoded.", paper="§3.3.2 f")
        if self.has_text:
            self.text = _perceptron(widths[1], c.encoder_hidden, c.encoder_layers, c.width, c.dropout)
            self.channels = ChannelFusion(c.width, c.channel_similarity, c.dropout)
            self.text_vector = Probe(
                "embedding", ("cell", "feature"), f"The description of each cell's {what}, encoded.", paper="§3.3.2 g"
            )
        self.fused_vector = Probe(
            "embedding", ("cell", "feature"), f"The {what} of each cell fused with its description.", paper="eq. 6 H"
        )

    def forward(self, spatial: Tensor, text: Tensor, present: Tensor, described: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """(cell, component) twice and (cell,) bool twice -> spatial, text and fused vectors, each (cell, width)."""
        seen = self.spatial_vector(self.spatial(spatial))
        said = self.text_vector(self.text(text)) if self.has_text else None
        fused = self.channels(seen, said, described) if said is not None else seen
        return seen, said, self.fused_vector(torch.where(present[:, None], fused, self.absent))


class LMEMR(GridModel):
    """Gives every cell its curve from its modalities and those of the cells up to three steps away."""

    name: ClassVar[str] = "lmemr"
    title: ClassVar[str] = "LMEMR"
    paper: ClassVar[str] = "LMEMR: language-enhanced multimodal representations for grid-level human mobility"
    task: ClassVar[Literal["next_location", "grid_flow"]] = "grid_flow"
    Config: ClassVar[type[ModelConfig]] = LMEMRConfig
    config: LMEMRConfig

    def __init__(self, config: LMEMRConfig, scales: InputScales, training_flow: np.ndarray, encoders: dict[str, Any]) -> None:
        super().__init__()
        c = self.config = config
        self.scales, self.encoders, self.modalities = scales, encoders, scales.modalities
        self.branches = nn.ModuleDict(
            {name: Branch(name, widths, c) for name, widths in zip(self.modalities, scales.widths, strict=True)}
        )
        self.context = nn.ModuleDict(
            {
                name: GraphContext(c.width, c.graph_hidden, c.graph_heads, c.graph_blocks, c.graph, c.dropout, c.graph_skips)
                for name in self.modalities
            }
        )
        self.context_vector = nn.ModuleDict(
            {
                name: Probe(
                    "embedding",
                    ("cell", "feature"),
                    f"The {name.replace('_', ' ')} of each cell, knowing its neighbours.",
                    paper="eq. 10 H~",
                )
                for name in self.modalities
            }
        )
        self.fusion = ModalityFusion(c.width, self.modalities, c.fusion, c.fusion_heads, c.fusion_layers, c.feed_forward, c.dropout)
        self.area = nn.Linear(1, c.width, bias=False) if c.area_term else None
        self.cell_vector = Probe(
            "embedding", ("cell", "feature"), "Each cell, all modalities and neighbours fused.", paper="eq. 12 z"
        )
        self.hourly = HourlyEncoder(
            c.width, c.hour_conditioning, c.hour_width, c.temporal_layers, c.temporal_heads, c.feed_forward, c.dropout
        )
        self._scale = FlowScale.fit(training_flow, c.bins, c.bin_kind)
        self.head = CurveHead(c.width, self._scale, training_flow, c.head, c.bin_offsets, c.dropout)
        self._tensors: list[tuple[Any, Any, CellTensors]] = []
        self._encoded: list[tuple[tuple[str, bytes], Any]] = []

    # ---- building -------------------------------------------------------------------------------------------------------

    @classmethod
    def requirements(cls, city: City) -> list[Missing]:
        """Cells with hourly outflow, and at least one modality."""
        missing = []
        if not city.has("cells", "outflow"):
            missing.append(
                Missing(
                    "Cells with hourly outflow are missing:",
                    "the model learns the 24-hour curve of some cells and answers for the others.",
                    "Ingest a table of hourly flows with its cells or zones on the City page.",
                )
            )
        layers = any(city.has(table) for table in ("imagery", "buildings", "street_views", "pois"))
        if not layers and not (city.has("cells") and attribute_names(city.spatial("cells"))):
            missing.append(
                Missing(
                    "Everything a cell could be known by is missing:",
                    "the model sees tiles, buildings, street views, points of interest, or a table of attributes of the zones.",
                    "Add at least one of these layers on the City page.",
                )
            )
        return missing

    @classmethod
    def build(cls, config: ModelConfig, data: Data, seed: int, report: Report | None = None) -> Self:
        """An untrained model; scalers, components and bins come from training cells only.

        Raises:
            ConfigError: If the data hold no cells, or no training cell has any of the modalities.
            EncoderError: If an encoder cannot run.
        """
        if not isinstance(config, LMEMRConfig):
            raise ConfigError(f"LMEMR needs its own settings, not {type(config).__name__}.")
        cells = _cells(data)
        inputs = data.inputs if data.inputs is not None else encode(config, data.city, cells, report)
        training = cells.mask("train")
        modalities = usable_modalities(inputs, config.modalities, training)
        scales = InputScales(inputs, cells, modalities, config.components, config.text_components)
        encoders = {
            "modalities": {
                name: {"source": inputs.modalities[name].source, "components": list(inputs.modalities[name].components)}
                for name in modalities
            },
            "image_encoder": config.image_encoder,
            "text_encoder": config.text_encoder,
            "describer": config.describer,
            "day_type": cells.day_type,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(config, scales, cells.outflow[training], encoders)
        if data.inputs is None:
            model._remember(data.city, cells, inputs)
        if report:
            report("model built", 1.0)
        return model

    def artefacts(self) -> dict[str, Any]:
        """Modalities with the encoders that made them and the names of their components; the kind of day."""
        return self.encoders

    def encode(self, city: City, cells: "CellSamples", report: Report | None = None) -> "CellInputs":
        """The modalities of these cells by the encoders of the settings; the last two cities are kept."""
        key = (city.fingerprint, cells.cell_ids.tobytes())
        for known, inputs in self._encoded:
            if known == key:
                return inputs
        known_components = {name: entry["components"] for name, entry in self.encoders["modalities"].items()}
        return self._remember(city, cells, encode(self.config, city, cells, report, known_components))

    def _remember(self, city: City, cells: "CellSamples", inputs: "CellInputs") -> "CellInputs":
        self._encoded = [*self._encoded[-1:], ((city.fingerprint, cells.cell_ids.tobytes()), inputs)]
        return inputs

    def tensors(self, inputs: "CellInputs", cells: "CellSamples") -> CellTensors:
        """Inputs as the model reads them, on its device; kept for the last few."""
        for known_inputs, known_cells, tensors in self._tensors:
            if known_inputs is inputs and known_cells is cells and tensors.present.device == self.device:
                return tensors
        shuffle = 0 if self.config.semantics == "shuffled" else None
        tensors = self.scales.tensors(inputs, cells, shuffle, self.device)
        self._tensors = [*self._tensors[-2:], (inputs, cells, tensors)]
        return tensors

    # ---- the pass -------------------------------------------------------------------------------------------------------

    def forward(self, cells: CellTensors, rows: Tensor | None = None) -> Answer:
        """Answers cells.

        Args:
            cells: All cells, since they are one graph.
            rows: (row,) positions of the cells to carry to the head; None for all.
        """
        present = self._seen(cells.present)
        spatial, text, tokens = [], [], []
        for at, name in enumerate(self.modalities):
            described = cells.described[:, at] & present[:, at]
            seen, said, fused = self.branches[name](
                self._blurred(cells.spatial[at]), self._blurred(cells.text[at]), present[:, at], described
            )
            spatial.append(seen)
            if said is not None:
                text.append(said)
            tokens.append(self.context_vector[name](self.context[name](fused, cells.neighbours)))
        stacked = torch.stack(tokens, dim=1)
        # A cell without any modality is answered from its neighbours.
        counted = present | ~present.any(1, keepdim=True)
        fused_cells = self.fusion(stacked, counted)
        if self.area is not None:
            fused_cells = fused_cells + self.area(cells.log_area)
        fused_cells = self.cell_vector(fused_cells)
        steps = self.hourly(fused_cells if rows is None else fused_cells[rows])
        z, probability, log_probability = self.head(steps)
        return Answer(
            z=z,
            probability=probability,
            log_probability=log_probability,
            spatial=spatial,
            text=text if text else None,
            described=cells.described & present,
            tokens=stacked,
            present=present,
        )

    def _seen(self, present: Tensor) -> Tensor:
        """(cell, modality) bool: what is there, less what is hidden in this training step; never a cell's last modality."""
        if not self.training or not self.config.modality_dropout:
            return present
        kept = present & (torch.rand(present.shape, device=present.device) >= self.config.modality_dropout)
        return torch.where(kept.any(1, keepdim=True), kept, present)

    def _blurred(self, rows: Tensor) -> Tensor:
        """In training, inputs with noise: a city has few cells, and one must not be known by the last digit of its greenery."""
        if not self.training or not self.config.input_noise:
            return rows
        return rows + self.config.input_noise * torch.randn_like(rows)

    # ---- answers --------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def predict_curves(self, inputs: "CellInputs", cells: "CellSamples") -> CurvePrediction:
        """The curve of every cell with its 80 % interval and bin probabilities.

        Raises:
            ConfigError: If inputs and cells differ, or were encoded otherwise than in training.
        """
        was_training = self.training
        self.eval()
        try:
            answer = self(self.tensors(inputs, cells))
        finally:
            self.train(was_training)
        low, high = self.head.interval(answer.z, answer.probability)
        flow = self.head.flow(answer.z, answer.probability, self.config.readout)
        bins = None if answer.probability is None else self.head.stated(answer.probability)
        return CurvePrediction(
            flow=flow.cpu().numpy(),
            low=torch.minimum(low, flow).cpu().numpy(),
            high=torch.maximum(high, flow).cpu().numpy(),
            bin_probability=None if bins is None else bins.cpu().numpy(),
            bin_edges=None if bins is None else self.head.edges.cpu().numpy(),
        )

    def influence(self, inputs: "CellInputs", cells: "CellSamples", cell: int) -> np.ndarray:
        """How much each cell matters to the curve of one: gradient of its mean z by each cell's fused vectors (all modalities).

        Returns:
            (cell,) float32 Euclidean norms; zero where a change cannot matter.
        """
        was_training = self.training
        self.eval()
        leaves: list[Tensor] = []

        def leaf(value: Tensor) -> Tensor:
            leaves.append(value.detach().requires_grad_(True))
            return leaves[-1]

        try:
            with torch.enable_grad(), override(self, {f"branches.{name}.fused_vector": leaf for name in self.modalities}):
                row = torch.tensor([cell], device=self.device)
                answer = self(self.tensors(inputs, cells), row)
                gradients = torch.autograd.grad(answer.z.mean(), leaves)
        finally:
            self.train(was_training)
        return torch.stack([gradient.square().sum(1) for gradient in gradients]).sum(0).sqrt().cpu().numpy()

    def effects(self) -> dict[str, Effect]:
        """What edits of cells need here."""
        again = Effect(
            "re-encode", "The edited cell is encoded again, then one forward pass; only cells within its reach can change."
        )
        words = again if self._reads_words else Effect("nothing", "This run reads no descriptions.")
        if self._reads_words and self.config.semantics == "shuffled":
            words = replace(
                again, note="This run reads what is said of each cell in another one, drawn by chance, which changes instead."
            )
        pictures = again
        if self.config.image_encoder.startswith("precomputed:"):
            blind = "The vectors of this run's pictures were made beforehand, so it does not look at another picture"
            pictures = Effect("nothing", f"{blind}, and it reads no descriptions.")
            if self._reads_words:
                pictures = replace(again, note=f"{blind}; only the words about it can change the answer.")
        graph = Effect("forward", "The graph is changed and all cells are answered again; weights stay.")
        if self.config.graph in ("self", "none"):
            graph = Effect("nothing", "This run has no graph: no cell knows its neighbours.")
        return {
            "change_pois": again,
            "change_buildings": pictures,
            "change_tile": pictures,
            "change_description": words,
            "blend_cells": Effect(
                "forward",
                "The numbers and the vectors of words of one cell are moved towards those of another; none is encoded again.",
            ),
            "drop_modality": Effect(
                "forward",
                "The modality is hidden and its token left out."
                + ("" if self.config.modality_dropout else " The model was never trained with one missing: read with care."),
            ),
            "cut_edge": graph,
            "add_edge": graph,
        }

    def entry_names(self, probe: str) -> tuple[str, ...]:
        """Modalities, and bins by the trips in them, where a probe has a weight for each."""
        edges = self.head.trips(self.head.edges[1:-1]).tolist()
        bounds = [np.format_float_positional(edge, 3, fractional=False, trim="-") for edge in edges]
        between = (f"{low} to {high} trips" for low, high in itertools.pairwise(bounds))
        bins = (f"below {bounds[0]} trips", *between, f"from {bounds[-1]} trips")
        return {"modality": self.modalities, "bin": bins}.get(self.probes()[probe].axes[-1], ())

    @property
    def _reads_words(self) -> bool:
        return self.config.semantics != "off" and self.config.describer != "none"

    @torch.no_grad()
    def embeddings(self, inputs: "CellInputs", cells: "CellSamples") -> dict[str, Embedding]:
        """Cells, hours, and each modality as seen, as described, fused, and with its neighbours."""
        was_training = self.training
        self.eval()
        with watch(self) as seen:
            self(self.tensors(inputs, cells), torch.zeros(1, dtype=torch.int64, device=self.device))
        self.train(was_training)

        def vectors(probe: str) -> np.ndarray:
            return np.asarray(seen[probe][0].values, np.float32)

        ids = cells.cell_ids
        found = {
            "cell": Embedding("Cells", "cell", ids, vectors("cell_vector"), "Each cell, all modalities and neighbours fused."),
            "hour": Embedding(
                "Hours", "hour", np.arange(HOURS), vectors("hourly.hour_vector"), "One trained vector per hour of the day."
            ),
        }
        for name in self.modalities:
            what = name.replace("_", " ").capitalize()
            kinds = [("spatial", f"branches.{name}.spatial_vector", "as seen", "The modality alone, before its text.")]
            if self.config.semantics != "off":
                kinds += [("text", f"branches.{name}.text_vector", "as described", "The description alone.")]
                kinds += [("fused", f"branches.{name}.fused_vector", "with its text", "Modality and description fused.")]
            kinds += [("context", f"context_vector.{name}", "with neighbours", "The modality knowing its neighbours.")]
            for kind, probe, title, meaning in kinds:
                found[f"{name}.{kind}"] = Embedding(f"{what}, {title}", "cell", ids, vectors(probe), meaning)
        return found

    # ---- training -------------------------------------------------------------------------------------------------------

    def stages(self, data: Data) -> list[Stage]:
        """One stage: all losses together, the whole graph in every step."""
        from engine.models.lmemr_training import curve_stage

        return [curve_stage(self, data)]

    def diagnose(self, data: Data) -> list[Warned]:
        """Failure detectors of fusion, graph, text and curves."""
        from engine.models.lmemr_checks import check_curves, check_mechanisms

        return check_curves(self, data) + check_mechanisms(self, data)

    @property
    def scale(self) -> FlowScale:
        """Standardisation and bins, fitted on training cells."""
        return self._scale

    def summaries(self, data: Data) -> dict[str, pd.DataFrame]:
        """`alignment`: how well views of a cell find each other, before fusion and after the graph."""
        from engine.models.lmemr_checks import alignment

        return {"alignment": alignment(self, data)}

    def inputs_of(self, data: Data) -> "CellInputs":
        """The encoded inputs of `data`, made where they are not there yet."""
        return data.inputs if data.inputs is not None else self.encode(data.city, _cells(data))


def encode(
    config: LMEMRConfig,
    city: City,
    cells: "CellSamples",
    report: Report | None = None,
    components: Mapping[str, Sequence[str]] | None = None,
) -> "CellInputs":
    """The modalities of these cells by the encoders the settings name; `components` as a trained model knows them.

    Raises:
        EncoderError: If an encoder cannot run.
        ConfigError: If the city's cells are not these.
    """
    from engine.encoders.cell_features import CellEncoding, encode_cells
    from engine.models.lmemr_inputs import check_alike

    encoding = CellEncoding(
        image=config.image_encoder,
        text=config.text_encoder,
        describer="none" if config.semantics == "off" else config.describer,
        prompt="lite" if config.semantics == "lite" else "three_level",
        with_trend=config.with_trend,
        poi_radius_m=config.poi_radius_m,
    )
    inputs = encode_cells(city, encoding, report, components)
    check_alike(inputs, cells)
    return inputs


def _cells(data: Data) -> "CellSamples":
    if data.cells is None:
        raise ConfigError("LMEMR learns from cells; give it a split of cells, not of visits.")
    return data.cells


def _perceptron(width_in: int, hidden: int, layers: int, width: int, dropout: float) -> nn.Sequential:
    modules: list[nn.Module] = []
    for number in range(layers):
        modules += [nn.Linear(width_in if number == 0 else hidden, hidden), Dropout(dropout), nn.ReLU()]
    return nn.Sequential(*modules, nn.Linear(hidden, width))
