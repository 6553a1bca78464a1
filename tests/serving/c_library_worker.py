"""Answers requests with an export, in a process without Keras and TensorFlow's Python.

python c_library_worker.py EXPORT REQUESTS.npz ANSWERS.npz

The arrays are called SIGNATURE/INDEX/NAME.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "serving"))
from c_library import SavedModel

FORBIDDEN = {"tensorflow", "keras", "jax", "torch"}


def main():
    export, requests_file, answers_file = sys.argv[1:]
    model = SavedModel(export)
    requests = {}
    with np.load(requests_file) as file:
        for key in file:
            signature, index, name = key.split("/")
            requests.setdefault((signature, index), {})[name] = file[key]
    answers = {
        f"{signature}/{index}/{name}": output
        for (signature, index), request in requests.items()
        for name, output in model.run(request, signature).items()
    }
    model.close()
    np.savez(answers_file, **answers)
    assert not FORBIDDEN & {name.split(".")[0] for name in sys.modules}


if __name__ == "__main__":
    main()
