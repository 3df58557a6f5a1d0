-- Gives a room up. Its generation stays known: an owner of before that was frozen must not come back.
--
-- KEYS  the room's owner
-- ARGV  node, generation
local owner = redis.call('HMGET', KEYS[1], 'node', 'gen')
if owner[1] == ARGV[1] and tonumber(owner[2]) <= tonumber(ARGV[2]) then
  redis.call('DEL', KEYS[1])
end
return 0
