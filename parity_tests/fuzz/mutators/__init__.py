"""Changes of valid input, at random but reproducible: of bytes, JSON, XML, arrays, and the formats built from them."""
