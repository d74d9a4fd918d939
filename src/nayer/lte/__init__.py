"""Label-text embeddings: class names to one table, the input of the generator."""
