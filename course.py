"""One entry for the whole course: `python course.py lab` opens it, `python course.py test` proves it.

`make lab` and `make test` call this file; where there is no make, call it yourself. It is
written so that any Python can read it as far as the version check.
"""

import os
import sys

if sys.version_info < (3, 11):
    sys.exit(
        "course: Python 3.11 or newer is needed, this is Python %d.%d (%s). "
        "Name another one: make lab PYTHON=python3.12" % (sys.version_info[:2] + (sys.executable,))
    )

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "src"))

from labkit.environment import main

if __name__ == "__main__":
    sys.exit(main())
