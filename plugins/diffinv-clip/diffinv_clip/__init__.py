"""Delta encoders from open_clip, and DINOv2 as an image encoder."""
