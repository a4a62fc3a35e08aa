"""The version of this distribution, a semantic version."""

__version__ = "4.0.0"
