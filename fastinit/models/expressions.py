"""Numbers written as text: ``"0.02 / sqrt(2 * layers)"``.

A scale often depends on where a parameter stands: on the depth of the model, on the fans of the weight. Text says so in
a form that can be printed in a plan and kept in a configuration file. What is understood is arithmetic and nothing
else, so a file from elsewhere can run no code.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any

__all__ = ["evaluate"]

_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: math.pow,  # in floating point: a power of integers could take all memory
}
_UNARY: dict[type[ast.AST], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": math.exp,
    "log": math.log,
    "max": max,
    "min": min,
    "sqrt": math.sqrt,
}
_CONSTANTS = {"e": math.e, "inf": math.inf, "pi": math.pi}


def evaluate(text: str, variable: Callable[[str], float]) -> float:
    """The value of an expression.

    Args:
        text: numbers, names, ``+ - * / // **``, parentheses, and the functions exp, log, max, min and sqrt.
        variable: gives the value of a name, or raises KeyError for one that it does not know. The names e, inf and
            pi are known to all.

    Raises:
        ValueError: not such an expression, a name unknown, or no real number (division by zero, overflow, sqrt(-1)).

    Example:
        >>> from fastinit.models.expressions import evaluate
        >>> evaluate("0.02 / sqrt(2 * layers)", {"layers": 8}.__getitem__)
        0.005
    """
    try:
        return float(_value(_parsed(text), variable))
    except KeyError as error:
        raise ValueError(f"unknown name {error.args[0]!r} in {text!r}") from None
    except (ArithmeticError, TypeError, RecursionError) as error:
        raise ValueError(f"cannot evaluate {text!r}: {error}") from None
    except ValueError as error:
        raise ValueError(f"cannot evaluate {text!r}: {error}") from None


@lru_cache(maxsize=1024)
def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError("not an arithmetic expression") from None


def _value(node: ast.expr, variable: Callable[[str], float]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.Name(id=name):
            return _CONSTANTS[name] if name in _CONSTANTS else variable(name)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left, variable), _value(right, variable))
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            return _UNARY[type(sign)](_value(operand, variable))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_value(argument, variable) for argument in arguments))
    raise ValueError(f"{ast.unparse(node)!r} is not arithmetic")
