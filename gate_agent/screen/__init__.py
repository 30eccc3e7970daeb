"""The status screen: the visitor face of each lane and the staff's face, served on this machine alone."""
