"""Tables for people to keep: one sheet, written as XLSX, CSV or PDF."""
