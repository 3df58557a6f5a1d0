"""The bus over Redis: takes travel from their owner's memory to Redis, and from there to workers' memory."""
