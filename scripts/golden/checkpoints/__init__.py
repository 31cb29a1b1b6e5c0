"""Parts of check_checkpoints.py: folders in every layout, the program's numbers on them, and transformers'."""
