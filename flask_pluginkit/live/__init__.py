"""What Flask, Werkzeug and Jinja see of the plugins: tables that read the pinned snapshot."""
