//! The records other programs read, and our own: MirrorMaker 2 formats, positions, claims. Pure.
