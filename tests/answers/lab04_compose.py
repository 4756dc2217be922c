"""Lab 04: answers to the exercise about a compose file."""

from __future__ import annotations

from .lab04_texts import gives, without

NAME = "mended_compose"
TEST = "import urllib.request as r; r.urlopen('http://127.0.0.1:9000/health', timeout=2)"
WAITS = "    depends_on:\n      store:\n        condition: service_healthy"
RIGHT = f"""services:
  api:
    image: screener:1.0
    ports:
      - "127.0.0.1:8000:8000"
    environment:
      STORE_URL: http://store:9000
      API_KEY_FILE: /run/secrets/api_key
      LOG_FOLDER: /tmp/log
    secrets:
      - api_key
{WAITS}
    read_only: true
    tmpfs:
      - /tmp
    mem_limit: 128m
    pids_limit: 64
  store:
    image: screener:1.0
    command: ["python", "store.py"]
    healthcheck:
      test: ["CMD", "python", "-c", "{TEST}"]
      interval: 5s
      timeout: 3s
    read_only: true
    mem_limit: 128m
    pids_limit: 64
secrets:
  api_key:
    file: ./api_key.txt
"""
COMPOSE_RIGHT = {
    "long forms, an anchor, limits below deploy, a network": gives(
        NAME,
        f"""
        name: screening
        x-both: &both
          image: screener:1.0
          read_only: true
          networks: [inside]
          deploy:
            resources:
              limits: {{memory: 256M, pids: 100, cpus: "0.5"}}
        services:
          api:
            <<: *both
            ports:
              - target: 8000
                published: "8000"
                host_ip: 127.0.0.1
            environment:
              - STORE_URL=http://store:9000
              - API_KEY_FILE=/run/secrets/key.txt
              - LOG_FOLDER=/var/log/screener
            secrets:
              - source: api_key
                target: key.txt
            depends_on: {{store: {{condition: service_healthy, restart: true}}}}
            tmpfs: "/var/log/screener:size=8m,mode=1777"
          store:
            <<: *both
            command: python store.py
            healthcheck:
              test: python -c "{TEST}"
              interval: 1m
        secrets: {{api_key: {{file: api_key.txt}}}}
        networks: {{inside: {{}}}}
        """,
    ),
}


def wrong(part: str, instead: str, told: str) -> tuple[str, str]:
    return gives(NAME, without(RIGHT, part, instead)), told


COMPOSE_WRONG = {
    "the version stays": wrong("services:\n  api", 'version: "3.8"\nservices:\n  api', "`version` is obsolete"),
    "open to every network": wrong("127.0.0.1:8000:8000", "8000:8000", "open to every network"),
    "the store is published, too": wrong(
        '"python", "store.py"]\n',
        '"python", "store.py"]\n    ports: ["127.0.0.1:9000:9000"]\n',
        "The store is published",
    ),
    "localhost": wrong("http://store:9000", "http://localhost:9000", "localhost is the container itself"),
    "a list of depends_on": wrong(WAITS, "    depends_on:\n      - store", "Started is not ready"),
    "healthy, and nobody asks": wrong(
        f'    healthcheck:\n      test: ["CMD", "python", "-c", "{TEST}"]\n      interval: 5s\n      timeout: 3s\n',
        "",
        "it has no healthcheck",
    ),
    "curl": wrong(
        f'["CMD", "python", "-c", "{TEST}"]', '["CMD", "curl", "-f", "http://localhost:9000/health"]', "has no curl"
    ),
    "the key in the file": wrong("API_KEY_FILE: /run/secrets/api_key", "API_KEY: made-up-key-8c1f", "repository"),
    "a secret that nobody declares": wrong(
        "secrets:\n  api_key:\n    file: ./api_key.txt\n", "", "No secret is declared"
    ),
    "a secret that the api is not given": wrong("    secrets:\n      - api_key\n", "", "list it below the service"),
    "the path on this machine": wrong("/run/secrets/api_key", "./api_key.txt", "must name the file that the secret"),
    "no limits": wrong("    mem_limit: 128m\n    pids_limit: 64\n", "", "all the memory of the machine"),
    "a number of megabytes": wrong("mem_limit: 128m", "mem_limit: 128", "counts bytes"),
    "read-only, and nowhere to write": wrong("    tmpfs:\n      - /tmp\n", "", "must lie in a `tmpfs`"),
    "blanks": wrong(
        "    mem_limit: 128m\n    pids_limit: 64\n  store", "   mem_limit: 128m\n  store", "This is no YAML"
    ),
    "a word that compose does not know": wrong("mem_limit", "memory_limit", "all the memory of the machine"),
    "a check that asks nothing": wrong(f'"-c", "{TEST}"', '"-c", "pass"', "does not ask it"),
    "a check that looks whether the port is open": wrong(
        TEST, "import socket; socket.create_connection(('127.0.0.1', 9000), 1)", "The store hangs, and its check"
    ),
    "another file": wrong("./api_key.txt", "./.env", "the file api_key.txt holds it"),
    "the old key in a comment": wrong(
        "      LOG_FOLDER", "      # API_KEY: made-up-key-8c1f\n      LOG_FOLDER", "if only in a comment"
    ),
    "a check of the wrong port": wrong("127.0.0.1:9000/health", "127.0.0.1:8000/health", "The services do not come up"),
}
COMPOSE_ENGINE = {
    "long forms, an anchor, limits below deploy, a network",
    "a check of the wrong port",
    "a check that looks whether the port is open",
}
