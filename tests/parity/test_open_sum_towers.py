"""Published fronts that project the outputs of towers of their own width."""

import pytest
from configured import assign, configured, dense, norm
from published import (
    IMAGE,
    SMALL,
    TEXT,
    array,
    close,
    models,
    randomize,
    torch,
)

FEATURES = {"type": "none", "dim": 16, "projection": True}


def inputs_of(module, seen):
    """Append what a module is called with."""
    module.register_forward_pre_hook(lambda _, arguments: seen.extend(arguments))


def features(tensor):
    return array(tensor).astype("float32")


def test_flava_multimodal():
    none = {"num_hidden_layers": 0}
    flava = models.flava.configuration_flava
    config = flava.FlavaConfig(
        text_config={**TEXT, **none},
        image_config={**IMAGE, **none},
        multimodal_config={**SMALL, **none},
        projection_dim=16,
    )
    module = randomize(models.flava.modeling_flava.FlavaModel(config))
    generator = torch.Generator().manual_seed(1)
    image, text = [], []
    inputs_of(module.image_to_mm_projection, image)
    inputs_of(module.text_to_mm_projection, text)
    outputs = module(
        torch.randint(1, 40, (2, 6), generator=generator),
        torch.randn(2, 3, 16, 16, generator=generator),
    )
    plain = {**FEATURES, "modality": False}
    multimodal = module.multimodal_model
    fusion = configured(
        {"image": plain, "text": plain},
        cls_token=True,
        normalization="shared",
        epsilon=config.multimodal_config.layer_norm_eps,
    )
    inputs = {"image": features(image[0]), "text": features(text[0])}
    fusion(inputs)
    assign(
        fusion,
        cls_embedding=array(multimodal.cls_token),
        image__projection=dense(module.image_to_mm_projection),
        text__projection=dense(module.text_to_mm_projection),
        norm=norm(multimodal.layernorm),
    )
    close(array(fusion(inputs)["embeddings"]), outputs.multimodal_embeddings)


@pytest.mark.parametrize("shared", [False, True])
def test_bridgetower_cross_modal(shared):
    tower = models.bridgetower
    # one head has 64 channels
    wide = {"hidden_size": 64}
    config = tower.BridgeTowerConfig(
        **{**SMALL, **wide},
        share_cross_modal_transformer_layers=shared,
        layer_norm_eps=1e-5,
        text_config={**TEXT, **wide, "layer_norm_eps": 1e-5},
        vision_config={
            **wide,
            "image_size": 16,
            "patch_size": 4,
            "num_hidden_layers": 1,
        },
    )
    module = randomize(tower.modeling_bridgetower.BridgeTowerModel(config))
    text_map = module.cross_modal_text_transform
    image_map = module.cross_modal_image_transform
    if not shared:
        text_map, image_map = text_map[0], image_map[0]
    generator = torch.Generator().manual_seed(1)
    text, image, expected = [], [], []
    inputs_of(text_map, text)
    inputs_of(image_map, image)
    inputs_of(module.cross_modal_text_layers[0], expected)
    module(
        torch.randint(2, 40, (2, 6), generator=generator),
        pixel_values=torch.randn(2, 3, 16, 16, generator=generator),
    )
    fusion = configured(
        {name: {**FEATURES, "dim": 64} for name in ("text", "image")},
        64,
        normalization="per_modality",
        epsilon=config.layer_norm_eps,
    )
    inputs = {"text": features(text[0]), "image": features(image[0])}
    fusion(inputs)
    kinds = array(module.token_type_embeddings.weight)
    assign(
        fusion,
        modality__text=kinds[0],
        modality__image=kinds[1],
        text__projection=dense(text_map),
        text__norm=norm(module.cross_modal_text_layernorm),
        image__projection=dense(image_map),
        image__norm=norm(module.cross_modal_image_layernorm),
    )
    parts = fusion.split(fusion(inputs)["embeddings"], like=inputs)
    for name, published in zip(("text", "image"), expected, strict=False):
        close(array(parts[name]), published)
