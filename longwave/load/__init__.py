"""`longwave load`: listeners as they behave, by the thousand, and what they met.

plan         what will be done, said before it is done; limits, consent
probe        the target, read once; `invitation`: into private rooms
run          all of it; `process`: a process of listeners, and the pipes to it

crowd        the listeners of one process; `timers`: what is due, `server_clock`: what time it is elsewhere
listener     one listener: tunes in, reloads, fetches
whereabouts  where it listens; `tiers`: what a room says of that
playlists    what it reads of a playlist, each distinct body once; `reloading`: when it reads the next
playback     pieces in their order; `buffer`: what there is to play, and when there was nothing
lane         its requests, one after the other; `http_client`: connections, `chunks`, `base`, `tls`

tally        what is counted, and how the counts of processes become one
report       what is said in the end; `view`: what is seen meanwhile
"""
