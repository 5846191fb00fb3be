"""Lines of the cache: which of a row's are asked for before they are needed, see `jit.fetch`."""

LINE = 64  # bytes that the processor transfers at once
NEAR = 2**21  # bytes of an array that the processor's own caches hold: asking would take longer than it saves
SHORT = 512  # bytes of a row that the nearest cache takes, beside what is computed: longer ones stay one further off
LONGEST = 4096  # bytes of a row that are asked for
READ, DATA = 0, 1  # for reading, not instructions: LLVM's words
NEAREST, NEXT = 3, 2  # cache in which to keep it, and all further ones
