"""Variables that come back when a step of training or inference raises."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_mmembed.common.types import Tensor

Step = Callable[..., Any]


def restore_on_error(
    step: Step, groups: Callable[[], Sequence[Sequence[keras.Variable]]]
) -> Step:
    """Return a step of a Keras loop that gives the variables back if it raises.

    On JAX, Keras takes the values out of the variables while `fit`, `evaluate` and
    `predict` run, and puts them back only at the end of an epoch that succeeds.

    Args:
        step: What Keras calls with the values of the variables and the data.
        groups: Returns the variables whose values come first, group by group.
    """
    if keras.backend.backend() != "jax" or isinstance(step, RestoringStep):
        return step
    return RestoringStep(step, groups)


class RestoringStep:
    """A step that gives the variables back if it raises."""

    def __init__(
        self, step: Step, groups: Callable[[], Sequence[Sequence[keras.Variable]]]
    ) -> None:
        self._step, self._groups = step, groups

    def __call__(self, state: Sequence[Sequence[Tensor]], *data: Any) -> Any:
        try:
            return self._step(state, *data)
        except BaseException:
            for variables, values in zip(self._groups(), state, strict=True):
                for variable, value in zip(variables, values, strict=True):
                    # a step that has begun to run keeps what it was given
                    if not value.is_deleted():
                        variable.assign(value)
            raise
