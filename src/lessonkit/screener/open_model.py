"""Opens model.sealed with a token and writes model.json beside this file.

python open_model.py FILE     the token stands in FILE
python open_model.py          the token stands in the variable MODEL_TOKEN
"""

import hashlib
import os
import sys
from itertools import count
from pathlib import Path

HERE = Path(__file__).parent
DIGEST = 32


def mix(content, token):
    """XOR with a stream of bytes that follows from the token; twice gives the content back."""
    stream = b""
    for number in count():
        if len(stream) >= len(content):
            break
        stream += hashlib.sha256(f"{number} {token}".encode()).digest()
    return bytes(a ^ b for a, b in zip(content, stream, strict=False))


if __name__ == "__main__":
    token = Path(sys.argv[1]).read_text(encoding="utf-8") if len(sys.argv) > 1 else os.environ.get("MODEL_TOKEN", "")
    sealed = (HERE / "model.sealed").read_bytes()
    content = mix(sealed[DIGEST:], token.strip())
    if hashlib.sha256(content).digest() != sealed[:DIGEST]:
        sys.exit("open_model: this token does not open model.sealed")
    (HERE / "model.json").write_bytes(content)
