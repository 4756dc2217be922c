"""The screening service: GET /health, POST /score. It listens on port 8000, and stops when it is interrupted."""

import json
import os
import socketserver
import urllib.request
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import matchwords

HERE = Path(__file__).parent
RELEASE = "2026-11"
MODEL = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
LOG = Path(os.environ.get("LOG_FOLDER", HERE / "log"))
STORE = os.environ.get("STORE_URL", "")  # where screenings are kept; nowhere by default
KEY_FILE = os.environ.get("API_KEY_FILE", "")  # the key that clients must send; none by default
KEY = Path(KEY_FILE).read_text(encoding="utf-8").strip() if KEY_FILE else ""


class Screener(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/health":
            return self.answer(404, {"error": "there is GET /health and POST /score"})
        if STORE:
            with urllib.request.urlopen(f"{STORE}/health", timeout=2):
                pass  # an error here leaves no answer: without the store this is of no use
        return self.answer(200, {"release": RELEASE, "matchwords": matchwords.__version__})

    def do_POST(self):
        if KEY and self.headers.get("X-Api-Key") != KEY:
            return self.answer(401, {"error": "the header X-Api-Key has no key that is known"})
        body = self.rfile.read(int(self.headers["Content-Length"]))
        score = matchwords.score(json.loads(body)["skills"], MODEL["weights"])
        with (LOG / "screenings.log").open("a", encoding="utf-8") as log:
            log.write(f"{score:.4f}\n")
        return self.answer(200, {"score": f"{score:.4f}", "model": MODEL["version"]})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """No line for each request: the health check alone would fill the log."""


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    LOG.mkdir(parents=True, exist_ok=True)
    with Server(("", 8000), Screener) as server:
        print("serving on port 8000", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:  # SIGINT, which Ctrl-C sends; nothing here listens to SIGTERM
            print("stopped", flush=True)
