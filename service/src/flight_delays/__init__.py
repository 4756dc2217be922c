"""Will a flight out of New York arrive 15 minutes late or more?

Serving needs `features`, `metadata` and `bundle` (NumPy, onnxruntime, pydantic). Training needs
`flights`, `training`, `evaluation`, `provenance` and `export` as well (the `train` extra).
Nothing is imported here, so that importing the serving half never pulls in the training half.
"""
