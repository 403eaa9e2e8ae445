"""APC 2016 (MIT-Princeton), published."""
