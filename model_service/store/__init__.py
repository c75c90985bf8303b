"""The model store: immutable versions, which of them is active, and what people call their segments."""
