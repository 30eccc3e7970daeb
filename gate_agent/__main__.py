"""`python -m gate_agent` is `gate-agent`."""

from gate_agent.cli import main

main(prog_name="gate-agent")
