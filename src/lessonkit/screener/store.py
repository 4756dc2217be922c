"""Where screenings are kept. GET /health answers on port 9000; all else is left out here."""

from http.server import BaseHTTPRequestHandler

from server import Server


class Store(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """No line for each request."""


if __name__ == "__main__":
    with Server(("", 9000), Store) as server:
        server.serve_forever()
