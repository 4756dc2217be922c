"""schemathesis draws requests from the OpenAPI document, sends them to the service, and finds
nothing: no fault, no status, type or body that the document does not promise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from flight_delays.store import ModelStore

pytest.importorskip("schemathesis", reason="the contract is tested where schemathesis is")

HERE = Path(__file__).parent
KEY = "a-key-for-tests-only"


def test_requests_drawn_from_the_document_find_nothing(start_service, four_bundles, tmp_path):
    first, second, *spare = four_bundles
    store = ModelStore(tmp_path / "state")
    for folder in spare:
        store.add_folder(folder)
    archive = tmp_path / "second.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in second.iterdir():
            opened.write(file, file.name)
    service = start_service(first, "--state", tmp_path / "state", FLIGHT_DELAYS_KEY=KEY)

    command = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", str(HERE.parent / "schemathesis.toml")),
        *("run", f"{service.url}/openapi.json", "--checks", "all", "--mode", "all", "--no-color"),
        *("--header", f"Authorization: Bearer {KEY}"),
    ]
    variables = {
        "CONTRACT_ARCHIVE": str(archive),
        "CONTRACT_SPARE": ",".join(folder.name for folder in spare),
        "CONTRACT_VERSIONS": f"{first.name},{second.name}",
        "SCHEMATHESIS_HOOKS": str(HERE / "contract_hooks.py"),
        "PYTHONUTF8": "1",
    }
    done = subprocess.run(
        command,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | variables,
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    print(done.stdout[-6000:], done.stderr[-2000:])
    assert done.returncode == 0
    assert "Operations:       10 selected / 10 total" in done.stdout
    assert service.stop() == 0

    lines = [json.loads(line) for line in service.written().splitlines()]
    assert not [line for line in lines if line.get("level") == "error"]
    requests = [line for line in lines if "status" in line]
    seen = Counter((line["method"], line["status"]) for line in requests)
    assert len(requests) > 500
    assert not [status for _, status in seen if status >= 500]
    # The requests went behind the first refusal: versions were stored, switched to and deleted.
    assert seen["PUT", 201] and seen["PUT", 200] and seen["DELETE", 204], seen
    assert seen["PUT", 412] + seen["PUT", 428], seen
    assert seen["POST", 200] and seen["POST", 422] and seen["PUT", 422], seen
    versions = {line["version"] for line in requests} - {None}
    assert versions <= {folder.name for folder in four_bundles}
