"""`longwave load`: listeners as they behave, by the thousand, and what they met.

plan        what will be done, said before it is done; consent, limits, arrivals
probe       the target, read once
timers      a heap of instants, and how late each was kept
http_client HTTP/1.1 over asyncio's protocols: one request in hand a connection
playlists   what a listener reads of a playlist; each distinct body is parsed once
buffer      what a listener has to play, and when it had nothing
listener    one listener: tunes in, reloads, fetches, moves
crowd       the listeners of one process, on one clock
process     a process of listeners, and the pipe to it
tally       what is counted, and how counts of processes become one
report      what is printed in the end
view        what is seen meanwhile
"""
