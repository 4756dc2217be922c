"""The servers that bench/serving.py compares, a module each: the same model, the same rows."""
