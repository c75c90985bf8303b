"""What the workers note of the re-scoring that they do."""
