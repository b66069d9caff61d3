"""``python -m app [FILES…]`` opens the window, as ``mhvae-studio`` does."""

from __future__ import annotations

import sys

from app.window import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
