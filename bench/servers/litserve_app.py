"""LitServe with onnxruntime: its HTTP process hands each request to a worker process.

python -m bench.servers.litserve_app PORT
"""

# No `from __future__ import annotations`: LitServe reads the types of the arguments as they stand.
import sys
from typing import Any

import litserve

from bench.servers.answers import OnnxModel, answer


class Predictions(litserve.LitAPI):
    """One request at a time; `max_batch_size` would gather single flights, and batches as columns could not be."""

    def setup(self, device: str) -> None:
        self.model = OnnxModel()

    def decode_request(self, request):  # a type here would be taken for a parameter of the query
        return request

    def predict(self, body: dict[str, Any]) -> dict[str, Any]:
        return answer(self.model, body)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Predictions(api_path="/v1/predictions"), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, log_level="warning", generate_client_file=False
    )
