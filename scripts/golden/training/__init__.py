"""Parts of check_training.py: whole GRPO runs of the program, replayed by TRL's trainer."""
