"""Random streams of a run: the last part of a seed, (seed, step, this).

The weights' and the objective's draws are derived anew from these three numbers, so
that a resumed run, a run with other workers and a run on another device draw the same.
"""

# 0 stays free: NumPy takes (seed, epoch), the stream that shuffles the windows
# (text/examples.py), for (seed, epoch, 0).
WEIGHTS, OBJECTIVE, VALIDATION = 1, 2, 3
