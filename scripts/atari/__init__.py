"""Atari games whose objects the recordings know: what collect_ale.py knows of each."""
