OK_FORMAT = True

CASE = r"""
>>> values = np.random.default_rng({width}).normal(0, 1, 40)
>>> result = np.asarray(moving_mean(values, {width}))
>>> wanted = np.convolve(values, np.ones({width}) / {width}, "valid")
>>> result.shape == wanted.shape and bool(np.allclose(result, wanted))
True
"""

test = {
    "name": "moving",
    "points": None,
    "suites": [
        {
            "type": "doctest",
            "scored": True,
            "setup": "",
            "teardown": "",
            "cases": [{"points": 1, "code": CASE.format(width=width)} for width in (3, 7, 1)],
        }
    ],
}
