"""Flow-matching models as diffinv backbones."""
