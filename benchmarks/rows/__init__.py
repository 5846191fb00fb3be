"""The rows of the benchmark, one file each; a new row is a file and a line here."""

from benchmarks.rows.distances import ROW as DISTANCES
from benchmarks.rows.embedding import ROW as EMBEDDING
from benchmarks.rows.factorisation import ROW as FACTORISATION
from benchmarks.rows.fused import ROW as FUSED
from benchmarks.rows.gmm import GMM
from benchmarks.rows.logistic import ROW as LOGISTIC
from benchmarks.rows.network_epoch import ROW as NETWORK_EPOCH
from benchmarks.rows.others import OTHERS
from benchmarks.rows.point import ROW as POINT
from benchmarks.rows.sgd1 import ROW as SGD1
from benchmarks.rows.softmax_epoch import ROW as SOFTMAX_EPOCH
from benchmarks.rows.start import START
from benchmarks.rows.straight_line import STRAIGHT_LINE

ROWS = (
    FUSED,
    POINT,
    LOGISTIC,
    SOFTMAX_EPOCH,
    SGD1,
    NETWORK_EPOCH,
    *GMM,
    FACTORISATION,
    EMBEDDING,
    DISTANCES,
    *STRAIGHT_LINE,
    *START,
    *OTHERS,
)
