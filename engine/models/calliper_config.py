"""Settings of CaLLiPer, with the presets."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from engine.models.settings import (
    AttentionDropout,
    Decay,
    Epochs,
    LearningRate,
    Patience,
    TextEncoderName,
    TrainedConfig,
    WarmUp,
    WeightDecay,
)


class CaLLiPerConfig(TrainedConfig):
    """Settings of CaLLiPer. Defaults are those of preset `recommended`."""

    shown_first: ClassVar[tuple[str, ...]] = ("location_source", "head", "epochs", "learning_rate")
    form_groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "Places as vectors": (
            "location_source", "location_matrix", "text_encoder", "use_names", "place_text", "coordinate_unit", "scales",
            "smallest_radius", "largest_radius", "embedding_width", "encoder_width", "encoder_blocks", "encoder_dropout",
        ),
        "Aligning places with texts": ("pretrain_on", "contrastive_parity", "pretrain_epochs", "pretrain_batch", "pretrain_rate"),
        "Reading the history": (
            "width", "layers", "heads", "feed_forward", "dropout", "attention_dropout", "norm_first", "longest_history", "adapter",
            "time_parity", "time_gaps", "user_vector", "user_dropout",
        ),
        "Answering": (
            "head", "head_norm", "popularity_term", "popularity_by_category", "distance_term", "affinity_term", "history_mixture",
            "memory_visits", "candidates",
        ),
        "New and closed places": (
            "place_residual", "residual_dropout", "new_place_share", "substitution", "substitution_share", "substitution_reach",
        ),
        "Training": ("epochs", "batch", "learning_rate", "weight_decay", "warm_up_epochs", "decay", "patience", "restarts"),
    }  # fmt: skip

    location_source: Literal["calliper", "table", "precomputed"] = Field(
        "calliper",
        title="Location vectors",
        description="calliper: from coordinates, pre-trained. table: one trained per place. precomputed: a matrix from a file.",
    )
    location_matrix: str = Field(
        "",
        title="Matrix file",
        description="For precomputed: a `.npy` (location, feature) with a `.txt` of location ids beside it.",
    )
    text_encoder: TextEncoderName = "minilm"
    use_names: bool = Field(False, title="Names", description="Add the place's name to its text, where there is one.")
    pretrain_on: Literal["locations", "locations and pois"] = Field(
        "locations", title="Pre-train on", description="Whose texts the location encoder learns from; hidden places never."
    )
    coordinate_unit: Literal["metre", "degree"] = Field(
        "metre",
        title="Coordinates",
        description="metre: centred, in the city's metric CRS. degree: longitude and latitude, as published.",
    )
    scales: int = Field(32, ge=2, le=128, title="Scales", description="Scales of the grid position code.")
    smallest_radius: float = Field(50.0, gt=0, le=1e5, title="Smallest radius", description="Finest scale, in metres (or degrees).")
    largest_radius: float = Field(
        20_000.0, gt=0, le=1e7, title="Largest radius", description="Coarsest scale, in metres (or degrees)."
    )
    embedding_width: int = Field(128, ge=4, le=1024, title="Location vector", description="Length of a location's vector.")
    encoder_width: int = Field(256, ge=4, le=2048, title="Encoder width", description="Hidden width of the location encoder.")
    encoder_blocks: int = Field(4, ge=0, le=16, title="Encoder blocks", description="Residual blocks of the location encoder.")
    encoder_dropout: float = Field(
        0.5, ge=0, lt=1, title="Encoder dropout", description="Inside the location encoder, while pre-training."
    )
    contrastive_parity: bool = Field(
        False,
        title="Published contrastive loss",
        description="One right answer per place, text side not normalised, scale not bounded.",
    )
    pretrain_epochs: int = Field(40, ge=1, le=500, title="Pre-training epochs", description="At most; stops early.")
    pretrain_batch: int = Field(128, ge=4, le=4096, title="Pre-training batch", description="Places per step.")
    pretrain_rate: float = Field(1e-3, gt=0, le=0.1, title="Pre-training rate", description="Learning rate of the pre-training.")

    width: int = Field(64, ge=8, le=1024, title="Width", description="Width of the sequence model; a multiple of the heads.")
    layers: int = Field(2, ge=1, le=24, title="Layers", description="Layers of the sequence model.")
    heads: int = Field(4, ge=1, le=32, title="Heads", description="Attention heads.")
    feed_forward: int = Field(
        128, ge=8, le=4096, title="Feed-forward width", description="Hidden width of the position-wise layers."
    )
    dropout: float = Field(0.1, ge=0, lt=1, title="Dropout", description="In the sequence model and the head.")
    attention_dropout: AttentionDropout = 0.0
    norm_first: bool = Field(True, title="Normalise first", description="Pre-norm layers; off: post-norm, as published.")
    longest_history: int = Field(200, ge=1, le=5000, title="Longest history", description="Latest visits that are read, at most.")
    adapter: bool = Field(True, title="Adapter", description="Normalise and project location vectors; off: use them as they are.")
    place_residual: bool = Field(
        True, title="Residual per place", description="A trained correction for each place seen in training."
    )
    residual_dropout: float = Field(
        0.5,
        ge=0,
        lt=1,
        title="Residual dropout",
        description="Share of places whose residual is left out per step, so that unseen ones fit.",
    )
    new_place_share: float = Field(
        0.15,
        ge=0,
        lt=1,
        title="Places taken as new",
        description="Share of places shown per step as if nobody had visited them, so that the model learns what new places are like.",
    )
    place_text: bool = Field(True, title="Place text", description="The text of a place is an input too, beside its coordinates.")
    time_parity: bool = Field(False, title="Published time slots", description="Read half-hour slots as the released code does.")
    time_gaps: bool = Field(
        True, title="Time gaps", description="Time since the visit before and until the latest visit as inputs."
    )
    user_vector: bool = Field(True, title="User vectors", description="A trained vector per user; unknown users share one.")
    user_dropout: float = Field(
        0.3, ge=0, lt=1, title="User dropout", description="Share of samples whose user is taken as unknown."
    )

    head: Literal["inductive", "closed"] = Field(
        "inductive", title="Head", description="inductive: ranks any place by its vector. closed: only places seen in training."
    )
    head_norm: Literal["layer", "batch"] = Field("layer", title="Head normalisation", description="batch: as published.")
    popularity_term: bool = Field(True, title="Popularity term", description="Log of training visits in the inductive head.")
    popularity_by_category: bool = Field(
        True,
        title="Popularity by category",
        description="A place nobody visited in training counts as popular as the median of its category; off: of all places.",
    )
    distance_term: bool = Field(True, title="Distance term", description="Distance from the latest place in the inductive head.")
    affinity_term: bool = Field(
        True,
        title="Affinity term",
        description="In the inductive head, places gain that lie near places the person knows, or are of kinds the person goes to.",
    )
    history_mixture: bool = Field(True, title="History mixture", description="Mix the head with the places the person knows.")
    memory_visits: int = Field(
        400,
        ge=0,
        le=100_000,
        title="Memory",
        description="Latest training visits of a user that the mixture remembers; 0: the window only.",
    )
    substitution: Literal["similar", "proportional"] = Field(
        "similar",
        title="Closed places",
        description="Where the probability of a closed place goes; assumed, since records show no closings. similar: mostly to "
        "places of its kind or near it (nested choice). proportional: to all others by their own probability.",
    )
    substitution_share: float = Field(
        0.8,
        ge=0,
        le=1,
        title="Substitution share",
        description="Share of a closed place's probability that stays with similar places; the rest goes to all in proportion.",
    )
    substitution_reach: float = Field(
        500.0, gt=0, le=1e5, title="Substitution reach", description="Metres within which a place counts as near a closed one."
    )

    epochs: Epochs = 6
    batch: int = Field(
        256,
        ge=2,
        le=8192,
        title="Batch",
        description="Samples per step, at most; a small city takes smaller ones, for some 50 steps an epoch.",
    )
    learning_rate: LearningRate = 2e-3
    weight_decay: WeightDecay = 0.01
    warm_up_epochs: WarmUp = 1.0
    decay: Decay = "linear"
    patience: Patience = 2
    restarts: int = Field(0, ge=0, le=10, title="Restarts", description="Returns to the best weights at a tenth of the rate.")
    candidates: int = Field(
        20_000, ge=64, le=1_000_000, title="Candidates", description="Places scored per training step; a larger city is sampled."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        if not self.smallest_radius < self.largest_radius:
            raise ValueError("the smallest radius must be below the largest")
        if self.coordinate_unit == "metre" and self.largest_radius < 50:
            raise ValueError("radii look like degrees; give metres, or choose coordinates in degrees")
        if self.coordinate_unit == "degree" and self.largest_radius > 360:
            raise ValueError("radii look like metres; give degrees, or choose coordinates in metres")
        if not self.adapter and self.location_source != "table" and self.embedding_width != self.width:
            raise ValueError("without an adapter, the location vector must be as long as the width")
        if self.location_source == "precomputed" and not self.location_matrix:
            raise ValueError("precomputed location vectors need a matrix file")
        return self

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """`recommended` for real cities, `demo` for the built-in city in a minute or two, `tiny` for tests, `paper` as released."""
        return {
            "recommended": cls(),
            # With a finest scale of 50 m, moving a place of the built-in city by 10 m changes its probability by up to 7 %.
            "demo": cls(
                smallest_radius=150.0,
                epochs=6,
                pretrain_epochs=15,
                encoder_width=128,
                encoder_blocks=2,
                encoder_dropout=0.2,
                patience=2,
                restarts=0,
            ),
            "tiny": cls(
                text_encoder="hash-svd",
                scales=8,
                embedding_width=16,
                encoder_width=32,
                encoder_blocks=1,
                encoder_dropout=0.1,
                pretrain_epochs=3,
                pretrain_batch=64,
                width=16,
                layers=1,
                heads=2,
                feed_forward=32,
                epochs=4,
                batch=128,
                learning_rate=5e-3,
                restarts=0,
            ),
            "paper": cls(
                coordinate_unit="degree",
                smallest_radius=0.01,
                largest_radius=10.0,
                contrastive_parity=True,
                pretrain_epochs=100,
                width=128,
                layers=6,
                heads=8,
                feed_forward=256,
                attention_dropout=0.1,
                norm_first=False,
                adapter=False,
                place_residual=False,
                new_place_share=0.0,
                place_text=False,
                time_parity=True,
                time_gaps=False,
                user_dropout=0.0,
                head="closed",
                head_norm="batch",
                popularity_term=False,
                popularity_by_category=False,
                distance_term=False,
                affinity_term=False,
                substitution="proportional",
                history_mixture=False,
                epochs=50,
                batch=128,
                learning_rate=1e-3,
                weight_decay=1e-6,
                warm_up_epochs=2.0,
                decay="linear",
                patience=3,
                restarts=2,
            ),
        }
