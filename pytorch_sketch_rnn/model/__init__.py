"""The model: cells, sequences, encoder, decoder, mixture density, losses, sampling, and the draws it consumes."""
