"""A vision-language folder on this machine: a tiny model whose weights were set so that it writes a known answer, word after word."""

import io
import json

import pytest
import torch
from PIL import Image

from engine.encoders.describe import Evidence, describer
from engine.encoders.describe_local import LocalDescriber
from engine.errors import EncoderError

ANSWER = '{"description": "Some houses." , "intensity": 12}'
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "GO"]


def build(folder, answer: str) -> None:
    """A LLaVA whose attention and feed-forward add nothing, so that its head maps each word to the next one of the answer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    try:
        from transformers import CLIPImageProcessorPil as ImageProcessor
    except ImportError:
        from transformers import CLIPImageProcessor as ImageProcessor

    words = [*SPECIAL, *answer.split(" ")]
    plain = Tokenizer(models.WordLevel({word: row for row, word in enumerate(words)}, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
    )
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=16
    )
    language = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=language,
        image_token_index=4,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )
    model = LlavaForConditionalGeneration(config)
    with torch.no_grad():
        (layer,) = model.model.language_model.layers
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        model.model.language_model.embed_tokens.weight.copy_(torch.eye(len(words), 32))
        head = torch.zeros(len(words), 32)
        for word in range(SPECIAL.index("GO"), len(words) - 1):
            head[word + 1, word] = 1.0
        head[2, len(words) - 1] = 1.0
        model.lm_head.weight.copy_(head)
    model.save_pretrained(folder)
    template = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }} {% endif %}"
        "{% endfor %}{% endfor %}GO"
    )
    LlavaProcessor(
        image_processor=ImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokenizer=tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        chat_template=template,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("models") / "seer"
    build(made, ANSWER)
    return made


def evidence() -> list[Evidence]:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 30), (90, 80, 70)).save(buffer, "PNG")
    return [
        Evidence("a", "satellite", {"brightness": 0.3}, (buffer.getvalue(),)),
        Evidence("a", "height", {"highest, m": 90.0}, (buffer.getvalue(),)),
        Evidence("a", "poi", {"Food": 3.0}),
    ]


def test_a_local_model_describes_pictures_and_counts_and_is_asked_once(folder, monkeypatch):
    speaker = describer(f"transformers:{folder}")
    assert isinstance(speaker, LocalDescriber)
    told = speaker.describe(evidence(), with_trend=False)
    assert [(one.text, one.intensity) for one in told.descriptions] == [("Some houses.", 12.0)] * 3
    monkeypatch.setattr(LocalDescriber, "_answer", lambda *rest: pytest.fail("the answer on disk was not used"))
    again = describer(f"transformers:{folder}").describe(evidence(), with_trend=False)
    assert again.descriptions == told.descriptions and again.counts["from disk"] == 3


def test_an_answer_without_the_curve_that_was_asked_for_is_counted_as_failed(folder):
    told = describer(f"transformers:{folder}").describe(evidence()[2:], with_trend=True)
    assert told.descriptions == [None] and told.counts["failed"] == 1
    assert told.problems == ["Cell a, poi: the curve is not 24 numbers from 0 to 1."]


def test_an_answer_that_ran_into_the_limit_is_not_used(folder):
    told = LocalDescriber("transformers:x", folder, max_tokens=3).describe(evidence()[2:], with_trend=False)
    assert told.descriptions == [None] and "cut off" in told.problems[0]


def test_folders_that_cannot_be_asked_are_refused(folder, tmp_path):
    with pytest.raises(EncoderError, match="there is no folder"):
        describer("transformers:/nowhere/at/all")
    broken = tmp_path / "seer"
    broken.mkdir()
    for path in folder.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "chat_template.jinja").unlink()
    with pytest.raises(EncoderError, match="no chat template"):
        describer(f"transformers:{broken}").describe(evidence()[2:], with_trend=False)
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(EncoderError, match="its own code, which is never run"):
        describer(f"transformers:{broken}")
