"""A replay from archived fragments, without encoding anything: indexes in, files out. Pure."""
