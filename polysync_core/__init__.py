"""The core of the app, which all triggers of function_app.py use. Its folders are its layers (docs/architecture.md)."""

__version__ = "1.0.0"
"""CHANGELOG.md says what is in it."""
