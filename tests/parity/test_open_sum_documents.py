"""Embeddings of published document models, each as one configured fusion."""

import numpy as np
import pytest
from configured import assign, boxes, configured, dense, norm, numpy, table
from published import (
    TEXT,
    array,
    boxes_of,
    close,
    models,
    randomize,
    torch,
    transformers,
)

import keras_mmembed as mm

WORDS = np.random.default_rng(1).integers(2, 40, (2, 6))
PAGE = {**TEXT, "max_2d_position_embeddings": 1024, "pad_token_id": 1}


@pytest.mark.parametrize("grid", [(2, 3), (3, 3)])
def test_layoutlmv2_shares_its_tables_between_text_and_image(grid):
    config = transformers.LayoutLMv2Config(
        **PAGE,
        coordinate_size=3,
        shape_size=2,
        image_feature_pool_shape=[*grid, 12],
        hidden_dropout_prob=0.0,
    )
    published = models.layoutlmv2.modeling_layoutlmv2
    rng, tokens = np.random.default_rng(0), grid[0] * grid[1]
    features = rng.normal(size=(2, tokens, 12)).astype("float32")
    # the model without its backbone, which is not there to make the features
    module = torch.nn.Module()
    module.config, module.has_visual_segment_embedding = config, True
    module.embeddings = published.LayoutLMv2Embeddings(config)
    module.visual_proj = torch.nn.Linear(12, 16)
    module.visual_segment_embedding = torch.nn.Parameter(torch.zeros(16))
    module.visual_LayerNorm = torch.nn.LayerNorm(16, eps=config.layer_norm_eps)
    module.visual, module.visual_dropout = torch.nn.Identity(), torch.nn.Identity()
    randomize(module)
    words, types = WORDS.copy(), rng.integers(0, 2, (2, 6))
    words[1, 4:] = 1
    page, model = torch.tensor(boxes_of() * 9).long(), published.LayoutLMv2Model
    text = model._calc_text_embeddings(
        module, torch.tensor(words), page, None, torch.tensor(types)
    )
    image = model._calc_img_embeddings(
        module,
        torch.tensor(features),
        model._calc_visual_bbox(module, grid, page, "cpu", (2,)),
        torch.arange(tokens),
    )
    expected = array(torch.cat([text, image], dim=1))

    position = mm.PositionEmbedding1D(20, kind="learned", name="position")
    box = mm.BoxEmbedding(
        combination="concat", coordinate_width=3, size_width=2, name="box"
    )
    shared = {"type": "1d", "position": position, "terms": {"box": box}}
    fusion = configured(
        {
            "text": {
                "vocabulary_size": 40,
                "padding_id": 1,
                "segments": 2,
                "modality": False,
                **shared,
            },
            "image": {"dim": 12, **shared},
        },
        normalization="per_modality",
        epsilon=config.layer_norm_eps,
    )
    call = {
        "inputs": {"text": words, "image": features},
        "segment_ids": {"text": types},
        "terms": {
            "text": {"box": page.numpy()},
            "image": {"box": mm.BoxEmbedding.boxes_of_grid(*grid, 1000)},
        },
    }
    fusion(**call)
    assign(
        fusion,
        text__embedding=table(module.embeddings.word_embeddings),
        text__position=table(module.embeddings.position_embeddings),
        text__segment=table(module.embeddings.token_type_embeddings),
        text__box=boxes(module.embeddings),
        text__norm=norm(module.embeddings.LayerNorm),
        image__projection=dense(module.visual_proj),
        image__norm=norm(module.visual_LayerNorm),
        modality__image=numpy(module.visual_segment_embedding),
    )
    fused = fusion(**call)
    valid = array(fused["mask"]).astype(bool)
    assert valid.sum() == 2 * (6 + tokens) - 2
    np.testing.assert_allclose(
        array(fused["embeddings"])[valid], expected[valid], atol=1e-5
    )


def test_lilt_text_and_layout_have_a_width_each():
    config = transformers.LiltConfig(
        **{**PAGE, "hidden_size": 24},
        channel_shrink_ratio=3,
        type_vocab_size=2,
        hidden_dropout_prob=0.0,
    )
    published = models.lilt.modeling_lilt
    text = randomize(published.LiltTextEmbeddings(config), seed=1)
    layout = randomize(published.LiltLayoutEmbeddings(config), seed=2)
    words, page = WORDS.copy(), boxes_of()
    words[1, 4:] = 1
    expected, position_ids = text(torch.tensor(words))
    expected_layout = layout(torch.tensor(page).long(), position_ids)

    def roberta():
        return mm.PositionEmbedding1D(20, kind="learned", convention="roberta")

    options = {
        "modality_embedding": False,
        "normalization": "shared",
        "epsilon": config.layer_norm_eps,
    }
    fusion = configured(
        {
            "text": {
                "type": "1d",
                "vocabulary_size": 40,
                "padding_id": 1,
                "position": roberta(),
                "segments": 2,
            }
        },
        24,
        **options,
    )
    fusion({"text": words})
    assign(
        fusion,
        text__embedding=table(text.word_embeddings),
        text__position=table(text.position_embeddings),
        text__segment=table(text.token_type_embeddings),
        norm=norm(text.LayerNorm),
    )
    fused = fusion({"text": words})
    valid = array(fused["mask"]).astype(bool)
    np.testing.assert_array_equal(valid, words != 1)
    got = array(fused["embeddings"])
    np.testing.assert_allclose(got[valid], array(expected)[valid], atol=1e-5)

    box = mm.BoxEmbedding(
        combination="concat", coordinate_width=4, size_width=4, projection=True
    )
    fusion = configured(
        {"page": {"type": "1d", "dim": 8, "embedding": box, "position": roberta()}},
        8,
        **options,
    )
    call = {"inputs": {"page": page}, "mask": {"page": valid}}
    fusion(**call)
    assign(
        fusion,
        page__embedding=boxes(layout),
        page__embedding__projection=dense(layout.box_linear_embeddings),
        page__position=table(layout.box_position_embeddings),
        norm=norm(layout.LayerNorm),
    )
    got = array(fusion(**call)["embeddings"])
    np.testing.assert_allclose(got[valid], array(expected_layout)[valid], atol=1e-5)


def test_udop_adds_cells_to_its_words():
    published = models.udop.modeling_udop
    cells = randomize(published.UdopCellEmbeddings(51, 16))
    words = randomize(torch.nn.Embedding(40, 16), seed=1)
    corners = np.random.default_rng(3).random((2, 6, 2, 2))
    page = np.sort(corners, axis=2).reshape(2, 6, 4).astype("float32")
    page[0, 0] = (0.0, 0.0, 1.0, 1.0)
    ids = torch.tensor(WORDS)
    expected = words(ids) + cells(torch.tensor(page))
    # the patches of an image have its cells, where no word is
    patches = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(2))
    grid = published.get_visual_bbox(image_size=12, patch_size=4)
    expected = torch.cat([expected, patches + cells(grid[None])], dim=1)
    cell = mm.BoxEmbedding(numbers=4, num_positions=51, scale=50, name="cell")
    terms = {"terms": {"cell": cell}}
    fusion = configured(
        {
            "text": {"type": "none", "vocabulary_size": 40, **terms},
            "image": {"type": "none", "dim": 16, **terms},
        },
        modality_embedding=False,
    )
    call = {
        "inputs": {"text": WORDS, "image": patches.numpy()},
        "terms": {
            "text": {"cell": page},
            "image": {"cell": mm.BoxEmbedding.boxes_of_grid(3, 3)},
        },
    }
    fusion(**call)
    assign(fusion, text__embedding=table(words), text__cell=boxes(cells))
    close(array(fusion(**call)["embeddings"]), expected)
