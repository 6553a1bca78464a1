"""Every public name with right arguments, which the sweep of bad inputs replaces."""

import functools
import tempfile
from pathlib import Path

from bad_input_attention import attention_subjects
from bad_input_functions import function_subjects
from bad_input_fusions import fusion_subjects
from bad_input_layers import layer_subjects
from bad_input_positions import position_subjects


@functools.cache
def subjects():
    """Return all subjects by name."""
    every = [
        *position_subjects(),
        *layer_subjects(),
        *attention_subjects(),
        *fusion_subjects(),
        *function_subjects(Path(tempfile.mkdtemp())),
    ]
    return {subject.name: subject for subject in every}
