"""Run the `imports` command as `python -m workers.operate`, where no console script is installed."""

from __future__ import annotations

from workers.operate.command import main

main()
