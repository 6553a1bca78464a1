"""One sequence of tokens out of several modalities, and the way back."""
