"""What a front end asks for, and the tasks that do it. Only :mod:`.tasks` loads models."""
