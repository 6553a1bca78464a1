"""A model of one modality, called on a tensor instead of a dict: a tower."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import keras

from keras_mmembed.fusion.layer import MultiModalFusion

if TYPE_CHECKING:
    Model: TypeAlias = keras.Model
else:
    Model = object


class TakesBareInputs(Model):
    """The part of a model that takes the inputs of its only modality as they are.

    It can then be the `embedding` of a modality, as other layers. What it returns by
    name, it returns as a tensor too.
    """

    fusion: MultiModalFusion

    if not TYPE_CHECKING:

        def __call__(self, inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
            if not self._is_bare(inputs):
                given = () if inputs is None and "inputs" not in kwargs else (inputs,)
                return super().__call__(*given, *args, **kwargs)
            (name,) = self.fusion.modalities
            outputs = super().__call__({name: inputs}, *args, **kwargs)
            return outputs[name] if isinstance(outputs, dict) else outputs

    def by_name(self, shape: Any) -> Any:
        """Return the shape of inputs by the name of the modality."""
        if isinstance(shape, Mapping):
            return shape
        (name,) = self.fusion.modalities
        return {name: tuple(shape)}

    def inputs_by_name(self, inputs: Any) -> Any:
        """Return inputs by the name of the modality."""
        return {self.fusion.modalities[0]: inputs} if self._is_bare(inputs) else inputs

    def _is_bare(self, inputs: Any) -> bool:
        return hasattr(inputs, "shape") and len(self.fusion.modalities) == 1
