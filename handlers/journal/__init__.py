"""The journal: all streams of a region, in one order, as frames on JetStream.

`stream` makes and checks the streams, `reader` reads and verifies, `writer` appends behind its
fence, `checkpoints` keeps states so that a start can be quick, `safety` checks the server.
"""
