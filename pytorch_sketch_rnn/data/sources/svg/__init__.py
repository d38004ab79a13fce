"""Drawings from SVG files, as a browser paints them: parsed safely, in linear time, within a budget for each file."""
