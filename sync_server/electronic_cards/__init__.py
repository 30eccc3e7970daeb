"""Electronic social-security cards 电子社保卡: codes that only their platform can read, resolved for gates."""
