"""``python -m embedjwt``."""

from embedjwt.cli import main

main()
