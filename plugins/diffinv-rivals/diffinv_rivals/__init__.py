"""Methods that difference inversion is compared with."""
