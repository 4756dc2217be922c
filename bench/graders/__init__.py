"""How bench/grading.py runs each grader and what it reads of it."""
