"""A lab whose answers cost next to nothing, so that what is measured is the grader.

light_lab.ipynb  the solution, as nbgrader's source notebook
checks           its checks, for labkit and for nbgrader
answers          other answers, right and wrong
otter/           the same checks as otter's tests
"""
