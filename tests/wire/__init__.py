"""What is written to the journal, byte by byte."""
