"""Delta encoders of open_clip, and DINOv2 as an image encoder."""
