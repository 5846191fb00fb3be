"""Random models in the text language: every role, every function, sums, labels, shifts, definitions."""

import random

UNARY = (
    "exp log log1p expm1 sqrt cbrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh abs sign floor ceil erf "
    "erfc gamma lgamma digamma sigmoid softplus relu gelu".split()
)
BINARY = "atan2 hypot mod min max".split()
HEAD = """\
x: data[N, D]
t: data[N]
u: column
g: labels[N]
h: labels
W: parameter[D, C]
b: parameter[C]
w: parameter
lam: constant = {default}
q: constant
"""
AXES = {"x": "ND", "t": "N", "W": "DC", "b": "C", "y": "NC"}
NUMBERS = ("2", "3", "0.5", "1e-3", "1/3", "10**20", "pi", "e", "0", "1", "7.25e5", "2/7", "10**20/3")


class Generator:
    """Writes models from a seed."""

    def __init__(self, seed, depth=3):
        self.random, self.depth = random.Random(seed), depth

    def model(self):
        """Return the text of a model: its objective uses two definitions and arrays."""
        default = self.random.choice(["1e-4", "2", "-3.5", "1/3", "exp(-2)"])
        row = self.expression({"s": "N", "i": "C"}, self.depth)
        lines = [
            f"y[s, i] = {row} + Sum(x[s, j]*W[j, i], j) + b[i]",
            f"a = {self.expression({}, self.depth)}",
            f"loss = {self.reduction({}, self.depth)} + a + {self.expression({}, self.depth)}",
        ]
        self.random.shuffle(lines)
        return HEAD.format(default=default) + "\n".join(lines) + "\n"

    def expression(self, scope, depth):
        """Return an expression in which the indices of `scope` may stand: letter -> size."""
        if depth <= 0:
            return self.leaf(scope)
        make = self.random.choice([self.call, self.sum, self.product, self.power, self.choice, self.leaf, self.negated])
        if self.random.random() < 0.15:
            make = self.reduction
        return make(scope, depth - 1) if make != self.leaf else self.leaf(scope)

    def leaf(self, scope, depth=0):
        """Return a number, a name or an element."""
        options = [*NUMBERS, "w", "lam", "q", "u", "h", "N", *scope]
        options += [f"{name}[{', '.join(place)}]" for name in AXES for place in self.places(name, scope)] * 2
        return self.random.choice([o for o in options if not o.startswith("y[") or "y" not in self.hidden(scope)])

    def hidden(self, scope):
        """Return the definitions that must not be used here: y defines itself by i over C and s over N."""
        return {"y"} if scope.get("s") == "N" and scope.get("i") == "C" else set()

    def places(self, name, scope):
        """Yield the ways in which the indices at hand fit the axes of an array."""
        found = [[]]
        for size in AXES[name]:
            fits = [letter for letter, own in scope.items() if own == size]
            fits += ["0", "1"] + (["g[s]"] if scope.get("s") == "N" and size != "N" else []) + [f"h + {size} - 3"]
            found = [[*before, self.random.choice(fits)] for before in found]
        return found

    def call(self, scope, depth):
        """Return a function of one or two operands."""
        if self.random.random() < 0.25:
            word = self.random.choice(BINARY)
            return f"{word}({self.varying(scope, depth)}, {self.varying(scope, depth)})"
        return f"{self.random.choice(UNARY)}({self.varying(scope, depth)})"

    def varying(self, scope, depth):
        """Return an expression that is no constant, so that no domain is left."""
        return f"{self.random.choice(['w', 'q', 'lam*w'])}{self.random.choice('+-*')}{self.expression(scope, depth)}"

    def sum(self, scope, depth):
        """Return two or three terms."""
        terms = [self.expression(scope, depth) for _ in range(self.random.randrange(2, 4))]
        return f"({self.random.choice([' + ', ' - ']).join(terms)})"

    def product(self, scope, depth):
        """Return factors and divisors."""
        below = self.random.choice(["", f"/(w + {self.expression(scope, depth)})", "/3", "/N", "/q**2", "/w/2"])
        return f"{self.expression(scope, depth)}*{self.expression(scope, depth)}{below}"

    def power(self, scope, depth):
        """Return a power: whole, fractional, negative, or in a variable."""
        exponent = self.random.choice(["2", "3", "(-2)", "(1/2)", "(-1/3)", "0.7", "w", "(-w)", "w**2", "(-1)"])
        return f"(w + {self.expression(scope, depth)})**{exponent}"

    def negated(self, scope, depth):
        """Return the negative of something."""
        return f"(-{self.expression(scope, depth)})"

    def choice(self, scope, depth):
        """Return a `where` with a comparison, or with several."""
        sign = self.random.choice(["<", "<=", ">", ">=", "==", "!="])
        condition = f"w {sign} {self.expression(scope, 0)}"
        form = self.random.choice(["{c}", "{c} and q < 1", "{c} or q < 1 and w > 2", "not ({c})", "not {c} and q > 0"])
        shown = form.format(c=condition)
        return f"where({shown}, {self.expression(scope, depth)}, {self.expression(scope, depth)})"

    def reduction(self, scope, depth):
        """Return a sum or the like over one index or two, with or without bounds."""
        letters = (
            [letter for letter in "skjilmn" if letter not in scope][:2] if self.random.random() < 0.7 else ["k", "i"]
        )
        letter, size = letters[0], self.random.choice("NDC")
        inner = {**scope, letter: size}
        name = {"N": f"t[{letter}]", "D": f"W[{letter}, 0]", "C": f"b[{letter}]"}[size]
        body = f"{self.expression(inner, depth - 1)}*{name}"
        word = self.random.choice(["Sum", "Sum", "Product", "Max", "Min", "Mean", "logsumexp"])
        bounds = self.random.choice(["", "", "", f", 0, {size} - 1", ", 1, 2", f", 1, {size} - 2"])
        return f"{word}({body}, {letter}{bounds})"
