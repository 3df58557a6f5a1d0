-- Makes a node the owner of a room with a generation above all before. What an older owner of its live take
-- still writes is refused from then on.
--
-- KEYS  the room's owner, its live take, its last generation
-- ARGV  node, its URL, generation, milliseconds for which the claim holds, and for which its generation is known,
--       what the keys of takes' hashes begin with
-- Gives 1, or 0 where another node owns the room or the generation is not a new one.
local owner = redis.call('HMGET', KEYS[1], 'node', 'url')
-- The same URL under another name is what the node was before it started anew.
if owner[1] and owner[1] ~= ARGV[1] and (owner[2] ~= ARGV[2] or ARGV[2] == '') then
  return 0
end
local live = redis.call('GET', KEYS[2])
local written = live and redis.call('HGET', ARGV[6] .. live, 'gen')
local last = redis.call('GET', KEYS[3])
if math.max(tonumber(last or 0), tonumber(written or 0)) >= tonumber(ARGV[3]) then
  return 0
end
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[5])
redis.call('HSET', KEYS[1], 'node', ARGV[1], 'url', ARGV[2], 'gen', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if written then
  redis.call('HSET', ARGV[6] .. live, 'gen', ARGV[3])
end
return 1
