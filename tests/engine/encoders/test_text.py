"""Text encoders: right vectors, no network, no pickles, and a sentence for whatever is wrong with a folder."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from engine import store
from engine.encoders import text as text_module
from engine.encoders.text import HashedText, TransformerText, minilm, text_encoder
from engine.errors import EncoderError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "place", "of", "coffee", "shop", "quiet", "park"]


@pytest.fixture
def folder(tmp_path):
    """A BERT of two layers with random weights and a vocabulary of twelve words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path / "small-bert"
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"} | marks))
    return folder


def test_vectors_are_the_mean_over_real_tokens_at_unit_length(folder):
    """Short and long texts in one batch: padding must not enter the mean."""
    encoder = text_encoder(f"transformers:{folder}")
    texts = ["coffee shop", "a quiet park of a quiet place"]
    vectors = encoder.encode(texts)
    model = BertModel.from_pretrained(folder).eval()
    for text, vector in zip(texts, vectors, strict=True):
        ids = torch.tensor([[2, *(WORDS.index(word) for word in text.split()), 3]])
        with torch.no_grad():
            mean = model(ids).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    assert encoder.width == 16 and vectors.dtype == np.float32


def test_equal_texts_have_equal_vectors_and_none_gives_none(folder):
    encoder = text_encoder(f"transformers:{folder}")
    first, second, third = encoder.encode(["park", "coffee", "park"])
    assert np.array_equal(first, third) and not np.array_equal(first, second)
    assert encoder.encode([]).shape == (0, 16)


def test_answers_come_from_the_cache_and_a_damaged_entry_is_computed_again(folder, monkeypatch):
    encoder = text_encoder(f"transformers:{folder}")
    first = encoder.encode(["park", "coffee"])
    (entry,) = (store.cache_folder() / "encoders").glob("*.npy")
    again = text_encoder(f"transformers:{folder}")
    monkeypatch.setattr(TransformerText, "_compute", lambda self, texts: pytest.fail("the cache was not used"))
    np.testing.assert_array_equal(again.encode(["coffee", "park"]), first[::-1])
    monkeypatch.undo()
    entry.write_bytes(entry.read_bytes()[:50])
    np.testing.assert_array_equal(again.encode(["park", "coffee"]), first)


def test_other_weights_have_another_fingerprint(folder):
    before = text_encoder(f"transformers:{folder}").fingerprint
    weights = {key: value + 0.01 for key, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert text_encoder(f"transformers:{folder}").fingerprint != before


def test_pickled_weights_are_refused_and_never_opened(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(EncoderError, match=r"`pytorch_model.bin`, a format that can run code"):
        text_encoder(f"transformers:{folder}")


def test_code_brought_along_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(EncoderError, match="its own code, which is never run"):
        text_encoder(f"transformers:{folder}")


def test_a_half_finished_download_is_named(folder):
    (folder / "model.safetensors").rename(folder / "model.safetensors.incomplete")
    with pytest.raises(EncoderError, match=r"half-finished download \(`model.safetensors.incomplete`\)"):
        text_encoder(f"transformers:{folder}")


def test_a_truncated_file_is_refused_when_it_is_read(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(EncoderError, match="could not be read"):
        text_encoder(f"transformers:{folder}").encode(["park"])


def test_weights_of_another_architecture_are_refused(folder):
    save_file({"decoder.weight": torch.zeros(3)}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="another architecture"):
        text_encoder(f"transformers:{folder}").encode(["park"])


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("word2vec", "There is no text encoder `word2vec`; choose one of minilm"),
        ("transformers:/nowhere/at/all", "there is no folder"),
        ("precomputed:/nowhere/at/all.npy", "is missing"),
    ],
)
def test_an_unknown_or_absent_source_is_a_sentence(source, sentence):
    with pytest.raises(EncoderError, match=sentence):
        text_encoder(source)


def test_a_folder_without_config_or_tokenizer_is_named(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncoderError, match=r"has no `config.json`"):
        text_encoder(f"transformers:{tmp_path / 'empty'}")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match=r"`tokenizer.json` is missing"):
        text_encoder(f"transformers:{folder}")


def test_hashed_text_knows_shared_words_and_is_the_same_in_every_company():
    encoder = HashedText()
    coffee, house, gym = encoder.encode(["coffee shop", "coffee house", "gym"])
    assert coffee @ house > 0.4 > abs(coffee @ gym) + 0.1
    np.testing.assert_allclose(encoder.encode(["gym"])[0], gym, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(["x", "", "\U0001f600 🏙"]), axis=1)[[0, 2]], 1, atol=1e-5)


def test_precomputed_vectors_are_looked_up_by_their_text(tmp_path):
    np.save(tmp_path / "vectors.npy", np.array([[3.0, 4.0], [0.0, 2.0]]))
    (tmp_path / "vectors.txt").write_text("A place of Gym\nA place of Bar\n")
    encoder = text_encoder(f"precomputed:{tmp_path / 'vectors.npy'}")
    np.testing.assert_allclose(encoder.encode(["A place of Bar", "A place of Gym"]), [[0, 1], [0.6, 0.8]], atol=1e-6)
    with pytest.raises(EncoderError, match="has no vector for 'A place of Zoo'"):
        encoder.encode(["A place of Zoo"])


def test_precomputed_files_that_do_not_fit_are_refused(tmp_path):
    (tmp_path / "vectors.txt").write_text("one\n")
    np.save(tmp_path / "vectors.npy", np.zeros((2, 3)))
    with pytest.raises(EncoderError, match="for 1 texts"):
        text_encoder(f"precomputed:{tmp_path / 'vectors.npy'}")
    np.save(tmp_path / "vectors.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(EncoderError, match="not a plain array"):
        text_encoder(f"precomputed:{tmp_path / 'vectors.npy'}")
    np.save(tmp_path / "vectors.npy", np.full((1, 3), np.nan))
    with pytest.raises(EncoderError, match="not finite"):
        text_encoder(f"precomputed:{tmp_path / 'vectors.npy'}")


def test_minilm_is_the_published_model_and_knows_synonyms():
    """A coffee shop is nearer to a café than to a gym; the library that usually wraps this model is not needed."""
    coffee, cafe, gym = minilm().encode(["Coffee Shop", "Café", "Gym"])
    assert coffee.shape == (384,) and coffee @ cafe > coffee @ gym + 0.1
    assert "sentence_transformers" not in sys.modules


def test_altered_minilm_weights_are_refused(monkeypatch):
    monkeypatch.setattr(text_module, "MINILM_SHA256", "0" * 64)
    with pytest.raises(EncoderError, match="not the published ones"):
        minilm()


def test_a_missing_package_names_the_way_out(monkeypatch):
    monkeypatch.setattr(text_module, "MINILM_PACKAGE", "no_such_package_anywhere")
    with pytest.raises(EncoderError, match="choose text encoder `hash-svd`"):
        minilm()
