"""Settings of LMEMR, with the presets; every ablation of the paper's Tables 4 to 7 is one of them."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from engine.models.settings import Decay, Epochs, LearningRate, Patience, TextEncoderName, TrainedConfig, WarmUp, WeightDecay

ModalityName = Literal["satellite", "height", "street_view", "poi"]
MODALITIES: tuple[ModalityName, ...] = ("satellite", "height", "street_view", "poi")


class LMEMRConfig(TrainedConfig):
    """Settings of LMEMR. Defaults are those of preset `recommended`."""

    shown_first: ClassVar[tuple[str, ...]] = ("semantics", "graph", "fusion", "head", "epochs")

    form_groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "What is known of a cell": (
            "modalities", "image_encoder", "text_encoder", "describer", "with_trend", "poi_radius_m", "semantics", "area_term",
            "components", "text_components",
        ),
        "Alignment": (
            "intra_contrast", "inter_contrast", "contrastive_parity", "temperature", "negatives",
        ),
        "Words and pictures together": ("channel_similarity", "encoder_hidden", "encoder_layers", "width"),
        "Neighbours": (
            "graph", "graph_skips", "graph_blocks", "graph_hidden", "graph_heads",
        ),
        "Modalities together": ("fusion", "fusion_heads", "fusion_layers", "modality_dropout"),
        "Hours and bins": (
            "hour_conditioning", "hour_width", "temporal_layers", "temporal_heads", "feed_forward", "head", "bins", "bin_kind",
            "bin_offsets", "readout",
        ),
        "Training": (
            "epochs", "steps_per_epoch", "learning_rate", "weight_decay", "warm_up_epochs", "decay", "patience", "dropout",
            "input_noise", "weight_classification", "weight_regression", "weight_contrast",
        ),
    }  # fmt: skip

    modalities: tuple[ModalityName, ...] = Field(
        MODALITIES,
        title="Modalities",
        description="What the model may see of a cell; those the city lacks are left out (Table 6: one alone).",
    )
    image_encoder: str = Field(
        "descriptors",
        title="Image encoder",
        description="descriptors, transformers:<folder> or precomputed:<file.npy>; frozen.",
    )
    text_encoder: TextEncoderName = "minilm"
    describer: str = Field(
        "rules",
        title="Describer",
        description="Who writes the descriptions: rules over measured attributes, or a configured model.",
    )
    with_trend: bool = Field(
        False,
        title="Guessed trend in the text",
        description="Leave the describer's guess of the 24-hour curve in the description; it may carry the answer.",
    )
    poi_radius_m: float = Field(
        0.0, ge=0, le=20_000, title="Radius of POIs", description="0 counts places in the cell, else within metres of its middle."
    )
    semantics: Literal["full", "lite", "shuffled", "off"] = Field(
        "full",
        title="Semantics",
        description="full: descriptions as written. lite: land features only, also of stored ones. shuffled: those of another cell. "
        "off: none (Table 4).",
    )
    intra_contrast: bool = Field(True, title="Intra-modal alignment", description="Align each modality with its text (Table 4).")
    inter_contrast: bool = Field(True, title="Inter-modal alignment", description="Align modalities with each other (Table 6).")
    contrastive_parity: bool = Field(
        False,
        title="Published contrastive loss",
        description="One right answer per cell; off: cells of one description are right answers to each other.",
    )
    temperature: float = Field(0.1, gt=0, le=10, title="Temperature", description="Of both alignments.")
    channel_similarity: Literal["stored", "batch"] = Field(
        "stored",
        title="Channel similarity",
        description="stored: scaled, and its running mean outside training. batch: of all cells at hand, as published.",
    )
    graph: Literal["attention", "mean", "self", "none"] = Field(
        "attention",
        title="Graph",
        description="attention (GAT), mean (GCN), self: the same layers without neighbours, none: no such layers (Table 5).",
    )
    graph_skips: bool = Field(
        True, title="Skips everywhere", description="Residual in every graph block; off: not where widths agree, as released."
    )
    fusion: Literal["attention", "flatten", "gated", "concatenate", "max"] = Field(
        "attention",
        title="Fusion",
        description="attention: token transformer with attention pooling. flatten: as released. gated, concatenate, max: Table 6.",
    )
    hour_conditioning: Literal["embedding", "convolution"] = Field(
        "embedding", title="Hour conditioning", description="embedding: as in the paper. convolution: as released."
    )
    head: Literal["both", "regression", "classification"] = Field(
        "both", title="Head", description="Classification then regression, or one alone (Table 7)."
    )
    bins: int = Field(10, ge=2, le=200, title="Bins", description="Magnitude bins of the log flow.")
    bin_kind: Literal["equal", "quantile"] = Field(
        "equal", title="Kind of bins", description="Equal widths, or equally many flows."
    )
    bin_offsets: bool = Field(
        True,
        title="Offsets in bins",
        description="The value a bin stands for may move by up to its width; off: its midpoint, as published.",
    )
    readout: Literal["median", "mean"] = Field(
        "median",
        title="Read-out",
        description="median: exp of the mean log flow, as published, better per cell. mean: expected trips, better for totals.",
    )
    area_term: bool = Field(True, title="Area", description="Tell the model how large each zone is; nothing on equal cells.")

    width: int = Field(64, ge=8, le=1024, title="Width", description="Width of all vectors; a multiple of the heads.")
    components: int = Field(
        0, ge=0, le=4096, title="Components", description="Principal components kept of spatial features; 0 keeps them as they are."
    )
    text_components: int = Field(
        64,
        ge=0,
        le=4096,
        title="Text components",
        description="Principal components kept of text vectors; 0 keeps them as they are.",
    )
    encoder_hidden: int = Field(128, ge=8, le=8192, title="Encoder width", description="Hidden width of the branch encoders.")
    encoder_layers: int = Field(1, ge=1, le=8, title="Encoder layers", description="Hidden layers of the branch encoders.")
    graph_blocks: int = Field(3, ge=1, le=8, title="Graph blocks", description="How many steps away a cell can look.")
    graph_hidden: int = Field(64, ge=8, le=8192, title="Graph width", description="Width between graph blocks.")
    graph_heads: int = Field(4, ge=1, le=32, title="Graph heads", description="Attention heads of graph blocks.")
    fusion_heads: int = Field(2, ge=1, le=32, title="Fusion heads", description="Attention heads between modalities.")
    fusion_layers: int = Field(1, ge=0, le=8, title="Fusion layers", description="Layers of the token transformer.")
    hour_width: int = Field(32, ge=1, le=512, title="Hour vector", description="Length of an hour's vector.")
    temporal_layers: int = Field(2, ge=0, le=24, title="Temporal layers", description="Layers over the hours of a day.")
    temporal_heads: int = Field(4, ge=1, le=32, title="Temporal heads", description="Attention heads over hours.")
    feed_forward: int = Field(
        128, ge=8, le=8192, title="Feed-forward width", description="Hidden width in the layers over modalities and hours."
    )
    dropout: float = Field(0.2, ge=0, lt=1, title="Dropout", description="Throughout.")
    input_noise: float = Field(
        0.0, ge=0, le=2, title="Input noise", description="Noise on standardised inputs while training, in standard deviations."
    )
    modality_dropout: float = Field(
        0.15,
        ge=0,
        lt=1,
        title="Modality dropout",
        description="Share of modalities hidden per cell and step, so that missing ones can be asked about.",
    )

    weight_classification: float = Field(0.5, ge=0, le=100, title="Weight of classification", description="Alpha of eq. 19.")
    weight_regression: float = Field(0.5, ge=0, le=100, title="Weight of regression", description="Beta of eq. 19.")
    weight_contrast: float = Field(0.1, ge=0, le=100, title="Weight of alignment", description="Lambda of eq. 19.")
    negatives: int = Field(
        1024,
        ge=2,
        le=50_000,
        title="Negatives",
        description="Cells in the alignment losses, at most; more are drawn anew at every step, since their cost grows with the square.",
    )

    epochs: Epochs = 60
    steps_per_epoch: int = Field(5, ge=1, le=1000, title="Steps per epoch", description="Full-graph steps between validations.")
    learning_rate: LearningRate = 2e-3
    weight_decay: WeightDecay = 0.01
    warm_up_epochs: WarmUp = 2.0
    decay: Decay = "cosine"
    patience: Patience = 20

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, width in (("fusion_heads", self.width), ("temporal_heads", self.width), ("graph_heads", self.graph_hidden)):
            if width % getattr(self, name):
                raise ValueError(f"{name} ({getattr(self, name)}) must divide the width it works on ({width})")
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ValueError("name at least one modality, and each only once")
        if self.head == "classification" and not self.weight_classification:
            raise ValueError("a classification head needs a weight of classification above zero")
        if self.head == "regression" and not self.weight_regression:
            raise ValueError("a regression head needs a weight of regression above zero")
        if self.head == "both" and not self.weight_classification + self.weight_regression:
            raise ValueError("one of the weights of classification and regression must be above zero")
        return self

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """`recommended` for real cities, `demo` for the built-in city, `tiny` for tests, `paper` at the published size."""
        return {
            "recommended": cls(),
            # Some 300 cells teach it: a wider network knows them by heart.
            "demo": cls(
                weight_regression=1.5,
                width=32,
                text_components=32,
                encoder_hidden=64,
                graph_hidden=32,
                temporal_layers=1,
                feed_forward=64,
                dropout=0.1,
                epochs=120,
                learning_rate=4e-3,
                patience=40,
            ),
            "tiny": cls(
                text_encoder="hash-svd",
                width=16,
                text_components=16,
                encoder_hidden=32,
                graph_hidden=16,
                graph_heads=2,
                hour_width=8,
                feed_forward=32,
                temporal_layers=1,
                temporal_heads=2,
                epochs=6,
                steps_per_epoch=5,
                learning_rate=5e-3,
                warm_up_epochs=1,
            ),
            "paper": cls(
                contrastive_parity=True,
                negatives=4_000,
                area_term=False,
                bin_offsets=False,
                width=256,
                components=0,
                text_components=0,
                encoder_hidden=4096,
                encoder_layers=3,
                graph_hidden=2048,
                graph_heads=4,
                temporal_layers=4,
                feed_forward=1024,
                epochs=300,
                steps_per_epoch=1,
                learning_rate=1e-4,
                warm_up_epochs=0,
                patience=300,
            ),
        }
