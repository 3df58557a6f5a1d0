"""The media core. No sockets, no event loop, no wall clock; only the codec modules import av."""
