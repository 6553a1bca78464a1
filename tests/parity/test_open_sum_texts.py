"""Text embeddings of published multimodal models, each as one configured fusion."""

import numpy as np
import pytest
from configured import assign, configured, norm, table
from published import TEXT, array, close, models, randomize, torch, transformers

import keras_mmembed as mm

RNG = np.random.default_rng(1)
WORDS, TYPES = RNG.integers(2, 40, (2, 6)), RNG.integers(0, 2, (2, 6))


def bert(vocabulary):
    return {
        "type": "1d",
        "max_len": 20,
        "position": "learned",
        "vocabulary_size": vocabulary,
        "modality": False,
    }


@pytest.mark.parametrize("name", ["lxmert", "bros"])
def test_texts_of_bert(name):
    if name == "lxmert":
        config = transformers.LxmertConfig(**TEXT, type_vocab_size=2)
        module = models.lxmert.modeling_lxmert.LxmertEmbeddings(config)
    else:
        config = transformers.BrosConfig(**TEXT, type_vocab_size=2)
        module = models.bros.modeling_bros.BrosTextEmbeddings(config)
    randomize(module)
    fusion = configured(
        {"text": {**bert(40), "segments": 2}}, normalization="shared", epsilon=1e-12
    )
    call = {"inputs": {"text": WORDS}, "segment_ids": {"text": TYPES}}
    fusion(**call)
    assign(
        fusion,
        text__embedding=table(module.word_embeddings),
        text__position=table(module.position_embeddings),
        text__segment=table(module.token_type_embeddings),
        norm=norm(module.LayerNorm),
    )
    expected = module(torch.tensor(WORDS), torch.tensor(TYPES))
    close(array(fusion(**call)["embeddings"]), expected)


def test_text_of_bridgetower_also_with_a_cache():
    config = transformers.BridgeTowerTextConfig(
        **TEXT, type_vocab_size=1, pad_token_id=1
    )
    module = models.bridgetower.modeling_bridgetower.BridgeTowerTextEmbeddings(config)
    randomize(module)
    position = mm.PositionEmbedding1D(20, kind="learned", convention="roberta")
    text = {**bert(40), "position": position, "padding_id": 1, "segments": 1}
    del text["max_len"]
    fusion = configured({"text": text}, normalization="shared", epsilon=1e-5)
    fusion({"text": WORDS})
    assign(
        fusion,
        text__embedding=table(module.word_embeddings),
        text__position=table(module.position_embeddings),
        text__segment=table(module.token_type_embeddings),
        norm=norm(module.LayerNorm),
    )
    words = WORDS.copy()
    words[1, 4:] = 1
    expected = array(module(torch.tensor(words)))
    got = array(fusion({"text": words})["embeddings"])
    np.testing.assert_allclose(got[words != 1], expected[words != 1], atol=1e-5)
    # a step of decoding, after five tokens
    step = WORDS[:, :1]
    expected = module(torch.tensor(step), past_key_values_length=5)
    got = fusion({"text": step}, start_index={"text": 5})["embeddings"]
    close(array(got), expected)


def test_queries_before_the_words_of_instructblip():
    config = transformers.InstructBlipQFormerConfig(**TEXT, encoder_hidden_size=16)
    published = models.instructblip.modeling_instructblip
    module = randomize(published.InstructBlipQFormerEmbeddings(config))
    queries = RNG.normal(size=(2, 3, 16)).astype("float32")
    fusion = configured(
        {"queries": {"type": "none", "dim": 16, "modality": False}, "text": bert(40)},
        normalization="shared",
        epsilon=config.layer_norm_eps,
    )
    inputs = {"queries": queries, "text": WORDS}
    fusion(inputs)
    assign(
        fusion,
        text__embedding=table(module.word_embeddings),
        text__position=table(module.position_embeddings),
        norm=norm(module.layernorm),
    )
    expected = module(torch.tensor(WORDS), query_embeds=torch.tensor(queries))
    close(array(fusion(inputs)["embeddings"]), expected)
