"""HTTP of the model service: parsing, validation, answers and errors."""
