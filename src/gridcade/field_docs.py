"""The docstrings below the fields of a dataclass or TypedDict, which Python does not keep."""

import ast
import inspect
from dataclasses import is_dataclass
from itertools import pairwise


def field_docs(kind: type) -> dict[str, str]:
    """Return the docstrings below the fields of a class, each on one line.

    For a dataclass they include the fields that it inherits from other dataclasses.
    """
    docs: dict[str, str] = {}
    for base in kind.__bases__:
        if is_dataclass(base):
            docs |= field_docs(base)
    for key, doc in pairwise(ast.walk(ast.parse(inspect.getsource(kind)))):
        match key, doc:
            case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                docs[name] = " ".join(text.split())
    return docs
