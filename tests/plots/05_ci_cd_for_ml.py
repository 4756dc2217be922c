# Runs as the last cell of lesson 05 in tests/test_papermill.py: the data behind each plot, and what was found.
# How long anything took is not asserted: a timing never is.
from lessonkit.local_ci import how_far

# first-plot
assert stages == ["test", "train", "validate", "package", "deploy", "monitor"]
assert not first.stopped_by and all(done.ended > done.began for done in first.steps)
assert all(finding["passed"] for finding in found)

# month-plot
assert hasty.stopped_by == "deploy" and all("in the median" in told for told in hasty["deploy"].reasons[:2])
assert not mended.stopped_by and [done.name for done in mended.steps if done.up_to_date] == stages[:4]
assert visit.versions == [old, new, old, new], "in service, taken back, in service again"
assert visit.failed == 0 and len(visit.served) > 20
assert verdict["passed"] and (verdict["champion"], verdict["challenger"]) == (old, new)
assert again["run"].code == 0 and again["run"].output.count("up to date") == len(stages)

# how-far
reached = how_far(runs, stages)
assert reached["deploy"].tolist() == ["passed", "no", "passed", "", "", "", ""]
assert [run.stopped_by for run in runs[3:]] == ["train", "validate", "validate", "test"]
assert "last day" in stale["train"].reasons[0]
assert any(finding.group == "cost" for finding in of_threshold.failed)
assert any(finding.group == "size" for finding in of_slow.failed)
assert any("known_only_after_departure" in reason for reason in leak["test"].reasons)

# scores-plot
assert set(auc) == {"champion", "challenger", *STOPPED} and list(auc.values()) == sorted(auc.values())
assert max(auc, key=auc.get) == "leaked label" and auc["leaked label"] > 0.9
assert auc["threshold 0.5"] == auc["challenger"] == verdict["measures"]["auc"]
assert above and all(not one.passed for one in examined.values())

# guards-plot
assert list(guards.index) == list(STOPPED) and guards.fillna(False).any(axis=1).all(), "each is seen by somebody"
assert (
    guards.loc["leaked label", "code"] and guards.loc["leaked label", "data"] and guards.loc["leaked label", "scores"]
)
assert guards.loc["without rain", "behaviour"] and guards.loc["stale data", "data"]

# rain-plot
assert rises["without rain"] == 0 < min(rises["champion"], rises["challenger"])

# sure-plot
assert all(len(values) == draws for values in gains.values())
assert wider > 1.5, "flights of one day share their storms"

# mlflow-page
if picture is not None:
    width, height = (int.from_bytes(picture.data[start : start + 4]) for start in (16, 20))  # of the PNG's header
    assert (width, height) == (1300, 620) and len(picture.data) > 20_000, "a blank page is a small file"

# four, green-try
assert len(four) == 4 and all(column == stages for column in commands.values())
told_deployed = {name: any("kubectl" in line for line in run.lines) for name, run in acted.items()}
assert not acted or told_deployed == {"as found": True, "without the pipe": True, "and with the condition": False}
assert all(run.green for run in acted.values())
