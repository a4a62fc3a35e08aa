"""Settings of plugins: declared by the author as a dataclass, set by the operator, checked here.

`declaring` reads the dataclass, `fields` is what is left of it as plain data, `values` reads
what somebody gave for a field, `resolving` decides which of several sources counts, and
`proxy` has the object that a plugin's code asks.
"""

from .bounds import SECRET, Pattern, Range
from .proxy import Settings

__all__ = ["SECRET", "Pattern", "Range", "Settings"]
