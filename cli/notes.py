"""Warnings of the library, as the notes of a command: a line each."""

import warnings

import click

_shown = warnings.showwarning  # as Python shows them: a place, and its line of code


def take_warnings() -> None:
    """From now on, say what the library warns its caller of as a command says it."""
    warnings.showwarning = _show


def _show(message, category, *place) -> None:
    if category is UserWarning:
        click.echo(f"note: {message}", err=True)
    else:
        _shown(message, category, *place)
