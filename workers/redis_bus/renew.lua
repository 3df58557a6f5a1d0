-- Says again that a node owns a room; also to a Redis that knows nothing of it any more.
--
-- KEYS  the room's owner, its live take
-- ARGV  node, its URL, generation, milliseconds for which it holds, what the keys of takes' hashes begin with
-- Gives 0, or the generation of who has the room now. Of two owners that could not see each other the one with
-- the higher generation stays; where these are equal, the one whose name is greater.
local owner = redis.call('HMGET', KEYS[1], 'node', 'url', 'gen')
local live = redis.call('GET', KEYS[2])
local written = live and redis.call('HGET', ARGV[5] .. live, 'gen')
local mine, theirs = tonumber(ARGV[3]), tonumber(owner[3] or 0)
if tonumber(written or 0) > mine then
  return tonumber(written)
end
if theirs > mine or (theirs == mine and owner[1] and owner[1] > ARGV[1]) then
  return theirs
end
-- Prolonging takes no memory, and so works in a Redis that is full.
if owner[1] ~= ARGV[1] or owner[2] ~= ARGV[2] or theirs ~= mine then
  redis.call('HSET', KEYS[1], 'node', ARGV[1], 'url', ARGV[2], 'gen', ARGV[3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 0
