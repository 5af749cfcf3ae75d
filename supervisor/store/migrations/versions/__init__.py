"""One file per revision, numbered; what was released is never edited."""
