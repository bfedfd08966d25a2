"""Descriptions by a vision-language model in a folder on this machine; nothing is downloaded, no foreign code runs."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from engine import device, store
from engine.city.images import read_heights, read_image
from engine.encoders.describe import Describer, Description, Evidence, PromptName, Report, Told, load_prompt
from engine.encoders.describe_answer import read_answer
from engine.encoders.image import check_model_folder, load_local_model
from engine.errors import EncoderError, IngestError

_LONGEST_SIDE = 512
_MOST_PROBLEMS = 5


class LocalDescriber(Describer):
    """A vision-language model that writes greedily: the same answer every time.

    Args:
        name: The source, `transformers:<folder>`.
        folder: Hugging Face layout: `config.json`, one `model.safetensors`, tokenizer, image processor and chat template.
        prompt: Which prompt.
        max_tokens: Longest answer.
        most_pictures: Most street views of one cell in one question.

    Raises:
        EncoderError: If the folder is absent, incomplete, holds pickled weights only, or asks for its own code.
    """

    def __init__(
        self, name: str, folder: Path, prompt: PromptName = "three_level", max_tokens: int = 400, most_pictures: int = 4
    ) -> None:
        self.name, self.folder, self.max_tokens, self.most_pictures = name, folder, max_tokens, most_pictures
        self.prompt, self._prompt = prompt, load_prompt(prompt)
        self._config = check_model_folder(name, folder)
        with (folder / "model.safetensors").open("rb") as file:
            self._hash = hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def fingerprint(self) -> str:  # noqa: D102
        told = f"{self._prompt.sha256}/{self.max_tokens}/{self.most_pictures}/{_LONGEST_SIDE}"
        return f"vision-language/{self._config['model_type']}/sha256:{self._hash}/{told}"

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        try:
            processor = AutoProcessor.from_pretrained(str(self.folder), local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError) as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise EncoderError(
                f"Describer `{self.name}`: its tokenizer or image processor cannot be read from `{self.folder.name}`: {reason} "
                "Copy the model again, with all its small files."
            ) from None
        if not getattr(processor, "chat_template", None):
            raise EncoderError(
                f"Describer `{self.name}` has no chat template (`chat_template.jinja`), so it cannot be asked. "
                "Choose a model tuned to follow instructions."
            )
        model = load_local_model(self.name, self.folder, self._config, AutoModelForImageTextToText)
        return processor, model.to(device.choose_device().torch)

    def describe(self, evidence: Sequence[Evidence], with_trend: bool, report: Report | None = None) -> Told:  # noqa: D102
        say = report or (lambda what, share: None)
        counts: Counter[str] = Counter()
        problems: list[str] = []
        descriptions: list[Description | None] = []
        for number, one in enumerate(evidence):
            say(f"{number:,} of {len(evidence):,} descriptions by {self.folder.name}", number / len(evidence))
            path = self._path(one, with_trend)
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
                counts["from disk"] += 1
            except (OSError, ValueError):
                try:
                    answer, truncated = self._answer(one, with_trend)
                except IngestError as error:
                    counts["failed"] += 1
                    descriptions.append(None)
                    problems += [f"Cell {one.cell_id}, {one.modality}: {error}"] * (len(problems) < _MOST_PROBLEMS)
                    continue
                kept = {"cell_id": one.cell_id, "modality": one.modality, "answer": answer, "truncated": truncated}
                store.write_json(path, kept)
            reading = read_answer(str(kept["answer"]), with_trend, bool(kept["truncated"]))
            descriptions.append(reading.description)
            counts["repaired"] += reading.repaired
            counts["answered" if reading.description else "failed"] += 1
            if reading.description is None and len(problems) < _MOST_PROBLEMS:
                problems.append(f"Cell {one.cell_id}, {one.modality}: {reading.reason}.")
        return Told(descriptions, dict(counts), problems)

    def _answer(self, one: Evidence, with_trend: bool) -> tuple[str, bool]:
        processor, model = self._loaded
        content: list[dict[str, Any]] = [
            {"type": "image", "image": self._shown(picture, one.modality)} for picture in one.images[: self.most_pictures]
        ]
        content.append({"type": "text", "text": self._prompt.question(one, with_trend)})
        messages = [
            {"role": "system", "content": [{"type": "text", "text": self._prompt.system}]},
            {"role": "user", "content": content},
        ]
        inputs = processor.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        ).to(model.device)
        with torch.inference_mode():
            written = model.generate(**inputs, max_new_tokens=self.max_tokens, do_sample=False)
        fresh = written[0, inputs["input_ids"].shape[1] :]
        return processor.decode(fresh, skip_special_tokens=True), len(fresh) >= self.max_tokens

    def _shown(self, data: bytes, modality: str) -> Image.Image:
        if modality == "height":
            grey, _ = read_heights(data)
            return Image.fromarray(grey.astype("uint8")).convert("RGB")
        return read_image(data, modality, _LONGEST_SIDE)

    def _path(self, one: Evidence, with_trend: bool) -> Path:
        digest = hashlib.sha256(f"{self.fingerprint}\n{with_trend}\n{self._prompt.question(one, with_trend)}".encode())
        for picture in one.images[: self.most_pictures]:
            digest.update(hashlib.sha256(picture).digest())
        return store.cache_folder() / "descriptions" / digest.hexdigest()[:2] / f"{digest.hexdigest()}.json"
