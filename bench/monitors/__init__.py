"""The monitors of bench/monitoring.py, the years they watch, and how their alarms are counted."""
