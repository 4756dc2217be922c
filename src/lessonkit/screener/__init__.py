"""The files of the small service that lab 04 puts into a container; `lessonkit.shipping` gives them out."""
