"""How deeply a YAML text is nested, found without recursion: libyaml's composer would end the process first."""

import re
from typing import Any

__all__ = ["MAX_DEPTH", "too_deep"]

MAX_DEPTH = 40
_HARMLESS = 1000
"""Fewer levels are composed without harm, and by every libyaml; what is surely below is not looked at twice."""
# A block level begins further to the right than the one around it, but for a list right below its key.
_LEAD = re.compile(r"(?:^|[\r\x85\u2028\u2029])[ \t:?-]*", re.MULTILINE)


def too_deep(text: str, loader: Any) -> Any | None:
    """The mark (of PyYAML) where `text` is nested too deeply, if it may be composed no more; None where it may.

    `loader` is the class of PyYAML that is going to compose it. Raises yaml.YAMLError.
    """
    if text.count("[") + text.count("{") + 2 * max(map(len, _LEAD.findall(text)), default=0) < _HARMLESS:
        return None
    import yaml

    depth = 0
    try:
        for event in yaml.parse(text, loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    return event.start_mark
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.MarkedYAMLError as error:
        # libyaml 0.2.6 and later read ahead and refuse the thousandth level before the first event is given out
        if error.context and error.context.startswith("while increasing"):
            return error.problem_mark
        raise
    return None
