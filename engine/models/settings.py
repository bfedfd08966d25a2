"""Settings of models: the form every one of them takes, and the fields that several share."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import ConfigError, settings_sentence

TextEncoderName = Annotated[
    str,
    Field(title="Text encoder", description="minilm, hash-svd, transformers:<folder> or precomputed:<file.npy>; frozen."),
]
AttentionDropout = Annotated[float, Field(ge=0, lt=1, title="Attention dropout", description="On attention weights.")]
Epochs = Annotated[int, Field(ge=1, le=5000, title="Epochs", description="At most; stops early.")]
LearningRate = Annotated[float, Field(gt=0, le=0.1, title="Learning rate", description="Peak rate.")]
WeightDecay = Annotated[float, Field(ge=0, le=10, title="Weight decay", description="On matrices only.")]
WarmUp = Annotated[float, Field(ge=0, le=100, title="Warm-up", description="Epochs until the peak rate.")]
Decay = Annotated[Literal["constant", "linear", "cosine"], Field(title="Decay", description="What the rate does after warm-up.")]
Patience = Annotated[int, Field(ge=1, le=5000, title="Patience", description="Epochs without improvement that are tolerated.")]


class ModelConfig(BaseModel):
    """Settings of a model: frozen, unknown fields refused; form, command line and JSON are made from it.

    Every field carries a title, description with unit, and range. `presets` gives at least `tiny`, `demo` and `paper`.

    Class attributes:
        shown_first: Fields that forms show before all others, because an analyst most often changes them.
        form_groups: Title to the fields that forms show together under it, in order; what is in no group follows under "More settings".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shown_first: ClassVar[tuple[str, ...]] = ()
    form_groups: ClassVar[dict[str, tuple[str, ...]]] = {}

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """Named settings; the first is what the Train page proposes."""
        raise NotImplementedError(f"{cls.__name__} declares no presets")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """A preset with some fields changed.

        Raises:
            ConfigError: If the preset or a field is unknown, or a value is out of range.
        """
        known = cls.presets()
        if name not in known:
            raise ConfigError(f"There is no preset `{name}`; choose one of {', '.join(known)}.")
        try:
            return cls.model_validate(known[name].model_dump() | changes)
        except ValidationError as error:
            raise ConfigError(settings_sentence(error)) from None


class TrainedConfig(ModelConfig):
    """Settings of a model whose last stage runs by a common schedule; each model names its own defaults."""

    epochs: Epochs
    learning_rate: LearningRate
    weight_decay: WeightDecay
    warm_up_epochs: WarmUp
    decay: Decay
    patience: Patience

    def schedule(self) -> dict[str, Any]:
        """What a `Stage` takes of these settings; a warm-up never takes more than half of the epochs."""
        return {
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "epochs": self.epochs,
            "warm_up_epochs": min(self.warm_up_epochs, self.epochs / 2),
            "decay": self.decay,
            "patience": self.patience,
        }
