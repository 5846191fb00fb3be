"""The rows of the benchmark, one file each; a new row is a file and a line here."""

from benchmarks.rows.softmax_epoch import ROW as SOFTMAX_EPOCH

ROWS = (SOFTMAX_EPOCH,)
