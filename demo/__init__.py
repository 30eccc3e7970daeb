"""The whole product on one machine, as separate processes over HTTP: visitors, a network cable and a script."""
