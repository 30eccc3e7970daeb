"""What gates ask of the centre over HTTP: enrolment, their configuration, lists, and the entries they send."""
