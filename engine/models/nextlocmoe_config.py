"""Settings of NextLocMoE, with the presets."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from engine.layers.routing import Choice, RoutingMode
from engine.models.settings import Decay, Epochs, LearningRate, Patience, TrainedConfig, WarmUp, WeightDecay


class NextLocMoEConfig(TrainedConfig):
    """Settings of NextLocMoE. Defaults are those of preset `demo`."""

    shown_first: ClassVar[tuple[str, ...]] = ("head", "routing", "role_experts", "function_experts", "epochs", "learning_rate")

    form_groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "The window": (
            "history_visits", "current_visits", "duration", "mask_last_duration", "location_code", "scales", "smallest_radius",
            "largest_radius", "isotropic", "location_width", "day_width", "hour_width", "duration_width",
        ),
        "History": ("history_blocks", "history_kernel", "history_convolutions", "memory_visits"),
        "Function experts": (
            "function_experts", "function_texts", "function_count", "function_renormalise", "functions_in_history",
            "published_function_start",
        ),
        "Role experts": (
            "role_experts", "role_texts", "rank", "alpha", "expert_dropout", "expert_spread", "first_expert_layer",
            "expert_layer_step", "text_encoder",
        ),
        "Routing": (
            "routing", "threshold", "most_roles", "role_count", "role_renormalise", "router_hidden", "router_form",
            "router_reads_history",
        ),
        "Routing loss": (
            "routing_judged_on", "roles_decided_per", "lambda_entropy", "lambda_balance", "lambda_floor", "lambda_unit",
            "routing_warm_up",
        ),
        "Language model": (
            "backbone", "layers", "width", "feed_forward", "heads", "key_value_heads", "attention_dropout", "prefix_tokens", "prompt",
            "freeze", "final_norm",
        ),
        "Answering": ("head", "components", "density_over", "least_spread", "popularity_term", "candidates"),
        "Training": (
            "epochs", "batch", "stride", "dense_targets", "learning_rate", "weight_decay", "warm_up_epochs", "decay", "clip_norm",
            "patience", "dropout",
        ),
    }  # fmt: skip

    # ---- the window ----
    history_visits: int = Field(40, ge=0, le=1000, title="Long history", description="Visits before the current ones, at most.")
    current_visits: int = Field(5, ge=1, le=50, title="Current visits", description="Latest visits, read with function experts.")
    duration: Literal["gap", "stay"] = Field(
        "gap",
        title="Duration of a visit",
        description="gap: hours until the next visit, as published. stay: hours until the visit ended, where the data say so, else gap.",
    )
    mask_last_duration: bool = Field(
        True,
        title="Hide running durations",
        description="A current visit is read with the duration of the visit before it, so that nothing tells when the next one comes. "
        "Off: with its own, the latest with its stay where the data say when it ended.",
    )

    # ---- embeddings ----
    location_code: Literal["linear", "fourier"] = Field(
        "fourier",
        title="Location code",
        description="linear: of the coordinates, as published. fourier: sines and cosines at many scales.",
    )
    scales: int = Field(16, ge=2, le=128, title="Scales", description="Scales of the Fourier code.")
    smallest_radius: float = Field(
        60.0, gt=0, le=1e5, title="Smallest radius", description="Finest scale of the Fourier code, in metres."
    )
    largest_radius: float = Field(
        20_000.0, ge=50, le=1e7, title="Largest radius", description="Coarsest scale of the Fourier code, in metres."
    )
    location_width: int = Field(64, ge=4, le=1024, title="Location vector", description="Length of a location's vector.")
    day_width: int = Field(8, ge=1, le=256, title="Weekday vector", description="Length of a weekday's vector.")
    hour_width: int = Field(8, ge=1, le=256, title="Hour vector", description="Length of an hour's vector.")
    duration_width: int = Field(8, ge=1, le=256, title="Duration vector", description="Length of a duration's vector.")
    isotropic: bool = Field(
        True,
        title="One scale for both axes",
        description="Normalise coordinates by the mean of both deviations; off: each by its own.",
    )
    history_blocks: int = Field(
        5, ge=1, le=10, title="History blocks", description="Blocks of the convolution over the long history."
    )
    history_kernel: int = Field(4, ge=2, le=16, title="History kernel", description="Visits one convolution sees.")
    history_convolutions: int = Field(1, ge=1, le=4, title="Convolutions per block", description="Two as published.")
    dropout: float = Field(0.1, ge=0, lt=1, title="Dropout", description="In the history convolution and the pointer head.")

    # ---- function experts ----
    function_experts: bool = Field(True, title="Function experts", description="What places are for; off: coordinates alone.")
    function_texts: str = Field(
        "", title="Function texts", description="YAML file with name and text of each function expert; empty: the built-in five."
    )
    function_count: int = Field(2, ge=1, le=64, title="Functions asked", description="Function experts asked per visit.")
    function_renormalise: bool = Field(
        False, title="Renormalise functions", description="Make the weights of the asked function experts sum to one."
    )
    functions_in_history: bool = Field(
        False, title="Functions in the history", description="Read the long history with function experts too; as published not."
    )
    published_function_start: bool = Field(
        False, title="Published start of functions", description="Function experts without bias that see only x + y at first."
    )

    # ---- role experts ----
    role_experts: bool = Field(True, title="Role experts", description="Who the person is; off: the backbone's own feed-forward.")
    role_texts: str = Field(
        "", title="Role texts", description="YAML file with name and text of each role expert; empty: the built-in eleven."
    )
    routing: RoutingMode = Field(
        "top_p",
        title="Choice of roles",
        description="top_p: the fewest experts that hold the threshold. topk: a fixed number. dense: all. released: as the published "
        "code does, all but one.",
    )
    threshold: float = Field(0.8, gt=0, le=1, title="Threshold", description="Weight that the asked role experts hold together.")
    most_roles: int = Field(5, ge=1, le=64, title="Most roles", description="Role experts asked per visit, at most (top_p).")
    role_count: int = Field(2, ge=1, le=64, title="Roles asked", description="Role experts asked per visit (topk).")
    role_renormalise: bool = Field(
        True, title="Renormalise roles", description="Make the weights of the asked role experts sum to one; off: as published."
    )
    router_hidden: int = Field(64, ge=4, le=1024, title="Router width", description="Hidden width of both routers.")
    router_form: Literal["published", "simple"] = Field(
        "simple",
        title="Router form",
        description="simple: scores from the hidden layer. published: a second layer and a normalisation.",
    )
    router_reads_history: bool = Field(
        True, title="Routers read the history", description="Off: routers see the visit alone (the paper's ablation)."
    )
    rank: int = Field(4, ge=1, le=256, title="Rank", description="Rank of an expert's change of the shared feed-forward.")
    alpha: float = Field(4.0, gt=0, le=1024, title="Alpha", description="Changes are multiplied by alpha / rank.")
    expert_dropout: float = Field(0.0, ge=0, lt=1, title="Expert dropout", description="On what the changes read.")
    expert_spread: float = Field(
        0.1, ge=0, le=1, title="Expert spread", description="Spread of the experts at the start; 0: all the same, as published."
    )
    first_expert_layer: int = Field(
        2, ge=0, le=200, title="First expert layer", description="Layer of the first role mixture, from 0."
    )
    expert_layer_step: int = Field(1, ge=1, le=100, title="Expert layer step", description="Every so many layers from there.")
    text_encoder: str = Field(
        "minilm",
        title="Text encoder",
        description="Reads the experts' texts where the backbone is random: minilm, hash-svd, transformers:<folder> or precomputed:<file>.",
    )

    # ---- backbone ----
    backbone: str = Field(
        "random", title="Backbone", description="random, or folder:<path> of a Llama or Qwen model on this machine (safetensors)."
    )
    layers: int = Field(3, ge=1, le=200, title="Layers", description="Layers; of a folder, its first ones.")
    width: int = Field(64, ge=8, le=8192, title="Width", description="Width of a random backbone; a multiple of the heads.")
    feed_forward: int = Field(128, ge=8, le=65_536, title="Feed-forward width", description="Hidden width of a random backbone.")
    heads: int = Field(4, ge=1, le=128, title="Heads", description="Attention heads of a random backbone.")
    key_value_heads: int = Field(
        2, ge=1, le=128, title="Key-value heads", description="Heads of keys and values; divides the heads."
    )
    attention_dropout: float = Field(
        0.0, ge=0, lt=1, title="Attention dropout", description="On attention weights of a random backbone."
    )
    prefix_tokens: int = Field(0, ge=0, le=64, title="Prefix tokens", description="Trained vectors before the visits.")
    prompt: str = Field(
        "",
        max_length=4000,
        title="Prompt",
        description="Text before the visits, as frozen token vectors; for a backbone from a folder.",
    )
    freeze: Literal["auto", "always", "never"] = Field(
        "auto", title="Freeze", description="Keep all of the backbone but its gains as it is; auto: where its weights were loaded."
    )
    final_norm: bool = Field(
        True, title="Final normalisation", description="Normalise before the head; off: as the published code."
    )

    # ---- head and loss ----
    head: Literal["regression", "mdn", "pointer"] = Field(
        "pointer",
        title="Head",
        description="regression: one point, places by distance, as published. mdn: several Gaussians. pointer: a return to a place of the "
        "window, or else the Gaussians.",
    )
    components: int = Field(8, ge=1, le=64, title="Gaussians", description="Guesses of the mixture.")
    density_over: Literal["places", "plane"] = Field(
        "places",
        title="Mixture learns from",
        description="places: the probability of the right one among the city's places. plane: the density at the right point.",
    )
    least_spread: float = Field(
        40.0, gt=0, le=1e5, title="Least spread", description="Standard deviation of a Gaussian, at least, in metres."
    )
    popularity_term: bool = Field(
        True, title="Popularity term", description="Log of training visits, weighted, in the mixture's place probabilities."
    )
    memory_visits: int = Field(
        0,
        ge=0,
        le=100_000,
        title="Memory",
        description="Training visits of the user that the pointer may also return to; 0: the window alone, for any user of any city.",
    )
    lambda_entropy: float = Field(
        0.2, ge=0, le=1e4, title="Entropy weight", description="How much undecided routers cost, in the unit below."
    )
    lambda_balance: float = Field(
        0.2,
        ge=0,
        le=1e4,
        title="Balance weight",
        description="How much evenly used experts are rewarded; 0: not at all, as published.",
    )
    lambda_floor: float = Field(
        0.05,
        ge=0,
        le=1e4,
        title="Floor weight",
        description="How much experts that are hardly asked are brought back; 0: not at all, as published.",
    )
    roles_decided_per: Literal["visit", "window"] = Field(
        "visit",
        title="Roles decided per",
        description="visit: each visit is to have few role experts, as published. window: all visits of a window the same few, so that "
        "experts divide people rather than moments.",
    )
    routing_judged_on: Literal["asked", "all"] = Field(
        "asked",
        title="Role routers judged on",
        description="asked: the visits that are asked for the next one. all: the long history and the prompt as well, as published; "
        "a router is then even when it gives every position of the window an expert of its own, and asks few where answers come from.",
    )
    lambda_unit: Literal["loss", "metre"] = Field(
        "loss",
        title="Unit of these weights",
        description="loss: city scales (regression) or nats. metre: metres of distance, as published.",
    )
    routing_warm_up: float = Field(
        0.1, ge=0, le=1, title="Routing warm-up", description="Share of training over which these weights grow from zero."
    )

    # ---- training ----
    dense_targets: bool = Field(
        True,
        title="All current visits are asked",
        description="Each current visit predicts the one after it; off: the latest only.",
    )
    stride: int = Field(
        5,
        ge=1,
        le=1000,
        title="Stride",
        description="Every so many training windows are read in an epoch, from another one each time.",
    )
    epochs: Epochs = 6
    batch: int = Field(64, ge=2, le=8192, title="Batch", description="Windows per step, at most.")
    learning_rate: LearningRate = 2e-3
    weight_decay: WeightDecay = 0.01
    warm_up_epochs: WarmUp = 1.0
    decay: Decay = "cosine"
    clip_norm: float = Field(1.0, gt=0, le=1e6, title="Clip", description="Longest gradient.")
    patience: Patience = 4
    candidates: int = Field(
        600, ge=64, le=1_000_000, title="Candidates", description="Places scored per training step; a larger city is sampled."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.backbone == "random":
            if self.width % self.heads or (self.width // self.heads) % 2:
                raise ValueError(f"{self._told('width')} must be an even multiple of {self._told('heads')}")
            if self.heads % self.key_value_heads:
                raise ValueError(f"{self._told('heads')} must be a multiple of {self._told('key_value_heads')}")
            if self.prompt:
                raise ValueError("a prompt is text, which a random backbone cannot read; use prefix tokens")
            if self.freeze == "always":
                raise ValueError("freezing random weights leaves nothing that could learn; choose auto or never")
        elif not self.backbone.startswith("folder:") or not self.backbone.removeprefix("folder:"):
            raise ValueError("backbone must be random or folder:<path>")
        if self.role_experts and self.first_expert_layer >= self.layers:
            raise ValueError(f"the first expert layer ({self.first_expert_layer}, from 0) must be below the layers ({self.layers})")
        if not self.smallest_radius < self.largest_radius:
            raise ValueError("the smallest radius must be below the largest")
        return self

    def _told(self, name: str) -> str:
        """A setting by the title that forms give it, with its value."""
        return f"“{type(self).model_fields[name].title}” ({getattr(self, name)})"

    @property
    def visit_width(self) -> int:
        """Length of a visit's embedding."""
        return self.location_width + self.day_width + self.hour_width + self.duration_width

    @property
    def longest_history(self) -> int:
        """Visits of a window."""
        return self.history_visits + self.current_visits

    @property
    def expert_layers(self) -> list[int]:
        """Layers with a role mixture, from 0."""
        return list(range(self.first_expert_layer, self.layers, self.expert_layer_step)) if self.role_experts else []

    @property
    def role_choice(self) -> Choice:
        """How role experts are chosen."""
        return Choice(self.routing, self.threshold, self.most_roles, self.role_count, self.role_renormalise)

    @property
    def function_choice(self) -> Choice:
        """How function experts are chosen."""
        return Choice("topk", count=self.function_count, renormalise=self.function_renormalise)

    @property
    def reads_user(self) -> bool:
        """Whether the answer depends on who asks."""
        return self.head == "pointer" and self.memory_visits > 0

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """`demo`: anyone in any city; `known_users`: with each one's training visits; `tiny`: tests; the rest need a backbone's folder."""
        published = {
            "backbone": "folder:Llama-3.2-3B",
            "layers": 12,
            "first_expert_layer": 8,
            "expert_layer_step": 2,
            "location_code": "linear",
            "location_width": 128,
            "day_width": 16,
            "hour_width": 16,
            "duration_width": 16,
            "isotropic": False,
            "mask_last_duration": False,
            "history_convolutions": 2,
            "router_hidden": 128,
            "router_form": "published",
            "rank": 16,
            "alpha": 16.0,
            "expert_dropout": 0.02,
            "expert_spread": 0.0,
            "head": "regression",
            "lambda_entropy": 300.0,
            "lambda_balance": 0.0,
            "lambda_floor": 0.0,
            "routing_judged_on": "all",
            "lambda_unit": "metre",
            "dense_targets": False,
            "prompt": "Predict where a person goes next from the place, weekday, hour and duration of earlier and of current visits.",
            "epochs": 50,
            "batch": 12,
            "learning_rate": 1e-4,
            "decay": "constant",
            "warm_up_epochs": 0.0,
        }
        return {
            "demo": cls(),
            "known_users": cls(memory_visits=200),
            "tiny": cls(
                text_encoder="hash-svd",
                location_width=16,
                day_width=4,
                hour_width=4,
                duration_width=4,
                scales=8,
                width=16,
                feed_forward=32,
                layers=2,
                heads=2,
                key_value_heads=1,
                first_expert_layer=1,
                router_hidden=16,
                history_blocks=3,
                rank=2,
                alpha=2.0,
                head="regression",
                epochs=3,
                batch=32,
                learning_rate=5e-3,
                candidates=64,
            ),
            "paper": cls(**published),
            "released": cls(
                **published
                | {
                    "routing": "released",
                    "role_renormalise": False,
                    "published_function_start": True,
                    "final_norm": False,
                    "routing_warm_up": 0.0,
                    "learning_rate": 2e-4,
                    "batch": 32,
                }
            ),
        }
