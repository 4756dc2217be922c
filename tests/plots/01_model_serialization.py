# Runs as the last cell of lesson 01 in tests/test_papermill.py: the data behind each plot.
# What took longer is not asserted: a timing never is.

# load-plot
assert list(loading.index) == ["pickle", "joblib", "joblib compressed", "skops", "ONNX"]
assert list(loading.columns) == ["small", "large"]
assert (loading > 0).all().all() and np.isfinite(loading).all().all()
assert winners == [f"{size}: {loading[size].idxmin()} is fastest" for size in ("small", "large")]

# arrays-plot
assert list(array_ms.index) == sizes_mb and sizes_mb[-1] == megabytes
assert list(array_ms.columns) == ["pickle, protocol 3", "pickle, protocol 5", "joblib", "joblib, mapped"]
assert (array_ms > 0).all().all()

# shared
# The matrix is there once instead of once a process; a quarter is left for what the allocator does.
saved = taken["loaded"] - taken["mapped"]
assert saved > 0.75 * (readers - 1) * megabytes, taken

# latency-plot
assert list(calls_ms.index) == ["large, 1 row", "small, 1 row", "large, 1,000 rows", "small, 1,000 rows"]
assert sorted(calls_ms.columns) == ["onnxruntime", "scikit-learn"] and (calls_ms > 0).all().all()

# parity-plot
assert missing.any() and not missing.all()
assert difference[~missing].max() < 1e-6
assert difference[missing].max() > 0.05
