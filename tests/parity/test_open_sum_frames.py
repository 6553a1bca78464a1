"""Published sequences of text and frames, each as one configured fusion."""

import keras
import pytest
from configured import assign, configured, dense, norm, table
from published import SMALL, TEXT, array, close, models, randomize, torch, transformers
from weights import reloaded

import keras_mmembed as mm


def inputs_of(module, seen):
    """Append what a module is called with, as it is at the time of the call."""

    def hook(_, arguments):
        seen.append(arguments[0].detach().clone())

    module.register_forward_pre_hook(hook)


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_git_adds_times_to_frames_before_their_projection(scale, tmp_path):
    vision = {**SMALL, "hidden_size": 16, "image_size": 8, "patch_size": 4}
    config = transformers.GitConfig(
        vision_config={**vision, "layer_norm_eps": 1e-5},
        **TEXT,
        num_image_with_embedding=3,
        layer_norm_eps=1e-12,
    )
    module = randomize(models.git.modeling_git.GitModel(config))
    projection, layer_norm = module.visual_projection.visual_projection
    projection.weight.data *= scale
    projection.bias.data *= scale
    frames, fused = [], []
    module.image_encoder.register_forward_hook(
        lambda _, arguments, output: frames.append(output.last_hidden_state.clone())
    )
    inputs_of(module.encoder, fused)
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(2, 3, 3, 8, 8, generator=generator)
    ids = torch.randint(1, 40, (2, 6), generator=generator)
    module(input_ids=ids, pixel_values=pixels)

    fusion = configured(
        {
            "frames": {
                # five tokens of each frame
                "type": "2d",
                "dim": 16,
                "embedding": mm.PositionEmbedding2D(3, kind=("learned", None)),
                "position": None,
                "projection": True,
                "modality": False,
                "normalization": {"epsilon": layer_norm.eps},
            },
            "text": {
                "type": "1d",
                "max_len": 20,
                "position": "learned",
                "vocabulary_size": 40,
                "modality": False,
                "normalization": {"epsilon": config.layer_norm_eps},
            },
        }
    )
    inputs = {
        "frames": keras.Input((None, 5, 16), name="frames"),
        "text": keras.Input((None,), dtype="int32", name="text"),
    }
    model = keras.Model(inputs, fusion(inputs)["embeddings"])
    times = torch.cat([row[0] for row in module.img_temporal_embedding])
    assign(
        fusion,
        frames__embedding__height_embeddings=array(times),
        frames__projection=dense(projection),
        frames__norm=norm(layer_norm),
        text__embedding=table(module.embeddings.word_embeddings),
        text__position=table(module.embeddings.position_embeddings),
        text__norm=norm(module.embeddings.LayerNorm),
    )
    values = {
        "frames": array(torch.stack(frames, dim=1)).astype("float32"),
        "text": array(ids).astype("int32"),
    }
    for one in (model, reloaded(model, tmp_path)):
        close(one.predict(values, verbose=0), fused[0])


@pytest.mark.parametrize("grid", [(8, 8), (5, 6), (12, 10), (5, 10), (11, 3)])
def test_tvp_puts_a_prompt_before_text_and_frames(grid, tmp_path):
    config = transformers.TvpConfig(
        **{**TEXT, "num_hidden_layers": 1},
        type_vocab_size=2,
        num_frames=3,
        max_grid_row_position_embeddings=8,
        max_grid_col_position_embeddings=8,
        max_img_size=32,
        visual_prompt_size=4,
        backbone_config=transformers.ResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 8, 8, 8],
            depths=[1, 1, 1, 1],
            out_features=["stage4"],
        ),
    )
    module = randomize(models.tvp.modeling_tvp.TvpModel(config))
    generator = torch.Generator().manual_seed(1)
    # TVP has positions for one sample at a time
    frames = torch.randn(1, 3, *grid, 16, generator=generator)
    ids = torch.randint(1, 40, (1, 6), generator=generator)
    fused = []
    inputs_of(module.encoder, fused)
    # grids of any size, in place of those that the backbone makes of pixels
    module.vision_model.forward = lambda pixels: frames
    pixels = torch.zeros(1, 3, 3, 32, 32)
    module(ids, pixels, torch.ones_like(ids), interpolate_pos_encoding=True)

    epsilon = {"epsilon": config.layer_norm_eps}
    fusion = configured(
        {
            "text": {
                "type": "1d",
                "max_len": 20,
                "position": "learned",
                "vocabulary_size": 40,
                "segments": 2,
                "modality": False,
                "normalization": epsilon,
            },
            "frames": {
                "type": "3d",
                "dim": 16,
                "embedding": keras.layers.AveragePooling3D((3, 1, 1)),
                "position": mm.PositionEmbedding3D(
                    None,
                    8,
                    8,
                    kind=(None, "learned", "learned"),
                    combination="sum",
                    interpolation="bicubic",
                    out_of_range="resize_longer",
                ),
                "normalization": epsilon,
            },
        },
        # the prompt is not normalized
        num_registers=10,
    )
    inputs = {
        "frames": keras.Input((3, None, None, 16), name="frames"),
        "text": keras.Input((None,), dtype="int32", name="text"),
    }
    model = keras.Model(inputs, fusion(inputs)["embeddings"])
    text, visual = module.embeddings, module.visual_embeddings
    assign(
        fusion,
        register_embeddings=array(module.text_prompt),
        modality__frames=array(visual.token_type_embeddings.weight),
        text__embedding=table(text.word_embeddings),
        text__position=table(text.position_embeddings),
        text__segment=table(text.token_type_embeddings),
        text__norm=norm(text.layer_norm),
        frames__position__height_embeddings=array(
            visual.row_position_embeddings.weight
        ),
        frames__position__width_embeddings=array(visual.col_position_embeddings.weight),
        frames__norm=norm(visual.layer_norm),
    )
    values = {"frames": frames.numpy(), "text": array(ids).astype("int32")}
    for one in (model, reloaded(model, tmp_path)):
        close(one.predict(values, verbose=0), fused[0])
