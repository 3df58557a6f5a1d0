"""The window of one rendition: what is listed and served of it. No clock: it moves when media is put."""

from pipeline.window.answers import Answer, Invalid, Put, Ready, Wait
from pipeline.window.rendition import RenditionWindow

__all__ = ["Answer", "Invalid", "Put", "Ready", "RenditionWindow", "Wait"]
