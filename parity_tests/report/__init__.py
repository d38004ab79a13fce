"""Presents a verdict: text, Markdown, JSON and HTML."""
