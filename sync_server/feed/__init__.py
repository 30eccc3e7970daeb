"""The list each venue's gates hold, built from the tables and published as signed bytes."""
