"""Lab 03: model versions as resources, and the one that is active."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from checks.lab03_common import Office, draw_candidates, expect_status, object_of, open_office
from labkit.answer import Answer
from labkit.exercise import Exercise, case, expect
from labkit.http import Client, Reply
from lessonkit.candidates import FEATURES, Screener

STRONG = re.compile(r'"[^"]*"')


def expect_version(reply: Reply, version: str, features: Sequence[str]) -> None:
    """Raise Wrong unless the body describes this version."""
    found = object_of(reply)
    wanted = {"version": version, "features": list(features)}
    named = found.get("features")
    same = isinstance(named, list) and sorted(map(str, named)) == sorted(features) and found.get("version") == version
    expect(same, "The body must say which version it is, and its features.", reply, expected=wanted)


class Models(Exercise):
    id = "models"
    title = "Model versions: GET, PUT, DELETE"
    names = ("add_models",)
    points = 3.0
    hints = (
        "Three routes on `/models/{version}`. The body of PUT is a small model of its own with one field, `features`. "
        "`Path(pattern=...)` keeps names such as `latest` out.",
        "PUT says: let this be at this address. Sent twice it leaves what sent once would leave. Only the status "
        "tells the first time, 201, from a later one, 200: look whether the version is there before you put it.",
        "`desk.fit` raises ValueError for features that cannot be: turn it into 422 before anything is changed. 404 "
        "and 409 are decided before `desk.models` is touched; after 204 comes no body, so return None.",
    )

    @case("GET tells what a version looks at; an unknown one gets 404")
    def shows(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        with office.client("add_models") as client:
            for version, model in office.here.models.items():
                reply = client.get(f"/models/{version}")
                expect_status(reply, 200, "This version exists.")
                expect_version(reply, version, model.features)
            expect_status(client.get("/models/v77"), 404, "There is no such version, and 404 says so.")
        expect(sorted(office.models()) == ["v1", "v2"], "GET has changed the versions. It only reads.", reply)

    @case("PUT of a new version gets 201, and its model is there and fitted")
    def puts(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        with office.client("add_models") as client:
            for number, features in ((3, ["skills"]), (12, ["gap_years", "skills"])):
                reply = self._put(client, f"v{number}", features)
                expect_status(reply, 201, "The version is new: 201.")
                expect_version(reply, f"v{number}", features)
                again = client.get(f"/models/v{number}")
                expect_status(again, 200, "It was put there a moment ago.")
                expect_version(again, f"v{number}", features)
                self._same_model(office, f"v{number}", office.here.fit(features), rng, reply)
        expect(office.active() == "v1", "PUT has also made it the active version. Nobody asked for that.", reply)

    @case("PUT twice is PUT once; another PUT replaces the version", weight=2)
    def twice(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        with office.client("add_models") as client:
            first = self._put(client, "v3", ["skills"])
            second = self._put(client, "v3", ["skills"])
            told = (
                "The same PUT again. The client may not know whether the first one arrived, so the second must be as "
                "welcome: 200, since the version was there already."
            )
            expect_status(second, 200, told)
            told = "The same PUT twice gave two different answers; only the status may differ."
            expect(second.json() == first.json(), told, second, expected=first.got)
            there = sorted(office.models())
            told = "After the same PUT twice the versions are others than after one."
            expect(there == ["v1", "v2", "v3"], told, second, got=there, expected=["v1", "v2", "v3"])
            third = self._put(client, "v3", ["years", "gap_years"])
            expect_status(third, 200, "The version was there already, and now it is another one: 200.")
            again = client.get("/models/v3")
            expect_version(again, "v3", ["years", "gap_years"])
        told = office.here.fit(["years", "gap_years"])
        self._same_model(office, "v3", told, rng, third)

    @case("features that cannot be get 422, and nothing changes", weight=2)
    def refuses(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        bodies: list[tuple[str, Any]] = [
            ("a feature that no candidate has, the group", {"features": ["skills", "group"]}),
            ("no feature", {"features": []}),
            ("a feature twice", {"features": ["years", "years"]}),
            ("a text where a list should be", {"features": "skills"}),
            ("no `features`", {}),
            ("a field nobody asked for", {"features": ["skills"], "active": True}),
        ]
        with office.client("add_models") as client:
            for what, body in bodies:
                for version in ("v2", "v3"):
                    reply = client.put(f"/models/{version}", json=body)
                    expect_status(reply, 422, f"This describes no model: {what}.")
            there = sorted(office.models())
            told = "A PUT was refused and has changed the versions all the same. Check first, act then."
            expect(there == ["v1", "v2"], told, reply, got=there, expected=["v1", "v2"])
            self._same_model(office, "v2", office.here.models["v2"], rng, reply)
            for name in ("latest", "v", "vlatest", "v1.5", "v3-new", "3"):
                reply = self._put(client, name, ["skills"])
                told = f"A version is named v and a whole number, and nothing else. `{name}` is no such name."
                why = " It would be another model every week." if name == "latest" else ""
                expect_status(reply, 422, told + why)
            expect(sorted(office.models()) == ["v1", "v2"], "The version was kept all the same.", reply)

    @case("DELETE gets 204 without a body, and 404 the second time", weight=2)
    def deletes(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        with office.client("add_models") as client:
            reply = client.delete("/models/v2")
            expect_status(reply, 204, "It is gone, and there is nothing more to say: 204.")
            expect(not reply.body, "After 204 no body may follow.", reply)
            there = sorted(office.models())
            expect(there == ["v1"], "204 said that v2 is gone.", reply, got=there, expected=["v1"])
            told = (
                "DELETE again: the version is gone, as the client wished. That is 404 and no failure; what a repeated "
                "DELETE must not change is the state."
            )
            expect_status(client.delete("/models/v2"), 404, told)
            expect_status(client.get("/models/v2"), 404, "It was deleted a moment ago.")
        there = sorted(office.models())
        expect(there == ["v1"], "The second DELETE has removed another version.", reply, got=there, expected=["v1"])

    @case("the active version can be neither deleted nor replaced: 409")
    def guards(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng, active="v2")
        with office.client("add_models") as client:
            reply = client.delete("/models/v2")
            told = "This version is scoring candidates right now. The request is well formed and the state forbids it."
            expect_status(reply, 409, told)
            reply = self._put(client, "v2", ["skills"])
            told = "Replaced under its name, the active version would give other scores than those on record for it."
            expect_status(reply, 409, told)
            there = sorted(office.models())
            kept = "409 said that nothing happened, and the version is gone."
            expect(there == ["v1", "v2"], kept, reply, got=there, expected=["v1", "v2"])
            self._same_model(office, "v2", office.here.models["v2"], rng, reply)
            office.there.call("activate", "v1")
            told = "v1 is active since a moment ago. Look at `desk.active` at each request: it changes."
            expect_status(client.delete("/models/v1"), 409, told)
            expect_status(client.delete("/models/v2"), 204, "v2 is not active any more, so it may go.")

    def _put(self, client: Client, version: str, features: list[str]) -> Reply:
        return client.put(f"/models/{version}", json={"features": features})

    def _same_model(
        self, office: Office, version: str, model: Screener, rng: np.random.Generator, reply: Reply
    ) -> None:
        """Raise Wrong unless the model over there scores as this one does."""
        there = office.models()
        told = f"`desk.models` holds no {version}."
        expect(version in there, told, reply, got=", ".join(sorted(there)), expected=version)
        for record in draw_candidates(rng, 3):
            score, wanted = there[version].call("score", record), model.score(record)
            names = ", ".join(name for name in FEATURES if name in model.features)
            told = f"{version} does not score as a model on {names} does."
            expect(abs(score.value - wanted) < 1e-4, told, score, got=f"{score.value:.4f}", expected=f"{wanted:.4f}")


class Active(Exercise):
    id = "active"
    title = "Switch the active version, one writer at a time"
    names = ("add_active",)
    points = 3.0
    hints = (
        "The ETag is a text in double quotes, and the quotes belong to it: two states, two texts; the same state, the "
        "same text. What tells the states of this resource apart?",
        "`if_match: Annotated[str | None, Header()] = None` is the tag the client saw. Missing: 428. Not the one of "
        "now: 412. Only then look at what it wants.",
        "Between your look at the tag and the switch another request may come: hold `desk.lock` over both. GET and "
        "PUT answer with the same form and the same header, so one small function can make both.",
    )

    @case("GET tells the active version, with an ETag")
    def shows(self, answer: Answer, rng: np.random.Generator) -> None:
        for active in ("v1", "v2"):
            office = open_office(answer, rng, active=active)
            with office.client("add_active") as client:
                first, second = self._get(client), self._get(client)
            self._names(first, active)
            told = "Nothing has changed between two GETs, and the ETag has. Then no client can ever match it."
            expect(tag(first) == tag(second), told, second, got=f"ETag: {tag(second)}", expected=f"ETag: {tag(first)}")
            expect(office.active() == active, "GET has changed the active version.", first)

    @case("PUT with the tag just seen switches, and the tag is another one", weight=2)
    def switches(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        with office.client("add_active") as client:
            seen = self._get(client)
            reply = self._put(client, "v2", tag(seen))
            expect_status(reply, 200, "The tag is the current one and v2 exists: switch.")
            self._names(reply, "v2")
            there = office.active()
            told = "200 said that v2 is active, and the desk goes on with the old version."
            expect(there == "v2", told, reply, got=f"desk.active: {there}", expected="desk.active: v2")
            told = (
                "Another version is active and the ETag is the same: then the second writer does not notice the first."
            )
            expect(tag(reply) != tag(seen), told, reply, got=f"ETag: {tag(reply)}", expected="another ETag")
            after = self._get(client)
            self._names(after, "v2")
            told = "PUT and the GET after it show different ETags of the same state."
            expect(tag(after) == tag(reply), told, after, got=f"ETag: {tag(after)}", expected=f"ETag: {tag(reply)}")

    @case("PUT twice is PUT once")
    def twice(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        with office.client("add_active") as client:
            first = self._put(client, "v2", tag(self._get(client)))
            expect_status(first, 200, "The tag is the current one and v2 exists: switch.")
            second = self._put(client, "v2", tag(self._get(client)))
            told = "v2 is active already and is put once more, with the current tag. That is no conflict: it is so."
            expect_status(second, 200, told)
            self._names(second, "v2")
        there = office.active()
        told = "The same PUT twice has left another version active than once."
        expect(there == "v2", told, second, got=f"desk.active: {there}", expected="desk.active: v2")

    @case("a tag of yesterday gets 412, and nothing changes", weight=2)
    def stale(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        with office.client("add_active") as client:
            seen = self._get(client)  # two people look at the same state
            first = self._put(client, "v2", tag(seen))
            expect_status(first, 200, "The first of two writers has the current tag.")
            second = self._put(client, "v1", tag(seen))
            told = "Two people saw v1. One has switched to v2; the other, who does not know, must be told: 412."
            expect_status(second, 412, told)
            there = office.active()
            told = "412 said that nothing happened, and the version has changed."
            expect(there == "v2", told, second, got=f"desk.active: {there}", expected="desk.active: v2")
            made_up = self._put(client, "v1", '"made-up"')
            expect_status(made_up, 412, "This tag was never given out.")

    @case("PUT without a tag gets 428")
    def without(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        with office.client("add_active") as client:
            reply = client.put("/active", json={"version": "v2"})
        told = "Who names no state may overwrite what somebody else has just done. 428 asks for the If-Match header."
        expect_status(reply, 428, told)
        there = office.active()
        told = "The version has been switched for a client that named no state."
        expect(there == "v1", told, reply, got=f"desk.active: {there}", expected="desk.active: v1")

    @case("a version that does not exist gets 422, and nothing changes")
    def unknown(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        with office.client("add_active") as client:
            for body in ({"version": "v77"}, {}, {"version": None}, {"version": "v2", "until": "noon"}):
                reply = client.put("/active", json=body, headers={"if-match": tag(self._get(client))})
                told = "The address exists; what the body asks for cannot be done. That is 422."
                expect_status(reply, 422, told)
            self._names(self._get(client), "v1")
        there = office.active()
        told = "It was refused, and the version has changed all the same: candidates are now scored by no model."
        expect(there == "v1", told, reply, got=f"desk.active: {there}", expected="desk.active: v1")

    def _get(self, client: Client) -> Reply:
        reply = client.get("/active")
        expect_status(reply, 200, "There is always an active version.")
        told = "There is no ETag header. Without it no client can say which state it has seen."
        expect(tag(reply), told, reply, got="no ETag")
        told = 'An ETag is a text in double quotes, such as "v1", quotes included. One with W/ before it never matches.'
        expect(STRONG.fullmatch(tag(reply)), told, reply, got=f"ETag: {tag(reply)}")
        return reply

    def _put(self, client: Client, version: str, seen: str) -> Reply:
        return client.put("/active", json={"version": version}, headers={"if-match": seen})

    def _names(self, reply: Reply, version: str) -> None:
        found = object_of(reply).get("version")
        told = 'The body is {"version": ...} with the active version.'
        expect(found == version, told, reply, expected=f'{{"version": "{version}"}}')


def tag(reply: Reply) -> str:
    """The reply's ETag, or an empty text."""
    return reply.headers.get("etag", "")
