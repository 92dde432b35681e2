"""What is shown: public events, lines and answers to questions, availability."""
