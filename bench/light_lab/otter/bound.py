OK_FORMAT = True

test = {
    "name": "bound",
    "points": None,
    "suites": [
        {
            "type": "doctest",
            "scored": True,
            "setup": "",
            "teardown": "",
            "cases": [
                {
                    "points": 1,
                    "code": r"""
                    >>> values = np.random.default_rng(1).normal(0, 10, 50)
                    >>> bool(np.allclose(bound(values.copy(), -5.0, 5.0), np.clip(values, -5, 5)))
                    True
                    """,
                },
                {
                    "points": 1,
                    "code": r"""
                    >>> values = np.random.default_rng(2).normal(0, 10, 50)
                    >>> given = values.copy()
                    >>> result = bound(given, -5.0, 5.0)
                    >>> bool(np.array_equal(given, values)) and len(result) == len(values)
                    True
                    """,
                },
            ],
        }
    ],
}
