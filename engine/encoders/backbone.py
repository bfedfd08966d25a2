"""The transformer that reads visits: a stock Llama-like model without its vocabulary, small and random, or from a folder.

The layers are the library's own (`transformers.AutoModel` called with `inputs_embeds` and a mask); a layer's feed-forward may be
exchanged from outside, and attention can be watched and overridden through probes.
"""

import json
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.blocks import held
from engine.errors import EncoderError
from engine.probes import Probe

ARCHITECTURES = ("llama", "qwen2", "qwen3")
_ATTENTION = "mobiscope_probed"


class Backbone(nn.Module):
    """A causal transformer over vectors.

    Args:
        model: A `transformers` model with `layers`, each with `self_attn` and `mlp`.
        is_pretrained: Whether its weights were loaded.

    Attributes:
        width, hidden: Width of a token, and hidden width of a feed-forward.
    """

    def __init__(self, model: Any, is_pretrained: bool) -> None:
        super().__init__()
        model.embed_tokens = None  # tokens are visits, not words
        model.config.use_cache = False
        model.set_attn_implementation(_register_attention())
        self.model, self.is_pretrained = model, is_pretrained
        self.width, self.hidden = int(model.config.hidden_size), int(model.config.intermediate_size)
        self.layers = len(model.layers)
        self.attention = nn.ModuleDict(
            {
                f"layer_{number + 1}": Probe(
                    "attention",
                    ("sample", "head", "query", "key"),
                    f"How much each visit looks at each earlier one in layer {number + 1}; both axes end with the latest visit.",
                    paper="§12",
                )
                for number in range(self.layers)
            }
        )
        for layer, probe in zip(model.layers, self.attention.values(), strict=True):
            layer.self_attn.mobiscope_probe = (probe,)  # in a tuple, so that the probe stays ours
            layer.register_forward_hook(_keep_state)

    def replace_feed_forward(self, layer: int, make: Callable[[nn.Module], nn.Module]) -> None:
        """Puts `make(feed-forward)` in the place of a layer's feed-forward."""
        self.model.layers[layer].mlp = make(self.model.layers[layer].mlp)

    def forward(
        self,
        tokens: Tensor,
        real: Tensor,
        positions: Tensor | None = None,
        each_layer: bool = False,
        final_norm: bool = True,
    ) -> Tensor:
        """Reads sequences that are padded on the left.

        Args:
            tokens: (sample, token, width).
            real: (sample, token) bool, False where padded; a padded token sees itself only and is seen by none.
            positions: (token,) position of each token, so that an answer does not depend on how far a batch is padded; from 0 if None.
            each_layer: Whether to return the states after every layer.
            final_norm: Whether states are normalised as the library does after its last layer.

        Returns:
            (sample, token, width), or with `each_layer` (layer, sample, token, width).
        """
        length = tokens.shape[1]
        steps = torch.arange(length, device=tokens.device)
        mask = (steps[:, None] >= steps) & real[:, None]
        mask = (mask | torch.eye(length, dtype=torch.bool, device=tokens.device))[:, None]  # (sample, 1, query, key)
        states: list[Tensor] = []
        with held(_STATES, states if each_layer or not final_norm else None):
            last = self.model(
                inputs_embeds=tokens,
                attention_mask=mask,
                position_ids=(steps if positions is None else positions)[None],
                use_cache=False,
            ).last_hidden_state
        if not final_norm:
            return torch.stack(states) if each_layer else states[-1]
        return torch.stack([self.model.norm(state) for state in states]) if each_layer else last

    def gains(self) -> list[nn.Parameter]:
        """The gains of all normalisations, which are trained even where the weights are frozen (§6)."""
        return [parameter for name, parameter in self.model.named_parameters() if "norm" in name and parameter.ndim == 1]


_STATES: ContextVar[list[Tensor] | None] = ContextVar("states after each layer of the running pass", default=None)


def _keep_state(layer: nn.Module, given: Any, out: Any) -> None:
    states = _STATES.get()
    if states is not None:
        states.append(out[0] if isinstance(out, tuple) else out)


def random_backbone(
    width: int, hidden: int, layers: int, heads: int, key_value_heads: int, longest: int, dropout: float
) -> Backbone:
    """A Llama of this shape with random weights (drawn from torch's generator)."""
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(
        vocab_size=8,
        bos_token_id=None,
        eos_token_id=None,
        hidden_size=width,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        max_position_embeddings=longest,
        attention_dropout=dropout,
        initializer_range=width**-0.5 / 2,  # the usual 0.02 belongs to widths of some thousands
    )
    return Backbone(LlamaModel(config), is_pretrained=False)


class BackboneFolder:
    """A language model's folder on this machine: checked, truncated, and read for the vectors of texts.

    Args:
        folder: Hugging Face layout: `config.json`, `model.safetensors` (or its shards with their index), `tokenizer.json`.
        layers: How many of its first layers are used.
        dtype: Type of the weights.

    Raises:
        EncoderError: If the folder is absent or incomplete, of another architecture, has pickled weights or asks for its own code.
    """

    def __init__(self, folder: Path, layers: int, dtype: torch.dtype = torch.float32) -> None:
        self.folder, self.layers, self.dtype = folder, layers, dtype
        self._where = f"Backbone folder `{folder.name}`"
        self.config = self._check()

    def _check(self) -> dict[str, Any]:
        folder, where = self.folder, self._where
        if not folder.is_dir():
            raise EncoderError(
                f"{where}: there is no folder `{folder}`. Name a folder with a Llama or Qwen model, or use `random`."
            )
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise EncoderError(f"{where} has no `config.json`; is this the model's folder?") from None
        except (ValueError, OSError) as error:
            raise EncoderError(f"{where}: `config.json` is damaged ({error}). Copy the model again.") from None
        if not isinstance(config, dict):
            raise EncoderError(f"{where}: `config.json` is damaged (not an object). Copy the model again.")
        if "auto_map" in config:
            raise EncoderError(f"{where} brings its own code, which is never run here. Choose a standard architecture.")
        kind = config.get("model_type")
        if kind not in ARCHITECTURES:
            raise EncoderError(f"{where} holds a {str(kind)[:40]!r} model; this model reads {', '.join(ARCHITECTURES)}.")
        if config.get("quantization_config"):
            raise EncoderError(
                f"{where} is quantised, so its feed-forward layers cannot be shared by experts. Choose full weights."
            )
        depth = config.get("num_hidden_layers")
        if not isinstance(depth, int) or depth < self.layers:
            raise EncoderError(f"{where} has {depth} layers, fewer than the {self.layers} asked for. Ask for fewer layers.")
        self._check_weights()
        return config

    def _check_weights(self) -> None:
        folder, where = self.folder, self._where
        index = folder / "model.safetensors.index.json"
        if index.is_file():
            try:
                shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            except (ValueError, KeyError, OSError, AttributeError) as error:
                raise EncoderError(f"{where}: `{index.name}` is damaged ({error}). Copy the model again.") from None
            absent = [shard for shard in shards if not (folder / str(shard)).is_file()]
            if absent:
                raise EncoderError(
                    f"{where}: {len(absent)} of {len(shards)} parts of the weights are missing (first: `{absent[0]}`). Copy the model again."
                )
        elif not (folder / "model.safetensors").is_file():
            pickled = sorted(path.name for suffix in ("*.bin", "*.pt", "*.pth", "*.pkl") for path in folder.glob(suffix))
            if pickled:
                raise EncoderError(
                    f"{where} has its weights as `{pickled[0]}`, a format that can run code when it is opened. "
                    "Convert it to `model.safetensors` first."
                )
            raise EncoderError(f"{where}: `model.safetensors` is missing. Copy the model again.")

    def load(self) -> Any:
        """The truncated model, with its vocabulary.

        Raises:
            EncoderError: If the weights cannot be read, or belong to another model.
        """
        from safetensors import SafetensorError
        from transformers import AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        try:
            model, info = AutoModel.from_pretrained(
                str(self.folder),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=self.dtype,
                num_hidden_layers=self.layers,
                output_loading_info=True,
            )
        except (OSError, ValueError, KeyError, TypeError, SafetensorError, RuntimeError, ImportError, AttributeError) as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise EncoderError(
                f"{self._where} could not be read: {reason} The files may be incomplete or of another architecture; copy the model again."
            ) from None
        absent = sorted(info.get("missing_keys", ()))
        if absent or info.get("mismatched_keys"):
            first = absent[0] if absent else str(next(iter(info["mismatched_keys"])))
            raise EncoderError(
                f"{self._where}: the weights do not fit a {self.config['model_type']} of this shape (first: `{str(first)[:80]}`). "
                "They belong to another model, or the copy is incomplete."
            )
        if not all(torch.isfinite(value).all() for value in model.parameters()):
            raise EncoderError(f"{self._where}: the weights hold values that are not finite. Copy the model again.")
        return model

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        if not any((self.folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
            raise EncoderError(f"{self._where}: `tokenizer.json` is missing, so its texts cannot be read. Copy the model again.")
        try:
            return AutoTokenizer.from_pretrained(str(self.folder), local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise EncoderError(f"{self._where}: the tokenizer could not be read: {reason} Copy the model again.") from None

    @torch.no_grad()
    def token_vectors(self, model: Any, text: str) -> Tensor:
        """(token, width) the model's frozen vectors of a text's tokens."""
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return model.embed_tokens(torch.tensor(ids, dtype=torch.long)).float()

    def text_vectors(self, model: Any, texts: Sequence[str], longest: int = 60) -> Tensor:
        """(text, width) the mean of each text's token vectors; padding is not counted (the published code counts it, §16)."""
        return torch.stack([self.token_vectors(model, text)[:longest].mean(0) for text in texts])


def _register_attention() -> str:
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(_ATTENTION, _probed_attention)
    return _ATTENTION


def _probed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """The library's fast attention; where a probe listens, its weights are computed beside it, and used if they are overridden."""
    from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

    (probe,) = getattr(module, "mobiscope_probe", (None,))
    answer = None
    if probe is None or not probe.is_overridden:
        answer, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=False
        )
    if probe is None or not probe.is_watched:
        assert answer is not None
        return answer, None
    groups = int(getattr(module, "num_key_value_groups", 1))
    scores = torch.matmul(query, repeat_kv(key, groups).transpose(2, 3)) * (scaling or query.shape[-1] ** -0.5)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, -torch.inf)
    weights = probe(scores.softmax(-1, dtype=torch.float32).to(query.dtype))
    if answer is None:
        answer = torch.matmul(weights, repeat_kv(value, groups)).transpose(1, 2).contiguous()
    return answer, weights
