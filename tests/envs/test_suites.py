"""Ids of MiniGrid and MinAtar work without an import; an error says how to install a package."""

import subprocess
import sys
from importlib.machinery import ModuleSpec

import pytest

from gridcade.envs import registry, suites
from gridcade.errors import InputError


@pytest.mark.parametrize("suite", suites.SUITES, ids=lambda suite: suite.prefix)
def test_ids_work_in_a_fresh_process(suite: suites.Suite) -> None:
    pytest.importorskip(suite.package)
    code = (
        "import logging, sys; from gridcade.envs import registry; "
        f"assert '{suite.package}' not in sys.modules; assert registry.is_environment(sys.argv[1]);"
        "env = registry.make(sys.argv[1]); env.reset(seed=0); env.step(0);"
        "assert not logging.root.handlers and not logging.root.manager.disable"
    )
    command = [sys.executable, "-c", code, suite.example]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


@pytest.mark.parametrize("suite", suites.SUITES, ids=lambda suite: suite.prefix)
def test_a_missing_package_is_named_with_its_extra(
    suite: suites.Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(name: str) -> ModuleSpec | None:
        assert name == suite.package
        return None

    monkeypatch.setattr(suites, "find_spec", without)
    with pytest.raises(InputError, match=rf"pip install 'gridcade\[{suite.package}\]'"):
        registry.make(suite.example)


@pytest.mark.parametrize("name", ["MiniGrid-Empty-5x5-v0?size=2", "MiniGrid-Empty-5x5-v0?size=x"])
def test_an_error_in_a_package_is_reported_with_its_place(name: str) -> None:
    pytest.importorskip("minigrid")
    with pytest.raises(InputError, match=r"^cannot make .*: [A-Z]\w+Error.* \(.*minigrid.*, in "):
        registry.make(name)
