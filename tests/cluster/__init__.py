"""The test bench of many machines: real processes, faults between them, and a listener who counts."""
