"""Grading a class: submissions in, gradebook and feedback out, and no submission trusted.

submissions   finds what students handed in: folders, single files, a zip of an LMS
rebuild       takes the answers out of a submission, by grade_id, and nothing else
isolation     what a process may no longer do before it runs a learner's code
zygote        a process that has imported everything and run the set-up, and forks for each answer
remote        the check's side of an answer that runs over there
grade         one submission, many submissions
results       what comes out, as data; gradebook, feedback and classpage write it
"""
