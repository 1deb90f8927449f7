"""What answers are made of: problem documents, sentences for faults, translations of errors, pages."""
