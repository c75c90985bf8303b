"""Why a customer is in its segment, and the smallest change that would move it."""
