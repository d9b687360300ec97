"""The docstrings below the fields of a dataclass or TypedDict, which Python does not keep."""

import ast
import inspect
from itertools import pairwise


def field_docs(kind: type) -> dict[str, str]:
    """Return the docstrings below the fields of a class, each on one line."""
    docs = {}
    for key, doc in pairwise(ast.walk(ast.parse(inspect.getsource(kind)))):
        match key, doc:
            case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                docs[name] = " ".join(text.split())
    return docs
