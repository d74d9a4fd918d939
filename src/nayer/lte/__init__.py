"""Label embeddings: turns class names into the table that NAYER's noisy layer reads."""
