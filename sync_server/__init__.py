"""The centre: sells passes and tickets, issues them, tells the gates, counts the entries and settles the money."""
