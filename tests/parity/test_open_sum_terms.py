"""Published sums of several terms, each as one configured fusion."""

import keras
import numpy as np
import pytest
from configured import assign, configured, dense, norm, table
from published import SMALL, array, close, models, randomize, torch, transformers
from weights import reloaded

import keras_mmembed as mm


def test_lxmert_is_the_mean_of_features_and_boxes():
    config = transformers.LxmertConfig(hidden_size=16, visual_feat_dim=12)
    module = models.lxmert.modeling_lxmert.LxmertVisualFeatureEncoder(config)
    randomize(module)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 5, 12)).astype("float32")
    boxes = np.sort(rng.random((2, 5, 2, 2)), axis=2).reshape(2, 5, 4)
    boxes = boxes.astype("float32")
    epsilon = {"epsilon": 1e-12}
    fusion = configured(
        {
            "regions": {
                "type": "none",
                "dim": 12,
                "modality": False,
                "normalization": {**epsilon, "place": "features"},
                "terms": {
                    "box": {
                        "layer": mm.BoxEmbedding(kind="linear", numbers=4),
                        "normalization": epsilon,
                    }
                },
            }
        }
    )
    inputs, terms = {"regions": features}, {"regions": {"box": boxes}}
    fusion(inputs, terms=terms)

    def half(layer_norm):
        # half of each term is half of its scale and of its shift
        return {name: value / 2 for name, value in norm(layer_norm).items()}

    assign(
        fusion,
        regions__projection=dense(module.visn_fc),
        regions__norm=half(module.visn_layer_norm),
        regions__box__projection=dense(module.box_fc),
        regions__norm_box=half(module.box_layer_norm),
    )
    expected = module(torch.tensor(features), torch.tensor(boxes))
    close(array(fusion(inputs, terms=terms)["embeddings"]), expected)


KINDS = ("segment", "column", "row", "previous", "rank", "inverse", "relation")
SIZES = [3, 16, 16, 2, 8, 8, 4]


def tapas_tokens(rng):
    """Return a question, the cells of a table, and padding; ids and token types."""
    ids, types = rng.integers(1, 40, (2, 12)), np.zeros((2, 12, 7), "int32")
    cells = [[(1, 0, 2), (2, 0, 1), (1, 1, 3), (2, 1, 2)], [(1, 0, 4), (2, 0, 2)]]
    for sample, question in enumerate((4, 3)):
        start = question
        for column, row, length in cells[sample]:
            cell = slice(start, start + length)
            types[sample, cell, :3] = (1, column, row)
            types[sample, cell, 3:] = rng.integers(0, SIZES[3:])
            start += length
        ids[sample, start:] = 0
    return ids.astype("int32"), types


@pytest.mark.parametrize("reset", [False, True])
def test_tapas_has_seven_tables_and_positions_of_each_cell(reset, tmp_path):
    config = transformers.TapasConfig(
        **SMALL,
        vocab_size=40,
        max_position_embeddings=12 if not reset else 3,
        type_vocab_sizes=SIZES,
        reset_position_index_per_cell=reset,
    )
    module = randomize(models.tapas.modeling_tapas.TapasEmbeddings(config))
    ids, types = tapas_tokens(np.random.default_rng(0))
    expected = array(module(torch.tensor(ids).long(), torch.tensor(types).long()))
    fusion = configured(
        {
            "text": {
                "type": "1d",
                "vocabulary_size": 40,
                "padding_id": config.pad_token_id,
                "position": mm.PositionEmbedding1D(
                    config.max_position_embeddings,
                    kind="learned",
                    out_of_range="clip",
                ),
                "modality": False,
                "terms": {
                    kind: mm.SegmentEmbedding(size)
                    for kind, size in zip(KINDS, SIZES, strict=True)
                },
            }
        },
        normalization="shared",
        epsilon=config.layer_norm_eps,
    )
    tokens = keras.Input((None,), dtype="int32", name="ids")
    kinds = keras.Input((None, 7), dtype="int32", name="types")
    call = {"terms": {"text": {kind: kinds[..., i] for i, kind in enumerate(KINDS)}}}
    if reset:
        # a cell is known by its column and row
        call["positions"] = {"text": mm.positions_from_ids(kinds[..., 1:3])}
    model = keras.Model([tokens, kinds], fusion({"text": tokens}, **call))
    tables = {
        f"text__{kind}": table(getattr(module, f"token_type_embeddings_{i}"))
        for i, kind in enumerate(KINDS)
    }
    assign(
        fusion,
        text__embedding=table(module.word_embeddings),
        text__position=table(module.position_embeddings),
        norm=norm(module.LayerNorm),
        **tables,
    )
    for one in (model, reloaded(model, tmp_path)):
        fused = one.predict([ids, types], verbose=0)
        valid = fused["mask"]
        np.testing.assert_array_equal(valid, ids != 0)
        close(fused["embeddings"][valid], expected[valid])
