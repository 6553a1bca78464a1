"""Training and inference that tell of bad data, and lose no variables by an error."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_mmembed.common.types import Tensor
from keras_mmembed.models.data_checks import check_data

Groups = Callable[[], Sequence[Sequence[keras.Variable]]]


class RestoringModel(keras.Model):
    """A model that tells of bad data, and whose weights survive a step that raises."""

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train the model, as Keras does."""
        check_data(self, x)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return the loss and the metrics, as Keras does."""
        check_data(self, x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the outputs for all samples, as Keras does."""
        check_data(self, x)
        return super().predict(x, *args, **kwargs)

    def make_train_function(self, force: bool = False) -> Any:
        """Make the step of `fit`."""
        super().make_train_function(force)
        return restore_on_error(self, "train_function")

    def make_test_function(self, force: bool = False) -> Any:
        """Make the step of `evaluate`."""
        super().make_test_function(force)
        return restore_on_error(self, "test_function")

    def make_predict_function(self, force: bool = False) -> Any:
        """Make the step of `predict`."""
        super().make_predict_function(force)
        return restore_on_error(self, "predict_function")


def restore_on_error(model: keras.Model, name: str) -> Any:
    """Make a step of a model give the variables back if it raises, and return it.

    On JAX, Keras takes the values out of the variables while `fit`, `evaluate` and
    `predict` run, and puts them back only at the end of an epoch that succeeds.

    Args:
        model: The model.
        name: The attribute of the step, such as `"train_function"`.
    """
    step = getattr(model, name)
    if keras.backend.backend() != "jax" or isinstance(step, RestoringStep):
        return step

    def groups() -> Sequence[Sequence[keras.Variable]]:
        found = [model.trainable_variables, model.non_trainable_variables]
        if name == "train_function":
            found.append(model.optimizer.variables)
        if name != "predict_function":
            found.append(model.metrics_variables)
        return found

    setattr(model, name, RestoringStep(step, groups))
    return getattr(model, name)


class RestoringStep:
    """A step that gives the variables back if it raises.

    Args:
        step: What Keras calls with the values of the variables and the data.
        groups: Returns the variables of these values, group by group.
    """

    def __init__(self, step: Callable[..., Any], groups: Groups) -> None:
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
