"""What comes back from a plugin that nobody trusts, and how much of it is believed."""
