"""The transformer from a folder or at random: what is loaded, what is refused and how, and that attention can be watched."""

import json
import threading

import pytest
import torch

from engine.encoders.backbone import BackboneFolder, random_backbone
from engine.errors import EncoderError
from engine.probes import override, watch
from tests.engine.threads import in_another_thread

SHAPE = {
    "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 64, "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip


def save(folder, kind):
    """A tiny random checkpoint with a word-level tokenizer."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast, Qwen2Config, Qwen2Model, Qwen3Config, Qwen3Model

    config, model = {"llama": (LlamaConfig, LlamaModel), "qwen2": (Qwen2Config, Qwen2Model), "qwen3": (Qwen3Config, Qwen3Model)}[
        kind
    ]
    extra = {"head_dim": 8} if kind == "qwen3" else {}
    torch.manual_seed(3)
    model(config(**SHAPE, **extra)).save_pretrained(folder)
    words = ["[UNK]", "a", "student", "goes", "to", "school"]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: save(tmp_path_factory.mktemp(kind), kind) for kind in ("llama", "qwen2", "qwen3")}


@pytest.fixture
def llama(folders, tmp_path):
    """A copy that a test may damage."""
    for path in folders["llama"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_the_first_layers_of_a_folder_are_those_of_the_whole_model(folders, kind):
    from transformers import AutoModel

    from engine.encoders.backbone import Backbone

    whole = AutoModel.from_pretrained(folders[kind], local_files_only=True)
    truncated = Backbone(BackboneFolder(folders[kind], 2).load(), is_pretrained=True).eval()
    assert truncated.layers == 2 and truncated.width == 16 and truncated.hidden == 24
    tokens, real = torch.randn(2, 5, 16), torch.ones(2, 5, dtype=torch.bool)
    with torch.no_grad():
        wanted = whole(inputs_embeds=tokens, output_hidden_states=True).hidden_states[2]
        found = truncated(tokens, real, final_norm=False)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert all("norm" in name for name, value in truncated.named_parameters() if any(value is gain for gain in truncated.gains()))


def test_texts_are_the_mean_of_their_token_vectors(folders):
    folder = BackboneFolder(folders["llama"], 1)
    model = folder.load()
    vectors = folder.text_vectors(model, ["a student", "student goes to school"])
    table = model.embed_tokens.weight
    torch.testing.assert_close(vectors[0], table[[1, 2]].mean(0))
    torch.testing.assert_close(vectors[1], table[[2, 3, 4, 5]].mean(0))


def test_a_folder_that_is_absent_or_no_model(tmp_path):
    with pytest.raises(EncoderError, match=r"there is no folder .* or use `random`"):
        BackboneFolder(tmp_path / "nowhere", 1)
    with pytest.raises(EncoderError, match="has no `config"):
        BackboneFolder(tmp_path, 1)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(EncoderError, match="is damaged"):
        BackboneFolder(tmp_path, 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model_type": "bert"}, "holds a 'bert' model; this model reads llama, qwen2, qwen3"),
        ({"auto_map": {"AutoModel": "theirs.Model"}}, "brings its own code"),
        ({"quantization_config": {"bits": 4}}, "is quantised"),
        ({"num_hidden_layers": 1}, "has 1 layers, fewer than the 2"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_before_its_weights_are_opened(llama, change, sentence):
    config = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(EncoderError, match=sentence):
        BackboneFolder(llama, 2)


def test_half_a_folder_is_refused(llama):
    weights = (llama / "model.safetensors").read_bytes()
    (llama / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="safetensors` is missing"):
        BackboneFolder(llama, 2)
    (llama / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(EncoderError, match="can run code when it is opened"):
        BackboneFolder(llama, 2)
    index = {"weight_map": {"layers.0": "model-1.safetensors", "layers.1": "model-2.safetensors"}}
    (llama / "model.safetensors.index.json").write_text(json.dumps(index))
    (llama / "model-1.safetensors").write_bytes(b"")
    with pytest.raises(EncoderError, match=r"1 of 2 parts of the weights are missing \(first: `model-2.safetensors`\)"):
        BackboneFolder(llama, 2)
    (llama / "model.safetensors.index.json").unlink()
    (llama / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(EncoderError, match="could not be read"):
        BackboneFolder(llama, 2).load()


def test_weights_of_another_shape_are_refused(llama):
    config = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    with pytest.raises(EncoderError, match=r"could not be read|do not fit"):
        BackboneFolder(llama, 2).load()


def test_weights_that_are_not_finite_are_refused(llama):
    from safetensors.torch import load_file, save_file

    state = load_file(llama / "model.safetensors")
    state["norm.weight"][0] = torch.nan
    save_file(state, llama / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="not finite"):
        BackboneFolder(llama, 2).load()


def test_texts_need_the_tokenizer(llama):
    for path in llama.glob("tokenizer*"):
        path.unlink()
    folder = BackboneFolder(llama, 1)
    with pytest.raises(EncoderError, match="json` is missing"):
        folder.text_vectors(folder.load(), ["a student"])


# ---- attention ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def random():
    torch.manual_seed(0)
    return random_backbone(16, 24, 2, 2, 1, 32, 0.0).eval()


def inputs():
    torch.manual_seed(1)
    real = torch.ones(2, 6, dtype=torch.bool)
    real[0, :3] = False
    return torch.randn(2, 6, 16), real


@torch.no_grad()
def test_padding_changes_nothing_and_later_visits_are_not_seen(random):
    tokens, real = inputs()
    whole = random(tokens, real)
    alone = random(tokens[:1, 3:], real[:1, 3:], positions=torch.arange(3, 6))
    torch.testing.assert_close(whole[:1, 3:], alone, rtol=1e-4, atol=1e-5)
    changed = tokens.clone()
    changed[:, -1] += 5
    torch.testing.assert_close(random(changed, real)[:, :-1], whole[:, :-1])


@torch.no_grad()
def test_watched_attention_sums_to_one_over_earlier_visits_and_watching_changes_nothing(random):
    tokens, real = inputs()
    before = random(tokens, real)
    with watch(random) as seen:
        assert torch.equal(random(tokens, real), before)
    weights = torch.from_numpy(seen["attention.layer_1"][0].to_numpy())
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 6))
    assert (weights.triu(1) == 0).all()
    assert (weights[0, :, 3:, :3] == 0).all(), "nothing looks at padding"


@torch.no_grad()
def test_an_overridden_attention_is_the_one_that_acts(random):
    tokens, real = inputs()
    before = random(tokens, real)
    with override(random, {"attention.layer_1": lambda value: value.clone()}):
        torch.testing.assert_close(random(tokens, real), before, rtol=1e-4, atol=1e-5)
    own = torch.eye(6).expand(2, 2, 6, 6)
    with override(random, {f"attention.layer_{layer}": lambda value: own.clone() for layer in (1, 2)}):
        only_itself = random(tokens, real)
        changed = tokens.clone()
        changed[:, 0] += 5
        torch.testing.assert_close(random(changed, real)[:, 1:], only_itself[:, 1:])
    assert not torch.allclose(only_itself, before)


@torch.no_grad()
def test_the_states_of_each_layer_end_with_the_answer(random):
    tokens, real = inputs()
    layers = random(tokens, real, each_layer=True)
    assert layers.shape == (2, 2, 6, 16)
    torch.testing.assert_close(layers[-1], random(tokens, real))


@pytest.mark.parametrize("settings", [{"each_layer": True}, {"final_norm": False}], ids=["each layer", "before the norm"])
def test_states_are_those_of_the_own_pass_though_another_thread_reads_in_its_midst(random, settings):
    tokens, real = torch.randn(3, 6, 16), torch.ones(3, 6, dtype=torch.bool)
    wanted = random(tokens, real, **settings)
    meanwhile, own = [], threading.current_thread()

    def another(value):
        assert threading.current_thread() is own, "an override of one thread must not act in another"
        meanwhile.append(in_another_thread(lambda: random(tokens, real, **settings)))
        return value

    with override(random, {"attention.layer_2": another}):
        torch.testing.assert_close(random(tokens, real, **settings), wanted)
    assert len(meanwhile) == 1 and torch.equal(meanwhile[0], wanted)
