"""Answers to the light lab that are not ours. The form is that of tests/answers."""

from __future__ import annotations

RIGHT = {
    "bound": {
        "by minimum and maximum": "def bound(values, low, high):\n    return np.minimum(np.maximum(values, low), high)",
    },
    "moving": {
        "by slices": """
def moving_mean(values, width):
    return np.array([values[i : i + width].mean() for i in range(len(values) - width + 1)])
""",
    },
    "latest": {
        "in a loop": """
def latest(pairs):
    found = {}
    for key, value in pairs:
        found[key] = value
    return found
""",
    },
}

WRONG = {
    "bound": {
        "in place": (
            "def bound(values, low, high):\n    values[values < low] = low\n    values[values > high] = high\n"
            "    return values",
            "was changed",
        ),
        "one side": ("def bound(values, low, high):\n    return np.minimum(values, high)", "A value is another"),
        "an error": ("def bound(values, low, high):\n    return values.clip(low, height)", "error"),
    },
    "moving": {
        "always three": (
            "def moving_mean(values, width):\n    return np.convolve(values, np.ones(3) / 3, 'valid')",
            "shape",
        ),
        "the sum": (
            "def moving_mean(values, width):\n    return np.convolve(values, np.ones(width), 'valid')",
            "other",
        ),
        "padded": (
            "def moving_mean(values, width):\n    return np.convolve(values, np.ones(width) / width, 'same')",
            "shape",
        ),
    },
    "latest": {
        "the first": (
            "def latest(pairs):\n    found = {}\n    for key, value in pairs:\n        found.setdefault(key, value)\n"
            "    return found",
            "Another value",
        ),
        "nothing comes back": ("def latest(pairs):\n    dict(pairs)", "Another value"),
        "a list": ("def latest(pairs):\n    return list(dict(pairs).items())", "Another value"),
    },
}
