# Runs as the last cell of lesson 02 in tests/test_papermill.py: the data behind each plot.
# What took longer is not asserted: a timing never is.

# servers-cost
assert list(idle.index) == ["flask run", "gunicorn", "uvicorn"] and (idle > 0).all()

# steps-plot
assert list(steps_ms.index) == ["receive", "preprocess", "load the model", "predict", "return JSON"]
assert list(steps_ms.columns) == ways == ["pipeline", "bundle"] and (steps_ms > 0).all().all()
assert share.between(0, 1).all()
assert receive() == flight and return_json().get_json()["version"] == VERSION
assert abs(STEPS["predict"][0]()[0, 1] - STEPS["predict"][1]()[0][0, 1]) < 1e-5, "both ways predict the same"

# once-plot
assert list(once.index) == list(CASES) and (once > 0).all()

# waiting
assert list(waited) == list(WAYS.values())
assert all(one.answers and not one.failed for one in waited.values())
# One after the other: so many answers take so many waits at least, however fast the machine is.
assert waited["async def that blocks"].requests_per_s <= 1 / wait_s
# No answer is faster than its wait; uvloop's timers count whole milliseconds and may end up to two early.
assert all(one.latencies_ms.min() >= wait_s * 1000 - 2 for one in waited.values())

# others-plot
assert list(waits) == ["alone", "beside def", "beside async def that blocks"]
assert all(one.answers and not one.failed for one in waits.values())

# framework-plot
assert list(cost_ms.index) == ["nothing", "onnxruntime", "pipeline"]
assert list(cost_ms.columns) == ["Flask", "FastAPI"] and (cost_ms > 0).all().all()

# page
if picture is not None:
    width, height = (int.from_bytes(picture.data[start : start + 4]) for start in (16, 20))  # of the PNG's header
    assert (width, height) == (1000, 980) and len(picture.data) > 20_000, "a blank page is a small file"

# service-plot
assert list(service_ms) == ["FastAPI, def", "the service"] and all(cost > 0 for cost in service_ms.values())
