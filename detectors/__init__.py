"""Everything we can detect. Adding a detector is one file and one line here."""
