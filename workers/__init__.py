"""The moving parts: ingest, bus, transcoder, publisher."""
