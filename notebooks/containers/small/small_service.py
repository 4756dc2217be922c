"""A service of one file for lesson 04's containers: standard library only, and it can be made ill.

python small_service.py            # on port 8000 of all addresses
python small_service.py health     # exit code 0 where it is well
"""

import json
import os
import platform
import signal
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 8000


class Service(BaseHTTPRequestHandler):
    """GET / tells what it sees; the other paths make it ill, eat memory, crash."""

    ill = False

    def do_GET(self) -> None:
        if self.path == "/ill":
            Service.ill = True
        if self.path == "/eat":
            bytearray(2**30)  # a gigabyte of zeros, each page of it written
        if self.path == "/crash":
            os._exit(3)
        if self.path == "/health" and Service.ill:
            self.send_error(503)
            return
        content = json.dumps(seen()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def seen() -> dict:
    """Its own process number, all it can see, the kernel, the user, the name of its machine."""
    others = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {
        "process": os.getpid(),
        "processes": sorted(others),
        "kernel": platform.release(),
        "user": os.getuid(),
        "host": platform.node(),
    }


def main() -> None:
    # Process 1 gets no default from the kernel: without this line SIGTERM would be ignored.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("serving", flush=True)
    ThreadingHTTPServer(("", PORT), Service).serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["health"]:
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=10)
    else:
        main()
