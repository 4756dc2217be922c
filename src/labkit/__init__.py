"""The small engine behind the labs: exercises, checks, building, progress.

It knows no lab. What an exercise's answer must do stands in the package `checks`.
"""
