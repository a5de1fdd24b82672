"""Why a request goes where it goes, and why an app or a task gets none; pure."""
