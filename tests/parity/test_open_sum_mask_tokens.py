"""Published images with mask tokens, each as one configured fusion."""

import keras
import numpy as np
import pytest
from configured import assign, configured, patches
from published import IMAGE, array, close, models, randomize, torch, transformers
from weights import reloaded

import keras_mmembed as mm


def beit():
    config = transformers.BeitConfig(
        **IMAGE, use_mask_token=True, use_absolute_position_embeddings=True
    )
    module = models.beit.modeling_beit.BeitEmbeddings(config)
    return module, lambda pixels, marks: module(pixels, marks)


def data2vec():
    config = transformers.Data2VecVisionConfig(
        **IMAGE, use_mask_token=True, use_absolute_position_embeddings=True
    )
    module = models.data2vec.modeling_data2vec_vision.Data2VecVisionEmbeddings(config)
    return module, lambda pixels, marks: module(pixels, marks)[0]


def flava():
    config = models.flava.configuration_flava.FlavaImageConfig(**IMAGE, mask_token=True)
    module = models.flava.modeling_flava.FlavaImageEmbeddings(config)
    return module, lambda pixels, marks: module(
        pixels, marks, interpolate_pos_encoding=True
    )


@pytest.mark.parametrize("size", [(16, 16), (24, 20), (8, 32)])
@pytest.mark.parametrize("made", [beit, data2vec, flava])
def test_a_mask_token_in_place_of_patches(made, size, tmp_path):
    module, embed = made()
    randomize(module)
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(2, 3, *size, generator=generator)
    grid = (size[0] // 4, size[1] // 4)
    marks = torch.rand(2, *grid, generator=generator) < 0.4
    expected = embed(pixels, marks.flatten(1))
    fusion = configured(
        {
            "image": {
                "type": "2d",
                "embedding": mm.PatchEmbedding(4, 16),
                "position": mm.PositionEmbedding2D(
                    4,
                    4,
                    kind="learned",
                    interpolation="bicubic",
                    out_of_range="resize",
                ),
                "modality": False,
                "start_token": True,
                "count_special": True,
                "mask_token": True,
            }
        }
    )
    image = keras.Input((None, None, 3), name="image")
    masked = keras.Input((None, None), dtype="bool", name="masked")
    fused = fusion({"image": image}, masked={"image": masked})
    model = keras.Model([image, masked], fused["embeddings"])
    rows = array(module.position_embeddings)[0]
    assign(
        fusion,
        image__embedding__projection=patches(module.patch_embeddings.projection),
        image__position__embeddings=rows[1:],
        image__start=array(module.cls_token),
        image__start_position=rows[:1],
        image__mask_token=array(module.mask_token),
    )
    values = [np.moveaxis(pixels.numpy(), 1, -1), marks.numpy()]
    for one in (model, reloaded(model, tmp_path)):
        close(one.predict(values, verbose=0), expected)
