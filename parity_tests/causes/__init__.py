"""Why a port departs: the bug that, planted in our port, gives the same numbers."""
