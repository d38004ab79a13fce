"""The smallest change that the proof still notices, part by part."""
