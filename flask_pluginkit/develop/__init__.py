"""What helps while plugins are written: reloading, and the overlay. Nothing serves from here."""
