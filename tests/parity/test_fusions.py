"""The fusion against published models that fuse, with small random weights."""

import numpy as np
from published import (
    IMAGE,
    TEXT,
    array,
    boxes_of,
    close,
    copy_boxes,
    models,
    randomize,
    torch,
    transformers,
)

import keras_mmembed as mm


def tensor(x):
    return torch.tensor(np.asarray(x))


def fusion_of(configs, width=16, **kwargs):
    layer = mm.MultiModalFusion(
        configs, width, **{"dropout": 0.0, "return_dict": True, **kwargs}
    )
    layer.build(
        {
            name: (None, None) if "vocabulary_size" in c else (None, None, c["dim"])
            for name, c in configs.items()
        }
    )
    return layer


def set_vectors(layer, **rows):
    layer.modality.embeddings.assign(
        np.stack([array(rows[name]) for name in layer.modalities])
    )


def test_vilt_with_images_of_two_sizes():
    config = transformers.ViltConfig(
        **{**TEXT, **IMAGE},
        modality_type_vocab_size=3,
        max_image_length=-1,
        type_vocab_size=2,
    )
    module = randomize(models.vilt.modeling_vilt.ViltEmbeddings(config))
    rng = np.random.default_rng(0)
    pixels = tensor(rng.normal(size=(2, 3, 16, 16)).astype("float32"))
    pixel_mask = torch.ones(2, 16, 16)
    pixel_mask[1, 12:], pixel_mask[1, :, 8:] = 0, 0
    words = tensor(rng.integers(2, 40, (2, 5)))
    text_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    types = torch.zeros_like(words)
    expected, expected_mask = module(
        words, text_mask, types, pixels, pixel_mask, None, None
    )

    position = mm.PositionEmbedding2D(
        4,
        4,
        kind="learned",
        interpolation="bilinear",
        align_corners=True,
        out_of_range="resize",
    )
    layer = fusion_of(
        {
            "text": {"type": "none", "dim": 16},
            "image": {
                "type": "2d",
                "dim": 16,
                "position": position,
                "start_token": True,
            },
        },
        normalization=None,
    )
    table = array(module.position_embeddings)[0]
    position.embeddings.assign(table[1:].reshape(4, 4, 16))
    layer.branch("image").start.assign(array(module.cls_token)[0] + table[:1])
    kinds = array(module.token_type_embeddings.weight)
    set_vectors(layer, text=kinds[0], image=kinds[1])
    patches = module.patch_embeddings(pixels).permute(0, 2, 3, 1)
    fused = layer(
        {"text": array(module.text_embeddings(words)), "image": array(patches)},
        # the table is read at the size of each image, which its mask tells
        mask={
            "text": text_mask.numpy(),
            "image": pixel_mask[:, ::4, ::4].numpy(),
        },
    )
    got, mask = array(fused["embeddings"]), array(fused["mask"]).astype(bool)
    for sample in range(2):
        # ViLT shuffles the patches of the largest image
        ours = got[sample][mask[sample]]
        theirs = array(expected[sample])[expected_mask[sample].numpy().astype(bool)]
        assert ours.shape == theirs.shape
        if sample == 0:
            ours, theirs = (x[np.argsort(x[:, 0])] for x in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_visual_bert_has_one_norm_for_all():
    config = transformers.VisualBertConfig(
        **TEXT, visual_embedding_dim=12, type_vocab_size=3
    )
    module = models.visual_bert.modeling_visual_bert.VisualBertEmbeddings(config)
    randomize(module)
    rng = np.random.default_rng(0)
    words, types = rng.integers(2, 40, (2, 5)), rng.integers(0, 3, (2, 5))
    regions = rng.normal(size=(2, 3, 12)).astype("float32")
    expected = module(
        tensor(words), token_type_ids=tensor(types), visual_embeds=tensor(regions)
    )
    layer = fusion_of(
        {
            "text": {
                "type": "1d",
                "dim": 16,
                "max_len": 20,
                "position": "learned",
                "segments": 3,
                "vocabulary_size": 40,
            },
            "image": {"type": "none", "dim": 12},
        },
        epsilon=config.layer_norm_eps,
    )
    text, image = layer.branch("text"), layer.branch("image")
    text.embedding.set_weights([array(module.word_embeddings.weight)])
    text.position.set_weights([array(module.position_embeddings.weight)])
    text.segment.set_weights([array(module.token_type_embeddings.weight)])
    projection = module.visual_projection
    image.projection.set_weights([array(projection.weight).T, array(projection.bias)])
    visual = array(module.visual_position_embeddings.weight)[0]
    visual = visual + array(module.visual_token_type_embeddings.weight)[1]
    set_vectors(layer, text=np.zeros(16), image=visual)
    layer.norm.set_weights([array(w) for w in module.LayerNorm.parameters()])
    fused = layer(
        {"text": words.astype("int32"), "image": regions},
        segment_ids={"text": types.astype("int32")},
    )
    close(array(fused["embeddings"]), expected)


def test_layoutlmv3_has_a_norm_for_each_and_one_for_all():
    config = transformers.LayoutLMv3Config(
        **{**TEXT, "num_hidden_layers": 0},
        max_2d_position_embeddings=64,
        coordinate_size=3,
        shape_size=2,
        pad_token_id=1,
        input_size=16,
        patch_size=4,
        has_relative_attention_bias=False,
        has_spatial_attention_bias=False,
    )
    model = randomize(transformers.LayoutLMv3Model(config))
    rng = np.random.default_rng(0)
    words = rng.integers(2, 40, (2, 6))
    boxes = boxes_of()
    pixels = tensor(rng.normal(size=(2, 3, 16, 16)).astype("float32"))
    mask = np.ones((2, 6), bool)
    mask[1, 4:], words[1, 4:] = False, 1
    expected = model(
        input_ids=tensor(words),
        bbox=tensor(boxes).long(),
        attention_mask=tensor(mask).long(),
        pixel_values=pixels,
    ).last_hidden_state

    text_position = mm.PositionEmbedding1D(20, kind="learned", convention="roberta")
    image_position = mm.PositionEmbedding2D(4, 4, kind="learned", num_prefix_tokens=1)
    layer = fusion_of(
        {
            "text": {"type": "1d", "dim": 16, "position": text_position},
            "image": {"type": "2d", "dim": 16, "position": image_position},
        },
        normalization="both",
        epsilon=1e-5,
    )
    layer.branch("image").norm.epsilon = 1e-6
    text = model.embeddings
    text_position.set_weights([array(text.position_embeddings.weight)])
    image_position.set_weights(
        [array(model.pos_embed)[0, 1:].reshape(4, 4, 16), array(model.pos_embed)[0, :1]]
    )
    set_vectors(
        layer, text=array(text.token_type_embeddings.weight)[0], image=np.zeros(16)
    )
    for branch, norm in (("text", text.LayerNorm), ("image", model.norm)):
        weights = [array(w) for w in norm.parameters()]
        layer.branch(branch).norm.set_weights(weights)
    layer.norm.set_weights([array(w) for w in model.LayerNorm.parameters()])
    box = mm.BoxEmbedding(combination="concat", num_positions=64, coordinate_width=3)
    copy_boxes(text, box)
    features = box(array(text.word_embeddings(tensor(words))), boxes)
    patches = array(model.patch_embed(pixels))
    token = np.broadcast_to(array(model.cls_token), (2, 1, 16))
    fused = layer(
        {"text": features, "image": np.concatenate([token, patches], axis=1)},
        mask={"text": mask},
    )
    valid = array(fused["mask"]).astype(bool)
    np.testing.assert_array_equal(valid[:, :6], mask)
    close(array(fused["embeddings"])[valid], array(expected)[valid])


def test_perceiver_knows_modalities_by_name():
    """Concatenated channels are added ones, on channels that the others leave at 0."""
    config = transformers.PerceiverConfig(num_labels=7, samples_per_patch=4)
    perceiver = models.perceiver.modeling_perceiver
    preprocessor = perceiver.PerceiverMultimodalPreprocessor(
        {
            "label": perceiver.PerceiverOneHotPreprocessor(config),
            "audio": perceiver.PerceiverAudioPreprocessor(
                config,
                samples_per_patch=4,
                fourier_position_encoding_kwargs={
                    "num_bands": 3,
                    "max_resolution": (6,),
                    "sine_only": False,
                    "concat_pos": True,
                },
            ),
        }
    )
    randomize(preprocessor)
    rng = np.random.default_rng(0)
    label = np.eye(7, dtype="float32")[[2, 5]]
    audio = rng.normal(size=(2, 24, 1)).astype("float32")
    expected, sizes, _ = preprocessor({"label": tensor(label), "audio": tensor(audio)})
    width = preprocessor.num_channels

    wave = mm.PositionEmbedding1D(convention="perceiver")
    pe = np.broadcast_to(array(wave(np.zeros((1, 6, 7), "float32"))), (2, 6, 7))
    features = {
        "audio": np.concatenate([audio.reshape(2, 6, 4), pe], axis=-1),
        "label": label[:, None],
    }
    layer = fusion_of(
        {n: {"type": "none", "dim": x.shape[-1]} for n, x in features.items()},
        width,
        normalization=None,
    )
    vectors = {}
    for name, x in features.items():
        kernel = np.eye(x.shape[-1], width)
        layer.branch(name).projection.set_weights([kernel, np.zeros(width)])
        padding = array(preprocessor.padding[name])[0]
        vectors[name] = np.concatenate([np.zeros(x.shape[-1]), padding])
    set_vectors(layer, **vectors)
    fused = layer(dict(reversed(features.items())))
    close(array(fused["embeddings"]), expected)
    parts = layer.split(fused["embeddings"], like=features)
    assert {name: part.shape[1] for name, part in parts.items()} == dict(sizes)
