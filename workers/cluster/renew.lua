-- Says again that a node owns a room; also to a Redis that knows nothing of it any more.
--
-- KEYS  the room's owner, its live take, its last generation
-- ARGV  node, its URL, generation, milliseconds for which the claim holds, and for which its generation is known,
--       what the keys of takes' hashes begin with
-- Gives 0, or the generation of who has the room now. Of two owners that could not see each other the one with
-- the higher generation stays; where these are equal, the one whose name is greater.
local owner = redis.call('HMGET', KEYS[1], 'node', 'url')
local live = redis.call('GET', KEYS[2])
local written = live and redis.call('HGET', ARGV[6] .. live, 'gen')
local last = redis.call('GET', KEYS[3])
local mine = tonumber(ARGV[3])
local highest = math.max(tonumber(last or 0), tonumber(written or 0))
if highest > mine or (highest == mine and owner[1] and owner[1] > ARGV[1]) then
  return highest
end
-- Prolonging takes no memory, and so works in a Redis that is full.
if last ~= ARGV[3] then
  redis.call('SET', KEYS[3], ARGV[3])
end
redis.call('PEXPIRE', KEYS[3], ARGV[5])
if owner[1] ~= ARGV[1] or owner[2] ~= ARGV[2] then
  redis.call('HSET', KEYS[1], 'node', ARGV[1], 'url', ARGV[2], 'gen', ARGV[3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 0
