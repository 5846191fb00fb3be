"""Training: minibatch steps of an optimizer in compiled code, until it is time to stop.

`fitting` is the call; `settings` checks how it is made; `start` and `task` say what is trained on; `steps` are the
compiled code; `descent` is the loop over epochs; `validation`, `history`, `progress` and `interrupts` watch it.
"""

from gradcompile.train.fitting import OPTIONS, Result, Trained, fit
from gradcompile.train.history import Epoch
from gradcompile.train.settings import unknown

__all__ = ["OPTIONS", "Epoch", "Result", "Trained", "fit", "unknown"]
