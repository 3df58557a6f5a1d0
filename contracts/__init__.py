"""Names, values and errors that cross a border between packages. Imports nothing of ours."""
