"""Who is compared with whom: groups of models that do the same work."""

import importlib.util
from dataclasses import dataclass, field

import keras
import numpy as np

from benchmarks import compositions, sizes
from benchmarks.measure import FLOOR, OURS, ROTARY, WITHOUT
from keras_mmembed import MultiModalFusion


@dataclass
class Group:
    """Models that are timed in turns.

    Attributes:
        base: The name of the model whose time is 1.
        models: The models by name.
        inputs: Arrays by name, for all of them; `own_inputs` go before.
        same_numbers: Names of the models whose outputs must be those of this package.
    """

    name: str
    base: str
    models: dict
    inputs: dict
    own_inputs: dict = field(default_factory=dict)
    same_numbers: tuple = ()

    def keep(self, names):
        """Leave out the models that are not among names, if there are any."""
        chosen = {name: self.models[name] for name in self.models if name in names}
        self.models = chosen if names else self.models


def groups(size, dropout):
    """Return the groups that the installed packages allow."""
    made = [fusion_group(size, dropout)]
    if size.name == "reference" and not dropout:
        made.append(block_group(size))
    # the work of published modules is that of one size, which they have in common
    if keras.backend.backend() == "torch" and size.name == "reference" and not dropout:
        made += peer_groups(size)
    return made


def fusion_group(size, dropout):
    """Return the floor, this package, and compositions of other layers."""
    makers = {
        FLOOR: compositions.Floor,
        OURS: compositions.fusion,
        "Keras layers": compositions.NaiveComposition,
    }
    if importlib.util.find_spec("keras_hub"):
        makers["KerasHub layers"] = compositions.KerasHubComposition
    models = {
        name: compositions.build_at(make(size, dropout), size)
        for name, make in makers.items()
    }
    if keras.backend.backend() == "torch":
        from benchmarks.torch_modules import SpecModule

        models["module of the document"] = SpecModule(size, dropout)
    models["copy"] = compositions.Copy()
    if size.name == "nearly empty":
        models["empty layer"] = compositions.EmptyLayer()
    return Group(
        "fusion",
        FLOOR,
        models,
        sizes.inputs(size),
        own_inputs={"copy": {"fused": np.ones(size.fused_shape, "float32")}},
        same_numbers=("Keras layers", "module of the document"),
    )


def block_group(size):
    """Return a block with a rotary embedding, and the same without it."""
    shape = (2, *size.fused_shape[1:])
    models = {WITHOUT: compositions.Block(size.width)}
    models[OURS] = compositions.Block(size.width, rotary="llama")
    tokens = np.random.default_rng(0).standard_normal(shape, dtype="float32")
    for model in models.values():
        model({"tokens": tokens})
    return Group(ROTARY, WITHOUT, models, {"tokens": tokens})


def peer_groups(size):
    """Return published modules beside this package in their configuration."""
    from benchmarks import torch_modules

    configs = sizes.modality_configs(size)
    text = {**configs["text"], "position": "learned", "segments": 2}
    image = {"type": "none", "dim": size.width}
    positions = {**configs["image"], "position": "learned"}
    features = sizes.inputs(size)
    made = []
    if importlib.util.find_spec("transformers"):
        # no more freedom than this: the norm of the patches is work that Vilt lacks
        ours = _fusion({"text": text, "image": image}, size, "per_modality")
        models = {OURS: ours, "ViltEmbeddings": torch_modules.HuggingFaceVilt(size)}
        given = {name: features[name] for name in ("text", "image")}
        made.append(Group("ViLT of transformers", OURS, models, given))
    ours = _fusion({"image": positions}, size, None, cls_token=True)
    models = {OURS: ours, "timm": torch_modules.TimmPositions(size)}
    given = {"image": features["image"]}
    made.append(Group("positions of timm", OURS, models, given))
    return made


def _fusion(configs, size, normalization, **options):
    layer = MultiModalFusion(
        configs, size.width, normalization=normalization, dropout=0.0, **options
    )
    layer.build({name: size.shapes[name] for name in configs})
    return layer
