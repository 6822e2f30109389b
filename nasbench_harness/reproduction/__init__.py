"""Published results beside measured ones: presets of papers, run on a table of the reader."""
