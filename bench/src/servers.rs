//! Servers on free ports, in temporary folders, stopped when dropped.
