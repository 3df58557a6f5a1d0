"""The mix: many speakers into one programme. Pure; blocks of samples in, blocks of samples out."""
