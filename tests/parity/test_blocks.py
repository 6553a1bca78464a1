"""Whole published models as configurations of `MultiModalTransformer`."""

import numpy as np
from attention_weights import random_module
from published import array, close, torch, transformers
from weights import weights_by_path

import keras_mmembed as mm

WIDTH, HEADS, HIDDEN, DEPTH, WORDS = 32, 4, 48, 2, 40
SMALL = {
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "num_hidden_layers": DEPTH,
    "intermediate_size": HIDDEN,
    "attn_implementation": "eager",
}
# no norm, modality vector or position is added to what the blocks get
BARE = {"position": None, "modality": False}
TEXT = {"text": {"type": "1d", "vocabulary_size": WORDS, **BARE}}
T5 = {
    "norm_type": "rms",
    "activation": "relu",
    "scale": 1.0,
    "head_dim": 8,
    "use_bias": False,
}
PROJECTIONS = ("query", "key", "value", "attention_output")


def model_of(configs, inputs, call=None, **options):
    """Return a built model without what the published ones lack."""
    model = mm.MultiModalTransformer(
        configs,
        WIDTH,
        **{"num_layers": DEPTH, "num_heads": HEADS, "hidden_dim": HIDDEN},
        **{"pooling": "tokens", "normalization": None, "dropout": 0.0, **options},
    )
    model(inputs, **(call or {}))
    return model


def patches_of(**more):
    embedding = mm.PatchEmbedding(4, WIDTH)
    return {"image": {"type": "2d", "embedding": embedding, **BARE, **more}}


def assign(model, modules, values=()):
    """Give a model the weights of published modules by path, and every weight one."""
    given = dict(values)
    for path, module in modules.items():
        weight = array(module.weight)
        is_table = isinstance(module, torch.nn.Embedding)
        # of a linear layer (outputs, inputs)
        given[path] = weight.T if weight.ndim == 2 and not is_table else weight
        if getattr(module, "bias", None) is not None:
            given[path.replace("kernel", "bias").replace("gamma", "beta")] = array(
                module.bias
            )
    for path, weight in weights_by_path(model).items():
        # a bias that the published model lacks
        value = given.pop(path) if path in given else np.zeros(weight.shape)
        assert path.endswith("key/bias") or np.abs(value).max() > 0, path
        weight.assign(np.reshape(value, weight.shape))
    assert not given


def of_block(index, attention, norms, dense, scale="gamma", cross=None):
    """Return the modules of a published block by the paths of ours."""
    start, names = f"block_{index}", ("attention", "mlp")
    found = {f"{start}/{n}_norm/{scale}": m for n, m in zip(names, norms, strict=True)}
    for part, module in dense.items():
        found[f"{start}/{part}/kernel"] = module
    for path, modules in (("attention", attention), ("cross_attention", cross)):
        for name, module in zip(PROJECTIONS, modules or (), strict=False):
            found[f"{start}/{path}/{name}/kernel"] = module
    return found


def projections(module, names="qkvo", end="_proj"):
    return [getattr(module, f"{name}{end}") for name in names]


def ids(*shape, seed=0):
    return np.random.default_rng(seed).integers(1, WORDS, shape).astype("int32")


def test_llama():
    config = transformers.LlamaConfig(
        **SMALL, num_key_value_heads=2, vocab_size=WORDS, rms_norm_eps=1e-5
    )
    module = random_module(transformers.LlamaModel(config))
    words, lengths = ids(2, 7), np.array([7, 5])
    model = model_of(
        TEXT,
        {"text": words},
        causal=True,
        rotary="llama",
        num_key_value_heads=2,
        norm_type="rms",
        epsilon=config.rms_norm_eps,
        mlp="gated",
        activation="silu",
        use_bias=False,
    )
    modules = {"fusion/text/embedding/embeddings": module.embed_tokens}
    modules["norm/scale"] = module.norm
    for index, block in enumerate(module.layers):
        norms = (block.input_layernorm, block.post_attention_layernorm)
        dense = {
            "hidden": block.mlp.gate_proj,
            "up": block.mlp.up_proj,
            "output": block.mlp.down_proj,
        }
        attention = projections(block.self_attn)
        modules |= of_block(index, attention, norms, dense, scale="scale")
    assign(model, modules)
    mask = np.arange(7) < lengths[:, None]
    expected = array(module(torch.tensor(words), torch.tensor(mask)).last_hidden_state)
    got = array(model({"text": words}, mask={"text": lengths}))
    np.testing.assert_allclose(got[mask], expected[mask], atol=1e-5)


def t5_modules(stack, embedding, is_decoder):
    """Return the modules of an encoder or a decoder by the paths of ours."""
    modules = {"fusion/text/embedding/embeddings": embedding}
    modules["norm/scale"] = stack.final_layer_norm
    for index, block in enumerate(stack.block):
        first, *cross, last = block.layer
        dense = {"hidden": last.DenseReluDense.wi, "output": last.DenseReluDense.wo}
        norms = (first.layer_norm, last.layer_norm)
        attention = projections(first.SelfAttention, end="")
        found = of_block(index, attention, norms, dense, "scale")
        if is_decoder:
            other = projections(cross[0].EncDecAttention, end="")
            found |= of_block(index, attention, norms, dense, "scale", other)
            found[f"block_{index}/cross_norm/scale"] = cross[0].layer_norm
        modules |= found
    bias = stack.block[0].layer[0].SelfAttention.relative_attention_bias
    return {**modules, "relative_bias/embeddings": bias}


def test_t5():
    config = transformers.T5Config(
        d_model=WIDTH,
        num_heads=HEADS,
        d_kv=8,
        d_ff=HIDDEN,
        num_layers=DEPTH,
        vocab_size=WORDS,
        attn_implementation="eager",
    )
    module = random_module(transformers.T5Model(config))
    words, answer = ids(2, 7), ids(2, 5, seed=1)
    mask = np.arange(7) < np.array([[7], [4]])
    expected = module(
        torch.tensor(words),
        torch.tensor(mask),
        decoder_input_ids=torch.tensor(answer),
    )
    encoder = model_of(TEXT, {"text": words}, relative_bias="t5", **T5)
    assign(encoder, t5_modules(module.encoder, module.shared, False))
    encoded = encoder({"text": words}, mask={"text": mask})
    theirs = array(expected.encoder_last_hidden_state)
    np.testing.assert_allclose(array(encoded)[mask], theirs[mask], atol=1e-5)
    decoder = model_of(
        TEXT,
        {"text": answer},
        {"encoded": encoded},
        relative_bias={"convention": "t5", "bidirectional": False},
        causal=True,
        cross_attention=True,
        **T5,
    )
    assign(decoder, t5_modules(module.decoder, module.shared, True))
    # the encoder's output carries its mask
    got = decoder({"text": answer}, encoded=encoded)
    close(array(got), expected.last_hidden_state)


def of_image(convolution, special):
    """Return values of the patches and the special tokens of a published tower."""
    kernel = array(convolution.weight).transpose(2, 3, 1, 0)
    return {
        "fusion/image/embedding/projection/kernel": kernel,
        "fusion/image/embedding/projection/bias": array(convolution.bias),
        "fusion/register_embeddings": np.concatenate([array(x)[0] for x in special]),
    }


def tower(inputs, config, num_registers, **options):
    """Return a model of patches whose class token is one of the registers."""
    return model_of(
        patches_of(),
        {"image": inputs},
        num_registers=num_registers,
        epsilon=config.layer_norm_eps,
        layer_scale=0.1,
        **options,
    )


def images(height, width):
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, height, width, 3)).astype("float32")


def test_dinov3_on_an_oblong_image():
    config = transformers.DINOv3ViTConfig(
        **SMALL, num_register_tokens=3, patch_size=4, image_size=16
    )
    module = random_module(transformers.DINOv3ViTModel(config))
    x = images(16, 24)
    model = tower(x, config, 4, rotary="dinov3", rotary_rule="image")
    first = module.embeddings
    special = (first.cls_token, first.register_tokens)
    values = of_image(first.patch_embeddings, special)
    modules = {"norm/gamma": module.norm}
    for index, block in enumerate(module.model.layer):
        dense = {"hidden": block.mlp.up_proj, "output": block.mlp.down_proj}
        norms = (block.norm1, block.norm2)
        modules |= of_block(index, projections(block.attention), norms, dense)
        for name, scale in (("attention", "layer_scale1"), ("mlp", "layer_scale2")):
            factors = array(getattr(block, scale).lambda1)
            values[f"block_{index}/{name}_scale/scale"] = factors
    assign(model, modules, values)
    expected = module(torch.tensor(x).permute(0, 3, 1, 2)).last_hidden_state
    close(array(model({"image": x})), expected)


def test_beit():
    config = transformers.BeitConfig(
        **SMALL,
        image_size=12,
        patch_size=4,
        use_relative_position_bias=True,
        use_mean_pooling=False,
    )
    module = transformers.BeitModel(config, add_pooling_layer=False)
    random_module(module)
    x = images(12, 12)
    bias = {"convention": "beit", "grid": (3, 3)}
    model = tower(x, config, 1, relative_bias=bias)
    first = module.embeddings
    convolution = first.patch_embeddings.projection
    values = of_image(convolution, [first.cls_token])
    modules = {"norm/gamma": module.layernorm}
    for index, block in enumerate(module.layers):
        dense = {"hidden": block.mlp.fc1, "output": block.mlp.fc2}
        norms = (block.layernorm_before, block.layernorm_after)
        modules |= of_block(index, projections(block.attention), norms, dense)
        start = f"block_{index}"
        values[f"{start}/attention_scale/scale"] = array(block.lambda_1)
        values[f"{start}/mlp_scale/scale"] = array(block.lambda_2)
        table = array(block.relative_position_bias.relative_position_bias_table)
        values[f"{start}/attention/relative_bias/embeddings"] = table[:-3]
        values[f"{start}/attention/relative_bias/special_embeddings"] = table[-3:]
    assign(model, modules, values)
    expected = module(torch.tensor(x).permute(0, 3, 1, 2)).last_hidden_state
    close(array(model({"image": x})), expected)
