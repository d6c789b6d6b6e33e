"""Transparency-log formats, as the C2SP texts fix them: hashes, tiles, signed notes, checkpoints, proofs."""
