"""Takes the place of the built-in k-NN algorithm's image: a classifier by the nearest rows, as ``train`` and ``serve``.

It stands alone, since it runs in jobs.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

_ML = Path("/opt/ml")


def train() -> None:
    """Keep the rows and k as the model; print the accuracy where there is a channel ``test``."""
    k = int(json.loads((_ML / "input/config/hyperparameters.json").read_text())["k"])
    model = {"k": k, "rows": _read_rows("train")}
    (_ML / "model/model.json").write_text(json.dumps(model))
    print(f"kept {len(model['rows'])} rows", flush=True)
    if tested := _read_rows("test"):
        right = sum(_classify(model, row[1:]) == row[0] for row in tested)
        print(f"test:accuracy={right / len(tested)}", flush=True)


def _read_rows(channel: str) -> list[list[float]]:
    files = sorted((_ML / "input/data" / channel).glob("*"))
    return [[float(item) for item in line.split(",")] for file in files for line in file.read_text().splitlines()]


def _classify(model: dict, features: list[float]) -> float:
    def distance(row: list[float]) -> float:
        return sum((one - other) ** 2 for one, other in zip(row[1:], features, strict=True))

    nearest = sorted(model["rows"], key=distance)[: model["k"]]
    return Counter(row[0] for row in nearest).most_common(1)[0][0]


class _Server(BaseHTTPRequestHandler):
    model: dict

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        lines = self.rfile.read(int(self.headers["Content-Length"])).decode().split()
        labels = [_classify(self.model, [float(item) for item in line.split(",")]) for line in lines]
        self._answer(json.dumps({"predictions": [{"predicted_label": label} for label in labels]}).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train()
    else:
        _Server.model = json.loads((_ML / "model/model.json").read_text())
        HTTPServer(("127.0.0.1", 8080), _Server).serve_forever()
