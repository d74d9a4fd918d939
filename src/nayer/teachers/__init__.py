"""Teachers: trained here, or brought from a file, a registry or a library."""
