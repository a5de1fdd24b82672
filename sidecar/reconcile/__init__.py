"""The one writer: takes hints, asks for a plan, applies it, and says what happened."""
