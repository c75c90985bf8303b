"""What tests of several levels share and is neither a fake nor a contract: servers, data, documents, assertions."""
