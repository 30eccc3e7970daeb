"""The gates the centre knows: enrolment, registry, how far each journal has arrived."""
