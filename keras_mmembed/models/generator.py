"""Generation as a layer, with its loop in the graph, for servers."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_mmembed.common import checks
from keras_mmembed.common.describe import describe
from keras_mmembed.common.sublayer_state import KeepsSublayers
from keras_mmembed.common.types import Config, Shape, Tensor
from keras_mmembed.fusion.arguments import ByModality
from keras_mmembed.fusion.layer import MultiModalFusion
from keras_mmembed.fusion.standardize import CallByModality
from keras_mmembed.models.decoding import prefill, step
from keras_mmembed.models.generation_checks import (
    CALL_ARGUMENTS,
    GENERATE,
    check_stop_ids,
    growing_modality,
    padding_of,
)
from keras_mmembed.models.sampling import choose


@keras.saving.register_keras_serializable(package="keras_mmembed")
class TokenGenerator(KeepsSublayers, CallByModality, keras.layers.Layer):
    """Generates the most likely tokens behind a prompt, as `generate` does.

    `MultiModalTransformer.generator` makes it. It has the call of the model; its
    outputs are `(batch, max_new_tokens)`, int32.

    Args:
        decoder: The model.
        max_new_tokens: How many tokens are generated at most.
        stop_ids: Ids behind which a sample is finished. Defaults to `None`, none.
        **kwargs: As for every Keras layer.
    """

    def __init__(
        self,
        decoder: Any,
        max_new_tokens: int,
        stop_ids: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.decoder: Any = decoder
        config = decoder.fusion.branch(growing_modality(decoder)).config
        self.max_new_tokens: int = checks.check_integer(
            GENERATE, "max_new_tokens", max_new_tokens
        )
        self.stop_ids: tuple[int, ...] = check_stop_ids(
            stop_ids, config["vocabulary_size"]
        )
        self.padding_id: int = padding_of(config, self.stop_ids)

    def __repr__(self) -> str:
        return describe(self, decoder=self.decoder.name)

    @property
    def fusion(self) -> MultiModalFusion:
        """The fusion of the model."""
        return self.decoder.fusion

    def build(
        self,
        inputs_shape: Mapping[str, Shape | None],
        encoded_shape: Shape | None = None,
        **other_shapes: Any,
    ) -> None:
        if not self.decoder.built:
            self.decoder.build(inputs_shape, encoded_shape)
        self.built = True

    def call(
        self,
        inputs: Mapping[str, Tensor],
        segment_ids: ByModality = None,
        positions: ByModality = None,
        present: ByModality = None,
        placeholders: ByModality = None,
        mask: ByModality = None,
        grids: Mapping[str, Any] | None = None,
        start_index: Mapping[str, Any] | None = None,
        terms: Mapping[str, Mapping[str, Tensor]] | None = None,
        masked: ByModality = None,
        encoded: Tensor | None = None,
        encoded_mask: Tensor | None = None,
        inputs_mask: ByModality = None,
    ) -> Tensor:
        named = locals()
        arguments = {
            name: named[name]
            for name in (*CALL_ARGUMENTS, "inputs_mask")
            if named[name] is not None
        }
        new = self.max_new_tokens
        logits, state = prefill(self.decoder, inputs, arguments, new)
        ids, length = choose(logits), ops.shape(state["mask"])[1] - new
        done = ops.zeros_like(ids, "bool")
        places, stops = ops.arange(new), ops.convert_to_tensor(self.stop_ids, "int32")
        outputs = ops.zeros_like(ids[:, None]) + ops.zeros_like(places)
        outputs = outputs + self.padding_id

        def record(place: Tensor, ids: Tensor, done: Tensor, outputs: Tensor) -> Any:
            ids = ops.where(done, self.padding_id, ids)
            here = ops.equal(ops.expand_dims(places, 0), place)
            outputs = ops.where(here, ops.expand_dims(ids, 1), outputs)
            if self.stop_ids:
                found = ops.any(ops.equal(ops.expand_dims(ids, 1), stops), axis=1)
                done = ops.logical_or(done, found)
            return ids, done, outputs

        def goes_on(place: Tensor, ids: Tensor, done: Tensor, *others: Any) -> Tensor:
            return ops.logical_and(place < new, ops.logical_not(ops.all(done)))

        def proceed(
            place: Tensor, ids: Tensor, done: Tensor, outputs: Tensor, state: Any
        ) -> tuple[Any, ...]:
            index = length + place - 1
            logits, state = step(self.decoder, ids, state, index)
            ids, done, outputs = record(place, choose(logits), done, outputs)
            return place + 1, ids, done, outputs, state

        first = ops.zeros((), "int32")
        ids, done, outputs = record(first, ids, done, outputs)
        loop = (first + 1, ids, done, outputs, state)
        return ops.while_loop(goes_on, proceed, loop)[3]

    def compute_mask(self, *args: Any, **kwargs: Any) -> None:
        return None

    def compute_output_spec(
        self, inputs: Mapping[str, Tensor], *args: Any, **kwargs: Any
    ) -> keras.KerasTensor:
        spec = self.decoder.compute_output_spec(inputs, *args, **kwargs)
        return keras.KerasTensor((spec.shape[0], self.max_new_tokens), dtype="int32")

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "max_new_tokens": self.max_new_tokens,
            "stop_ids": list(self.stop_ids) or None,
        }

    @classmethod
    def from_config(cls, config: Config) -> "TokenGenerator":
        decoder = keras.saving.deserialize_keras_object(config["decoder"])
        return cls(**{**config, "decoder": decoder})
