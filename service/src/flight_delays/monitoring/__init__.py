"""What looks after a model in service: quality, drift, decay, the watch, the loop."""
