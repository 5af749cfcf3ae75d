"""Data only: what a cell may call.  The filters themselves come with their own issue."""
