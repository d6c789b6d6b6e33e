"""Each command is found in the module that `ektp` imports for it."""

import pytest

from services.cli.main import MODULES, commands_of


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_the_commands_that_it_is_imported_for(module: str) -> None:
    assert tuple(commands_of(module)) == MODULES[module]
