"""Turns what was judged into a verdict, and presents it as text, Markdown, JSON and HTML."""
