"""The core that every trigger of function_app.py shares; its folders are its layers (docs/architecture.md)."""
