"""Frozen image encoders behind one interface; a run names which one made its numbers.

Sources: `descriptors` (measurements an analyst can read, needs nothing), `transformers:<folder>` (ResNet, CLIP, DINOv2, ViT, ...
weights that are already on this machine). Vectors made elsewhere, `precomputed:<folder>`, are looked up by cell and need no
picture: see `PrecomputedVectors`. Nothing is ever downloaded.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from engine import device
from engine.city.images import read_heights, read_image
from engine.encoders.cache import cached_rows
from engine.encoders.image_descriptors import MEASURES
from engine.errors import EncoderError, IngestError

IMAGE_SOURCES = ("descriptors", "transformers:<folder>", "precomputed:<folder>")
PICTURES = ("satellite", "height", "street_view")
"""Modalities that are pictures."""

Report = Callable[[str, float], None]

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_REPORT_EVERY = 100


class ImageEncoder(ABC):
    """Turns pictures into vectors; frozen, deterministic, cached on disk picture by picture.

    Attributes:
        name: The source, as written in a config.
        modality: What the pictures show, one of `PICTURES`.
    """

    name: str
    modality: str

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Name, hash of the weights and settings; changes whenever the vectors could."""

    @property
    @abstractmethod
    def components(self) -> tuple[str, ...]:
        """Names of the numbers of a vector; `<name> 1`, ... where they mean nothing by themselves."""

    @property
    def width(self) -> int:
        """Length of a vector."""
        return len(self.components)

    @abstractmethod
    def _compute(self, images: list[bytes], report: Report) -> np.ndarray:
        """(image, dimension) float32, NaN throughout where an image cannot be read."""

    def encode(self, images: Sequence[bytes], report: Report | None = None) -> np.ndarray:
        """Vectors of pictures.

        Args:
            images: Bytes of JPEG, PNG and whatever else `read_image` takes.
            report: Told what is being done and the share done, 0 to 1.

        Returns:
            (image, dimension) float32; a row of NaN for a picture that cannot be read (damaged, truncated, too large).

        Raises:
            EncoderError: If the encoder cannot run; the message says why.
        """
        say = report or (lambda what, share: None)
        return cached_rows(
            self.fingerprint, list(images), self.width, lambda missing: self._compute([images[row] for row in missing], say)
        )


def image_encoder(source: str, modality: str) -> ImageEncoder:
    """The encoder for a source as written in a config.

    Args:
        source: One of `IMAGE_SOURCES` but `precomputed:`, which has no pictures to encode.
        modality: One of `PICTURES`.

    Raises:
        EncoderError: If the source is unknown, absent or damaged.
    """
    if modality not in PICTURES:
        raise EncoderError(f"There are no pictures of `{modality}`; modalities with pictures are {', '.join(PICTURES)}.")
    kind, _, where = source.partition(":")
    if source == "descriptors":
        return DescriptorImages(modality)
    if kind == "transformers" and where:
        return TransformerImages(source, Path(where).expanduser(), modality)
    raise EncoderError(f"There is no image encoder `{source}`; choose one of {', '.join(IMAGE_SOURCES)}.")


class DescriptorImages(ImageEncoder):
    """Measurements an analyst can read; the list depends on the modality."""

    name = "descriptors"
    _VERSION = 3

    def __init__(self, modality: str) -> None:
        self.modality = modality
        self._components, self._measure = MEASURES[modality]

    @property
    def fingerprint(self) -> str:  # noqa: D102
        return f"descriptors/{self.modality}/{self._VERSION}/{len(self._components)}"

    @property
    def components(self) -> tuple[str, ...]:  # noqa: D102
        return self._components

    def _compute(self, images: list[bytes], report: Report) -> np.ndarray:
        rows = np.full((len(images), self.width), np.nan, np.float32)
        what = self.modality.replace("_", " ")
        for row, data in enumerate(images):
            if row % _REPORT_EVERY == 0:
                report(f"Measuring picture {row + 1:,} of {len(images):,} ({what})", row / len(images))
            try:
                rows[row] = self._measure(data, self.modality)
            except IngestError:
                continue  # stays NaN; the caller counts it
        return rows


class TransformerImages(ImageEncoder):
    """A vision model from a folder on this machine: its pooled vector of each picture.

    Works with architectures of `transformers` whose output has a pooled vector (ResNet, ViT, DINOv2, ConvNeXt, Swin, ...) and
    with CLIP-like models, of which the image tower and its projection are used. A height map enters as grey.

    Args:
        name: The source.
        folder: Hugging Face layout: `config.json`, `model.safetensors`, and `preprocessor_config.json` where the model has one.
        modality: What the pictures show.
        batch: Pictures at a time.

    Raises:
        EncoderError: If the folder is absent, incomplete, holds pickled weights only, or asks for its own code.
    """

    def __init__(self, name: str, folder: Path, modality: str, batch: int = 16) -> None:
        self.name, self.folder, self.modality, self.batch = name, folder, modality, batch
        self._config = check_model_folder(name, folder)
        self._hash = _hash_file(folder / "model.safetensors")
        self._side, self._mean, self._std = self._preprocessing()

    @property
    def fingerprint(self) -> str:  # noqa: D102
        settings = f"{self._side}/{self._mean}/{self._std}/{'metres' if self.modality == 'height' else 'rgb'}"
        return f"image/{self._config['model_type']}/sha256:{self._hash}/{settings}"

    @property
    def components(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(f"{self._config['model_type']} {number}" for number in range(1, self._width + 1))

    @cached_property
    def _width(self) -> int:
        with torch.inference_mode():
            return int(self._forward(torch.zeros(1, 3, self._side, self._side)).shape[1])

    def _preprocessing(self) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
        path = self.folder / "preprocessor_config.json"
        said: dict[str, Any] = {}
        if path.is_file():
            try:
                said = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise EncoderError(
                    f"Image encoder `{self.name}`: `preprocessor_config.json` is damaged ({error}). Copy the model again."
                ) from None
        size = said.get("crop_size") or said.get("size") or self._config.get("image_size") or 224
        if isinstance(size, dict):
            size = size.get("height") or size.get("shortest_edge") or 224
        mean, std = said.get("image_mean", _IMAGENET_MEAN), said.get("image_std", _IMAGENET_STD)
        usable = isinstance(size, (int, float)) and 8 <= size <= 2048 and len(mean) == len(std) == 3 and min(std) > 0
        if not usable:
            raise EncoderError(
                f"Image encoder `{self.name}`: `preprocessor_config.json` asks for size {size!r}, mean {mean!r}, std {std!r}; "
                "a side of 8 to 2,048 pixels and three means and deviations are needed."
            )
        return int(size), tuple(map(float, mean)), tuple(map(float, std))

    @cached_property
    def _model(self) -> Any:
        return load_local_model(self.name, self.folder, self._config).to(device.choose_device().torch)

    def _forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(image, 3, side, side) normalised pixels to (image, dimension)."""
        pixels = pixels.to(next(self._model.parameters()).device)
        if hasattr(self._model, "get_image_features"):
            found = self._model.get_image_features(pixel_values=pixels)
            vectors = found if isinstance(found, torch.Tensor) else found.pooler_output
        else:
            found = self._model(pixel_values=pixels)
            vectors = getattr(found, "pooler_output", None)
            if vectors is None:
                vectors = found.last_hidden_state
                vectors = vectors[:, 0] if vectors.ndim == 3 else vectors.mean((-2, -1))
        return vectors.flatten(1)

    def _pixels(self, data: bytes) -> torch.Tensor:
        if self.modality == "height":
            grey, _ = read_heights(data, self.modality)
            image = Image.fromarray(grey.astype(np.uint8)).convert("RGB")
        else:
            image = read_image(data, self.modality)
        # The middle square at the model's size: tiles are square already, photographs lose their sides, nothing is squeezed.
        width, height = image.size
        scale = self._side / min(width, height)
        image = image.resize(
            (max(self._side, round(width * scale)), max(self._side, round(height * scale))), Image.Resampling.BICUBIC
        )
        left, top = (image.size[0] - self._side) // 2, (image.size[1] - self._side) // 2
        square = np.asarray(image.crop((left, top, left + self._side, top + self._side)), np.float32) / 255
        normal = (square - np.array(self._mean, np.float32)) / np.array(self._std, np.float32)
        return torch.from_numpy(normal.transpose(2, 0, 1).copy())

    def _compute(self, images: list[bytes], report: Report) -> np.ndarray:
        rows = np.full((len(images), self.width), np.nan, np.float32)
        for begin in range(0, len(images), self.batch):
            report(f"Encoding picture {begin + 1:,} of {len(images):,} ({self.modality})", begin / len(images))
            readable, pixels = [], []
            for row in range(begin, min(begin + self.batch, len(images))):
                try:
                    pixels.append(self._pixels(images[row]))
                    readable.append(row)
                except IngestError:
                    continue
            if readable:
                with torch.inference_mode():
                    rows[readable] = self._forward(torch.stack(pixels)).float().cpu().numpy()
        return rows


class PrecomputedVectors:
    """Vectors made elsewhere, by cell: per modality `<modality>.npy` (row, dimension) beside `<modality>.txt`, one cell id per line.

    A cell may have several rows for `street_view` and one for the others.

    Args:
        name: The source, `precomputed:<folder>`.
        folder: Where the arrays are.

    Raises:
        EncoderError: If the folder is absent.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        if not folder.is_dir():
            raise EncoderError(
                f"Image encoder `{name}`: there is no folder `{folder}`. Name one that holds `satellite.npy` with `satellite.txt`."
            )

    def rows(self, modality: str) -> tuple[np.ndarray, list[str], str] | None:
        """The vectors of one modality.

        Returns:
            (row, dimension) float32, the cell id of each row, and the sha256 of the array; None if the folder has none.

        Raises:
            EncoderError: If the array or its ids are damaged, of different lengths, or hold values that are not finite.
        """
        path, listing = self.folder / f"{modality}.npy", self.folder / f"{modality}.txt"
        if not path.is_file() and not listing.is_file():
            return None
        if not path.is_file() or not listing.is_file():
            lacking = listing if path.is_file() else path
            raise EncoderError(
                f"Image encoder `{self.name}`: `{lacking.name}` is missing. Give a `.npy` with a `.txt` of its cell ids beside it."
            )
        try:
            vectors = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise EncoderError(f"Image encoder `{self.name}`: `{path.name}` is not a plain array ({error}).") from None
        ids = listing.read_text(encoding="utf-8").splitlines()
        if vectors.ndim != 2 or len(vectors) != len(ids) or not np.issubdtype(vectors.dtype, np.number) or not vectors.shape[1]:
            raise EncoderError(
                f"Image encoder `{self.name}`: `{path.name}` has shape {vectors.shape} for {len(ids)} ids; give one row per id."
            )
        vectors = vectors.astype(np.float32)
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise EncoderError(
                f"Image encoder `{self.name}`: `{path.name}` holds values that are not finite, first for cell {ids[row]!r}. "
                "Leave out the rows of cells without a picture."
            )
        return vectors, ids, _hash_file(path)


def check_model_folder(name: str, folder: Path) -> dict[str, Any]:
    """Refuses a model folder that is absent, incomplete, pickled, or brings its own code; returns its `config.json`.

    Raises:
        EncoderError: Saying what is wrong and what to do.
    """
    if not folder.is_dir():
        raise EncoderError(f"Encoder `{name}`: there is no folder `{folder}`. Name a folder that holds the model's files.")
    if not (folder / "config.json").is_file():
        raise EncoderError(f"Encoder `{name}`: `{folder.name}` has no `config.json`; is this the model's folder?")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise EncoderError(f"Encoder `{name}`: `config.json` is damaged ({error}). Copy the model again.") from None
    if "auto_map" in config:
        raise EncoderError(f"Encoder `{name}` brings its own code, which is never run here. Choose a standard architecture.")
    if not (folder / "model.safetensors").is_file():
        pickled = sorted(path.name for suffix in ("*.bin", "*.pt", "*.pth", "*.pkl") for path in folder.glob(suffix))
        if pickled:
            raise EncoderError(
                f"Encoder `{name}` has its weights as `{pickled[0]}`, a format that can run code when it is opened. "
                "Convert it to `model.safetensors` first."
            )
        partial = sorted(path.name for ending in ("*.incomplete", "*.part") for path in folder.glob(ending))
        half = f" A half-finished download (`{partial[0]}`) lies there." if partial else ""
        raise EncoderError(f"Encoder `{name}`: `model.safetensors` is missing from `{folder.name}`.{half} Copy the model again.")
    if "model_type" not in config:
        raise EncoderError(f"Encoder `{name}`: `config.json` does not say which `model_type` it is. Copy the model again.")
    return dict(config)


def load_local_model(name: str, folder: Path, config: dict[str, Any], loader: Any = None) -> Any:
    """A frozen model from local safetensors, never with code of its own.

    Args:
        name: The source, for the refusal.
        folder: The checked folder.
        config: Its `config.json`.
        loader: A transformers auto class; default `AutoModel`.

    Raises:
        EncoderError: If the weights cannot be read or do not fill the architecture.
    """
    from safetensors import SafetensorError
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model, info = (loader or AutoModel).from_pretrained(
            str(folder),
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError, SafetensorError, RuntimeError, ImportError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise EncoderError(
            f"Encoder `{name}` could not be read from `{folder.name}`: {reason} "
            "The files may be incomplete or of another architecture; copy the model again."
        ) from None
    absent = [key for key in info.get("missing_keys", ()) if "pooler" not in key and "position_ids" not in key]
    if absent:
        raise EncoderError(
            f"Encoder `{name}`: the weights lack {len(absent)} tensors of a {config['model_type']} (first: `{absent[0]}`). "
            "They belong to another architecture, or the copy is incomplete."
        )
    return model.eval().requires_grad_(False)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
