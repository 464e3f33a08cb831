"""Hugging Face folders: what is trained here opens there, and back."""

from minillm.hub.export import export_folder
from minillm.hub.importing import import_folder, read_folder

__all__ = ["export_folder", "import_folder", "read_folder"]
