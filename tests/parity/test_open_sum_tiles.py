"""Mllama: the tiles of an image as instances of one modality."""

import keras
import numpy as np
from configured import assign, configured, norm, patches, table
from published import array, close, models, randomize, torch
from weights import reloaded

import keras_mmembed as mm

TILES = [f"tile_{number}" for number in range(4)]


def test_mllama_gates_its_aspect_ratios_and_positions(tmp_path):
    config = models.mllama.configuration_mllama.MllamaVisionConfig(
        hidden_size=16,
        image_size=16,
        patch_size=4,
        num_hidden_layers=1,
        num_global_layers=1,
        attention_heads=2,
        intermediate_size=32,
        vision_output_dim=32,
        max_num_tiles=4,
        intermediate_layers_indices=[0],
    )
    module = randomize(models.mllama.modeling_mllama.MllamaVisionModel(config))
    seen = []
    module.layernorm_pre.register_forward_hook(
        lambda _, arguments, output: seen.append(output)
    )
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(2, 1, 4, 3, 16, 16, generator=generator)
    ids = torch.tensor([[6], [2]])
    module(pixels, ids, torch.ones(2, 1, 4, dtype=torch.long))
    aspects, width = config.max_aspect_ratio_id + 1, config.hidden_size

    # class token, patches and gated positions of each tile
    front = configured(
        {
            TILES[0]: {
                "type": "2d",
                "embedding": mm.PatchEmbedding(4, width, use_bias=False),
                "start_token": True,
                "count_special": True,
                "position": {
                    "layer": mm.PositionEmbedding2D(4, 4, kind="learned"),
                    "gate": "linear",
                },
                "terms": {
                    "aspect": {
                        "layer": mm.SegmentEmbedding(aspects * 4),
                        "gate": "tanh",
                    }
                },
            },
            **{name: {"instance_of": TILES[0]} for name in TILES[1:]},
        },
        modality_embedding=False,
        return_dict=False,
    )
    # gated positions of all tiles, which start at the aspect ratio of the image
    position = mm.PositionEmbedding3D(
        aspects, 4, 17, kind="learned", combination="joint"
    )
    whole = configured(
        {
            "image": {
                "type": "3d",
                "dim": width,
                "position": {"layer": position, "gate": "tanh"},
                "modality": False,
                "normalization": {"epsilon": 1e-5},
            }
        },
        return_dict=False,
    )
    images = {name: keras.Input((16, 16, 3), name=name) for name in TILES}
    aspect = keras.Input((), dtype="int32", name="aspect")
    terms = {
        name: {"aspect": aspect[:, None] * 4 + number}
        for number, name in enumerate(TILES)
    }
    tokens = front(images, terms=terms)
    grid = {"image": (1, 4, 17)}
    fused = whole({"image": tokens}, grids=grid, start_index={"image": aspect})
    model = keras.Model({**images, "aspect": aspect}, fused)
    before = module.pre_tile_positional_embedding
    positions = module.gated_positional_embedding
    rows, gate = array(positions.embedding), array(positions.gate)
    assign(
        front,
        tile_0__embedding__projection=patches(module.patch_embedding),
        tile_0__start=array(module.class_embedding),
        tile_0__start_position=rows[0],
        tile_0__position__embeddings=rows[1:],
        # one gate shares out both positions
        tile_0__gate_position=1 - np.tanh(gate),
        tile_0__aspect=table(before.embedding),
        tile_0__gate_aspect=array(before.gate),
    )
    assign(
        whole,
        image__position=table(positions.tile_embedding),
        image__gate_position=gate,
        image__norm=norm(module.layernorm_pre),
    )
    values = {
        name: np.moveaxis(pixels[:, 0, number].numpy(), 1, -1)
        for number, name in enumerate(TILES)
    }
    values["aspect"] = ids[:, 0].numpy().astype("int32")
    for one in (model, reloaded(model, tmp_path)):
        close(one.predict(values, verbose=0).reshape(2, 4, 17, width), seen[0])
