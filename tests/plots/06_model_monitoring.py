# Runs as the last cell of lesson 06 in tests/test_papermill.py: the data behind each plot, and what was found.
from lessonkit.monitoring import moves

# as-of-plot
assert reports["labels known"].is_monotonic_increasing and reports["late of these"].is_monotonic_increasing
assert late_then < 0.75 * late_now, "the labels that are missing are those of late flights"
assert abs(known.late.mean() - asked["late"].mean()) < 0.01 < lost, "who never warns is right more often"

# trap-plot
assert trap.groupby("experiment").size().eq(len(sizes)).all()
p_of, psi_of_size = (trap.pivot(index="n", columns="experiment", values=what) for what in ("p", "psi"))
assert p_of["nothing has changed"].min() > 0.05, "a test keeps its promise where nothing changed"
assert p_of.loc[sizes[-1], "half a degree"] < 0.05 < p_of.loc[100, "half a degree"]
assert psi_of_size.loc[100].min() > 0.1 > psi_of_size.loc[sizes[-1]].max(), "with few flights everything is drift"
assert 6 <= len(fooled) < len(NUMBERS) and "plane_age" not in fooled

# season-plot
assert season.index.tolist() == list(range(1, 13)) and after.index.tolist() == list(range(7, 13))
assert season["psi"].min() > 0.25 and season["psi"].idxmax() == 7
assert worst == least == 11 and together > 0.7
assert (passed["above 0.25"] > 0).all() and (passed["above their own limit"] <= passed["above 0.25"]).all()

# moved-plot
marks = moves(moved)
assert not marks.iloc[0].any()
assert marks.loc["sultry days"].tolist()[0] and not marks.loc["sultry days", "P(Y|X)"]
assert marks.loc["other users", ["P(X)", "prediction", "ROC AUC"]].all() and not marks.loc["other users", "P(Y|X)"]
assert not marks.loc["another concept", ["P(X)", "prediction"]].any()
assert marks.loc["another concept", ["P(Y) %", "P(Y|X)", "ROC AUC"]].all()
assert marks.loc["a data fault", "P(X)"] and not marks.loc["a data fault", "P(Y) %"]

# estimate-plot
assert abs(scores.loc["another concept", "estimated"] - scores.loc["Jul", "estimated"]) < 1e-12
assert of_concept["estimated"] - of_concept["realized"] > 0.05
assert scores.loc["other users", "estimated"] < scores.loc["Jul", "estimated"] - 0.01

# curves-plot
assert set(curves) == set(chosen) == {"log loss", "slices"}
assert nine < 15 < one, "a storm hides what a slice shows"
assert all(point["alarms_a_year"] <= alarms_a_year for point in chosen.values())
assert alarms["as they came"] > 20 > 2 >= alarms["in random order"]

# acting-plot
assert naive.index.tolist() == list(MONTHS.values()) and abs(naive["late without"] - careful["late without"]).max() == 0
assert naive["recorded"].iloc[0] < 0.65 < 0.7 < naive["true"].iloc[0], "it looks bad because it works"
assert (naive["held out"] - naive["true"]).abs().max() < 0.06, "the hold-out shows the truth"
assert naive["warned"].iloc[-1] < 0.6 * naive["warned"].iloc[0] and naive["late"].iloc[-1] > careful["late"].iloc[-1]

# report
if picture is not None:
    assert len(picture.data) > 20_000, "a blank page is a small file"

# alert
if told_by_alertmanager is not None:
    assert before == [] and messages == 1 and inbox == [("DataFault", "firing")]
    assert {alert["labels"]["alertname"]: alert["status"]["state"] for alert in told_by_alertmanager}[
        "DataFault"
    ] == "active"

# the replays
assert all(row.turn.action in ("nothing", "watch") for row in real), "nothing was injected"
assert unit[0].turn.action == "quarantine" and unit[0].turn.outcome.champion == version
assert "retrain" in [row.turn.action for row in concept]
