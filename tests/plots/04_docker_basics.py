# Runs as the last cell of lesson 04 in tests/test_papermill.py: the data behind its plots, and what it found.
# How long anything took is not asserted: a timing never is.
if box:
    # edit-plot
    assert set(steps["build"]) == {"code first", "dependencies first"} and (steps["seconds"] >= 0).all()
    ran_again = {name: [step.word for step in image.steps[1:] if not step.cached] for name, image in rebuilt.items()}
    assert ran_again == {"code first": ["COPY", "RUN"], "dependencies first": ["COPY"]}

    # sizes
    assert list(dict.fromkeys(layers["image"])) == list(images) and (layers["MB"] > 0).all()
    added = layers.groupby("image")["MB"].sum()
    assert added["C, two stages"] < 1 < added["the service"] < added["scikit-learn 1.6.1"] < added["C, one stage"]
    assert added["the service"] < 260

    # unwell-plot
    happened = {name: [event.what for event in events if event.what != "create"] for name, events in rows.items()}
    assert happened["killed"] == ["start", "healthy", "kill", "die"]
    # The kernel's word about the memory comes more than once, or after the end.
    assert [what for what in happened["memory full"] if what != "oom"] == ["start", "healthy", "die"]
    assert unwell["memory full"][0].out_of_memory and not unwell["killed"][0].out_of_memory
    assert happened["crash"] == ["start", "healthy", "die"]
    assert happened["crash, on-failure"] == ["start", "healthy", "die", "start", "healthy"]
    assert happened["ill, always"] == ["start", "healthy", "unhealthy"]
    assert all(list(events) == sorted(events, key=lambda event: event.at) for events in rows.values())

    # the tables
    assert (new, kept) == (["1", "1"], ["1", "2"])
    assert [exit_code for _first, exit_code, _took, _killed in stops.values()] == [0, 137, 137, 143]
    assert [bool(where) for where in found.values()] == [True, True, False]
    assert left == 0
else:
    print("no container engine: nothing was measured")
