"""`wongate COMMAND`. Errors are one line on standard error and exit code 2."""

import sys
from collections.abc import Sequence
from importlib import import_module

from wongate import command_line
from wongate.connections.database import Unavailable
from wongate.connections.vault import VaultError
from wongate.mistake import Mistake
from wongate.settings import SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    options = command_line.parser().parse_args(arguments)
    module, function = options.command.split(":")
    try:
        return int(getattr(import_module(f"wongate.{module}"), function)(options))
    except (Mistake, SettingsError, VaultError, Unavailable, OSError) as error:
        print(f"wongate: {_in_words(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _in_words(error: Exception) -> str:
    """`sale.json: No such file or directory`, where Python would say `[Errno 2] ...: 'sale.json'`."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
