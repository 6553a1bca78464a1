"""Asks the server of the example for generated tokens.

python generator_client_worker.py GRPC_PORT REQUESTS.npz ANSWERS.npz
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "serving"))
import client


def main():
    arrays, expected = (dict(np.load(path)) for path in sys.argv[2:])
    address = f"127.0.0.1:{sys.argv[1]}"
    outputs = client.ask_grpc(address, "answers", arrays, "serve")
    np.testing.assert_array_equal(outputs["answer"], expected["answer"])


if __name__ == "__main__":
    main()
