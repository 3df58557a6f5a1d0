"""The composition root: command line, settings, logs. Imported by nobody."""
