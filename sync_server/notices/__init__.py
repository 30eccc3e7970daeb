"""Short messages 短信: what people are told, in which words, to whom, and what became of each."""
