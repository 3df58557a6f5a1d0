"""Who does what among many machines: heartbeats, owners of rooms, who encodes which take."""
