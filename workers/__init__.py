"""The moving parts: ingest, bus, transcoder, publisher. Shells around `pipeline`; what lies between them is the bus."""
