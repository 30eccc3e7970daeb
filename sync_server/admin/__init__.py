"""The operators' web pages: server-rendered, zh-CN first, English beside it."""
