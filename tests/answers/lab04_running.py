"""Lab 04: answers to the exercises about a container that runs: as whom, how well, and how it stops."""

from __future__ import annotations

from .lab04_texts import ASKS, CMD, GUARDED, HEALTH, STOPPING, gives, without

NAME = "guarded_dockerfile"
GUARD_RIGHT = {
    "a group as well, shell form of the check": gives(
        NAME,
        without(
            without(GUARDED, "USER 10001", "USER 2000:2000"),
            HEALTH,
            f'HEALTHCHECK --interval=5s --start-period=5s --timeout=2s CMD python -c "{ASKS}" || exit 1',
        ),
    ),
    "the user in a variable, the log in /tmp itself": gives(
        NAME, without(without(GUARDED, "USER 10001", "ARG UID=65532\nUSER $UID"), "/tmp/log", "/tmp")
    ),
}
GUARD_WRONG = {
    "root": (gives(NAME, without(GUARDED, "USER 10001\n")), "that is root"),
    "user 0 by number": (gives(NAME, without(GUARDED, "10001", "0:0")), "User 0 is root"),
    "a name that the image does not know": (
        gives(NAME, without(GUARDED, "USER 10001", "USER app")),
        "The container could not be started",
    ),
    "a name": (
        gives(NAME, without(GUARDED, "USER 10001", "RUN useradd --system app\nUSER app")),
        "give the number",
    ),
    "the log beside the program": (gives(NAME, without(GUARDED, "ENV LOG_FOLDER=/tmp/log\n")), "The root is read-only"),
    "the log on the root": (gives(NAME, without(GUARDED, "/tmp/log", "/var/log")), "The root is read-only"),
    "no check": (gives(NAME, without(GUARDED, HEALTH)), "There is no HEALTHCHECK"),
    "never, which the engine reads as three times": (
        gives(NAME, without(GUARDED, "--interval=10s --timeout=3s --retries=3 ", "--interval=0s --retries=0 ")),
        "noticed after 180 s only",
    ),
    "no time to answer": (gives(NAME, without(GUARDED, "--timeout=3s", "--timeout=10ms")), "Python has hardly started"),
    "curl": (
        gives(NAME, without(GUARDED, HEALTH, "HEALTHCHECK --interval=10s CMD curl -f http://127.0.0.1:8000/health")),
        "The image has no curl",
    ),
    "the defaults": (
        gives(NAME, without(GUARDED, "--interval=10s --timeout=3s --retries=3 ")),
        "noticed after 180 s only",
    ),
    "a check that looks whether the port is open": (
        gives(
            NAME,
            without(GUARDED, f'"{ASKS}"', "\"import socket; socket.create_connection(('127.0.0.1', 8000), 1)\""),
        ),
        "the check still calls it healthy",
    ),
    "another port": (gives(NAME, without(GUARDED, ":8000/health", ":80/health")), "the check finds it ill"),
}
GUARD_ENGINE = {
    "a group as well, shell form of the check",
    "a name that the image does not know",
    "a check that looks whether the port is open",
    "another port",
}

NAME = "stopping_dockerfile"
STOP_RIGHT = {
    "a shell that hands its place over": gives(
        NAME, without(STOPPING, CMD, 'CMD ["sh", "-c", "mkdir -p /tmp/log && exec python server.py"]')
    ),
    "a shell that stops at an error, and hands its place over": gives(
        NAME, without(STOPPING, CMD, 'CMD ["bash", "-ec", "mkdir -p /tmp/log; exec python server.py"]')
    ),
    "by number, with an ENTRYPOINT": gives(
        NAME, without(without(STOPPING, "SIGINT", "2"), CMD, 'ENTRYPOINT ["python"]\nCMD ["server.py"]')
    ),
}
STOP_WRONG = {
    "exec form alone": (gives(NAME, without(STOPPING, "STOPSIGNAL SIGINT\n")), "listens to no other signal"),
    "the signal alone": (gives(NAME, without(STOPPING, CMD, "CMD python server.py")), "This is the shell form"),
    "a shell in exec form": (
        gives(NAME, without(STOPPING, CMD, 'CMD ["sh", "-c", "echo starting; python server.py"]')),
        "Process 1 is a shell again",
    ),
    "SIGTERM by name": (gives(NAME, without(STOPPING, "SIGINT", "SIGTERM")), "listens to no other signal"),
    "killed at once": (gives(NAME, without(STOPPING, "SIGINT", "SIGKILL")), "was killed"),
}
STOP_ENGINE = {"a shell that hands its place over", "killed at once"}
