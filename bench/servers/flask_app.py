"""Flask, its body checked by nobody; behind it a DataFrame and the pipeline, or onnxruntime."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request

from bench.servers.answers import FrameModel, Model, OnnxModel, answer


def with_frames() -> Flask:
    return _app(FrameModel())


def with_onnx() -> Flask:
    return _app(OnnxModel())


def _app(model: Model) -> Flask:
    app = Flask(__name__)

    @app.get("/livez")
    def livez() -> Response:
        return jsonify(status="ok")

    @app.post("/v1/predictions")
    def predict() -> Response:
        return jsonify(answer(model, request.get_json()))

    return app
