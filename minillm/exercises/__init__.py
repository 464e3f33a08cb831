"""Exercises cut from the engine's own text, and the checks that mark them.

from minillm.exercises import check, start

start(Path("ex"), Course())
for mark in check(Path("ex"), ["mul"]):
    print(mark.name, mark.points, mark.of)
"""

from minillm.lazy import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "course": ["Course", "read_course"],
        "folder": ["reset", "solve", "start"],
        "judge": ["check"],
        "archives": ["pack"],
        "submissions": ["grade"],
    },
)
