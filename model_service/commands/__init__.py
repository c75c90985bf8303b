"""The commands of ``python -m model_service``, a module for each room; heavy libraries are imported when one runs."""
