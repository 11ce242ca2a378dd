"""Reads, converts, frames and writes pictures, and puts them on contact sheets."""
