"""Prompts: one file each, read at start, known by the hash of what they say."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, meta
from jinja2.sandbox import SandboxedEnvironment

from data.faults import Refused

_VERSION_DIGITS = 12


class BadPrompt(Refused):
    """A prompt that is missing, cannot be parsed, or wants what nobody gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One file of the library."""

    path: Path
    digest: str  # SHA-256 of the file, hexadecimal
    variables: frozenset[str]
    template: Template


class PromptLibrary:
    """Every `*.md` below `folder`; a prompt is named by its path there, without the suffix.

    Raises:
        BadPrompt: there is no such folder, or a file is not a template.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise BadPrompt(f"{folder}: no such folder of prompts")
        self._folder = folder
        environment = SandboxedEnvironment(
            undefined=StrictUndefined,
            autoescape=False,  # prose for a model, not HTML
        )
        self._prompts = {
            path.relative_to(folder).with_suffix("").as_posix(): _load(environment, path)
            for path in sorted(folder.rglob("*.md"))
        }

    @property
    def versions(self) -> Mapping[str, str]:
        """The version of every prompt by its name."""
        return {name: self.version(name) for name in self._prompts}

    def version(self, *names: str) -> str:
        """The content hash, 12 hexadecimal digits: of one file, or of several in this order."""
        digests = [self._prompt(name).digest for name in names]
        if len(digests) > 1:
            digests = [hashlib.sha256("".join(digests).encode()).hexdigest()]
        return digests[0][:_VERSION_DIGITS]

    def require(self, name: str, variables: Iterable[str]) -> None:
        """Make sure, at start-up, that `name` can be rendered with `variables`.

        Raises:
            BadPrompt: there is no such prompt, or it wants another variable.
        """
        prompt = self._prompt(name)
        unknown = sorted(prompt.variables - set(variables))
        if unknown:
            raise BadPrompt(f"{prompt.path}: unknown variable {', '.join(unknown)}")

    def render(self, name: str, **values: str) -> str:
        """The text of the prompt `name` with `values` in place; `require` has checked both."""
        return self._prompt(name).template.render(**values)

    def _prompt(self, name: str) -> Prompt:
        try:
            return self._prompts[name]
        except KeyError:
            known = ", ".join(self._prompts) or "none"
            raise BadPrompt(
                f"{self._folder / name}.md: no such prompt; there are: {known}"
            ) from None


def _load(environment: SandboxedEnvironment, path: Path) -> Prompt:
    content = path.read_bytes()
    try:
        source = content.decode()
        variables = meta.find_undeclared_variables(environment.parse(source))
        template = environment.from_string(source)
    except (UnicodeDecodeError, TemplateSyntaxError) as error:
        raise BadPrompt(f"{path}: {error}") from error
    return Prompt(
        path=path,
        digest=hashlib.sha256(content).hexdigest(),
        variables=frozenset(variables),
        template=template,
    )
