# Runs as the last cell of lesson 03 in tests/test_papermill.py: the data behind its plot, and what it found.
# How fast the service answered is not asserted: a timing never is.
from lessonkit.timeline import count_by_version

# log-plot
assert asked.failed == 0 and not asked.errors and set(asked.statuses) == {200}
assert len(logged) == asked.answers > 100, "the log has each answer once"
assert set(logged["version"]) == {older, newer} and switches >= 2, "the champion changed under load"
assert logged["second"].is_monotonic_increasing and logged["second"].iloc[0] == 0
assert count_by_version(logged).to_numpy().sum() == len(logged)

# the tables
assert [row[1:] for row in rows] == [
    [200, "no", 200, "no"],
    [200, "yes", 200, "yes"],
    [201, "yes", 200, "no"],
    [204, "yes", 404, "no"],
    [200, "yes", 200, "no"],
]
assert outcomes == {(200, 412): rounds}
assert set(notes.first) == {200, 201, 204, 304, 400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 428, 503}
assert sent == {"origin": "LGA", "departure_minute": 23 * 60}
assert all(content == from_python for content in answers.values() if content is not None)
