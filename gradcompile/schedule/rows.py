"""How the arrays of a block lie: with the samples of each number next to each other, or by rows as data come.

Loops over samples are innermost where that can be: they become vectors whatever the model. Data come by rows. Where
each of their numbers is used several times, a block makes itself a copy with the samples innermost; where they are used
once, the loops run along the rows, and what is computed there lies by rows too. BLAS takes and writes either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from gradcompile.ir import Axis, Value
from gradcompile.passes.share import is_part, is_renaming
from gradcompile.primitives import PRIMITIVES
from gradcompile.schedule.costs import ELEMENTARY, cost
from gradcompile.schedule.nodes import Define, Product, Result, Statement, Update, loop_axes, right_side
from gradcompile.schedule.products import Length, Products
from gradcompile.schedule.statements import Plain, Statements, axes_of, is_recomputed

SHORT = 7  # numbers of a row: loops over no more are hardly vectors
FEW = 8  # numbers of a row that are copied one after the other


class Rows:
    """What lies by rows in a block, and which statements run along rows.

    Parameters
    ----------
    statements : Statements
        All statements; data that are to be copied are added to what they make.
    products : Products
        The products of matrices among them.
    delivered : mapping of Value to tuple of Axis
        The outputs that are returned as they are, with their axes in order.
    beside : collection of Value
        What is computed in the loop of its use.
    kept : collection of Value
        What is an array for all samples.
    length : callable
        The number that a size is; None where only a call tells.
    tables : mapping of Value to tuple of Axis
        The arguments that have a copy in which what samples pick is a row, with the axes of that.
    """

    def __init__(
        self,
        statements: Statements,
        products: Products,
        delivered: Mapping[Value, tuple[Axis, ...]],
        beside: Collection[Value],
        kept: Collection[Value],
        length: Length,
        tables: Mapping[Value, tuple[Axis, ...]],
    ) -> None:
        self.statements, self.samples, self.products = statements, statements.samples, products
        self.sample = self.samples.axis
        self.delivered, self.beside, self.kept, self.length = delivered, beside, kept, length
        self.tables = tables
        self.data: set[Value] = set()  # the data that are read where they lie
        self.laid: set[Value] = set()  # the arrays of a block that lie by rows
        self._bounds: dict[Axis, set[Value]] = {}  # those that lie so for products, by the axis of their rows

    def _is_short(self, row: Value, most: int = SHORT) -> bool:
        """Return whether the innermost loops along rows are known to have a few steps."""
        length = self.length(row.axes[-1].size)
        return length is not None and length <= most

    # Which data are copied

    def settle(self, picked: Collection[Value]) -> None:
        """Decide which rows of data are copied, a block at a time, so that the samples of each number are contiguous.

        A copy is worth its cost where every number is used several times, or used with what does not lie by rows. Where
        it is not, where a statement also uses other data as they lie, or where all that uses the data runs along rows
        for other reasons, the loops run along the rows. Those of a few numbers are no vectors: where functions such as
        exp are computed of them, they are copied, too. Numbers among the `picked` values that data pick for each sample
        are copied, and so are others that loops over features use.
        """
        passing = [s for s in self.statements.passing() if not self._is_picked(s)]
        rows = {statement: list(self._rows(statement)) for statement in passing}
        own = {row for found in rows.values() for row in found if self._is_found(row)}  # copies that products make
        reach = self._reach()
        often = self._often(rows, reach) - own
        self._choose(rows, often, own)
        # What lies by rows now is not used often for what is made of it.
        again = self._often(rows, reach) - own
        if again != often:
            self._choose(rows, again, own)
        self.data |= {row for row in again if all(self.are_along(s) for s in passing if row in rows[s])}
        packed = dict.fromkeys(row for found in rows.values() for row in found if row not in self.data)
        packed |= self._lines_used_often(passing)
        packed |= self._copied_factors(packed)
        self.products.turn(self.laid)
        packed |= dict.fromkeys(value for value in picked if value.kind == "real" and self.picks(value))
        self.statements.pack(self._looked_up(passing) | packed)  # rows are found by labels

    def _choose(self, rows: Mapping[Plain, list[Value]], often: set[Value], own: set[Value]) -> None:
        """Read all rows where they lie but those that are used often, and others where loops would cross these."""
        copied = set(often)
        while True:
            self.data = {row for found in rows.values() for row in found} - copied
            self._mix(rows.values())
            crossed = self._lay(list(rows))
            again = {row for statement in crossed for row in rows[statement]} - copied - own
            if not again:
                return
            copied |= again

    def _often(self, rows: Mapping[Plain, list[Value]], reach: Mapping[Value, int]) -> set[Value]:
        """Return the rows of data of which each number is used several times, or of which a few have functions."""
        pairs = [(statement, row) for statement, found in rows.items() for row in found]
        often = {
            row
            for statement, row in pairs
            if self._loops(statement, reach) > len(row.axes)
            and not (self._slides(statement, row) or self._mixes(statement, row))
        }
        return often | {row for statement, row in pairs if self._is_short(row) and not self.is_arithmetic(statement)}

    def _slides(self, statement: Plain, row: Value) -> bool:
        """Return whether a statement sums up windows of a row, each a number further on: loops along it are vectors."""
        if not isinstance(statement, Update) or len(axes_of(statement)) < 3:
            return False
        rest = [axis for axis in statement.target.axes if axis != self.sample]
        windows, stack = list[Value](), right_side(statement)
        while stack:
            value = stack.pop()
            if value is row:
                return False
            if value.op == "read" and value.operands[0] is row:
                windows.append(value)
            elif value not in self.statements.made:
                stack.extend(value.operands)
        return len(rest) == 1 and all(_steps_with(window.operands[-1], rest[0]) for window in windows)

    def _mixes(self, statement: Plain, row: Value) -> bool:
        """Return whether a sum over another axis of data than the last takes whole rows: to add these, or to multiply.

        So do a layer that mixes places of a sequence and the slopes of its weights. Loops along the rows are vectors;
        loops over the samples would be better ones, but not where products of matrices have what is made by rows.
        """
        if not isinstance(statement, Update) or len(row.axes) < 3 or self._is_short(row):
            return False
        last = row.axes[-1]
        used = [v for v, _ in self.statements.reads(right_side(statement)) if self.samples.is_row(v)]
        bound = self._bound(last)
        if self.samples.streamed(statement.target):
            return statement.target in bound and all(last in value.axes for value in used)
        return any(value in bound for value in used) and all(last in value.axes for value in used)

    def _bound(self, last: Axis) -> set[Value]:
        """Return the arrays with rows along an axis which products have by rows, and those made of them or for them."""
        if last not in self._bounds:
            beside = self._beside(last)
            stack = [value for value, order in self.products.orders.items() if value in beside and order[-1] == last]
            found = self._bounds[last] = {*stack}
            while stack:
                further = [value for value in beside[stack.pop()] if value not in found]
                found.update(further)
                stack += further
        return self._bounds[last]

    def _beside(self, last: Axis) -> dict[Value, list[Value]]:
        """Return the arrays with rows along an axis, each with those that it is made of, or that are made of it."""
        rows = [value for value in self.statements.made if self.samples.is_row(value) and last in value.axes]
        found: dict[Value, list[Value]] = {value: [] for value in rows}
        for value in rows:
            made = [each for each in self.statements.of(value) if not isinstance(each, Product)]
            for other in (v for each in made for v, _ in self.statements.reads(right_side(each)) if v in found):
                found[value].append(other)
                found[other].append(value)
        return found

    def _lines_used_often(self, passing: list[Plain]) -> dict[Value, None]:
        """Return the data by features of which a statement uses each number several times: a block copies those, too.

        Lines of data are far from one another, and may all be in the same few places of the cache.
        """
        used = [(statement, row) for statement in passing for row, is_line in self._reads(statement) if is_line]
        return dict.fromkeys(row for statement, row in used if len(axes_of(statement)) > len(row.axes))

    def _loops(self, statement: Plain, reach: Mapping[Value, int]) -> int:
        """Return in how many loops what a statement reads is used, there or in what holds one number for each.

        What lies by rows is read there, whatever is next to it.
        """
        here = len(axes_of(statement))
        if not isinstance(statement, Define) or statement.expression is not statement.target:
            return here
        return here if statement.target in self.laid else max(here, reach[statement.target])

    def _reach(self) -> Counter[Value]:
        """Return the most loops in which each value is used, itself or in what holds one number for each of its own."""
        reach: Counter[Value] = Counter()
        for value in reversed(self.statements.made):
            for statement in self.statements.of(value):
                if isinstance(statement, Product):
                    continue
                loops = max(len(axes_of(statement)), reach[value] if isinstance(statement, Define) else 0)
                for used in {used for used, _ in self.statements.reads(right_side(statement))}:
                    reach[used] = max(reach[used], loops)
        return reach

    def _mix(self, used: Collection[list[Value]]) -> None:
        """Let statements that read data where they lie read all of their data so."""
        while mixed := {r for rows in used if not self.data.isdisjoint(rows) for r in rows} - self.data:
            self.data |= mixed

    def _rows(self, statement: Statement) -> Iterator[Value]:
        """Yield the rows that a statement uses: data, or what is read of them, and what lies by rows."""
        yield from (row for row, is_line in self._reads(statement) if not is_line)

    def _reads(self, statement: Statement) -> Iterator[tuple[Value, bool]]:
        """Yield the rows that a statement uses, and data by features; with each, whether it is these.

        One feature, ``x[0, n]``, is no loop over features that could be outside of that over samples.
        """
        stack = right_side(statement)
        if isinstance(statement, Define) and statement.expression.op == "read":
            stack = [statement.expression]
        while stack:
            value = stack.pop()
            if self._is_found(value):
                yield from [(value, self._is_line(value))] if self.samples.is_row(value) else []
            elif value.op == "read" and value.operands[0].op == "input":
                array = value.operands[0]
                row = array if self.sample in array.axes and self.samples.reads_own(value) else value
                line = self._is_line(row) and value.axes != (self.sample,)
                yield from [(row, line)] if self.samples.is_row(row) and not self._is_series(value) else []
                stack.extend(o for o in value.operands[1:] if o.op != "input")
            elif self._picks_rows(value):
                yield from [(value, False)] if self.samples.is_row(value) else []
                stack.extend(value.operands[1:])
            elif (value.op == "input" and self.samples.is_row(value)) or value in self.laid:
                yield value, self._is_line(value)
            elif value.op == "read" and not self.samples.is_row(value):
                stack.extend(value.operands[1:])  # one number of a row
            elif value not in self.statements.made or value in self.beside:
                stack.extend(value.operands)

    def data_of(self, statement: Statement) -> list[Value]:
        """Return the data whose rows a statement reads where they lie."""
        return [row for row in self._rows(statement) if row in self.data and row.op == "input"]

    def _is_line(self, value: Value) -> bool:
        """Return whether the samples of an input, or of what is read of one, lie next to each other: ``x[j, n]``."""
        if value.op != "read" or value.operands[0].op != "input":
            return value.op == "input" and value.axes[-1] == self.sample
        *others, last = value.operands[1:]
        own = last.op == "iota" and last.attr == self.sample
        return own and all(self.sample not in index.axes for index in others)

    def _is_series(self, read: Value) -> bool:
        """Return whether the samples of what is read lie next to each other: places in a series, ``y[t - k]``."""
        index = read.operands[-1]
        return index.op in ("add", "sub") and self.sample in index.axes and len(read.operands) == 2

    def _copied_factors(self, packed: Collection[Value]) -> dict[Value, None]:
        """Return the rows of a block that a product of matrices needs together.

        Those that labels pick, and those at combined axes.
        """
        picked = [v for v in self.products.factors if self._is_found(v) and v not in packed]
        self.laid.update(picked)
        self.data.difference_update(picked)
        return dict.fromkeys(sorted(picked, key=lambda v: v.number))

    def _is_picked(self, statement: Statement) -> bool:
        """Return whether a statement makes a matrix of what data hold, which is a copy of its own."""
        return isinstance(statement, Define) and self._is_found(statement.target)

    def _is_found(self, value: Value) -> bool:
        """Return whether a value is a matrix of a product that data hold, but not as it is multiplied."""
        found = value.op == "read" and value.operands[0].op == "input" and not (is_renaming(value) or is_part(value))
        return found and value in self.products.factors

    def _looked_up(self, passing: list[Plain]) -> dict[Value, None]:
        """Return what data pick for each sample and loops over features use, which would look it up every time."""
        found: dict[Value, None] = {}
        for statement in passing:
            stack = [] if len(axes_of(statement)) == 1 or self.are_along(statement) else right_side(statement)
            while stack:
                value = stack.pop()
                if self.picks(value):
                    found[value] = None
                elif value not in self.statements.made or value in self.beside:
                    stack.extend(value.operands)
        return dict.fromkeys(sorted(found, key=lambda v: v.number))

    def picks(self, value: Value) -> bool:
        """Return whether a value is one number for each sample, at a place of an array that data pick.

        Where numbers are looked up and others are stored, a loop does not become vectors.
        """
        if value.op != "read" or value in self.kept or value.axes != (self.sample,):
            return False
        array, *indices = value.operands
        known = array.op == "input" or self.sample not in array.axes
        return known and any(i.op in ("input", "read", "place") for i in indices)

    # What lies by rows

    def _lay(self, passing: list[Plain]) -> list[Plain]:
        """Lay arrays of a block by rows where what uses them runs along rows; return the statements that still cross.

        BLAS writes a product either way, and what is computed number by number lies as what it is computed from. What
        sums up features for each sample leaves a product with its samples contiguous: there, the loop over the samples
        is the one for vectors.
        """
        multiplied = [v for v in self.statements.made if v in self.products.factors and self.samples.is_row(v)]
        uses: dict[Value, list[Plain]] = {value: [] for value in multiplied}  # by products, and by none of these
        for statement in passing:
            for value, read in self.statements.reads(right_side(statement)):
                if self.samples.is_row(value) and (read is None or not self._at_data(read)):
                    uses.setdefault(value, []).append(statement)
        self.laid = {v for v in self.products.orders if self.samples.is_row(v) and v not in self.products.free}
        self.laid |= {value for value in self.delivered if self._is_product(value) and self._is_delivered(value)}
        self.laid |= {row.operands[0] for row in self.data if self._picks_rows(row)}
        groups = self._groups(uses)
        while laid := [group for group in groups if not group <= self.laid and self._follow(group, uses)]:
            self.laid = self.laid.union(*laid)
        crossed = [v for v in uses if v not in self.laid and not self._grows(v)]
        return [s for v in crossed for s in uses[v] if self.are_along(s) and set(axes_of(s)) == set(v.axes)]

    def _is_product(self, value: Value) -> bool:
        return any(isinstance(statement, Product) for statement in self.statements.of(value))

    def _is_delivered(self, value: Value) -> bool:
        """Return whether an output that has rows for the samples lies by rows, as its caller wants it."""
        return self.samples.is_row(value) and self.delivered[value][-1] != self.sample

    def _groups(self, uses: Mapping[Value, list[Plain]]) -> list[set[Value]]:
        """Return the arrays that lie alike, since each of their numbers is computed from the same one of the others."""
        group: dict[Value, set[Value]] = {value: {value} for value in uses if self._is_free(value)}
        for value, users in uses.items():
            for statement in users:
                target = statement.target if isinstance(statement, Define) else None
                if target in group and value in group and set(target.axes) == set(value.axes):
                    merged = group[value] | group[target]
                    group |= dict.fromkeys(merged, merged)
        return list({id(each): each for each in group.values()}.values())

    def _is_free(self, value: Value) -> bool:
        """Return whether an array can lie either way: a product, what is computed number by number, or from windows."""
        made = self.statements.of(value)
        return all(
            isinstance(s, Product)
            or (isinstance(s, Define) and s.target.op != "read")
            or (isinstance(s, Update) and s.term.op == "accumulate" and not self._at_data(s.term))
            for s in made
        )

    def _follow(self, group: set[Value], uses: Mapping[Value, list[Plain]]) -> bool:
        """Return whether arrays are to lie by rows, given what does already."""
        if not self.laid.isdisjoint(group):
            return True
        made = [statement for value in group for statement in self.statements.of(value)]
        bases = [Define(v, base) for v in group if (base := self.statements.base(v)) is not None]
        along = any(map(self.are_along, made)) or any(map(self._uses, bases)) or any(map(self._continues, made))
        multiplied = any(isinstance(s, Product) for s in made)
        plain = all(map(self.is_arithmetic, made))  # functions leave loops that add at places: these make no vectors
        for value in group:
            for statement in uses[value]:
                rows, same = self.are_along(statement), set(axes_of(statement)) == set(value.axes)
                summed = isinstance(statement, Update) and self.samples.streamed(statement.target)
                if not rows and (not same or (summed and multiplied)):
                    return False
                beside = same or (isinstance(statement, Define) and not self.is_arithmetic(statement))
                # else the loop takes each number several times, for little
                along = along or (rows and (plain or (beside and not self.scatters(statement))))
        return along

    def _continues(self, statement: Statement) -> bool:
        """Return whether a statement takes each number of a sum that is added up along rows, and so lies by rows."""
        if not isinstance(statement, Define):
            return False
        used = [v for v, _ in self.statements.reads(right_side(statement)) if self.samples.is_row(v)]
        return any(set(v.axes) == set(axes_of(statement)) and self._is_added_along_rows(v) for v in used)

    def _is_added_along_rows(self, value: Value) -> bool:
        """Return whether terms are added to whole rows of a sum: innermost are the loops along these."""
        return any(self.are_along(made) and self._runs(made, value) for made in self.statements.of(value))

    def is_arithmetic(self, statement: Statement) -> bool:
        """Return whether a statement takes no function such as exp, or is a product of matrices."""
        stack = [] if isinstance(statement, Product) else right_side(statement)
        if isinstance(statement, Define):
            stack.append(statement.expression)
        while stack:
            value = stack.pop()
            if cost(value) >= ELEMENTARY:
                return False
            if value not in self.statements.made:
                stack.extend(value.operands)
        return True

    def are_along(self, statement: Statement) -> bool:
        """Return whether a statement of a block takes its samples one by one, with loops along their rows inside."""
        if isinstance(statement, Result):
            return self._uses(statement)
        target = statement.target
        if isinstance(statement, Update) and statement.term.op == "accumulate" and self._adds_to_rows(statement.term):
            return True
        if target in self.laid:
            return True
        if isinstance(statement, Product):
            return self.sample in statement.factors.loops
        if isinstance(statement, Define) and self._copies(target):
            return True
        if isinstance(statement, Define) and statement.expression is not target:
            returned = self.delivered.get(target, ())[-1:]  # its rows lie as those of data do
            grows = self._grows(target) or (self.samples.streamed(target) and returned not in ((), (self.sample,)))
            return self.starts(target) or (self._uses(statement) and grows)
        return self._uses(statement)

    def _uses(self, statement: Statement) -> bool:
        """Return whether a statement reads rows where they lie."""
        return any(row in self.data or row in self.laid for row in self._rows(statement))

    def _grows(self, value: Value) -> bool:
        """Return whether terms are added to a sum along its rows."""
        return any(self.are_along(statement) for statement in self.statements.of(value))

    def starts(self, value: Value) -> bool:
        """Return whether a sum along a row starts from something at hand: its start needs no loop of its own."""
        base = self.statements.base(value) if self.samples.streamed(value) else None
        picked = any(map(self._takes_rows, self.statements.of(value)))
        if base is None or not (is_recomputed(base) or (picked and base.op == "input")):
            return False
        if any(self.samples.streamed(v) for v, _ in self.statements.reads([base])):
            return False
        return self._grows(value)

    def _copies(self, value: Value) -> bool:
        """Return whether a value is an output that holds rows of an array as they lie, which data pick."""
        return value.op == "read" and value in self.delivered and self._is_delivered(value)

    def copies_few(self, statement: Statement) -> bool:
        """Return whether a statement copies short rows that data pick: a row lies in one place, its numbers beside."""
        if not isinstance(statement, Define) or statement.target not in self.statements.packed:
            return False
        read = statement.target
        if read.op != "read" or not self.samples.is_row(read) or not self._is_short(read, FEW):
            return False
        *picked, last = read.operands[1:]
        return last.op == "iota" and any(i.op != "iota" and self.sample in i.axes for i in picked)

    def turns(self, value: Value) -> bool:
        """Return whether an array has its samples next to each other although it is filled along rows.

        That is so where loops over the samples use it, which become vectors then, and nothing is lost: what fills it
        looks up data, which makes no vectors either way, or all that runs along rows has one number of it for each row.
        """
        users = [
            s for s in self.statements.passing() if any(v is value for v, _ in self.statements.reads(right_side(s)))
        ]
        along = [s for s in users if self.are_along(s)]
        made = self.statements.of(value)
        if value in self.laid or value in self.kept or len(along) == len(users):
            return False
        if any(map(self._takes_rows, made)):
            return False
        return (not along and all(map(self._looks_up, made))) or not any(self._runs(s, value) for s in (*made, *along))

    def _takes_rows(self, statement: Statement) -> bool:
        """Return whether a statement takes rows of the copy of a table, which samples pick."""
        stack = [] if isinstance(statement, Product) else right_side(statement)
        while stack:
            value = stack.pop()
            if value.op == "read" and value.operands[0] in self.tables:
                return True
            if value not in self.statements.made:
                stack.extend(value.operands)
        return False

    def _runs(self, statement: Statement, value: Value) -> bool:
        """Return whether the innermost loop of a statement that runs along rows may be one along a value's axes."""
        if isinstance(statement, Product):
            return True
        inner = {self.products.orders.get(row, row.axes)[-1] for row in self._rows(statement)}
        return not inner or not inner.isdisjoint(value.axes)

    def _picks_rows(self, value: Value) -> bool:
        """Return whether a value is rows of an array computed for all samples, which data pick: those of neighbours."""
        if value.op != "read" or value.operands[0] not in self.kept or self.sample not in value.operands[0].axes:
            return False
        places = dict(zip(value.operands[0].axes, value.operands[1:], strict=True))
        along = any(i.op == "iota" and i.attr != self.sample for i in places.values())
        return along and places[self.sample].op in ("input", "read") and self._is_free(value.operands[0])

    def _looks_up(self, statement: Statement) -> bool:
        """Return whether a statement reads at places that data say, which has no line of its own."""
        stack = [] if isinstance(statement, Product) else right_side(statement)
        while stack:
            value = stack.pop()
            if value.op == "read" and self._at_data(value):
                return True
            if value not in self.statements.made:
                stack.extend(value.operands)
        return False

    def scatters(self, statement: Statement, along: Axis | None = None) -> bool:
        """Return whether a statement adds at places that are data: a loop with it does not become vectors.

        With `along`, the places must differ along this axis.
        """
        if not isinstance(statement, Update) or statement.term.op != "accumulate":
            return False
        streamed = self.sample in loop_axes(statement.term)
        places = [i for i in statement.term.operands[1:] if i.op != "iota"]
        return streamed and any(along is None or along in i.axes for i in places)

    def _at_data(self, value: Value) -> bool:
        """Return whether a read, or an accumulation, is at places that data say."""
        return any(i.op not in ("iota", *PRIMITIVES) for i in value.operands[1:])

    def _adds_to_rows(self, term: Value) -> bool:
        """Return whether an accumulation adds to whole rows of an array, which data pick.

        An array with numbers of each sample has no such rows: where samples are next to each other, steps along another
        axis are far apart, and all of them in a few places of the cache. Windows of rows are such rows.
        """
        *others, last = term.operands[1:]
        if self._is_window(last) and any(self._is_window(i) and self.sample in i.axes for i in others):
            return True
        along = {i.attr for i in term.operands[1:] if i.op == "iota"}
        picked = any(i.op != "iota" and self.sample in i.axes for i in term.operands[1:])
        return picked and bool(along) and self.sample not in along

    def _is_window(self, place: Value) -> bool:
        """Return whether a place is one of a window that begins where the index of another axis is."""
        return place.op == "add" and len(place.axes) > 1 and all(_steps_with(place, axis) for axis in place.axes)


def _steps_with(index: Value, axis: Axis) -> bool:
    """Return whether an index is one more where that of an axis is."""
    if index.op == "add":
        return any(_steps_with(each, axis) for each in index.operands)
    return _steps_with(index.operands[0], axis) if index.op == "sub" else index.is_index(axis)
