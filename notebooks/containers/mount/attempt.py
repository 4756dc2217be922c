from pathlib import Path


def attempt(what, work):
    try:
        work()
        print(what, "done", end=", ")
    except PermissionError:
        print(what, "refused", end=", ")


attempt("read its private file:", Path("/mnt/private").read_text)
attempt("write a new one:", Path("/mnt/new").touch)
