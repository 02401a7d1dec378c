"""How it is shown: sentences, tables, plots, the page and the terminal. Never imports torch."""
