"""From a commit to a model in service: test, train, validate, package, deploy, monitor.

Needs the `train` and `pipeline` extras. Heavy libraries (pandas, scikit-learn, MLflow) are imported
where a stage does its work, so that a run in which nothing has changed ends at once.
"""
