"""The way back: a saved model in the forms that Magenta's programs read."""
