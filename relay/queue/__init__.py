"""Orders wait here, safe on disk: states, tables, statements and the engine that runs them."""
