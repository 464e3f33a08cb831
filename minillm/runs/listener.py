"""Who hears of a run: the reporter that is given, or the notebook that started it."""

from minillm import notebook


def listener(reporter, quiet: bool = False):
    """The reporter of a run. A notebook that gives none gets a bar below the cell,
    unless it is to be `quiet`. None elsewhere: nobody hears."""
    if reporter is not None or quiet or not notebook.running():
        return reporter
    from minillm.runs.notebook_progress import NotebookProgress

    return NotebookProgress()
