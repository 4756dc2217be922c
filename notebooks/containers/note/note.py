from pathlib import Path

notes = Path("/data/notes")
notes.parent.mkdir(exist_ok=True)
with notes.open("a") as file:
    file.write("x")
print(notes.stat().st_size)
