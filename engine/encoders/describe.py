"""Describers: what is said in words about a cell, modality by modality, on three levels.

1. what is there and which zoning it suggests (the text), 2. an activity intensity from 0 to 100, 3. a guess of the curve of
departures over the day (24 numbers from 0 to 1). The guess is the describer's own opinion of what a model is to predict, so it is
kept apart from the text and left out unless it is asked for (LMEMR §3.1; specification §3.1).

`rules` needs nothing; `endpoint:<base URL>:<model>` asks an OpenAI-compatible server; `transformers:<folder>` a vision-language
model on this machine. Descriptions of the same prompt that are stored with the city win over all of them.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from engine.errors import ConfigError, EncoderError

DESCRIBERS = ("rules", "endpoint:<base URL>:<model>", "transformers:<folder>")
PromptName = Literal["three_level", "lite"]
PROMPTS: tuple[PromptName, ...] = ("three_level", "lite")
ANY_PROMPT = "any"
"""In the column `prompt` of stored descriptions: whichever is asked, as of words that an analyst wants to be read."""
LEVEL_NAMES = ("land features and zoning", "activity intensity", "guess of the curve")

_PROMPT_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "prompts"

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Evidence:
    """What a describer may look at: one modality of one cell.

    Attributes:
        cell_id: The cell.
        modality: `satellite`, `height`, `street_view` or `poi`.
        measures: Component to value, as measured (shares 0 to 1, metres, counts).
        images: Bytes of its pictures, none for `poi`.
        area_km2: Area of the ground that was measured: the cell, or the circle around its middle in which places were counted.
    """

    cell_id: str
    modality: str
    measures: Mapping[str, float]
    images: tuple[bytes, ...] = ()
    area_km2: float = 0.25


@dataclass(frozen=True)
class Description:
    """What was said about one modality of one cell.

    Attributes:
        text: Land features and zoning, in words; with the intensity where the prompt asks for it, without the guess of the curve.
        intensity: Activity from 0 to 100; None if not said.
        trend: 24 numbers from 0 to 1, departures in each local hour as guessed; None if not asked for or not said.
    """

    text: str
    intensity: float | None = None
    trend: tuple[float, ...] | None = None


@dataclass
class Told:
    """Descriptions and how they came about.

    Attributes:
        descriptions: One per piece of evidence, None where there is none.
        counts: Outcome to number (`cached`, `asked`, `repaired`, `asked again`, `failed`, ...).
        problems: Sentences for what failed, at most a few of each kind.
    """

    descriptions: list[Description | None]
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class Describer(ABC):
    """Says in words what is in a cell.

    Attributes:
        name: The source, as written in a config and in the `source` of descriptions.
        prompt: The prompt it answers, as in the `prompt` of descriptions.
    """

    name: str
    prompt: PromptName = "three_level"

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Changes whenever the descriptions could."""

    @abstractmethod
    def describe(self, evidence: Sequence[Evidence], with_trend: bool, report: Report | None = None) -> Told:
        """Describes pieces of evidence, each by itself.

        Args:
            evidence: What to look at.
            with_trend: Whether to guess the curve of departures too.
            report: Told what is being done and the share done, 0 to 1.

        Returns:
            One description per piece of evidence, None where it failed; failures are counted and explained.

        Raises:
            EncoderError: If the describer cannot run at all.
        """


def describer(source: str, prompt: PromptName = "three_level") -> Describer:
    """The describer for a source as written in a config.

    Args:
        source: One of `DESCRIBERS`.
        prompt: `three_level`, or `lite` (land features in one sentence, no zoning, no intensity): an ablation of the paper.

    Raises:
        EncoderError: If the source is unknown or absent.
    """
    kind, _, rest = source.partition(":")
    if source == "rules":
        from engine.encoders.describe_rules import RuleDescriber

        return RuleDescriber(prompt)
    if kind == "endpoint" and rest:
        from engine.encoders.describe_endpoint import EndpointDescriber, EndpointSettings

        url, _, model = rest.rpartition(":")
        if not url or not model or "//" not in url:
            raise EncoderError(
                f"`{source}` does not name a server and a model. Write `endpoint:<base URL>:<model>`, "
                "for example `endpoint:http://127.0.0.1:8000/v1:qwen2.5-vl-7b`."
            )
        return EndpointDescriber(EndpointSettings(base_url=url, model=model, prompt=prompt))
    if kind == "transformers" and rest:
        from engine.encoders.describe_local import LocalDescriber

        return LocalDescriber(source, Path(rest).expanduser(), prompt)
    raise EncoderError(f"There is no describer `{source}`; choose one of {', '.join(DESCRIBERS)}.")


@dataclass(frozen=True)
class Prompt:
    """A prompt as it stands in `assets/prompts`.

    Attributes:
        name: Its name.
        system: What the model is told first.
        modality: Question by modality; `{measures}` is replaced by what was measured.
        answer: How the answer is to be written, without the guess of the curve.
        answer_with_trend: The same with it.
        sha256: Hash of the file.
    """

    name: str
    system: str
    modality: Mapping[str, str]
    answer: str
    answer_with_trend: str
    sha256: str

    def question(self, evidence: Evidence, with_trend: bool) -> str:
        """The text that goes with the pictures of a piece of evidence."""
        measured = "\n".join(f"- {name}: {value:.4g}" for name, value in evidence.measures.items()) or "- nothing"
        asked = self.modality[evidence.modality].replace("{measures}", measured).replace("{area}", f"{evidence.area_km2:.3g}")
        return f"{asked.strip()}\n\n{(self.answer_with_trend if with_trend else self.answer).strip()}"


@cache
def load_prompt(name: PromptName = "three_level") -> Prompt:
    """A prompt from `assets/prompts/<name>.yaml`.

    Raises:
        ConfigError: If it is absent or damaged.
    """
    path = _PROMPT_FOLDER / f"{name}.yaml"
    try:
        data = path.read_bytes()
        said = yaml.safe_load(data)
        return Prompt(
            name=name,
            system=said["system"],
            modality=said["modality"],
            answer=said["answer"],
            answer_with_trend=said["answer_with_trend"],
            sha256=hashlib.sha256(data).hexdigest(),
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigError(f"Prompt `{path.name}` in `assets/prompts` cannot be read ({error!r}). Restore the file.") from None
