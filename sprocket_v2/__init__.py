"""The Django project: settings, routes, the command line, and the base error. No rule about leagues lives here."""

__version__ = "2.0.0a1"
