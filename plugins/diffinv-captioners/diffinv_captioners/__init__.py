"""Captioners: BLIP-2, vision-language models of transformers, OpenAI-compatible servers."""
