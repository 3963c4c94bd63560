"""Atari games with known object positions, for collect_ale.py."""
