"""The gate agent: reads passes, decides, writes down, opens the turnstile, and tells the centre when it can."""
