"""The demo: a small fleet at work on this machine, and the proof that what was shown is true.

`story` plays it act by act, `scene` is what the acts have at hand, `watching` looks at the agents'
own reports meanwhile, `verdicts` says at the end what was seen, and whether it is as promised.
"""
