OK_FORMAT = True

test = {
    "name": "latest",
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
                    >>> rng = np.random.default_rng(1)
                    >>> pairs = [[f"key {rng.integers(5)}", int(rng.integers(10**6))] for _ in range(30)]
                    >>> latest(pairs) == dict(pairs)
                    True
                    """,
                },
                {
                    "points": 1,
                    "code": r"""
                    >>> latest([])
                    {}
                    """,
                },
            ],
        }
    ],
}
