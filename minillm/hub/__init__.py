"""Hugging Face folders: what is trained here opens there."""

from minillm.hub.export import export_folder

__all__ = ["export_folder"]
